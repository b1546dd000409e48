"""Statistics over seeds and power laws: the measured side of a claim."""

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float64, Int64, Shaped
from numpy.typing import ArrayLike

from runs.table import RESERVED, Table

FEWEST_FOR_BOOTSTRAP = 8


@dataclass(frozen=True)
class Interval:
    """A statistic with its uncertainty.

    Attributes:
        estimate: the statistic.
        low: lower end of the interval.
        high: upper end of the interval.
        n: the number of values behind it.
        method: how the interval was made.
        confidence: its level; None for the range over every seed, which has none.
    """

    estimate: float
    low: float
    high: float
    n: int
    method: str
    confidence: float | None = 0.95


def certain(value: float, n: int = 1) -> Interval:
    """A statistic without uncertainty, such as that of a deterministic solver; n values are behind it."""
    return Interval(float(value), float(value), float(value), n, "deterministic", None)


@dataclass(frozen=True, eq=False)
class PerSeed:
    """One number for each seed, NaN where a seed has none; `notes` say why, one sentence a seed."""

    values: Float64[np.ndarray, " seeds"]
    seeds: Shaped[np.ndarray, " seeds"]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", np.asarray(self.values, np.float64))
        object.__setattr__(self, "seeds", np.asarray(self.seeds))
        if self.values.ndim != 1 or self.values.shape != self.seeds.shape:
            raise ValueError(f"PerSeed: got values {self.values.shape}, seeds {self.seeds.shape}; expected one a seed")


@dataclass(frozen=True, eq=False)
class FirstPassage:
    """The first observed step at which a measurement reached a level, for each point of a table.

    Attributes:
        steps: inf where a finished point never reached it; NaN where that is unknown (diverged, failed, missing).
        points: the axes, digests and statuses of the points.
    """

    steps: Float64[np.ndarray, "points ..."]
    points: Mapping[str, Shaped[np.ndarray, " points"]]

    def __getitem__(self, axis: str) -> Shaped[np.ndarray, " points"]:
        return self.points[axis]

    def per_seed(self) -> PerSeed:
        """The passage of each seed.

        Raises:
            ValueError: a seed occurs twice, or the passages are of a vector.
        """
        return by_seed(self.steps, self.points)


def per_seed(table: Table, name: str, step: int | Literal["last"] | None = None, index: int | None = None) -> PerSeed:
    """One value of a measurement for each seed, NaN for a point that has none.

    Args:
        table: one point per seed: other axes are fixed by `table.where(...)`.
        name: the measurement.
        step: the step; "last" is the last observation of finished points; None where there is one observation.
        index: the flat index of a component, for a measurement that is an array.

    Raises:
        ValueError: a seed or an observation occurs twice, or nothing was observed at the step.
    """
    column, rows = component(table, name, index), _chosen(table, name, step)
    values = np.full(len(table.points["point"]), np.nan)
    values[table.owner[rows]] = column[rows]
    if step == "last":  # the last value before a divergence is no result
        values[table.points["status"] != "finished"] = np.nan
    return by_seed(values, table.points)


def first_passage(
    table: Table, name: str, above: float | None = None, below: float | None = None, index: int | None = None
) -> FirstPassage:
    """The first observed step at which a measurement is `>= above`, or `<= below`, for each point and component.

    Raises:
        ValueError: not exactly one of `above` and `below` is given.
    """
    if (above is None) == (below is None):
        raise ValueError(f"first_passage: got above={above}, below={below}; expected exactly one of the two")
    column = table[name] if index is None else component(table, name, index)
    reached = column >= above if above is not None else column <= below
    step = table["step"].reshape(-1, *(1,) * (column.ndim - 1))
    steps = np.full((len(table.points["point"]), *column.shape[1:]), np.inf)
    np.minimum.at(steps, table.owner, np.where(reached, step, np.inf))
    known = np.zeros(steps.shape, bool)
    np.logical_or.at(known, table.owner, ~np.isnan(column))
    known[table.points["status"] != "finished"] = False
    return FirstPassage(np.where(np.isinf(steps) & ~known, np.nan, steps), table.points)


