"""The rows of the claims: predicted and measured in words, and drawn on one small scale."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from runs.claims import Verdict, digits
from runs.report import shown
from runs.statistics import Interval, PerSeed

SYMBOLS = {"holds": "✓", "fails": "✗", "undecided": "?"}
WIDTH = 200.0


@dataclass(frozen=True)
class Mark:
    """A claim on a scale of `WIDTH`: the band, the prediction, the interval, its estimate or the seeds."""

    band: tuple[float, float]
    predicted: float | None
    interval: tuple[float, float] | None
    dots: tuple[float, ...]


@dataclass(frozen=True)
class Graded:
    """A claim as it stands on the page."""

    statement: str
    citation: str
    verified: bool
    outcome: str
    symbol: str
    predicted: str
    band: str
    measured: str
    notes: tuple[str, ...]
    mark: Mark | None


def graded(verdict: Verdict) -> Graded:
    """The row of one verdict."""
    claim, accepted = verdict.claim, shown.band(verdict.band)
    predicted = accepted or shown.NOTHING if verdict.predicted is None else shown.number(verdict.predicted)
    measured, notes = _measured(verdict)
    head = (claim.statement, claim.citation, claim.verified, verdict.outcome, SYMBOLS[verdict.outcome])
    return Graded(*head, predicted, accepted if predicted != accepted else "", measured, notes, _mark(verdict))


def badges(verdicts: Sequence[Verdict]) -> list[tuple[str, str]]:
    """(outcome, text) for each outcome that occurs: "✓ 3 hold"."""
    counts = {outcome: sum(v.outcome == outcome for v in verdicts) for outcome in SYMBOLS}
    verb = lambda outcome, n: outcome if n == 1 else outcome.removesuffix("s")
    return [(outcome, f"{SYMBOLS[outcome]} {n} {verb(outcome, n)}") for outcome, n in counts.items() if n]


def _measured(verdict: Verdict) -> tuple[str, tuple[str, ...]]:
    measured = verdict.measured
    if isinstance(measured, Interval):
        figures = digits(measured.low, measured.high, 4)
        return shown.number(measured.estimate, figures), _interval_notes(measured, verdict)
    if isinstance(measured, PerSeed) and not np.isnan(measured.values).all():
        first, *rest = verdict.detail.split("; ")  # the first part repeats the band
        count = " ".join(first.split(" ")[:4])  # "8 of 8 seeds"
        return f"{count} inside", (*rest, f"values {_values(measured)}")
    return "not measured", (verdict.detail,)


def _interval_notes(measured: Interval, verdict: Verdict) -> tuple[str, ...]:
    level = measured.confidence
    method = measured.method if level is None else f"{100 * level:.3g}% {measured.method} interval"
    how = f"{shown.bracket(measured.low, measured.high)}, {method}, n = {measured.n}"
    if verdict.outcome != "undecided":
        return (how,)
    unknown = math.isnan(measured.low) or math.isnan(measured.high)
    return how, "the interval is unknown" if unknown else "the interval crosses an edge of the band"


def _values(measured: PerSeed) -> str:
    values = measured.values[~np.isnan(measured.values)]
    texts = [shown.number(value) for value in values]
    return ", ".join(texts) if len(texts) <= 4 else f"from {shown.number(values.min())} to {shown.number(values.max())}"


def _mark(verdict: Verdict) -> Mark | None:
    measured = verdict.measured
    if measured is None or any(map(math.isnan, verdict.band)):
        return None
    ends = (measured.low, measured.high) if isinstance(measured, Interval) else ()
    values = measured.values.tolist() if isinstance(measured, PerSeed) else [measured.estimate]
    dots = [value for value in values if not math.isnan(value)]
    told = [] if verdict.predicted is None else [verdict.predicted]
    if not dots or any(map(math.isnan, ends)) or (scale := _scale([*verdict.band, *dots, *ends, *told])) is None:
        return None
    place = lambda value: _place(value, scale)
    interval = (place(ends[0]), place(ends[1])) if ends else None
    low, high = map(place, verdict.band)
    return Mark((low, high), place(told[0]) if told else None, interval, tuple(map(place, dots)))


def _scale(values: Sequence[float]) -> tuple[float, float] | None:
    """The range of the finite values, somewhat wider; None where there are none."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return None
    low, high = min(finite), max(finite)
    margin = 0.12 * (high - low) or 0.1 * abs(low) or 1.0
    return low - margin, high + margin


def _place(value: float, scale: tuple[float, float]) -> float:
    inside = min(max(value, scale[0]), scale[1])
    return round(WIDTH * (inside - scale[0]) / (scale[1] - scale[0]), 1)
