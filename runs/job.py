"""The job of a worker: groups of experiments, read from JSON after the user's file, and run."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runs.interrupts import Interrupts
from runs.options import RunError, RunOptions
from runs.records import RecordsError
from runs.userfile import SourceError, run_file

EXPECTED = RunError, RecordsError, SourceError
"""Errors that are one message."""


def read_groups(job: Mapping[str, Any]) -> list[Any]:
    """The groups of a job, after its user's file."""
    if job["file"] is not None:
        _import_users_file(Path(job["file"]), job["sha256"])
    from dsl import Experiment, load
    from runs.plan import Group

    experiments = [load(data, Experiment) for data in job["experiments"]]
    return [Group(tuple(experiments[i] for i in members), job["precision"]) for members in job["groups"]]


def _import_users_file(file: Path, sha256: str) -> None:
    content = file.read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise RunError(f"{file.name} was changed while its study was starting; run it again")
    run_file(file, content)


def run(job: Mapping[str, Any], groups: Any, tell: Any, interrupts: Interrupts, team: Any = None) -> None:
    """Run groups, as a process of its own or as the leader of a team."""
    from runs.choices import Choices
    from runs.execute import Engine
    from runs.store import OnDisk
    from runs.warned import warnings_told

    options = job["options"]
    store = OnDisk.at(Path(options["records"]), options["rerun"], options["accept"])
    data = Path(options["data"]) if options["data"] else None
    shards = options["data_shards"]
    how = RunOptions(mapper=options["mapper"], data=data, checkpoint=options["checkpoint"], data_shards=shards)
    try:
        chosen = Choices.read(store.records.root)
        engine = Engine(store, how, tell, set(job["refused"]), interrupts, chosen, team)
        try:
            with warnings_told(lambda text: tell({"event": "warning", "message": text})):
                engine.run(groups)
        finally:
            tell({"event": "laid", "groups": engine.laid})
    finally:
        store.locks.close()
