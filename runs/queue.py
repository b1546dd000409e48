"""The queue of a group: blocks of points that this process takes, while others may take others."""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from dsl.experiments import Experiment
from dsl.identity import digest
from runs.interrupts import Interrupts
from runs.locks import Locks
from runs.options import Interrupted

POLL_SECONDS = 0.5
Waiting = Callable[[Sequence[Experiment]], list[Experiment]]


@dataclass(frozen=True)
class Taken:
    """A block that this process has the lock of.

    Attributes:
        name: of its lock and its checkpoint.
        points: those that have to be computed.
    """

    name: str
    points: Sequence[Experiment]


@dataclass(frozen=True)
class Queue:
    """Blocks of one group.

    Attributes:
        locks: None where no other process can see the results.
        waiting: which of some points have to be computed, as the records are now.
        interrupts: signals that ask to stop.
    """

    locks: Locks | None
    waiting: Waiting
    interrupts: Interrupts

    def drain(
        self, points: Sequence[Experiment], lanes: int, capacity: int, run: Callable[[list[Taken]], None]
    ) -> None:
        """Run all blocks that are to be computed, and see the others done by those who have them.

        Args:
            points: of the group; each run of `lanes` points in this order is a block.
            lanes: points in a block.
            capacity: blocks that `run` takes at once.
            run: computes and commits blocks.

        Raises:
            Interrupted: if a signal comes while nothing is computed.
        """
        every = blocks(points, lanes)
        wanted = set(map(digest, self.waiting(points)))
        left = [block for block in every if any(digest(point) in wanted for point in block)]
        while left:
            with self._taken(left, wanted, capacity) as taken:
                if taken:
                    run(taken)
            if not taken and left:
                time.sleep(POLL_SECONDS)
            if self.interrupts.received is not None:
                raise Interrupted(self.interrupts.received)

    @contextmanager
    def _taken(self, left: list[Sequence[Experiment]], wanted: set[str], capacity: int) -> Iterator[list[Taken]]:
        """The next blocks that are free; they leave `left`, and their locks are given back at the end."""
        taken: list[Taken] = []
        try:
            for block in tuple(left):
                if len(taken) < capacity and (found := self._take(block, wanted)) is not None:
                    left.remove(block)
                    if found.points:
                        taken.append(found)
            yield taken
        finally:
            for block in taken:
                self._free(block.name)

    def _take(self, block: Sequence[Experiment], wanted: set[str]) -> Taken | None:
        """A block with what is still to be computed of it; None while another process has it."""
        name = name_of(block)
        points = [point for point in block if digest(point) in wanted]
        if self.locks is None:
            return Taken(name, points)
        if not self.locks.take(name):
            return None
        points = self.waiting(points)  # another process may have done it since
        if not points:
            self.locks.free(name)
        return Taken(name, points)

    def _free(self, name: str) -> None:
        if self.locks is not None:
            self.locks.free(name)


def blocks(points: Sequence[Experiment], lanes: int) -> list[Sequence[Experiment]]:
    """The blocks of a group, which do not depend on what is done of it."""
    return [points[i : i + lanes] for i in range(0, len(points), lanes)]


def name_of(block: Sequence[Experiment]) -> str:
    """The name of a block's lock and checkpoint."""
    return hashlib.sha256(" ".join(map(digest, block)).encode()).hexdigest()[:32]
