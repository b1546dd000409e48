"""The table of a study: one row for each point and each step at which something was measured."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int64, Shaped
from numpy.typing import ArrayLike

LONG: dict[str, type] = {"step": np.int64, "name": object, "index": np.int64, "value": np.float64, "wall_s": np.float64}
RESERVED = ("point", "status", "step", "wall_s")


class ColumnError(KeyError):
    """A column that a table does not have, or a value that an axis does not have."""

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would show the sentence in quotes


@dataclass(frozen=True, eq=False)
class Rows:
    """What one point measured, in long format: one row for each number.

    Attributes:
        step: the step of the observation.
        name: the measurement (text).
        index: flat index of the number in its array, 0 for a scalar.
        value: the number.
        wall_s: seconds from the start of the point's training to the observation.
        shapes: the shape of every measurement; guessed as scalar or vector where left out.

    Raises:
        ValueError: columns differ in length, or an index lies outside its measurement's shape.
    """

    step: Int64[np.ndarray, " rows"]
    name: Shaped[np.ndarray, " rows"]
    index: Int64[np.ndarray, " rows"]
    value: Float64[np.ndarray, " rows"]
    wall_s: Float64[np.ndarray, " rows"]
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for column, dtype in LONG.items():
            object.__setattr__(self, column, np.asarray(getattr(self, column), dtype))
        lengths = {column: len(getattr(self, column)) for column in LONG}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"Rows: the columns differ in length: {lengths}; expected one length")
        object.__setattr__(self, "shapes", _checked_shapes(self))

    def __len__(self) -> int:
        return len(self.step)

    @classmethod
    def of(cls, observations: Iterable[tuple[int, float, Mapping[str, ArrayLike]]]) -> "Rows":
        """The rows of observations `(step, wall_s, {measurement: array})`.

        Raises:
            ValueError: a measurement changes its shape from one step to the next.
        """
        seen = [(s, w, n, np.asarray(v, np.float64)) for s, w, values in observations for n, v in values.items()]
        shapes: dict[str, tuple[int, ...]] = {}
        for step, _, name, value in seen:
            if shapes.setdefault(name, value.shape) != value.shape:
                raise ValueError(f"{name} at step {step}: got shape {value.shape}, expected {shapes[name]} as before")
        sizes = np.array([value.size for *_, value in seen], np.int64)
        repeated = [np.repeat(np.array([row[k] for row in seen], object), sizes) for k in range(3)]
        index = np.concatenate([np.arange(0), *(np.arange(size) for size in sizes)])
        value = np.concatenate([np.empty(0), *(value.ravel() for *_, value in seen)])
        return cls(repeated[0], repeated[2], index, value, repeated[1], shapes)


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
    def build(cls, entries: Sequence[Entry], rows: Mapping[str, Rows]) -> "Table":
        """Pivot the long rows of every point, given by digest; a digest without rows is a point without rows.

        Raises:
            ValueError: an axis or a measurement has the name of another column.
        """
        parts = [rows.get(entry.digest, NO_ROWS) for entry in entries]
        axes = list(dict.fromkeys(axis for entry in entries for axis in entry.axes))
        measurements = list(dict.fromkeys(name for part in parts for name in part.shapes))
        _refuse_clashes(axes, measurements)
        long = {column: np.concatenate([getattr(p, column) for p in (NO_ROWS, *parts)]) for column in LONG}
        owner = np.repeat(np.arange(len(parts)), np.array([len(part) for part in parts], np.int64))
        first, row = _distinct_pairs(owner, long["step"])
        values, observed = {column: long[column][first] for column in ("step", "wall_s")}, {}
        codes = _codes(long["name"], measurements)
        for code, name in enumerate(measurements):
            mine = np.flatnonzero(codes == code)
            where = (owner[mine], row[mine], long["index"][mine])
            values[name] = _spread(where, long["value"][mine], [part.shapes.get(name) for part in parts], len(first))
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
            table = table._of_points(keep) if by_point else table.filter(keep)
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
        keys = list(zip(*(self.points[axis].tolist() for axis in axes), strict=True))
        for key in dict.fromkeys(keys):
            yield key, self._of_points(np.array([other == key for other in keys], bool))

    def head(self, rows: int = 5) -> str:
        """The first rows as aligned text."""
        cells = [[name, *(_text(cell) for cell in self[name][:rows])] for name in self.columns]
        widths = [max(map(len, column)) for column in cells]
        return "\n".join("  ".join(map(str.rjust, line, widths)) for line in zip(*cells, strict=True))

    def _of_points(self, keep: Bool[np.ndarray, " points"]) -> "Table":
        table = self.filter(keep[self.owner])
        points = {name: column[keep] for name, column in self.points.items()}
        return Table(points, (np.cumsum(keep) - 1)[table.owner], table.values, table.observed)

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
    columns = {axis: _column([plain(entry.axes.get(axis)) for entry in entries]) for axis in axes}
    point, status = (np.array([getattr(entry, name) for entry in entries], object) for name in ("digest", "status"))
    return columns | {"point": point, "status": status}


def _column(cells: list[Any]) -> np.ndarray:
    kinds = {type(cell) for cell in cells}
    if kinds == {bool}:
        return np.array(cells, bool)
    if kinds <= {int} and all(abs(cell) < 2**63 for cell in cells):
        return np.array(cells, np.int64)
    return np.array(cells, np.float64 if kinds <= {int, float} and float in kinds else object)


def _refuse_clashes(axes: Sequence[str], measurements: Sequence[str]) -> None:
    for kind, names, taken in (("axis", axes, RESERVED), ("measurement", measurements, (*RESERVED, *axes))):
        for name in set(names) & set(taken):
            raise ValueError(f"the {kind} {name!r} has the name of another column of the table; rename it")


def _distinct_pairs(owner: np.ndarray, step: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first long row of each (point, step) in order, and the table row of each long row."""
    steps, code = np.unique(step, return_inverse=True)
    _, first, row = np.unique(owner * max(len(steps), 1) + code, return_index=True, return_inverse=True)
    return first, row


