"""One wave: points that a mesh runs together, from their constants to their last observation.

The host drives jitted chunks from one observation to the next and fetches one observation behind, so that the devices
never wait for it.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from dsl.program import Program
from runs.mapping import Mapped, Points

Slot = tuple[int, int, int]


@dataclass
class Trace:
    """What one point of a wave measured.

    Attributes:
        observations: (step, seconds since the wave began, {measurement: value}), in order.
        diverged: the step at which the state was first seen unhealthy; None if that never happened.
        done: whether the run has ended, by its last step or by a rule before it.
    """

    observations: list[tuple[int, float, dict[str, Any]]] = field(default_factory=list)
    diverged: int | None = None
    done: bool = False

    def note(self, step: int, seconds: float, seen: dict[str, Any], last: bool) -> None:
        """Keep an observation; after the end of a run only the last one says something."""
        if self.diverged is not None or (self.done and not last):
            return
        self.observations.append((step, seconds, seen["values"]))
        self.diverged = None if seen["healthy"] else step
        self.done = bool(seen["done"])

    @property
    def over(self) -> bool:
        """Whether nothing more is to be computed."""
        return self.done or self.diverged is not None


@dataclass(frozen=True)
class Wave:
    """Points on a mesh of (devices, blocks, lanes).

    Attributes:
        mapped: the compiled program.
        knobs: of each point.
        inputs: of each point, by path.
        shared: stored arrays, by path.
        chunk: at most so many steps in one dispatch, so that progress is seen.
    """

    mapped: Mapped
    knobs: Sequence[Any]
    inputs: Sequence[Mapping[str, Any]]
    shared: Mapping[str, Any]
    chunk: int

    def slots(self) -> list[Slot]:
        """The place of each point: blocks are dealt out to the devices in turn."""
        devices, _, lanes = self.mapped.shape
        return [((i // lanes) % devices, i // lanes // devices, i % lanes) for i in range(len(self.knobs))]

    def points(self) -> Points:
        """The points stacked; missing lanes repeat the first point."""
        live = np.zeros(self.mapped.shape, bool)
        which = np.zeros(self.mapped.shape, int)
        for i, (device, block, lane) in enumerate(self.slots()):
            live[device, block, :] = True  # a block is computed whole
            which[device, block, lane] = i
        stack = lambda items: jax.tree.map(lambda *leaves: np.stack(leaves)[which], *items)
        place = self.mapped.place
        return Points(
            place(live), place(stack(self.knobs)), place(stack(self.inputs)), self.mapped.share(dict(self.shared))
        )

    def run(self, tell: Callable[[int], None]) -> list[Trace]:
        """Run to the last step; `tell` hears how many steps each point has made since it last heard."""
        program, points = self.mapped.program, self.points()
        constants = self.mapped.constants(points)
        state, now = self.mapped.init(points, constants), 0
        traces, pending = [Trace() for _ in self.knobs], deque[tuple[int, Any]]()
        began, last = time.monotonic(), program.schedule[-1][0]
        for step, due in program.schedule:
            if step < last and all(trace.over for trace in traces):
                continue
            for n in _chunks(step - now, self.chunk):
                state, now = self.mapped.advance(points, constants, state, n), now + n
                self._fetch(pending, traces, began, keep=1)
                tell(n)
            pending.append((step, self.mapped.observe(points, constants, state, due)))
        self._fetch(pending, traces, began, keep=0)
        return traces

    def _fetch(self, pending: deque[tuple[int, Any]], traces: list[Trace], began: float, keep: int) -> None:
        while len(pending) > keep:
            step, seen = pending.popleft()
            seen = jax.tree.map(np.asarray, seen)
            for trace, slot in zip(traces, self.slots(), strict=True):
                # a copy: a view would keep the whole wave's array for each of its points
                mine = jax.tree.map(lambda leaf, at=slot: np.array(leaf[at]), seen)
                trace.note(step, time.monotonic() - began, mine, step == self.mapped.program.schedule[-1][0])


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
        values = jax.tree.map(np.asarray, program.observe(state, knobs, inputs, constants, due))
        seen = {"values": values, "healthy": program.healthy(state), "done": program.finished(state)}
        trace.note(step, time.monotonic() - began, seen, step == last)
    return trace
