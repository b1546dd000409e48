"""A start for barycenters of many points: the solution of a smaller problem, in which near points are merged.

Its potentials, moved to the points through where a barycenter may lie, and its plan, split among the points that were
merged, are near those of the problem itself, where the first linear programs would be far from both.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int

from theory.transport.barycenter_cost import BarycenterCost
from theory.transport.cost import Potentials, Tuples
from theory.transport.distances import squared
from theory.transport.plan import Marginals, SparsePlan, monotone_plan

_FEW = 250  # points of all measures together
_DIMENSIONS = 3
_LEFT = 0.6  # part of the points, at most
_FINEST = 2**16  # boxes along each direction
_PLACES = 4096
_NEGLIGIBLE = 1e-13


class Coarser(NamedTuple):
    """A problem in which points are merged."""

    cost: BarycenterCost
    """The means of merged points."""
    marginals: tuple[Float64[np.ndarray, "_"], ...]
    """Their masses."""
    parents: tuple[Int[np.ndarray, "_"], ...]
    """For each measure and point, into which one it was merged."""


def coarsens(cost: BarycenterCost) -> bool:
    """Whether a problem of fewer points is a start.

    Args:
        cost: of the problem.

    Returns:
        Whether there are more points than can be solved at once, in few enough dimensions for places to be looked at.
    """
    return sum(cost.shape) > max(_FEW, 2 * len(cost.shape)) and cost.points[0].shape[1] <= _DIMENSIONS


def coarsened(cost: BarycenterCost, marginals: Marginals) -> Coarser:
    """The problem with those points merged that lie in one box of a lattice.

    Args:
        cost: of measures with two points each, on average, or more.
        marginals: their masses.

    Returns:
        The problem on the finest of the lattices of 2^16, 2^15, ... boxes that leaves at most 0.6 of the points.
    """
    everything = np.concatenate(cost.points)
    low, width = everything.min(axis=0), float(np.ptp(everything, axis=0).max())
    boxes = _FINEST
    while True:
        at = [np.floor((x - low) / width * boxes) for x in cost.points]
        found = [np.unique(box, axis=0, return_inverse=True)[1].ravel() for box in at]
        if boxes == 1 or sum(int(parent.max()) + 1 for parent in found) <= _LEFT * len(everything):
            break
        boxes //= 2
    merged = [_merged(x, mu, parent) for x, mu, parent in zip(cost.points, marginals, found, strict=True)]
    return Coarser(BarycenterCost([x for x, _ in merged], cost.weights), tuple(m for _, m in merged), tuple(found))


def split(coarser: Coarser, plan: SparsePlan, marginals: Marginals) -> Tuples:
    """Tuples of points that carry a plan of merged points: each atom is shared out among the points in step.

    Args:
        coarser: the smaller problem.
        plan: one of its plans.
        marginals: of the larger problem.

    Returns:
        The tuples of a plan of the larger problem, up to rounding.
    """
    orders = [np.argsort(parent, kind="stable") for parent in coarser.parents]
    masses = [mu[order] for mu, order in zip(marginals, orders, strict=True)]
    ends = [np.cumsum(mu) for mu in masses]
    used = [np.cumsum(mu) - mu for mu in coarser.marginals]
    found = []
    for atom, mass in zip(plan.tuples, plan.masses, strict=True):
        parts = []
        for i, v in enumerate(atom):
            within = np.minimum(ends[i], used[i][v] + mass) - np.maximum(ends[i] - masses[i], used[i][v])
            used[i][v] += mass
            parts.append(np.maximum(within, 0.0))
        if min(float(part.sum()) for part in parts) > _NEGLIGIBLE:
            shared = monotone_plan([part / part.sum() for part in parts]).tuples
            found.append(np.stack([order[shared[:, i]] for i, order in enumerate(orders)], axis=1))
    return np.unique(np.concatenate(found), axis=0)


def moved_potentials(cost: BarycenterCost, coarser: Coarser, p: Potentials) -> tuple[Float64[np.ndarray, "_"], ...]:
    """Potentials of the larger problem from those of the smaller one.

    With g_i(y) = min_j (lambda_i |x_ij - y|^2 - p_i[j]) on merged points, less a share of sum_i g_i(y), the potentials
    min_y (lambda_i |x_ij - y|^2 - g_i(y)) are feasible at every place y that is looked at, here a regular grid.

    Args:
        cost: of the larger problem.
        coarser: the smaller problem.
        p: its potentials.

    Returns:
        One array for each measure.
    """
    everything = np.concatenate(cost.points)
    d = everything.shape[1]
    side = int(_PLACES ** (1 / d) + _NEGLIGIBLE)
    axes = [np.linspace(a, b, side) for a, b in zip(everything.min(axis=0), everything.max(axis=0), strict=True)]
    y = np.stack([mesh.ravel() for mesh in np.meshgrid(*axes, indexing="ij")], axis=1)
    each = zip(cost.weights, coarser.cost.points, p, strict=True)
    g = np.array([np.min(w * squared(x, y) - q[:, None], axis=0) for w, x, q in each])
    g -= g.mean(axis=0)
    return tuple(np.min(w * squared(x, y) - h, axis=1) for w, x, h in zip(cost.weights, cost.points, g, strict=True))


def _merged(
    x: Float64[np.ndarray, "n d"], mu: Float64[np.ndarray, "n"], parent: Int[np.ndarray, "n"]
) -> tuple[Float64[np.ndarray, "m d"], Float64[np.ndarray, "m"]]:
    """Means of the points that have one parent, by their masses, and the sums of these."""
    weights = np.maximum(mu, _NEGLIGIBLE)
    total = np.bincount(parent, weights)
    means = np.stack([np.bincount(parent, weights * x[:, axis]) / total for axis in range(x.shape[1])], axis=1)
    return means, np.bincount(parent, mu)
