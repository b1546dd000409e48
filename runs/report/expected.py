"""What theory predicts, once for all points of which it predicts the same."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from runs.report import shown

SEED = re.compile(r"[\s,;]*\bseed\s*=?\s*\d+\b")
FIELDS = ("name", "value", "applies", "why", "conditions", "citation")
LABELS_SHOWN = 4


@dataclass(frozen=True)
class Prediction:
    """One prediction as it stands on the page."""

    name: str
    value: str
    applies: bool
    why: str
    conditions: str
    citation: str
    verified: bool


@dataclass(frozen=True)
class Silent:
    """Predictions that do not apply for one reason; a name that occurs several times has its count."""

    names: str
    why: str
    conditions: str
    citations: str


@dataclass(frozen=True)
class Expected:
    """The predictions for some points, with a title that names the points.

    Attributes:
        title: of the points.
        rows: those that apply, each with how often it occurs.
        silent: those that do not, which the page folds.
        folded: the line that stands for them.
    """

    title: str
    rows: tuple[tuple[Prediction, int], ...]
    silent: tuple[Silent, ...]
    folded: str


def expected(predictions: Sequence[tuple[str, Sequence[Any]]]) -> list[Expected]:
    """Group points by what is predicted of them; seeds drop out of their labels."""
    groups: dict[tuple[Prediction, ...], list[str]] = {}
    for label, found in predictions:
        groups.setdefault(tuple(map(_prediction, found)), []).append(label)
    return [_expected(_title(labels), rows) for rows, labels in groups.items() if rows]


def _expected(title: str, rows: Sequence[Prediction]) -> Expected:
    applying = Counter(row for row in rows if row.applies)
    reasons: dict[tuple[str, str], list[Prediction]] = {}
    for row in rows:
        if not row.applies:
            reasons.setdefault((row.why, row.conditions), []).append(row)
    count = len(rows) - applying.total()
    folded = f"{shown.plural(count, 'prediction')} {'does' if count == 1 else 'do'} not apply"
    return Expected(title, tuple(applying.items()), tuple(map(_silent, reasons.values())), folded)


def _silent(rows: Sequence[Prediction]) -> Silent:
    """The predictions that one reason silences."""
    names = Counter(row.name for row in rows)
    told = ", ".join(f"{name} ({n} times)" if n > 1 else name for name, n in names.items())
    citations = "; ".join(dict.fromkeys(row.citation + " (unverified source)" * (not row.verified) for row in rows))
    return Silent(told, rows[0].why, rows[0].conditions, citations)


def _prediction(found: Any) -> Prediction:
    name, value, applies, why, conditions, citation = (getattr(found, field) for field in FIELDS)
    texts = (str(why), str(conditions), str(citation))
    # a list of numbers stands as it is; one of terms is told in words by `why`, and its length stands for it
    listed = isinstance(value, tuple) and not all(isinstance(item, int | float) for item in value)
    return Prediction(
        str(name),
        shown.cell(len(value) if listed else value),
        bool(applies),
        *texts,
        bool(getattr(found, "verified", True)),
    )


def _title(labels: Sequence[str]) -> str:
    names = list(dict.fromkeys(SEED.sub("", label).strip(" ,;") for label in labels))
    named = "; ".join(name for name in names[:LABELS_SHOWN] if name) or "every point"
    more = f"; and {len(names) - LABELS_SHOWN} more" if len(names) > LABELS_SHOWN else ""
    return f"{named}{more} ({shown.plural(len(labels), 'point')})"
