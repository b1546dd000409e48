"""What the points ran on: the distinct numerics, and the days."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from runs.report import shown

TIMES = ("started", "finished", "ended", "date", "time")


@dataclass(frozen=True)
class Surroundings:
    """One set of numerics, as (name, value) rows, with the points that ran so."""

    title: str
    rows: tuple[tuple[str, str], ...]


def surroundings(environments: Sequence[Mapping[str, Any]]) -> list[Surroundings]:
    """The distinct numerics of the points, in the order in which they occur."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for environment in environments:
        if numerics := environment.get("numerics"):  # a point that was blocked has none
            found.setdefault(json.dumps(numerics, sort_keys=True, default=str), []).append(numerics)
    return [Surroundings(shown.plural(len(same), "point"), tuple(_flat(same[0]))) for same in found.values()]


def days(environments: Sequence[Mapping[str, Any]]) -> str:
    """The day of the runs, or the first and the last; empty where no environment says it."""
    told = {day for environment in environments for name in TIMES if (day := _day(environment.get(name)))}
    if not told:
        return ""
    return min(told) if len(told) == 1 else f"{min(told)} to {max(told)}"


def _day(value: Any) -> str | None:
    """The day of a time in ISO format, or in seconds since 1970."""
    try:
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value, UTC).date().isoformat()
        return datetime.fromisoformat(value).date().isoformat() if isinstance(value, str) else None
    except (ValueError, OverflowError, OSError):
        return None


def _flat(value: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for name, item in value.items():
        if isinstance(item, Mapping):  # the name of a package says enough
            yield from _flat(item, above if name == "versions" else f"{above}{name} ")
        else:
            yield f"{above}{name}", shown.cell(item, 6)
