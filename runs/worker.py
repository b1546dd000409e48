"""The worker: a process that was configured for one precision, and runs (or only lays out) groups of experiments.

    python -m runs.worker JOB.json

The job names experiments by their JSON and the user's file by its path and hash; nothing is ever unpickled. What
happens is told on standard output, one JSON object a line; what user code prints goes to standard error.
"""

import hashlib
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO

from runs.interrupts import Interrupts, listening
from runs.options import Interrupted, RunOptions


def main(path: str) -> None:
    """Do the job in this file; after a signal, end with 128 and its number when what is unfinished is kept."""
    interrupts = Interrupts()
    tell = _teller(_take_stdout(), interrupts)
    job = json.loads(Path(path).read_text())
    with listening(interrupts):
        try:
            _do(job, tell, interrupts)
        except Interrupted as stopped:
            sys.exit(128 + stopped.signal)
        except _expected() as error:
            tell({"event": "refused", "message": str(error)})


def _teller(events: TextIO, interrupts: Interrupts) -> Callable[[dict[str, Any]], None]:
    """Tells events, one a line; when nobody listens any more, that asks to stop."""

    def tell(event: dict[str, Any]) -> None:
        try:
            print(json.dumps(event), file=events, flush=True)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), events.fileno())
            interrupts.receive(signal.SIGTERM)

    return tell


def _take_stdout() -> TextIO:
    """Standard output for events alone: whatever else is printed goes to standard error."""
    events = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return events


def _expected() -> tuple[type[Exception], ...]:
    from runs.options import RunError
    from runs.records import RecordsError
    from runs.userfile import SourceError

    return RunError, RecordsError, SourceError


def _do(job: Mapping[str, Any], tell: Any, interrupts: Interrupts) -> None:
    if job["file"] is not None:
        _import_users_file(Path(job["file"]), job["sha256"])
    from dsl import Experiment, load
    from runs.plan import Group

    experiments = [load(data, Experiment) for data in job["experiments"]]
    groups = [Group(tuple(experiments[i] for i in members), job["precision"]) for members in job["groups"]]
    if job["mode"] == "plan":
        _plan(groups, tell)
    else:
        _run(job, groups, tell, interrupts)


def _import_users_file(file: Path, sha256: str) -> None:
    from runs.options import RunError
    from runs.userfile import run_file

    content = file.read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise RunError(f"{file.name} was changed while its study was starting; run it again")
    run_file(file, content)


def _plan(groups: Any, tell: Any) -> None:
    """Lay the groups out; one that cannot be traced is told with its user's frames."""
    from runs.userfile import told

    for number, group in enumerate(groups):
        try:
            tell({"event": "layout", "group": number, **_layout(group)})
        except Exception as error:  # a user's noun may raise anything
            message = f"a program of {len(group.points)} points cannot be traced:\n{told(error)}"
            return tell({"event": "refused", "message": message})


def _layout(group: Any) -> dict[str, Any]:
    import jax

    from dsl.program import references
    from runs.layout import layout

    program, point = group.program, group.points[0]
    about: dict[str, Any] = {"backend": jax.default_backend(), "devices": len(jax.devices())}
    if not program.traced or references(point):
        return about  # a host computation, or one whose inputs are not known before others have run
    place = layout(program, program.knobs(point), {})
    wave = place.devices * place.blocks * place.lanes
    return about | {"lanes": place.lanes, "blocks": place.blocks, "wave": wave, "memory": place.memory}


def _run(job: Mapping[str, Any], groups: Any, tell: Any, interrupts: Interrupts) -> None:
    from runs.execute import Engine
    from runs.store import OnDisk

    options = job["options"]
    store = OnDisk.at(Path(options["records"]), options["rerun"], options["accept"])
    data = Path(options["data"]) if options["data"] else None
    how = RunOptions(mapper=options["mapper"], data=data, checkpoint=options["checkpoint"])
    try:
        Engine(store, how, tell, set(job["refused"]), interrupts).run(groups)
    finally:
        store.locks.close()


if __name__ == "__main__":
    main(sys.argv[1])
