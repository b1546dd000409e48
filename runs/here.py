"""Experiments run in the calling process: for notebooks and tests, where nothing is kept on disk."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from runs.table import Table

if TYPE_CHECKING:
    from dsl import Experiment, Study


def run(
    what: "Study | Experiment", *, mapper: Literal["shard_map", "pmap"] = "shard_map", data: Path | None = None
) -> Table:
    """Run a study, or one experiment, in this process, and return its table.

    Args:
        what: a study, or an experiment as a study of one point.
        mapper: what maps points over the devices of this process.
        data: the directory of `Stored` arrays; STEPWELL_DATA, or else `data`, if not given.

    Warns:
        UserWarning: where a solver has ended before its tolerance.

    Raises:
        RunError: if the process is not set up for the experiments' precision, or a point fails.
    """
    from dsl import Study
    from runs.execute import execute
    from runs.options import RunError, RunOptions
    from runs.plan import stages
    from runs.records import entries
    from runs.store import InMemory

    study = what if isinstance(what, Study) else Study("experiment", [what])
    store, told = InMemory(), list[dict[str, Any]]()
    for stage in stages(point.spec for point in study.points):
        execute(stage.groups, store, RunOptions(mapper=mapper, data=data), told.append)
    for event in told:
        if event["event"] == "error":
            raise RunError(event["message"])
        if "short" in event:
            warnings.warn(event["short"], stacklevel=2)
    found = [store.entry(entry) for entry in entries(study)]
    return Table.build(found, {digest: record.rows for digest, record in store.records.items()})
