"""Plateaus: where a measurement stays in place for long before it moves on, as it does at a saddle."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int, Shaped

from runs.statistics import PerSeed, by_seed, component
from runs.table import Table


@dataclass(frozen=True)
class Plateau:
    """A stretch of observed steps over which a measurement hardly moves.

    Attributes:
        start: its first step.
        end: its last step.
        level: the median of the measurement there.
    """

    start: int
    end: int
    level: float

    @property
    def length(self) -> int:
        """The number of steps from its first to its last."""
        return self.end - self.start


@dataclass(frozen=True, eq=False)
class Plateaus:
    """The plateaus of each point of a table, in the order of their steps, with the columns of the points."""

    found: tuple[tuple[Plateau, ...], ...]
    points: Mapping[str, Shaped[np.ndarray, " points"]]

    def longest(self, what: Literal["start", "end", "level", "length"]) -> PerSeed:
        """Of the longest plateau of each seed: where it starts or ends, its level or its length; NaN without one."""
        chosen = [max(own, key=lambda p: p.length, default=None) for own in self.found]
        return by_seed(np.array([np.nan if p is None else getattr(p, what) for p in chosen]), self.points)


def plateaus(table: Table, name: str, height: float, lasting: int, index: int | None = None) -> Plateaus:
    """The plateaus of a measurement along the steps of each point.

    A plateau is a stretch of consecutive observations whose largest and smallest value differ by at most `height`, and
    whose last step is at least `lasting` after its first. The longest is taken first, then those before and after it.

    Args:
        table: of the study.
        name: the measurement.
        height: by how much it may move, above 0: noise included.
        lasting: the least number of steps, at least 1.
        index: the flat index of a component, for a measurement that is an array.

    Raises:
        ValueError: if height is not positive or lasting is below 1.
    """
    if height <= 0 or lasting < 1:
        raise ValueError(f"plateaus: got height={height}, lasting={lasting}; expected a positive height, lasting >= 1")
    column = component(table, name, index)
    found = []
    for point in range(len(table.points["point"])):
        rows = np.flatnonzero((table.owner == point) & ~np.isnan(column))
        found.append(tuple(_plateaus(table["step"][rows], column[rows], height, lasting)))
    return Plateaus(tuple(found), table.points)


def _plateaus(
    steps: Int[np.ndarray, " n"], values: Float[np.ndarray, " n"], height: float, lasting: int
) -> list[Plateau]:
    if len(steps) < 2:
        return []
    first, last = _longest(steps, values, height)
    if steps[last] - steps[first] < lasting:
        return []
    here = Plateau(int(steps[first]), int(steps[last]), float(np.median(values[first : last + 1])))
    before, after = slice(None, first), slice(last + 1, None)
    return [
        *_plateaus(steps[before], values[before], height, lasting),
        here,
        *_plateaus(steps[after], values[after], height, lasting),
    ]


def _longest(steps: Int[np.ndarray, " n"], values: Float[np.ndarray, " n"], height: float) -> tuple[int, int]:
    """The first and last observation of the longest stretch of at most that height; the first one among equals."""
    best, first = (0, 0), 0
    for last in range(len(values)):
        while np.ptp(values[first : last + 1]) > height:
            first += 1
        if steps[last] - steps[first] > steps[best[1]] - steps[best[0]]:
            best = (first, last)
    return best
