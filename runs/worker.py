"""The worker: a process that was configured for one precision, and runs (or only lays out) groups of experiments.

    python -m runs.worker JOB.json

The job names experiments by their JSON and the user's file by its path and hash; nothing is ever unpickled. What
happens is told on standard output, one JSON object a line; what user code prints goes to standard error.
"""

import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
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
            tell({"event": "interrupted", "signal": stopped.signal})
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
    from runs.job import EXPECTED

    return EXPECTED


def _do(job: Mapping[str, Any], tell: Any, interrupts: Interrupts) -> None:
    if job["mode"] == "run" and job["options"]["hosts"] is not None:
        from runs.together import run_together

        run_together(job, tell, interrupts)  # which meets the others before a user's file is imported
    else:
        _do_alone(job, tell, interrupts)


def _do_alone(job: Mapping[str, Any], tell: Any, interrupts: Interrupts) -> None:
    from runs.job import read_groups, run
    from runs.warned import warnings_told

    groups = read_groups(job)
    if job["mode"] == "run":
        run(job, groups, tell, interrupts, None)
        return
    with warnings_told(lambda text: tell({"event": "warning", "message": text})):
        (_plan if job["mode"] == "plan" else _tune)(groups, job["options"], tell)


def _plan(groups: Any, options: Mapping[str, Any], tell: Any) -> None:
    """Lay the groups out; one that cannot be traced is told with its user's frames."""
    from runs.choices import Choices
    from runs.execute import check_shards
    from runs.userfile import told

    choices, shards = Choices.read(Path(options["records"])), options["data_shards"]
    for group in groups:
        check_shards(group.program, RunOptions(mapper=options["mapper"], data_shards=shards))
    for number, group in enumerate(groups):
        try:
            tell({"event": "layout", "group": number, **_layout(group, choices, shards)})
        except Exception as error:  # a user's noun may raise anything
            message = f"a program of {len(group.points)} points cannot be traced:\n{told(error)}"
            return tell({"event": "refused", "message": message})


def _tune(groups: Any, options: Mapping[str, Any], tell: Any) -> None:
    """Measure the groups; null for one that cannot be measured."""
    from runs.tune import tune

    data = Path(options["data"]) if options["data"] else None
    for group in groups:
        found = tune(group, data, options["widest"])
        tell({"event": "tuned", "found": found and asdict(found)})


def _layout(group: Any, choices: Any, shards: int) -> dict[str, Any]:
    import jax

    from dsl.program import references
    from runs.layout import layout

    program, point = group.program, group.points[0]
    about: dict[str, Any] = {"backend": jax.default_backend(), "devices": len(jax.devices())}
    if not program.traced or references(point):
        return about  # a host computation, or one whose inputs are not known before others have run
    place = layout(program, program.knobs(point), {}, choices.of(point))
    wave = place.devices // shards * place.blocks * place.lanes
    about |= {"shards": shards} if shards > 1 else {}
    return about | {"lanes": place.lanes, "blocks": place.blocks, "wave": wave, "memory": place.memory}


if __name__ == "__main__":
    main(sys.argv[1])
