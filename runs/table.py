"""The table of a study: one row for each point and each step at which something was measured."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import numpy as np
from jaxtyping import Bool, Int64, Shaped

from runs.pivot import column_of, distinct_pairs, spread
from runs.rows import LONG as LONG
from runs.rows import Long, spans
from runs.rows import Rows as Rows

RESERVED = ("point", "status", "step", "wall_s")


class ColumnError(KeyError):
    """A column that a table does not have, or a value that an axis does not have."""

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would show the sentence in quotes


@dataclass(frozen=True)
class Entry:
    """A point of a study: its digest, the values of its axes, and how its run ended ("missing" before it ran)."""

    digest: str
    axes: Mapping[str, Any] = field(default_factory=dict)
    status: str = "missing"


@dataclass(frozen=True, eq=False, repr=False)
class Table:
    """Immutable measurements of a study; arrays that come out of it are read-only.

    A point that has no row (not run, failed, or filtered away by its step) still counts among `points`, so that
    statistics over seeds see that it is absent.

    Attributes:
        points: columns with one value per point: the axes, `point` (its digest) and `status`.
        owner: the point of each row, ascending; the steps of a point ascend too.
        values: columns with one value per row: `step`, `wall_s` and the measurements, NaN where not observed. A
            measurement that differs in size between points is padded with NaN.
        observed: for each measurement, the rows at which it was observed (a value observed may still be NaN).
    """

    points: Mapping[str, Shaped[np.ndarray, " points"]]
    owner: Int64[np.ndarray, " rows"]
    values: Mapping[str, Shaped[np.ndarray, "rows ..."]]
    observed: Mapping[str, Bool[np.ndarray, " rows"]]

    def __post_init__(self) -> None:
        for array in (*self.points.values(), *self.values.values(), *self.observed.values(), self.owner):
            array.setflags(write=False)

    @classmethod
    def build(cls, entries: Sequence[Entry], rows: Mapping[str, Rows] | Long) -> "Table":
        """Pivot the long rows of every point, given by digest; a digest without rows is a point without rows.

        Raises:
            ValueError: an axis or a measurement has the name of another column.
        """
        axes = list(dict.fromkeys(axis for entry in entries for axis in entry.axes))
        long = (rows if isinstance(rows, Long) else Long.of(rows)).at([entry.digest for entry in entries])
        _refuse_clashes(axes, long.measurements())
        owner = long.owner()
        first, row = distinct_pairs(owner, long.columns["step"])
        values, observed = {name: long.columns[name][first] for name in ("step", "wall_s")}, {}
        for name in long.measurements():
            mine = np.flatnonzero(long.code == long.names.index(name)) if name in long.names else np.arange(0)
            where = (long.kind[owner[mine]], row[mine], long.columns["index"][mine])
            shapes = [shapes.get(name) for shapes in long.shapes]
            values[name] = spread(where, long.columns["value"][mine], shapes, len(first))
            observed[name] = np.bincount(row[mine], minlength=len(first)) > 0
        return cls(_point_columns(entries, axes), owner[first], values, observed)

    @property
    def columns(self) -> tuple[str, ...]:
        """All column names: axes, `point`, `status`, `step`, `wall_s`, measurements."""
        return (*self.points, *self.values)

    @property
    def axes(self) -> tuple[str, ...]:
        """The axes of the study."""
        return tuple(name for name in self.points if name not in RESERVED)

    def __len__(self) -> int:
        return len(self.owner)

    def __getitem__(self, name: str) -> Shaped[np.ndarray, "rows ..."]:
        self._require(name, self.columns)
        column = self.values[name] if name in self.values else self.points[name][self.owner]
        column.setflags(write=False)
        return column

    def __repr__(self) -> str:
        return f"Table({len(self.points['point'])} points, {len(self)} rows: {', '.join(self.columns)})"

    def seen(self, name: str) -> Bool[np.ndarray, " rows"]:
        """The rows at which a column has a value of its own (everywhere but for measurements)."""
        self._require(name, self.columns)
        return self.observed.get(name, np.ones(len(self), bool))

    def where(self, **equals: Any) -> "Table":
        """The points (by axes, `point`, `status`) or rows (by `step`, a scalar measurement) with the given values.

        Raises:
            ColumnError: there is no such column, or no point has such a value of the axis.
            ValueError: the column is an array in every row.
        """
        table = self
        for name in [name for name in equals if name in self.axes]:
            self._require_value(name, plain(equals[name]))
        for name, value in equals.items():
            self._require(name, self.columns)
            by_point = name in table.points
            column = table.points[name] if by_point else table.values[name]
            if column.ndim > 1:
                raise ValueError(f"where: {name} has shape {column.shape[1:]} in every row; expected a scalar column")
            keep = np.array([bool(cell == plain(value)) for cell in column], bool) if by_point else column == value
            table = table._of_points(np.flatnonzero(keep), table._first()) if by_point else table.filter(keep)
        return table

    def filter(self, keep: Bool[np.ndarray, " rows"]) -> "Table":
        """The rows of a mask; every point still counts."""
        values = {name: column[keep] for name, column in self.values.items()}
        return Table(self.points, self.owner[keep], values, {name: seen[keep] for name, seen in self.observed.items()})

    def at(self, step: int) -> "Table":
        """The rows of one step."""
        return self.filter(self.values["step"] == step)

    def last(self) -> "Table":
        """The last observed step of every point."""
        return self.filter(np.diff(self.owner, append=-1) != 0)

    def dropna(self, name: str) -> "Table":
        """The rows in which a column holds at least one number."""
        column = self[name]
        if column.dtype == object:
            return self.filter(np.array([cell is not None for cell in column], bool))
        missing = np.isnan(column).all(axis=tuple(range(1, column.ndim)))
        return self.filter(np.logical_not(missing))

    def groups(self, *axes: str) -> Iterator[tuple[tuple[Any, ...], "Table"]]:
        """The tables of equal axis values, with the tuple of these values, in the order of the study."""
        for axis in axes:
            self._require(axis, tuple(self.points))
        members: dict[tuple[Any, ...], list[int]] = {}
        for place, key in enumerate(zip(*(self.points[axis].tolist() for axis in axes), strict=True)):
            members.setdefault(key, []).append(place)
        first = self._first()
        for key, places in members.items():
            yield key, self._of_points(np.array(places), first)

    def head(self, rows: int = 5) -> str:
        """The first rows as aligned text."""
        cells = [[name, *(_text(cell) for cell in self[name][:rows])] for name in self.columns]
        widths = [max(map(len, column)) for column in cells]
        return "\n".join("  ".join(map(str.rjust, line, widths)) for line in zip(*cells, strict=True))

    def _first(self) -> Int64[np.ndarray, " points+1"]:
        """Where the rows of each point begin, with the end of the last."""
        return np.searchsorted(self.owner, np.arange(len(self.points["point"]) + 1))

    def _of_points(self, places: Int64[np.ndarray, " some"], first: Int64[np.ndarray, " points+1"]) -> "Table":
        size = first[places + 1] - first[places]
        rows = spans(first[places], size)
        points = {name: column[places] for name, column in self.points.items()}
        values = {name: column[rows] for name, column in self.values.items()}
        observed = {name: seen[rows] for name, seen in self.observed.items()}
        return Table(points, np.repeat(np.arange(len(places)), size), values, observed)

    def _require_value(self, axis: str, value: Any) -> None:
        """A value that no point has is a slip of the pen; among no points at all there is nothing to compare with."""
        known = list(dict.fromkeys(self.points[axis].tolist()))
        if known and value not in known:
            listed = ", ".join(map(str, known[:8])) + ", ..." * (len(known) > 8)
            raise ColumnError(f"{axis} has no value {value}; it has {listed}")

    def _require(self, name: str, names: Sequence[str]) -> None:
        if name not in names:
            near = "".join(f" (did you mean {match!r}?)" for match in get_close_matches(name, names, 1))
            raise ColumnError(f"the table has no column {name!r}{near}; expected one of {', '.join(names)}")


def plain(value: Any) -> int | float | str | bool | None:
    """An axis value as a table shows it: numbers and text as they are, anything else by its repr."""
    value = value.item() if isinstance(value, np.generic) else value
    return value if value is None or type(value) in (int, float, str, bool) else repr(value)


def _point_columns(entries: Sequence[Entry], axes: Sequence[str]) -> dict[str, np.ndarray]:
    columns = {axis: column_of([plain(entry.axes.get(axis)) for entry in entries]) for axis in axes}
    point, status = (np.array([getattr(entry, name) for entry in entries], object) for name in ("digest", "status"))
    return columns | {"point": point, "status": status}


def _refuse_clashes(axes: Sequence[str], measurements: Sequence[str]) -> None:
    for kind, names, taken in (("axis", axes, RESERVED), ("measurement", measurements, (*RESERVED, *axes))):
        for name in set(names) & set(taken):
            raise ValueError(f"the {kind} {name!r} has the name of another column of the table; rename it")


def _text(cell: Any) -> str:
    if isinstance(cell, np.ndarray):
        return f"[{' '.join(f'{number:.4g}' for number in cell.ravel()[:4])}{' ...' if cell.size > 4 else ''}]"
    return f"{cell:.5g}" if isinstance(cell, float) else str(cell)[:16]