def median(sample: PerSeed | ArrayLike) -> Interval:
    """The median over seeds, with its bootstrap interval from 8 values on and the range of the values below."""
    return bootstrap_interval(sample)


def bootstrap_interval(
    sample: PerSeed | ArrayLike,
    statistic: Callable[..., Any] = np.median,
    confidence: float = 0.95,
    resamples: int = 9999,
) -> Interval:
    """A statistic of the values with its percentile bootstrap interval; below 8 values, with their range instead.

    Percentiles, because the jackknife inside BCa is inconsistent for the median; quantiles are not interpolated, so
    that passages at infinity are allowed. Resampling has a fixed seed: the same values give the same interval.

    Raises:
        ValueError: there are no values, or some are NaN.
    """
    values = _numbers("bootstrap_interval", sample.values if isinstance(sample, PerSeed) else sample)
    estimate, n = float(statistic(values)), len(values)
    if n < FEWEST_FOR_BOOTSTRAP:
        return Interval(estimate, float(values.min()), float(values.max()), n, "every seed", None)
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    low, high = np.quantile(_resampled(values, statistic, resamples), tails, method="inverted_cdf")
    return Interval(estimate, float(low), float(high), n, "bootstrap", confidence)


def binomial_interval(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """A success rate with its exact (Clopper-Pearson) interval.

    Raises:
        ValueError: not 0 <= successes <= n with n >= 1.
    """
    from scipy.special import betaincinv  # scipy.stats takes half a second to import

    if not 0 <= successes <= n or n < 1:
        raise ValueError(f"binomial_interval: got {successes} of {n}; expected 0 <= successes <= n and n >= 1")
    tail, failures = (1 - confidence) / 2, n - successes
    low = betaincinv(successes, failures + 1, tail) if successes else 0.0
    high = betaincinv(successes + 1, failures, 1 - tail) if failures else 1.0
    return Interval(successes / n, float(low), float(high), n, "exact binomial", confidence)


def power_law(x: ArrayLike, y: ArrayLike, confidence: float = 0.95) -> Interval:
    """The exponent a of y ~ x^a: the least-squares slope of log y against log x, with its Student interval.

    Raises:
        ValueError: fewer than 3 pairs, values that are not positive and finite, or all x equal.
    """
    from scipy.special import stdtrit

    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if x.ndim != 1 or x.shape != y.shape or len(x) < 3:
        raise ValueError(f"power_law: got shapes {x.shape} and {y.shape}; expected at least 3 pairs of numbers")
    if not all(np.all(np.isfinite(values) & (values > 0)) for values in (x, y)):
        raise ValueError("power_law: got values that are zero, negative, infinite or NaN; expected positive numbers")
    if np.ptp(x) == 0:
        raise ValueError(f"power_law: all x are {x[0]:g}; expected at least two values")
    (slope, _), covariance = np.polyfit(np.log(x), np.log(y), 1, cov=True)
    slope, reach = float(slope), float(stdtrit(len(x) - 2, (1 + confidence) / 2) * np.sqrt(covariance[0, 0]))
    return Interval(slope, slope - reach, slope + reach, len(x), "least squares", confidence)


def scaling_exponent(passages: FirstPassage, against: str, confidence: float = 0.95) -> Interval:
    """The exponent a of T ~ x^a, where T is the median first passage over the points with one value x of an axis.

    Points that never passed count as later than all others, so a value of which half of the points never passed has no
    median. The interval is that of a bootstrap over the points of each value (1000 resamples, percentiles).

    Args:
        passages: of a scalar measurement, for points that differ in the axis and in the seed.
        against: the axis, with at least 3 values.
        confidence: of the interval.

    Raises:
        ValueError: if a median is not finite, or a point has no result.
    """
    axis = np.asarray(passages[against], np.float64)  # of objects where other points of the study have no such axis
    values = np.unique(axis)
    samples = [np.asarray(passages.steps[axis == value], np.float64) for value in values]
    for value, sample in zip(values, samples, strict=True):
        if not np.isfinite(np.median(_numbers("scaling_exponent", sample))):
            raise ValueError(f"scaling_exponent: half of the points with {against}={value:g} never passed")
    slope = power_law(values, [np.median(sample) for sample in samples]).estimate
    draws = np.random.default_rng(0)
    slopes = []
    for _ in range(1000):
        medians = np.array([np.median(draws.choice(sample, len(sample))) for sample in samples])
        if np.isfinite(medians).all():  # a resample may have too few points that passed
            slopes.append(np.polyfit(np.log(values), np.log(medians), 1)[0])
    low, high = np.quantile(slopes, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(slope, float(low), float(high), min(map(len, samples)), "bootstrap", confidence)


def component(table: Table, name: str, index: int | None) -> Float64[np.ndarray, " rows"]:
    """A column of numbers: a measurement, or one component of a measurement that is an array, by its flat index.

    Raises:
        ValueError: the measurement has no component of that index.
    """
    column = table[name]
    if column.ndim == 1:
        return column
    size = math.prod(column.shape[1:])
    if index is None or not 0 <= index < size:
        raise ValueError(f"{name} has shape {column.shape[1:]}; got index {index}, expected one of 0..{size - 1}")
    return column.reshape(-1, size)[:, index]


def by_seed(values: np.ndarray, points: Mapping[str, np.ndarray]) -> PerSeed:
    """One number for each point, as numbers of their seeds.

    Raises:
        ValueError: the points have no seed, or a seed occurs twice.
    """
    if "seed" not in points:
        raise ValueError(f"per_seed: got the axes {', '.join(set(points) - set(RESERVED))}; expected one named seed")
    seeds = points["seed"].tolist()
    twice = next((seed for seed in seeds if seeds.count(seed) > 1), None)
    if twice is not None:
        free = [axis for axis in points if axis not in (*RESERVED, "seed") and len(set(points[axis].tolist())) > 1]
        fix = f"fix {', '.join(free)} with table.where(...)" if free else "the study has a point twice"
        raise ValueError(f"per_seed: seed {twice} occurs {seeds.count(twice)} times, expected once; {fix}")
    ends = zip(seeds, values, points["status"].tolist(), strict=True)
    notes = tuple(f"seed {s}: {end}" for s, value, end in ends if np.any(np.isnan(value)) and end != "finished")
    return PerSeed(values, points["seed"], notes)


def _chosen(table: Table, name: str, step: int | Literal["last"] | None) -> Int64[np.ndarray, " chosen"]:
    """The rows that hold the wanted observation, at most one for each point."""
    rows = np.flatnonzero(table.seen(name))
    owner = table.owner[rows]
    if step == "last":
        return rows[np.diff(owner, append=-1) != 0]
    if step is not None:
        at = rows[table["step"][rows] == step]
        if not len(at):
            raise ValueError(f"per_seed: {name} was not observed at step {step}; {_steps(table['step'][rows])}")
        return at
    if len(np.unique(owner)) < len(owner):
        raise ValueError(f"per_seed: {name} has several observations of a point; expected step='last' or a number")
    return rows


def _steps(steps: Int64[np.ndarray, " rows"]) -> str:
    return f"observed steps lie in {steps.min()}..{steps.max()}" if len(steps) else "it was observed at no step"


def _numbers(where: str, values: ArrayLike) -> Float64[np.ndarray, " n"]:
    values = np.asarray(values, np.float64)
    missing = int(np.isnan(values).sum())
    if values.ndim != 1 or not len(values) or missing:
        raise ValueError(f"{where}: got shape {values.shape} with {missing} NaN; expected at least one number, no NaN")
    return values


def _resampled(values: np.ndarray, statistic: Callable[..., Any], resamples: int) -> Float64[np.ndarray, " resamples"]:
    """The statistic of resamples; the numbers are those of `scipy.stats.bootstrap`, which is slow to import."""
    drawn = values[np.random.default_rng(0).integers(0, len(values), (resamples, len(values)))]
    takes_axis = "axis" in inspect.signature(statistic).parameters
    with np.errstate(invalid="ignore"):  # infinities
        return np.asarray(statistic(drawn, axis=-1) if takes_axis else np.apply_along_axis(statistic, -1, drawn))
