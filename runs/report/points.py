"""The points of a study: one row each, or one row for each combination of axes where they are many."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Shaped

from runs.report import shown
from runs.table import Table

MOST_ROWS = 200
FEW_NUMBERS = 4
KINDS = ("finished", "diverged", "failed", "blocked", "missing")


@dataclass(frozen=True)
class Grid:
    """Text in columns, of which the first `named` tell the points; `notes` stand below."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    named: int
    notes: tuple[str, ...] = ()


def ended(table: Table, points: int) -> str:
    """How the points ended, in words; the last two kinds only where they occur."""
    found = counts(table, points)
    texts = [f"{n} {'not run' if kind == 'missing' else kind}" for kind, n in found.items() if n or kind in KINDS[:3]]
    return ", ".join(texts)


def counts(table: Table, points: int) -> dict[str, int]:
    """How many points ended in which way; a point of the study that the table lacks is missing."""
    ends = [str(status).split(" ")[0].rstrip(":") for status in table.points["status"].tolist()]
    found = {kind: ends.count(kind) for kind in KINDS}
    return found | {"missing": found["missing"] + max(points - len(ends), 0)}


def points_grid(table: Table) -> Grid:
    """The points table."""
    return _each(table) if len(table.points["point"]) <= MOST_ROWS else _summary(table)


def _each(table: Table) -> Grid:
    axes, names = table.axes, list(table.observed)
    columns = [[shown.cell(value, 6) for value in table.points[axis]] for axis in axes]
    columns.append([_brief(status) for status in table.points["status"].tolist()])
    columns += [[_measured(value) for value in _final(table, name)] for name in names]
    columns.append([_seconds(value) for value in _final(table, "wall_s")])
    return _counted(Grid((*axes, "status", *names, "wall time"), tuple(zip(*columns, strict=True)), len(axes)))


def _counted(grid: Grid) -> Grid:
    """Rows that repeat exactly as one, with how many points it is."""
    counts = Counter(grid.rows)
    if len(counts) == len(grid.rows):
        return grid
    rows = tuple((str(n), *row) for row, n in counts.items())
    return Grid(("points", *grid.header), rows, grid.named + 1, grid.notes)


def _summary(table: Table) -> Grid:
    """Median and range over the finished seeds of each combination of the other axes."""
    axes, names = tuple(axis for axis in table.axes if axis != "seed"), list(table.observed)
    groups = list(table.groups(*axes)) if axes else [((), table)]
    rows = [_summary_row(key, group, names) for key, group in groups[:MOST_ROWS]]
    notes = ["Median [smallest, largest] of the final values over the finished points of a row."]
    if any(table.values[name].ndim > 1 for name in names):
        notes.append("Of arrays, [smallest, largest] of all their numbers.")
    if len(groups) > MOST_ROWS:
        notes.append(f"The first {MOST_ROWS} of {len(groups):,} combinations are shown; the records hold all of them.")
    header = (*axes, "finished", *names, "wall time")
    return Grid(header, tuple(rows), len(axes), (*notes, *_unfinished(table)))


def _summary_row(key: Sequence[object], group: Table, names: Sequence[str]) -> tuple[str, ...]:
    done = group.where(status="finished")  # the last value before a divergence is no result
    part = f"{len(done.points['point'])} of {len(group.points['point'])}"
    spreads = [_spread(_final(done, name)) for name in names]
    wall = [value for value in _final(done, "wall_s") if value is not None]
    time = _seconds(float(np.median(wall)) if wall else None)
    return *(shown.cell(value, 6) for value in key), part, *spreads, time


def _unfinished(table: Table) -> list[str]:
    status = [_brief(status) for status in table.points["status"].tolist() if status != "finished"]
    kinds = sorted({text: status.count(text) for text in status}.items(), key=lambda item: (-item[1], item[0]))
    return [f"{shown.plural(n, 'point')}: {text}" for text, n in kinds[:10]]


def _final(table: Table, name: str) -> list[Any]:
    """The last observed value of each point, a number or an array, None without one."""
    rows: Shaped[np.ndarray, " rows"] = np.flatnonzero(table.seen(name))
    last = rows[np.diff(table.owner[rows], append=-1) != 0]
    found: list[Any] = [None] * len(table.points["point"])
    for row in last:
        value = table[name][row]
        found[table.owner[row]] = value if np.ndim(value) else float(value)
    return found


def _measured(value: Any) -> str:
    """A number; the few numbers of a small array, or how many there are in a large one, and between which bounds."""
    if not isinstance(value, np.ndarray):
        return shown.cell(value)
    known = value[~np.isnan(value)]  # arrays of other points may be larger
    if len(known) <= FEW_NUMBERS:
        return f"({', '.join(map(shown.number, known.tolist()))})" if len(known) else "NaN"
    return f"{len(known):,} numbers in {shown.bracket(float(known.min()), float(known.max()))}"


def _spread(values: Sequence[Any]) -> str:
    arrays = any(isinstance(value, np.ndarray) for value in values)
    known = np.concatenate([np.ravel(value) for value in values if value is not None] or [np.zeros(0)])
    known = known[~np.isnan(known)]
    if not len(known):
        return shown.NOTHING
    if arrays:
        return shown.bracket(float(known.min()), float(known.max()))
    middle = float(np.quantile(known, 0.5, method="inverted_cdf"))  # of infinities too
    return f"{shown.number(middle)} {shown.bracket(float(known.min()), float(known.max()))}"


def _seconds(value: float | None) -> str:
    if value is None or np.isnan(value):
        return shown.NOTHING
    minutes, seconds = divmod(round(value), 60)
    if value < 60:
        return f"{value:.2g} s" if value < 10 else f"{value:.0f} s"
    return f"{minutes} min {seconds:02d} s" if value < 3600 else f"{minutes // 60} h {minutes % 60:02d} min"


def _brief(status: str) -> str:
    first = "not run" if status == "missing" else status.partition("\n")[0]
    return first if len(first) <= 120 else f"{first[:119]}…"
