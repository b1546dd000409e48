"""A study: the points of an experiment, what theory claims of them, and the figures that show it."""

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

from dsl.experiments import Experiment
from dsl.faults import short


@dataclass(frozen=True)
class Point:
    """One experiment of a study, with the values of the axes that made it.

    `axes` become columns of the study's table: numbers and text as they are, a noun by its repr.
    """

    spec: Experiment
    axes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _require(isinstance(self.spec, Experiment), "Point: spec", self.spec, "an experiment")
        _require(isinstance(self.axes, Mapping), "Point: axes", self.axes, "a mapping from names to values")


def grid(make: Callable[..., Experiment], **axes: Iterable[Any]) -> list[Point]:
    """Call `make` on the product of its axes; the last axis varies fastest.

    A mapping as an axis gives its keys. Example: `grid(staircase, depth=(2, 4), seed=range(8))` has 16 points.

    Raises:
        TypeError: `make` is no function or makes no experiment, or an axis has no values to go through.
    """
    _require(callable(make), "grid: make", make, "a function that returns an experiment")
    for name, axis in axes.items():
        _require(isinstance(axis, Iterable) and not isinstance(axis, str), f"grid: the axis {name}", axis, "its values")
    names, values = list(axes), [list(axis) for axis in axes.values()]
    rows = (dict(zip(names, row, strict=True)) for row in itertools.product(*values))
    return [_made(make, row) for row in rows]


def _made(make: Callable[..., Any], row: dict[str, Any]) -> Point:
    spec = make(**row)
    _require(isinstance(spec, Experiment), f"grid: the result of make({_told(row)})", spec, "an experiment")
    return Point(spec, row)


@dataclass(frozen=True)
class Accept:
    """A closed band of accepted values; with `around`, its edges are offsets from the prediction."""

    low: float
    high: float
    around: bool = False

    def __post_init__(self) -> None:
        for name, edge in (("low", self.low), ("high", self.high)):
            _require(isinstance(edge, Real), f"Accept: {name}", edge, "a number")
        if not self.low <= self.high:
            raise ValueError(f"Accept: the band is [{self.low}, {self.high}]; expected low <= high")

    def band(self, predicted: float) -> tuple[float, float]:
        """The accepted interval for a prediction."""
        return (predicted + self.low, predicted + self.high) if self.around else (self.low, self.high)


def within(tolerance: float) -> Accept:
    """Accept what lies at most `tolerance` from the prediction."""
    _require(isinstance(tolerance, Real), "within: tolerance", tolerance, "a number")
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
            with its uncertainty), a `runs.PerSeed` (one number for each seed, all of which must be accepted), or a
            plain number where nothing is random.
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

    def __post_init__(self) -> None:
        for name, text in (("statement", self.statement), ("citation", self.citation)):
            _require(isinstance(text, str), f"Claim: {name}", text, "text")
        here = f"Claim {self.statement!r}: "
        _require(callable(self.measured), f"{here}measured", self.measured, "a function of the study's table")
        known = isinstance(self.accept, Accept)
        _require(known, f"{here}accept", self.accept, "within(...), below(...), above(...) or between(...)")
        number = self.predicted is None or isinstance(self.predicted, Real) or callable(self.predicted)
        _require(number, f"{here}predicted", self.predicted, "a number, a function of the table or None")
        if self.accept.around and self.predicted is None:
            raise ValueError(f"{here}predicted is None; expected a number or a function, because within(...) needs it")


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
        """Take any iterables; bare experiments become points without axes.

        Raises:
            TypeError: a part is not what it should be; the message says which.
            ValueError: two points are the same experiment, and would pass for two.
        """
        _require(isinstance(name, str), "Study: name", name, "text")
        here = f"Study {name!r}: "
        parts = {"points": points, "claims": claims, "figures": figures}
        for part, given in parts.items():
            _require(
                isinstance(given, Iterable) and not isinstance(given, str), f"{here}{part}", given, f"several {part}"
            )
        listed = {part: tuple(given) for part, given in parts.items()}
        _require_each(f"{here}points", listed["points"], lambda p: isinstance(p, Point | Experiment), "an experiment")
        _require_each(f"{here}claims", listed["claims"], lambda c: isinstance(c, Claim), "a Claim")
        _require_each(f"{here}figures", listed["figures"], callable, "a function draw(table, axes)")
        listed["points"] = tuple(p if isinstance(p, Point) else Point(p) for p in listed["points"])
        _refuse_twins(here, listed["points"])
        for key, value in {"name": name, **listed}.items():
            object.__setattr__(self, key, value)


def _require(good: bool, where: str, got: Any, expected: str) -> None:
    if not good:
        raise TypeError(f"{where} is {short(got)}; expected {expected}")


def _require_each(where: str, items: tuple[Any, ...], good: Callable[[Any], bool], expected: str) -> None:
    for i, item in enumerate(items):
        _require(good(item), f"{where}[{i}]", item, expected)


def _refuse_twins(here: str, points: tuple[Point, ...]) -> None:
    """A run of one experiment that is counted twice would look like a replication."""
    first = dict[str, int]()
    for i, point in enumerate(points):
        twin = first.setdefault(point.spec.digest, i)
        if twin != i:
            raise ValueError(f"{here}points {twin} and {i} are the same experiment{_although(points[twin], point)}")


def _although(one: Point, other: Point) -> str:
    names = [n for n in {**one.axes, **other.axes} if repr(one.axes.get(n)) != repr(other.axes.get(n))]
    if not names:
        return " with equal axes; expected each once"
    first, second = (_told({n: point.axes.get(n) for n in names}) for point in (one, other))
    return f" although {first} and {second}: does the function use {'it' if len(names) == 1 else 'them'}?"


def _told(axes: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in axes.items())
