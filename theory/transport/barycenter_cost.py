"""The cost of the Wasserstein barycenter: C_j = min_y sum_i lambda_i |x_i,j_i - y|^2."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from theory.transport.cost import (
    MAX_DENSE,
    Cost,
    Given,
    Minimum,
    Potentials,
    Pricing,
    Tuples,
    as_floats,
    dense,
    expect_finite,
    gathered,
)
from theory.transport.expected import expect_arrays
from theory.transport.local_search import local_minima, pairwise_bound
from theory.transport.power_diagram import Sites, minimum

MAX_DIMENSIONS = 3  # boxes have 2^d corners
"""The most dimensions in which power diagrams are searched."""
_TOLERANCE = 1e-11  # of the squared diameter


class BarycenterCost(Cost):
    """C_j = sum_i lambda_i |x_i|^2 - |sum_i lambda_i x_i|^2 for the points x_i = points[i][j_i].

    Attributes:
        points: the support of each measure, shape (n_i, d).
        weights: lambda, positive, with sum 1 (to 1e-9; they are divided by it).

    Raises:
        ValueError: if dimensions differ, a point is not finite or occurs twice in a measure, squared distances
            overflow, or the weights are not positive, do not sum to 1, or do not match the measures.

    Source: arXiv 2006.08012 (the cost; from memory, unverified, and derived).
    """

    points: tuple[Float64[np.ndarray, "_ _"], ...]
    weights: Float64[np.ndarray, "k"]

    def __init__(
        self,
        points: Sequence[Given],
        weights: Sequence[float] | Float64[np.ndarray, "k"] | None = None,
    ) -> None:
        if not isinstance(points, Sequence) or points:
            expect_arrays("BarycenterCost: points", points)
        self.points = tuple(as_floats(f"BarycenterCost: points[{i}]", support) for i, support in enumerate(points))
        if not self.points:
            raise ValueError("BarycenterCost: expected at least one measure, got none")
        for i, support in enumerate(self.points):
            _expect_support(i, support, self.points[0])
        _expect_squares(self.points)
        given = np.ones(len(points)) / len(points) if weights is None else as_floats("BarycenterCost: weights", weights)
        if given.shape != (len(points),):
            raise ValueError(f"BarycenterCost: {given.size} weights for {len(points)} measures")
        if not (given > 0).all() or abs(given.sum() - 1) > 1e-9:
            raise ValueError(f"BarycenterCost: weights {given.tolist()}, expected positive ones with sum 1")
        self.weights = given / given.sum()

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes n_1, ..., n_k of the measures."""
        return tuple(len(support) for support in self.points)

    def means(self, tuples: Tuples) -> Float64[np.ndarray, "m d"]:
        """The weighted means of the points of the given tuples: where the barycenter has its mass."""
        pairs = enumerate(zip(self.weights, self.points, strict=True))
        return sum((weight * x[tuples[:, i]] for i, (weight, x) in pairs), np.zeros((1, self.points[0].shape[1])))

    def at(self, tuples: Tuples) -> Float64[np.ndarray, "m"]:
        """The entries C_j at the given tuples."""
        means, values = self.means(tuples), np.zeros(len(tuples))
        for i, (weight, x) in enumerate(zip(self.weights, self.points, strict=True)):
            values += weight * np.sum((x[tuples[:, i]] - means) ** 2, axis=1)
        return values

    def argmin(self, p: Potentials) -> Minimum:
        """The least reduced cost within 1e-11 of the squared diameter and rounding, or the best one of `price`."""
        found = self.price(p)
        reduced = self.at(found.tuples) - gathered(p, found.tuples)
        best = int(reduced.argmin())
        return Minimum(tuple(map(int, found.tuples[best])), float(reduced[best]), found.lower)

    def price(self, p: Potentials) -> Pricing:
        """The tuples that the search over power diagrams meets.

        In more than three dimensions the tensor is searched where it has at most 2^22 entries. Else the search is
        local, and its lower bound, which comes from pairs of measures, may stay below the minimum.
        """
        high_dimensional = self.points[0].shape[1] > MAX_DIMENSIONS
        if high_dimensional and math.prod(self.shape) <= MAX_DENSE:
            return dense(self).price(p)
        origin, low, high = self._box()
        sites = self._sites(p, origin)
        diameter, largest = (
            float(np.sum((high - low) ** 2)),
            float(np.abs(sites.offsets[np.isfinite(sites.offsets)]).max()),
        )
        rounding = 4 * len(self.shape) * np.finfo(float).eps * (diameter + largest)
        if high_dimensional:
            tuples = local_minima(sites, np.concatenate(self.points) - origin)
            best = float((self.at(tuples) - gathered(p, tuples)).min())
            return Pricing(tuples, min(best, pairwise_bound(self.points, self.weights, p)) - float(rounding))
        search = minimum(sites, low, high, _TOLERANCE * diameter + 4 * rounding)
        return Pricing(search.tuples, search.lower - float(rounding))

    def bounds(self) -> tuple[float, float]:
        """Zero and a quarter of the squared diameter of all points: no variance is larger."""
        _, low, high = self._box()
        return 0.0, float(np.sum((high - low) ** 2)) / 4

    def _box(self) -> tuple[Float64[np.ndarray, "d"], Float64[np.ndarray, "d"], Float64[np.ndarray, "d"]]:
        """The middle of all points, and the corners of a box around them, from the middle."""
        everything = np.concatenate(self.points)
        low, high = everything.min(axis=0), everything.max(axis=0)
        middle = (low + high) / 2
        return middle, low - middle, high - middle

    def _sites(self, p: Potentials, origin: Float64[np.ndarray, "d"]) -> Sites:
        k, n, d = len(self.shape), max(self.shape), len(origin)
        slopes, offsets = np.zeros((k, n, d)), np.full((k, n), np.inf)
        for i, (weight, x) in enumerate(zip(self.weights, self.points, strict=True)):
            slopes[i, : len(x)] = -2 * weight * (x - origin)
            offsets[i, : len(x)] = weight * np.sum((x - origin) ** 2, axis=1) - p[i]
        return Sites(slopes, offsets)


