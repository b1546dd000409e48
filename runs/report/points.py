"""The points of a study: one row each, or one row for each combination of axes where they are many."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Shaped

from runs.report import shown
from runs.table import Table

MOST_ROWS = 200
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
    axes, names = table.axes, _scalars(table)
    columns = [[shown.cell(value, 6) for value in table.points[axis]] for axis in axes]
    columns.append([_brief(status) for status in table.points["status"].tolist()])
    columns += [[shown.cell(value) for value in _final(table, name)] for name in names]
    columns.append([_seconds(value) for value in _final(table, "wall_s")])
    return Grid((*axes, "status", *names, "wall time"), tuple(zip(*columns, strict=True)), len(axes))


def _summary(table: Table) -> Grid:
    """Median and range over the finished seeds of each combination of the other axes."""
    axes, names = tuple(axis for axis in table.axes if axis != "seed"), _scalars(table)
    groups = list(table.groups(*axes)) if axes else [((), table)]
    rows = [_summary_row(key, group, names) for key, group in groups[:MOST_ROWS]]
    notes = ["Median [smallest, largest] of the final values over the finished points of a row."]
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


def _scalars(table: Table) -> list[str]:
    return [name for name in table.observed if table.values[name].ndim == 1]


def _final(table: Table, name: str) -> list[float | None]:
    """The last observed value of each point, None without one."""
    rows: Shaped[np.ndarray, " rows"] = np.flatnonzero(table.seen(name))
    last = rows[np.diff(table.owner[rows], append=-1) != 0]
    found: list[float | None] = [None] * len(table.points["point"])
    for row in last:
        found[table.owner[row]] = float(table[name][row])
    return found


def _spread(values: Sequence[float | None]) -> str:
    known = np.array([value for value in values if value is not None and not np.isnan(value)])
    if not len(known):
        return shown.NOTHING
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
