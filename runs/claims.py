"""Grade the claims of a study: does what was measured lie where theory puts it?"""

import math
import re
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from runs.statistics import FEWEST_FOR_BOOTSTRAP, Interval, PerSeed, binomial_interval, certain, median
from runs.table import ColumnError, Table
from runs.userfile import OURS, STDLIB

if TYPE_CHECKING:
    import rich.table

SHIPPED = Path(__file__).parent / "studies"
ARXIV = re.compile(r"(?<![\d.])\d{4}\.\d{4,5}(?!\d)")
Outcome = Literal["holds", "fails", "undecided"]


class Band(Protocol):
    """What counts as agreement: `dsl.Accept`."""

    @property
    def around(self) -> bool:
        """Whether the band moves with the prediction."""
        ...

    def band(self, predicted: float) -> tuple[float, float]:
        """The accepted interval."""
        ...


class Claim(Protocol):
    """The parts of a `dsl.Claim` that grading reads."""

    @property
    def statement(self) -> str:
        """One sentence."""
        ...

    @property
    def citation(self) -> str:
        """The paper and place."""
        ...

    @property
    def measured(self) -> Callable[[Any], Any]:
        """The table's `Interval` or `PerSeed`."""
        ...

    @property
    def accept(self) -> Band:
        """The accepted band."""
        ...

    @property
    def predicted(self) -> float | Callable[[Any], float] | None:
        """The number of the theory."""
        ...

    @property
    def verified(self) -> bool:
        """Whether the source was read."""
        ...


class Claims(Protocol):
    """The part of a `dsl.Study` that grading reads."""

    @property
    def claims(self) -> Sequence[Claim]:
        """The claims in order."""
        ...


@dataclass(frozen=True, eq=False)
class Verdict:
    """How a claim fared; `band` is NaN and `measured` None where they could not be had, and `detail` says why."""

    claim: Claim
    outcome: Outcome
    predicted: float | None
    measured: Interval | PerSeed | None
    band: tuple[float, float]
    detail: str


def grade(claim: Claim, table: Table) -> Verdict:
    """Compare one claim with the table of its study; what cannot be measured is undecided, never an error."""
    predicted: float | None = None
    band, measured = (math.nan, math.nan), None
    try:
        predicted = _prediction(claim, table)
        band = _band(claim, predicted)
        measured = _measurement(claim, table)
        outcome, detail = _judge_seeds(measured, band) if isinstance(measured, PerSeed) else _judge(measured, band)
    except Exception as reason:  # a user's function may raise anything
        outcome, detail = "undecided", failure(reason, table)
    return Verdict(claim, outcome, predicted, measured, band, detail)


def failure(reason: Exception, table: Table) -> str:
    """What a user's function raised, with the line of theirs; before any point has finished that alone is the cause."""
    if isinstance(reason, ColumnError) and "finished" not in table.points["status"].tolist():
        return "no point has finished"
    return f"{_place(reason)}{type(reason).__name__}: {reason}"


def _place(reason: Exception) -> str:
    """`study.py:12: `, the last line that is neither ours nor of a library; empty where there is none."""
    frames = [f for f in traceback.extract_tb(reason.__traceback__) if _is_of_a_study(Path(f.filename))]
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}: " if frames else ""


def _is_of_a_study(file: Path) -> bool:
    if file.parent == SHIPPED:
        return True
    known = "site-packages" in file.parts or any(file.is_relative_to(root) for root in (*OURS, *STDLIB))
    return file.is_absolute() and not known


def grade_all(study: Claims, table: Table) -> list[Verdict]:
    """The verdicts of all claims of a study, in their order."""
    return [grade(claim, table) for claim in study.claims]


def claims_table(verdicts: Sequence[Verdict]) -> "rich.table.Table":
    """The verdicts for the terminal: claim with its source, predicted, measured, verdict."""
    import rich.table
    from rich.text import Text

    table = rich.table.Table("claim", "predicted", "measured", "verdict")
    table.columns[1].no_wrap = table.columns[3].no_wrap = True
    table.columns[0].overflow = table.columns[2].overflow = "fold"  # names of columns are long words
    colours = {"holds": "green", "fails": "red", "undecided": "yellow"}
    for verdict in verdicts:
        cells = [Text(cell) for cell in _cells(verdict)]  # Text, because brackets are markup in a str
        cells[3].stylize(colours[verdict.outcome])
        table.add_row(*cells)
    return table


def _cells(verdict: Verdict) -> tuple[str, str, str, str]:
    claim = verdict.claim
    predicted = _range(verdict.band) if verdict.predicted is None else f"{verdict.predicted:.4g}"
    identifier = ARXIV.search(claim.citation)
    source = [f"[{identifier[0]}]"] if identifier else []
    statement = " ".join([claim.statement, *source, *([] if claim.verified else ["(unverified)"])])
    return statement, predicted, _in_short(verdict), verdict.outcome