def expect_points(name: str, points: Float64[np.ndarray, "..."], d: int) -> None:
    """Refuses what are not finite points of dimension d, at least one, and says what was got."""
    if points.ndim != 2 or not len(points) or points.shape[1] != d:
        raise ValueError(f"{name} has shape {points.shape}, expected (n, {d}) with n >= 1")
    expect_finite(name, points)


def _expect_support(i: int, support: Float64[np.ndarray, "..."], first: Float64[np.ndarray, "..."]) -> None:
    name = f"BarycenterCost: points[{i}]"
    if support.ndim != 2 or not support.size:
        raise ValueError(f"{name} has shape {support.shape}, expected (n, d) with n, d >= 1")
    if support.shape[1] != first.shape[1]:
        raise ValueError(f"{name} has dimension {support.shape[1]}, points[0] has {first.shape[1]}")
    expect_finite(name, support)
    distinct, where = np.unique(support, axis=0, return_index=True)
    if len(distinct) < len(support):
        again = sorted(set(range(len(support))) - set(where.tolist()))[0]
        raise ValueError(f"{name}[{again}] = {support[again].tolist()} occurs twice; add the masses")


def _expect_squares(points: tuple[Float64[np.ndarray, "_ _"], ...]) -> None:
    everything = np.concatenate(points)
    with np.errstate(over="ignore"):
        diameter = 4 * np.sum(np.ptp(everything, axis=0) ** 2)
    if not np.isfinite(diameter):
        low, high = float(everything.min()), float(everything.max())
        raise ValueError(
            f"BarycenterCost: squared distances overflow: coordinates are from {low} to {high}; take a larger unit"
        )
