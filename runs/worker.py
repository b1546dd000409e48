"""The worker: a process that was configured for one precision, and runs (or only lays out) groups of experiments.

    python -m runs.worker JOB.json

The job names experiments by their JSON and the user's file by its path and hash; nothing is ever unpickled. What
happens is told on standard output, one JSON object a line; what user code prints goes to standard error.
"""

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO


def main(path: str) -> None:
    """Do the job in this file."""
    events = _take_stdout()
    tell = lambda event: print(json.dumps(event), file=events, flush=True)
    job = json.loads(Path(path).read_text())
    try:
        _do(job, tell)
    except _expected() as error:
        tell({"event": "refused", "message": str(error)})


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


def _do(job: Mapping[str, Any], tell: Any) -> None:
    if job["file"] is not None:
        _import_users_file(Path(job["file"]), job["sha256"])
    from dsl import Experiment, load
    from runs.plan import Group

    experiments = [load(data, Experiment) for data in job["experiments"]]
    groups = [Group(tuple(experiments[i] for i in members), job["precision"]) for members in job["groups"]]
    if job["mode"] == "plan":
        _plan(groups, tell)
    else:
        _run(job, groups, tell)


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
    from runs.execute import layout

    program, point = group.program, group.points[0]
    about: dict[str, Any] = {"backend": jax.default_backend(), "devices": len(jax.devices())}
    if not program.traced or references(point):
        return about  # a host computation, or one whose inputs are not known before others have run
    place = layout(program, program.knobs(point), {})
    memory = place.wave * place.cost.lane_bytes
    return about | {"lanes": place.lanes, "blocks": place.blocks, "wave": place.wave, "memory": memory}


def _run(job: Mapping[str, Any], groups: Any, tell: Any) -> None:
    from runs.execute import execute
    from runs.options import RunOptions
    from runs.store import OnDisk

    options = job["options"]
    store = OnDisk.at(Path(options["records"]), options["rerun"], options["accept"])
    data = Path(options["data"]) if options["data"] else None
    execute(groups, store, RunOptions(mapper=options["mapper"], data=data), tell, set(job["refused"]))


if __name__ == "__main__":
    main(sys.argv[1])