def _codes(names: np.ndarray, known: Sequence[str]) -> Int64[np.ndarray, " rows"]:
    """The place of each name in a list; a dictionary is ten times faster than sorting text."""
    place = {name: code for code, name in enumerate(known)}
    return np.fromiter(map(place.__getitem__, names), np.int64, len(names))


def _spread(
    where: tuple[np.ndarray, np.ndarray, np.ndarray],
    value: np.ndarray,
    shapes: Sequence[tuple[int, ...] | None],
    rows: int,
) -> Float64[np.ndarray, "rows ..."]:
    """Scatter (point, row, flat index) -> value into (rows, *shape), NaN elsewhere and around smaller arrays."""
    if len({len(shape) for shape in shapes if shape is not None}) > 1:
        shapes = [None if shape is None else (math.prod(shape),) for shape in shapes]
    kinds = list(dict.fromkeys(shape for shape in shapes if shape is not None))
    kind = np.array([-1 if shape is None else kinds.index(shape) for shape in shapes])[where[0]]
    column = np.full((rows, *(max(sizes) for sizes in zip(*kinds, strict=True))), np.nan)
    for code, shape in enumerate(kinds):
        mine = kind == code
        place = np.unravel_index(where[2][mine], shape) if shape else ()
        column[(where[1][mine], *place)] = value[mine]
    return column


def _checked_shapes(rows: Rows) -> dict[str, tuple[int, ...]]:
    names = list(dict.fromkeys(rows.name.tolist()))
    top = np.zeros(len(names), np.int64)
    np.maximum.at(top, _codes(rows.name, names), rows.index)
    guessed = {name: (int(t) + 1,) if t else () for name, t in zip(names, top, strict=True)}
    given = {name: tuple(shape) for name, shape in rows.shapes.items()}
    shapes = given | {name: shape for name, shape in guessed.items() if name not in given}
    for name, t in zip(names, top, strict=True):
        if t >= math.prod(shapes[name]):
            raise ValueError(f"Rows: {name} has index {t}; expected at most {math.prod(shapes[name]) - 1}")
    return shapes


def _text(cell: Any) -> str:
    if isinstance(cell, np.ndarray):
        return f"[{' '.join(f'{number:.4g}' for number in cell.ravel()[:4])}{' ...' if cell.size > 4 else ''}]"
    return f"{cell:.5g}" if isinstance(cell, float) else str(cell)[:16]


NO_ROWS = Rows.of(())
