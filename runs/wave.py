"""One wave: blocks that a mesh runs together, from their constants to their last observation.

The host drives jitted chunks from one observation to the next and fetches one observation behind, so that the devices
never wait for it. Between two chunks a wave can be kept, and a later one goes on from there bit for bit.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import jax
import numpy as np

from dsl.program import Program
from runs.checkpoint import Observed, Snapshot
from runs.mapping import Machine, Mapped, Points
from runs.options import RunError


@dataclass
class Trace:
    """What one point of a wave measured.

    Attributes:
        observations: (step, seconds of computing until then, {measurement: value}), in order.
        diverged: the step at which the state was first seen unhealthy; None if that never happened.
        done: whether the run has ended, by its last step or by a rule before it.
        missed: the error of a solver that has ended before its tolerance; else 0.
    """

    observations: list[tuple[int, float, dict[str, Any]]] = field(default_factory=list)
    diverged: int | None = None
    done: bool = False
    missed: float = 0.0

    def note(self, step: int, seconds: float, seen: dict[str, Any], last: bool) -> None:
        """Keep an observation; after the end of a run only the last one says something."""
        if self.diverged is not None or (self.done and not last):
            return
        self.observations.append((step, seconds, seen["values"]))
        self.diverged = None if seen["healthy"] else step
        self.done = bool(seen["done"])
        self.missed = 0.0 if seen.get("missed") is None else float(seen["missed"])

    @property
    def over(self) -> bool:
        """Whether nothing more is to be computed."""
        return self.done or self.diverged is not None


@dataclass(frozen=True)
class Block:
    """Points that lanes carry together: the unit of locks, checkpoints and retries.

    Attributes:
        name: of its lock and checkpoint.
        stamp: of its points and their numerics.
        knobs: of each point.
        inputs: of each point, by path.
    """

    name: str
    stamp: str
    knobs: Sequence[Any]
    inputs: Sequence[Mapping[str, Any]]


class Keeper(Protocol):
    """Who keeps blocks that are not finished."""

    def wanted(self) -> bool:
        """Whether to keep them now."""
        ...

    def keep(self, snapshots: Mapping[str, Snapshot]) -> None:
        """Keep them, by the names of their blocks."""
        ...


@dataclass(frozen=True)
class Wave:
    """Blocks on a mesh of (devices, blocks, lanes).

    Attributes:
        mapped: the compiled program.
        blocks: what to run.
        shared: stored arrays, by path.
        chunk: at most so many steps in one dispatch, so that progress is seen.
        kept: where each block goes on, all at one step; empty to begin.
    """

    mapped: Mapped
    blocks: Sequence[Block]
    shared: Mapping[str, Any]
    chunk: int
    kept: Sequence[Snapshot] = ()

    def slots(self) -> list[tuple[int, int]]:
        """The device of each block and its place there: blocks are dealt out to the devices in turn."""
        devices = self.mapped.shape[0]
        return [(i % devices, i // devices) for i in range(len(self.blocks))]

    def points(self) -> Points:
        """The points stacked, as arrays of the host; missing lanes repeat the first point."""
        live = np.zeros(self.mapped.shape, bool)
        which = np.zeros(self.mapped.shape, int)
        first = 0
        for slot, block in zip(self.slots(), self.blocks, strict=True):
            live[slot] = True  # a block is computed whole
            which[slot][: len(block.knobs)] = first + np.arange(len(block.knobs))
            first += len(block.knobs)
        stack = lambda items: jax.tree.map(lambda *leaves: np.stack(leaves)[which], *items)
        knobs = [knobs for block in self.blocks for knobs in block.knobs]
        inputs = [inputs for block in self.blocks for inputs in block.inputs]
        return Points(live, stack(knobs), stack(inputs), dict(self.shared))

    def run(self, tell: Callable[[int], None], keeper: Keeper | None = None) -> list[list[Trace]]:
        """Run to the last step: the traces of each block's points.

        Args:
            tell: hears how many steps each point has made since it last heard.
            keeper: is asked between two chunks.
        """
        with self.mapped.start() as machine:
            machine.begin(self.points())
            return self._driven(machine, tell, keeper)

    def _driven(self, machine: Machine, tell: Callable[[int], None], keeper: Keeper | None) -> list[list[Trace]]:
        now, first = self._placed(machine)
        schedule, seen = self.mapped.program.schedule, _Seen(self)
        if now:
            tell(now)
        for due in range(first, len(schedule)):
            step, names = schedule[due]
            if step < schedule[-1][0] and seen.over:
                continue
            for number, n in enumerate(_chunks(step - now, self.chunk)):
                if number:
                    machine.wait()  # or the host would queue a whole gap at once, and hear of no signal until its end
                machine.advance(n)
                now += n
                seen.fetch(keep=1)
                tell(n)
                if keeper is not None and keeper.wanted():
                    keeper.keep(self._snapshots(machine, now, due, seen))
            seen.pending.append((step, machine.observe(names)))
        seen.fetch(keep=0)
        return seen.traces()

    def _placed(self, machine: Machine) -> tuple[int, int]:
        """Begin, or go on from what was kept: the step, and the place of the next observation in the schedule."""
        if not self.kept:
            machine.init()
            return 0, 0
        shapes = machine.shapes()
        if any(len(kept.state) != len(shapes) for kept in self.kept):
            raise RunError(_OTHER)
        machine.resume([self._filled(leaf, [kept.state[i] for kept in self.kept]) for i, leaf in enumerate(shapes)])
        return self.kept[0].step, self.kept[0].due

    def _filled(self, leaf: Any, kept: Sequence[np.ndarray]) -> np.ndarray:
        """A leaf of the state from what the blocks kept, zero where no block is."""
        whole = np.zeros(leaf.shape, leaf.dtype)
        for slot, part in zip(self.slots(), kept, strict=True):
            if part.shape != leaf.shape[2:] or part.dtype != leaf.dtype:
                raise RunError(_OTHER)
            whole[slot] = part
        return whole

    def _snapshots(self, machine: Machine, now: int, due: int, seen: "_Seen") -> dict[str, Snapshot]:
        """Each block as it is between two chunks."""
        seen.fetch(keep=0)
        leaves = machine.kept()
        return {
            block.name: Snapshot(block.stamp, now, due, seen.seconds, [leaf[slot] for leaf in leaves], history)
            for block, slot, history in zip(self.blocks, self.slots(), seen.histories, strict=True)
        }


_OTHER = "a checkpoint is of another program: delete the folder `checkpoints` of the records"


class _Seen:
    """The observations of a wave: those on their way from the devices, and those that are here."""

    def __init__(self, wave: Wave) -> None:
        self.wave = wave
        self.pending = deque[tuple[int, Any]]()
        self.histories: list[list[Observed]] = [list(kept.history) for kept in wave.kept] or [[] for _ in wave.blocks]
        self._ended = [np.any([_ended(o) for o in history], axis=0) for history in self.histories]
        self._began = time.monotonic() - max((kept.seconds for kept in wave.kept), default=0.0)

    @property
    def seconds(self) -> float:
        """Of computing so far, in this process and before."""
        return time.monotonic() - self._began

    @property
    def over(self) -> bool:
        """Whether every point has ended, by its rule or by diverging."""
        pairs = zip(self._ended, self.wave.blocks, strict=True)
        return all(np.all(ended[: len(block.knobs)]) if np.ndim(ended) else False for ended, block in pairs)

    def fetch(self, keep: int) -> None:
        """Bring observations here until so many are on their way."""
        while len(self.pending) > keep:
            step, seen = self.pending.popleft()
            seen, seconds = jax.tree.map(np.asarray, seen), self.seconds
            for i, slot in enumerate(self.wave.slots()):
                # a copy: a view would keep the whole wave's array for each of its blocks
                mine = jax.tree.map(lambda leaf, at=slot: np.array(leaf[at]), seen)
                values, healthy, done = mine["values"], mine["healthy"], mine["done"]
                self.histories[i].append(Observed(step, seconds, values, healthy, done, mine.get("missed")))
                self._ended[i] = self._ended[i] | _ended(self.histories[i][-1])

    def traces(self) -> list[list[Trace]]:
        """What each point of each block measured."""
        pairs = zip(self.histories, self.wave.blocks, strict=True)
        return [[self._trace(history, lane) for lane in range(len(block.knobs))] for history, block in pairs]

    def _trace(self, history: Sequence[Observed], lane: int) -> Trace:
        trace, last = Trace(), self.wave.mapped.program.schedule[-1][0]
        for seen in history:
            values = jax.tree.map(lambda leaf: np.array(leaf[lane]), seen.values)
            missed = None if seen.missed is None else seen.missed[lane]
            mine = {"values": values, "healthy": seen.healthy[lane], "done": seen.done[lane], "missed": missed}
            trace.note(seen.step, seen.seconds, mine, seen.step == last)
        return trace


def _ended(seen: Observed) -> np.ndarray:
    return seen.done | ~seen.healthy


def _chunks(gap: int, most: int) -> list[int]:
    """A gap in dispatches of at most `most` steps."""
    return [min(most, gap - start) for start in range(0, gap, most)]


def run_on_host(program: Program, knobs: Any, inputs: Mapping[str, Any]) -> Trace:
    """A program that is not traced, on the host."""
    trace, began, now = Trace(), time.monotonic(), 0
    constants = program.constants(knobs, inputs)
    state = program.init(knobs, inputs, constants)
    last = program.schedule[-1][0]
    for step, due in program.schedule:
        if step < last and trace.over:
            continue
        state, now = program.advance(state, knobs, inputs, constants, step - now), step
        seen = program.seen(state, knobs, inputs, constants, due)
        seen["values"] = jax.tree.map(np.asarray, seen["values"])
        trace.note(step, time.monotonic() - began, seen, step == last)
    return trace
