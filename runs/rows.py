"""What points measured, in long format: one row for each number."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float64, Int64, Shaped
from numpy.typing import ArrayLike

LONG: dict[str, type] = {"step": np.int64, "name": object, "index": np.int64, "value": np.float64, "wall_s": np.float64}
Shapes = Mapping[str, tuple[int, ...]]


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
    shapes: Shapes = field(default_factory=dict)

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


@dataclass(frozen=True, eq=False)
class Long:
    """What many points measured; the rows of a point are together, and nothing is kept point by point.

    Attributes:
        places: the place of each point, by digest.
        first: where the rows of each place begin, with the end of the last.
        shapes: the distinct sets of shapes.
        kind: which of them each place has.
        names: the measurements.
        code: which of them each row is of.
        columns: the other columns of `Rows`.
    """

    places: Mapping[str, int]
    first: Int64[np.ndarray, " places+1"]
    shapes: Sequence[Shapes]
    kind: Int64[np.ndarray, " places"]
    names: Sequence[str]
    code: Int64[np.ndarray, " rows"]
    columns: Mapping[str, Shaped[np.ndarray, " rows"]]

    @classmethod
    def of(cls, rows: Mapping[str, Rows]) -> "Long":
        """The rows of points, by digest."""
        parts = list(rows.values())
        place = np.repeat(np.arange(len(parts)), np.array([len(part) for part in parts], np.int64))
        columns = {name: np.concatenate([getattr(part, name) for part in (NO_ROWS, *parts)]) for name in LONG}
        return cls.gathered(list(rows), [part.shapes for part in parts], place, columns)

    @classmethod
    def gathered(
        cls,
        points: Sequence[str],
        shapes: Sequence[Shapes],
        place: Int64[np.ndarray, " rows"],
        columns: Mapping[str, np.ndarray],
    ) -> "Long":
        """Rows in any order.

        Args:
            points: the digests, by place.
            shapes: those of each point; equal ones are best one object.
            place: of each row.
            columns: of the rows, as in `Rows`.
        """
        if np.any(np.diff(place) < 0):
            order = np.argsort(place, kind="stable")
            place, columns = place[order], {name: column[order] for name, column in columns.items()}
        kinds, kind = _distinct(shapes)
        names, code = _coded(columns["name"])
        first = np.searchsorted(place, np.arange(len(points) + 1))
        others = {name: np.asarray(columns[name], dtype) for name, dtype in LONG.items() if name != "name"}
        return cls({point: i for i, point in enumerate(points)}, first, kinds, kind, names, code, others)

    def owner(self) -> Int64[np.ndarray, " rows"]:
        """The place of each row."""
        return np.repeat(np.arange(len(self.kind)), np.diff(self.first))

    def measurements(self) -> list[str]:
        """The names in the shapes of the points, in the order of the points."""
        kinds = dict.fromkeys(self.kind[self.kind >= 0].tolist())
        return list(dict.fromkeys(name for kind in kinds for name in self.shapes[kind]))

    def misfits(self) -> Bool[np.ndarray, " places"]:
        """The places with a row outside its measurement's shape, or with shapes that are larger than what is there."""
        place, index = self.owner(), self.columns["index"]
        top = np.full((len(self.shapes), len(self.names)), -1)
        np.maximum.at(top, (self.kind[place], self.code), index)
        seen = [{n: t for n, t in zip(self.names, row, strict=True) if t >= 0} for row in top.tolist()]
        told = [{n: t for n, shape in s.items() if (t := math.prod(shape) - 1) >= 0} for s in self.shapes]
        wrong = np.array([one != other for one, other in zip(seen, told, strict=True)], bool)
        return wrong[self.kind] | (np.bincount(place[index < 0], minlength=len(self.kind)) > 0)

    def at(self, points: Sequence[str]) -> "Long":
        """The rows of these points, in this order; a point may come twice, or have no rows (its kind is -1)."""
        which = np.array([self.places.get(point, -1) for point in points], np.int64)
        size = np.append(np.diff(self.first), 0)[which]  # -1 is the last, and has none
        rows = spans(self.first[which], size)
        first = np.concatenate([[0], np.cumsum(size)])
        columns = {name: column[rows] for name, column in self.columns.items()}
        places, kind = {point: i for i, point in enumerate(points)}, np.append(self.kind, -1)[which]
        return Long(places, first, self.shapes, kind, self.names, self.code[rows], columns)


def spans(first: Int64[np.ndarray, " n"], size: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " sum"]:
    """The numbers first[i], first[i] + 1, ..., `size[i]` of them, one i after the other."""
    ends = np.cumsum(size)
    return np.repeat(first - (ends - size), size) + np.arange(ends[-1] if len(ends) else 0)


def _distinct(shapes: Sequence[Shapes]) -> tuple[list[Shapes], Int64[np.ndarray, " places"]]:
    """The distinct sets of shapes, and which of them each is; an object that was seen is not read again."""
    known: dict[int, int] = {}
    found: dict[tuple[tuple[str, tuple[int, ...]], ...], int] = {}
    for one in shapes:
        if id(one) not in known:
            known[id(one)] = found.setdefault(tuple(one.items()), len(found))
    return [dict(items) for items in found], np.array([known[id(one)] for one in shapes], np.int64)


def _coded(names: np.ndarray) -> tuple[list[str], Int64[np.ndarray, " rows"]]:
    """The distinct names in order, and which of them each is; a dictionary is ten times faster than sorting text."""
    known = list(dict.fromkeys(names.tolist()))
    place = {name: code for code, name in enumerate(known)}
    return known, np.fromiter(map(place.__getitem__, names), np.int64, len(names))


def _checked_shapes(rows: Rows) -> dict[str, tuple[int, ...]]:
    names, code = _coded(rows.name)
    top = np.zeros(len(names), np.int64)
    np.maximum.at(top, code, rows.index)
    guessed = {name: (int(t) + 1,) if t else () for name, t in zip(names, top, strict=True)}
    given = {name: tuple(shape) for name, shape in rows.shapes.items()}
    shapes = given | {name: shape for name, shape in guessed.items() if name not in given}
    largest = dict(zip(names, top.tolist(), strict=True))
    for name, shape in shapes.items():
        if largest.get(name, -1) != math.prod(shape) - 1:
            found = f"index {largest[name]} as its largest" if name in largest else "no number"
            raise ValueError(f"Rows: {name} has {found}; expected {math.prod(shape) - 1} by its shape, {shape}")
    if np.any(rows.index < 0):
        raise ValueError(f"Rows: got the index {rows.index.min()}; expected at least 0")
    return shapes


NO_ROWS = Rows.of(())
