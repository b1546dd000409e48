"""Least reduced cost of the barycenter problem: a search over the common refinement of k power diagrams.

The least reduced cost is the minimum over y of f(y) = sum_i min_j (lambda_i |x_ij - y|^2 - p_i[j]): measure i sees a
power diagram with sites x_ij and weights p_i[j] / lambda_i, and within one cell of the common refinement the tuple is
constant. The weights lambda sum to 1, so f(y) - |y|^2 is concave, and in a box with corners v

    f(y) >= min_v f(v) - sum_d side_d^2 / 4,

while a box whose corners share a tuple lies in its cell (cells are convex). Boxes are split until one of the two closes
them. That is exact to any tolerance, wherever the sites lie: ties and grids need no care.
"""

import itertools
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int

_ROOM = 2**22  # entries of the arrays that are made at a time


class Sites(NamedTuple):
    """The points of k measures, padded to one size, with what they add to a reduced cost."""

    slopes: Float64[np.ndarray, "k n d"]
    """-2 lambda_i x_ij."""
    offsets: Float64[np.ndarray, "k n"]
    """lambda_i |x_ij|^2 - p_i[j], infinite where padded."""


class Search(NamedTuple):
    """What was found."""

    tuples: Int[np.ndarray, "m k"]
    """Tuples with their mean in or near their own cell, the best first."""
    lower: float
    """A certified lower bound of f."""


def cells(sites: Sites, y: Float64[np.ndarray, "m d"]) -> tuple[Int[np.ndarray, "m k"], Float64[np.ndarray, "m"]]:
    """In which cell of each power diagram the points lie, and f there.

    Args:
        sites: of k measures.
        y: points, shape (m, d).

    Returns:
        The tuples, shape (m, k), the first of equals; and f, shape (m,).
    """
    k, n, d = sites.slopes.shape
    tuples, values = np.empty((len(y), k), np.int64), np.sum(y**2, axis=1)
    chunk = max(1, _ROOM // (k * n))
    for start in range(0, len(y), chunk):
        rows = slice(start, start + chunk)
        scores = (y[rows] @ sites.slopes.reshape(k * n, d).T).reshape(-1, k, n) + sites.offsets
        tuples[rows] = scores.argmin(axis=2)
        values[rows] += np.take_along_axis(scores, tuples[rows, :, None], axis=2).sum(axis=(1, 2))
    return tuples, values


def minimum(sites: Sites, low: Float64[np.ndarray, "d"], high: Float64[np.ndarray, "d"], tol: float) -> Search:
    """The least f in a box, by branch and bound.

    Args:
        sites: of k measures, with weights that sum to 1.
        low: the least corner of the box.
        high: its largest corner; the box contains every mean.
        tol: how far the lower bound may be below the minimum, positive.

    Returns:
        The best tuple of every cell that was met, and a lower bound within `tol` of its value.
    """
    best, lower, seen = np.inf, np.inf, []
    side, corners = high - low, np.array(list(itertools.product((0, 1), repeat=len(low))))
    boxes = np.zeros((1, len(low)), np.int64)
    while len(boxes):
        lattice, where = np.unique((boxes[:, None] + corners).reshape(-1, len(low)), axis=0, return_inverse=True)
        tuples, at_corners = cells(sites, low + lattice * side)
        values = at_means(sites, tuples)
        seen.append(_best_of_each(tuples, values))
        best = min(best, float(values.min()))
        where = where.reshape(len(boxes), -1)
        inside = (tuples[where] == tuples[where[:, :1]]).all(axis=(1, 2))
        bounds = np.where(inside, values[where[:, 0]], at_corners[where].min(axis=1) - np.sum(side**2) / 4)
        closed = inside | (bounds >= best - tol)
        lower = min(lower, float(bounds[closed].min(initial=np.inf)))
        boxes = (2 * boxes[~closed, None] + corners).reshape(-1, len(low))
        side = side / 2
    tuples, values = (np.concatenate(parts) for parts in zip(*seen, strict=True))
    return Search(_best_of_each(tuples, values)[0], min(lower, best))


def at_means(sites: Sites, tuples: Int[np.ndarray, "m k"]) -> Float64[np.ndarray, "m"]:
    """The least value over y of what f is with the given tuples: their reduced cost.

    Args:
        sites: of k measures, with weights that sum to 1.
        tuples: one point of each measure, shape (m, k).

    Returns:
        The values, each attained at the mean of its tuple.
    """
    each = np.arange(tuples.shape[1])
    means = sites.slopes[each, tuples].sum(axis=1) / -2
    return sites.offsets[each, tuples].sum(axis=1) - np.sum(means**2, axis=1)


def _best_of_each(
    tuples: Int[np.ndarray, "m k"], values: Float64[np.ndarray, "m"]
) -> tuple[Int[np.ndarray, "s k"], Float64[np.ndarray, "s"]]:
    """Distinct tuples by increasing value."""
    distinct, first = np.unique(tuples, axis=0, return_index=True)
    order = np.argsort(values[first], kind="stable")
    return distinct[order], values[first][order]
