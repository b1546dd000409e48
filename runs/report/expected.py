"""What theory predicts, once for all points of which it predicts the same."""

import re
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
class Expected:
    """The predictions for some points, with a title that names the points."""

    title: str
    rows: tuple[Prediction, ...]


def expected(predictions: Sequence[tuple[str, Sequence[Any]]]) -> list[Expected]:
    """Group points by what is predicted of them; seeds drop out of their labels."""
    groups: dict[tuple[Prediction, ...], list[str]] = {}
    for label, found in predictions:
        groups.setdefault(tuple(map(_prediction, found)), []).append(label)
    return [Expected(_title(labels), rows) for rows, labels in groups.items() if rows]


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
