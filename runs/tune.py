"""What each number of lanes costs a program on the devices of this process."""

import math
import statistics
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax

from dsl.program import Program, requires
from runs import inputs as outside
from runs.choices import Tuned, structure_hash
from runs.layout import Layout, layout
from runs.mapping import Mapped
from runs.plan import Group
from runs.wave import Block, Wave

ROUNDS = 5
ROUND_SECONDS = 0.2
MARGIN = 1.03
"""A wider block must be faster by more than the noise, for its missing lanes and its memory cost something too."""


def tune(group: Group, data: Path | None, widest: int | None) -> Tuned | None:
    """Measure a group; None where there are no steps to measure, or its inputs come from other experiments."""
    program, point = group.program, group.points[0]
    if not program.traced or not point.last or requires(point):
        return None
    shared, knobs = outside.stored(point, data), [program.knobs(point) for point in group.points]
    rule = layout(program, knobs[0], shared).lanes
    measured = {timed.place.lanes: timed for timed in _each(program, knobs, shared, _bound(len(knobs), widest))}
    rounds = {width: list[float]() for width in measured}
    for _ in range(ROUNDS):  # interleaved, so that a drift of the machine favours no width
        for width, timed in measured.items():
            rounds[width].append(timed.microseconds())
    medians = {width: statistics.median(times) for width, times in rounds.items()}
    best = min(width for width, median in medians.items() if median <= MARGIN * min(medians.values()))
    shown = {str(width): round(median, 4) for width, median in medians.items()}
    where = jax.default_backend(), jax.devices()[0].device_kind
    return Tuned(structure_hash(point), *where, lanes=best, rule=rule, microseconds=shown)


def _bound(points: int, widest: int | None) -> int:
    if widest is not None:
        return widest
    return min(32 if jax.default_backend() == "cpu" else 1024, 2 ** math.ceil(math.log2(points)))


def _each(program: Program, knobs: list[Any], shared: Mapping[str, Any], widest: int) -> Iterator["_Timed"]:
    """The program with 1, 2, 4, ... lanes, as far as the memory goes."""
    for exponent in range(widest.bit_length()):
        place = layout(program, knobs[0], shared, 2**exponent)
        if place.lanes < 2**exponent:
            return
        try:
            yield _Timed(program, place, knobs, shared)
        except Exception as error:
            if exponent == 0 or "RESOURCE_EXHAUSTED" not in str(error):
                raise
            return


class _Timed:
    """A full wave of a program, compiled, with a number of steps that lasts long enough to be timed."""

    def __init__(self, program: Program, place: Layout, knobs: list[Any], shared: Mapping[str, Any]) -> None:
        self.place, self.last = place, program.schedule[-1][0]
        shape = place.devices, place.blocks, place.lanes
        self.mapped = Mapped(program, shape, "shard_map")
        block = Block("", "", [knobs[i % len(knobs)] for i in range(place.lanes)], [{}] * place.lanes)
        wave = Wave(self.mapped, [block] * (place.devices * place.blocks), shared, place.chunk)
        self.points = self.mapped.placed(wave.points())
        self.constants = self.mapped.constants(self.points)
        self.steps, self.lanes = 1, math.prod(shape)
        self._seconds()  # compiles
        while self._seconds() < ROUND_SECONDS / 10 and self.steps < self.last:
            self.steps = min(self.last, 2 * self.steps)

    def microseconds(self) -> float:
        """Of a step and point, over about a fifth of a second."""
        times = [self._seconds()]
        while sum(times) < ROUND_SECONDS:
            times.append(self._seconds())
        return 1e6 * statistics.median(times) / self.steps / self.lanes

    def _seconds(self) -> float:
        """Of the first steps of a run: one that is over would do nothing."""
        state = jax.block_until_ready(self.mapped.init(self.points, self.constants))
        began = time.perf_counter()
        jax.block_until_ready(self.mapped.advance(self.points, self.constants, state, self.steps))
        return time.perf_counter() - began
