"""What the workers of a study have found of its numerics, so that the next run can tell without one what is done.

    root/studies/<index>.expected

Lanes come from a traced program, and backend and device from a process that has started them. Both follow from the
`runs.circumstances`: while these are as they were, a record is compared with the numerics that a worker would expect
of it, and no worker is started where all points have theirs. A file that is damaged, or of other circumstances, says
nothing.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dsl.experiments import Experiment
from dsl.identity import digest
from dsl.program import requires
from runs import inputs
from runs.files import replacing
from runs.outcome import numerics_of
from runs.plan import Group
from runs.point import write_json
from runs.queue import blocks, name_of
from runs.records import RecordsError
from runs.store import Conflict, OnDisk

PROCESS = frozenset({"matmul_precision", "threefry_partitionable", "backend", "device"})


@dataclass(frozen=True)
class Laid:
    """How points were laid out.

    Attributes:
        points: their digests.
        lanes: points in a block.
        process: what `runs.numerics.here` said in the worker.
    """

    points: tuple[str, ...]
    lanes: int
    process: Mapping[str, Any]


@dataclass(frozen=True)
class Expected:
    """What is known of the points of a study.

    Attributes:
        path: of the file.
        circumstances: of this run.
        laid: by the digest of each point; empty where the circumstances were others.
    """

    path: Path
    circumstances: str
    laid: dict[str, Laid]

    @classmethod
    def read(cls, path: Path, circumstances: str) -> "Expected":
        """What the file says of these circumstances."""
        try:
            told = json.loads(path.read_text("utf-8"))
            groups = told["groups"] if told["circumstances"] == circumstances else []
            laid = [_laid(group) for group in groups]
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            laid = []
        return cls(path, circumstances, {name: one for one in laid for name in one.points})

    def keep(self, told: Iterable[Mapping[str, Any]], points: Collection[str]) -> None:
        """Write what a worker has told, with what was known of the other points of the study.

        Raises:
            RecordsError: if it cannot be written.
        """
        self.laid.update({name: one for one in map(_laid, told) for name in one.points})
        groups: dict[str, list[str]] = {}
        for name in points:
            if (laid := self.laid.get(name)) is not None:
                about = {"lanes": laid.lanes, "process": dict(laid.process)}
                groups.setdefault(json.dumps(about, sort_keys=True), []).append(name)
        found = [json.loads(about) | {"points": names} for about, names in groups.items()]
        value = {"circumstances": self.circumstances, "groups": found}
        try:
            replacing(self.path, lambda draft: write_json(draft, value))
        except OSError as error:
            raise RecordsError(f"cannot write {self.path}: {error.strerror}") from None


def _laid(group: Any) -> Laid:
    """One entry of the file.

    Raises:
        ValueError, TypeError, KeyError: it is damaged.
    """
    points, lanes, process = group["points"], group["lanes"], group["process"]
    whole = type(lanes) is int and lanes > 0 and isinstance(process, dict) and process.keys() == PROCESS
    if not (whole and isinstance(points, list) and all(isinstance(name, str) for name in points)):
        raise ValueError("not an entry of this file")
    return Laid(tuple(points), lanes, process)


@dataclass(frozen=True)
class Settled:
    """Tells which groups need no worker.

    Attributes:
        store: the results.
        expected: what is known of the study.
        shards: devices that share a batch.
        done: the points found done so far; what a point reads must be among them.
    """

    store: OnDisk
    expected: Expected
    shards: int
    done: set[str] = field(default_factory=set)

    def holds(self, group: Group) -> bool:
        """Whether a worker would find every point done, and nothing to clear away."""
        if not all(map(self._stands, group.points)) or self._left_over(group):
            return False
        self.done.update(map(digest, group.points))
        return True

    def _stands(self, point: Experiment) -> bool:
        laid = self.expected.laid.get(digest(point))
        if laid is None or not self.done.issuperset(map(digest, requires(point))):
            return False
        try:
            if inputs.blocked_by(point, self.store) is not None:
                return False
            return self.store.finished(
                digest(point), numerics_of(point, laid.lanes, self.store, self.shards, laid.process)
            )
        except (Conflict, RecordsError):  # the worker says it
            return False

    def _left_over(self, group: Group) -> bool:
        """Whether a process was killed between the last commit of a block and the end of its checkpoint."""
        if not (kept := self.store.checkpoints.names()):
            return False
        widths = {self.expected.laid[digest(point)].lanes for point in group.points}
        return any(name_of(block) in kept for lanes in widths for block in blocks(group.points, lanes))
