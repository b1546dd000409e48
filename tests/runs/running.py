"""A study of a file, computed by the process of the tests."""

from pathlib import Path

from runs.execute import execute
from runs.options import RunOptions
from runs.plan import stages
from runs.sources import open_source
from runs.store import OnDisk


def computed_here(study: Path, records: Path) -> None:
    """Like a worker with two devices, which is what this process is."""
    store = OnDisk.at(records, rerun=False, accept=False)
    store.records.prepare()
    for stage in stages([point.spec for point in open_source(str(study)).study.points]):
        execute(stage.groups, store, RunOptions(records), lambda event: None)
