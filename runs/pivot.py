"""From long rows to columns: the arithmetic of a table."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float64


def column_of(cells: list[Any]) -> np.ndarray:
    """An array of the narrowest type that holds all cells as they are."""
    kinds = {type(cell) for cell in cells}
    if kinds == {bool}:
        return np.array(cells, bool)
    if kinds <= {int} and all(abs(cell) < 2**63 for cell in cells):
        return np.array(cells, np.int64)
    return np.array(cells, np.float64 if kinds <= {int, float} and float in kinds else object)


def distinct_pairs(owner: np.ndarray, step: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first long row of each (point, step) in order, and the table row of each long row."""
    steps, code = np.unique(step, return_inverse=True)
    _, first, row = np.unique(owner * max(len(steps), 1) + code, return_index=True, return_inverse=True)
    return first, row


def spread(
    where: tuple[np.ndarray, np.ndarray, np.ndarray],
    value: np.ndarray,
    shapes: Sequence[tuple[int, ...] | None],
    rows: int,
) -> Float64[np.ndarray, "rows ..."]:
    """Scatter values into (rows, *shape), NaN elsewhere and around smaller arrays.

    Args:
        where: the kind, the row and the flat index of each value.
        value: the values.
        shapes: the shape of each kind; None where it has no such values.
        rows: how many.
    """
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
