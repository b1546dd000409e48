"""A study: the points of an experiment, what theory claims of them, and the figures that show it."""

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dsl.experiments import Experiment


@dataclass(frozen=True)
class Point:
    """One experiment of a study, with the values of the axes that made it.

    `axes` become columns of the study's table: numbers and text as they are, a noun by its repr.
    """

    spec: Experiment
    axes: Mapping[str, Any] = field(default_factory=dict)


def grid(make: Callable[..., Experiment], **axes: Iterable[Any]) -> list[Point]:
    """Call `make` on the product of its axes; the last axis varies fastest.

    A mapping as an axis gives its keys. Example: `grid(staircase, depth=(2, 4), seed=range(8))` has 16 points.
    """
    names, values = list(axes), [list(axis) for axis in axes.values()]
    rows = (dict(zip(names, row, strict=True)) for row in itertools.product(*values))
    return [Point(make(**row), row) for row in rows]


@dataclass(frozen=True)
class Accept:
    """A closed band of accepted values; with `around`, its edges are offsets from the prediction."""

    low: float
    high: float
    around: bool = False

    def band(self, predicted: float) -> tuple[float, float]:
        """The accepted interval for a prediction."""
        return (predicted + self.low, predicted + self.high) if self.around else (self.low, self.high)


def within(tolerance: float) -> Accept:
    """Accept what lies at most `tolerance` from the prediction."""
    return Accept(-tolerance, tolerance, around=True)


def below(bound: float) -> Accept:
    """Accept what is at most `bound`."""
    return Accept(-float("inf"), bound)


def above(bound: float) -> Accept:
    """Accept what is at least `bound`."""
    return Accept(bound, float("inf"))


def between(low: float, high: float) -> Accept:
    """Accept what lies in [low, high]."""
    return Accept(low, high)


@dataclass(frozen=True)
class Claim:
    """A statement of theory, what it predicts, how it is measured, and what counts as agreement.

    Attributes:
        statement: one sentence, as it stands in the report.
        citation: the paper and place, such as "2108.10573, section 3".
        measured: a plain function of the study's table (`runs.Table`) that returns a `runs.Interval` (a statistic
            with its uncertainty) or a `runs.PerSeed` (one number for each seed, all of which must be accepted).
        accept: the accepted band, by `within`, `below`, `above` or `between`.
        predicted: the number that theory gives, or a function of the table (a measurement of other points);
            None where the statement is a band by itself.
        verified: False while the source was quoted from memory: the report then says *unverified source*.
    """

    statement: str
    citation: str
    measured: Callable[[Any], Any]
    accept: Accept
    predicted: float | Callable[[Any], float] | None = None
    verified: bool = True


@dataclass(frozen=True)
class Study:
    """A named list of points with the claims and the figures about them.

    `points` may mix `Point`s of `grid` and bare experiments. A figure is a function `draw(table, axes)` on matplotlib
    axes; the first line of its docstring is its caption.
    """

    name: str
    points: tuple[Point, ...]
    claims: tuple[Claim, ...] = ()
    figures: tuple[Callable[[Any, Any], None], ...] = ()

    def __init__(
        self,
        name: str,
        points: Iterable[Point | Experiment],
        claims: Iterable[Claim] = (),
        figures: Iterable[Callable[[Any, Any], None]] = (),
    ) -> None:
        """Take any iterables; bare experiments become points without axes."""
        pairs = tuple(p if isinstance(p, Point) else Point(p) for p in points)
        for key, value in {"name": name, "points": pairs, "claims": tuple(claims), "figures": tuple(figures)}.items():
            object.__setattr__(self, key, value)