def _in_short(verdict: Verdict) -> str:
    """The measured side on two or three lines of a terminal; the page says by which methods."""
    measured = verdict.measured
    if isinstance(measured, Interval):
        return f"{_bare(measured)}, n={measured.n}"
    if measured is None or np.isnan(measured.values).all():
        return verdict.detail
    present = measured.values[~np.isnan(measured.values)]
    inside = int(np.sum((verdict.band[0] <= present) & (present <= verdict.band[1])))
    rate = binomial_interval(inside, len(present))
    parts = [f"{inside} of {_seeds(len(present))} (rate {_ends(rate, 2)})", f"median {_bare(median(present))}"]
    return "; ".join([*parts, *_lacking(measured)])


def _bare(interval: Interval) -> str:
    n = digits(interval.low, interval.high)
    return f"{interval.estimate:.{max(n, 4)}g} {_ends(interval, n)}"


def _ends(interval: Interval, n: int) -> str:
    return f"[{interval.low:.{n}g}, {interval.high:.{n}g}]"


def _seeds(n: int) -> str:
    return f"{n} seed{'s' * (n != 1)}"


def digits(low: float, high: float, least: int = 3) -> int:
    """Significant digits in which the ends of an interval differ, and its width has two digits; at most 12."""
    size, width = max(abs(low), abs(high)), high - low
    if not (math.isfinite(size) and width > 0):
        return least
    return min(max(least, math.ceil(math.log10(size / width)) + 2), 12) if size / width < 1e12 else least


def _prediction(claim: Claim, table: Table) -> float | None:
    predicted = claim.predicted(table) if callable(claim.predicted) else claim.predicted
    if isinstance(predicted, Interval):
        predicted = predicted.estimate
    if predicted is None and not claim.accept.around:
        return None
    if predicted is None or math.isnan(float(predicted)):
        raise ValueError(f"the prediction is {predicted}; expected a number")
    return float(predicted)


def _band(claim: Claim, predicted: float | None) -> tuple[float, float]:
    return claim.accept.band(0.0 if predicted is None else predicted)  # a fixed band does not look at it


def _measurement(claim: Claim, table: Table) -> Interval | PerSeed:
    measured = claim.measured(table)
    if isinstance(measured, float | int | np.number) and not isinstance(measured, bool):
        return certain(float(measured))
    if not isinstance(measured, Interval | PerSeed):
        raise TypeError(f"measured returned {type(measured).__name__}; expected Interval, PerSeed or one exact number")
    return measured


def _judge(measured: Interval, band: tuple[float, float]) -> tuple[Outcome, str]:
    detail = f"{_stated(measured)} against {_range(band)}"
    if math.isnan(measured.low) or math.isnan(measured.high):
        return "undecided", detail
    if band[0] <= measured.low and measured.high <= band[1]:
        return "holds", detail
    return ("fails" if measured.high < band[0] or band[1] < measured.low else "undecided"), detail


def _judge_seeds(measured: PerSeed, band: tuple[float, float]) -> tuple[Outcome, str]:
    """Every seed must lie in the band; one seed outside settles it, whatever is missing."""
    missing = np.isnan(measured.values)
    present = measured.values[~missing]
    if not len(present):
        return "undecided", "; ".join(["no seed has a value", *measured.notes])
    inside = int(np.sum((band[0] <= present) & (present <= band[1])))
    detail = _seeds_stated(measured, present, inside, band)
    return ("fails" if inside < len(present) else "undecided" if missing.any() else "holds"), detail


def _seeds_stated(measured: PerSeed, present: np.ndarray, inside: int, band: tuple[float, float]) -> str:
    rate = binomial_interval(inside, len(present))
    parts = [f"{inside} of {_seeds(len(present))} {_within(band)}"]
    parts.append(f"success rate {_ends(rate, 3)} (95% exact)")
    if len(present) >= FEWEST_FOR_BOOTSTRAP:
        parts.append(f"median {_stated(median(present))}")
    return "; ".join([*parts, *_lacking(measured), *measured.notes])


def _lacking(measured: PerSeed) -> list[str]:
    lacking = measured.seeds[np.isnan(measured.values)].tolist()
    return [f"no value for seed {', '.join(map(str, lacking))}"] if lacking else []


def _stated(interval: Interval) -> str:
    """For example `0.5, 95% bootstrap interval [0.4, 0.6] (n=8)`, or `0.5, every seed [0.4, 0.6] (n=3)`."""
    level = interval.confidence
    name = interval.method if level is None else f"{100 * level:.3g}% {interval.method} interval"
    n = digits(interval.low, interval.high)
    return f"{interval.estimate:.{max(n, 4)}g}, {name} {_ends(interval, n)} (n={interval.n})"


def _within(band: tuple[float, float]) -> str:
    return _range(band) if math.inf in (abs(band[0]), abs(band[1])) else f"in {_range(band)}"


def _range(ends: tuple[float, float]) -> str:
    low, high = ends
    if math.isinf(low) and math.isinf(high):
        return "any value"
    if math.isinf(low):
        return f"at most {high:.3g}"
    return f"at least {low:.3g}" if math.isinf(high) else f"[{low:.{digits(low, high)}g}, {high:.{digits(low, high)}g}]"
