"""Barycenters that are not exact: a measure, what it costs, and a bound that no measure is below."""

import itertools
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from theory.transport.barycenter_cost import BarycenterCost, expect_points
from theory.transport.barycenters import Measure
from theory.transport.column_generation import ColumnGeneration
from theory.transport.cost import TensorCost, as_floats
from theory.transport.distances import squared
from theory.transport.expected import expect_a
from theory.transport.naive import NaiveLp
from theory.transport.plan import Marginals
from theory.transport.problem import Problem

SETTLED = 1e-6
"""The relative change of the value in a round at which atoms stop whose couplings are not exact."""
_DUST = 1e-12  # mass below which an atom of an iterate is left out
_FEW = 2**13  # pairs of points, below which one linear program is faster than column generation


class Approximation(NamedTuple):
    """A measure near a barycenter."""

    measure: Measure
    """The measure nu."""
    value: float
    """sum_i lambda_i W_2^2(mu_i, nu), by linear programs: not below that of the barycenter."""
    lower: float
    """A lower bound of the least value, such as `couplings_bound`."""
    upper: float
    """The value."""
    marginal_error: float
    """How far the iterate is from what it should be in the limit, as its algorithm measures it; 0 where it is there."""
    support_size: int
    """The number of atoms."""
    oracle_calls: int
    """Iterations of the algorithm."""


def approximation(
    cost: BarycenterCost, masses: Marginals, measure: Measure, lower: float, error: float, calls: int
) -> Approximation:
    """A measure with its value.

    Args:
        cost: the points of the measures, and the weights.
        masses: the masses of the measures.
        measure: nu, of any positive mass; atoms of less than a part of 1e-12 are left out.
        lower: a lower bound of the least value.
        error: how far the algorithm was from its limit.
        calls: its iterations.

    Returns:
        The approximation.
    """
    kept = measure.masses > _DUST * measure.masses.sum()
    nu = Measure(measure.points[kept], measure.masses[kept] / measure.masses[kept].sum())
    value = value_of(cost, masses, nu)
    return Approximation(nu, value, min(lower, value), value, error, int(kept.sum()), calls)


def value_of(cost: BarycenterCost, masses: Marginals, measure: Measure) -> float:
    """sum_i lambda_i W_2^2(mu_i, nu), by linear programs.

    Args:
        cost: the points of the measures, and the weights.
        masses: the masses of the measures.
        measure: nu, with masses that sum to 1.

    Returns:
        The value, to 1e-9 of the largest squared distance.

    Raises:
        ValueError: if masses or points do not match, or HiGHS gives no answer.
    """
    expect_a("value_of: cost", cost, BarycenterCost)
    expect_a("value_of: measure", measure, Measure)
    measure = Measure(*(as_floats(f"value_of: measure.{name}", x) for name, x in measure._asdict().items()))
    expect_points("value_of: measure.points", measure.points, cost.points[0].shape[1])
    found = 0.0
    for weight, x, mu in zip(cost.weights, cost.points, Problem(cost, masses).marginals, strict=True):
        distances = squared(x, measure.points)
        found += weight * float(np.sum(distances * exact_plan(distances, mu, measure.masses)))
    return found


def couplings_bound(cost: BarycenterCost, masses: Marginals) -> float:
    """sum_{i<l} lambda_i lambda_l W_2^2(mu_i, mu_l): no measure has a lower value.

    The cost of a tuple is sum_{i<l} lambda_i lambda_l |x_i - x_l|^2, and each pair of marginals of a plan couples its
    two measures.

    Args:
        cost: the points of the measures, and the weights.
        masses: the masses of the measures.

    Returns:
        The bound; it is attained for two measures and in one dimension.

    Source: derived.
    """
    expect_a("couplings_bound: cost", cost, BarycenterCost)
    found, marginals = 0.0, Problem(cost, masses).marginals
    for i, j in itertools.combinations(range(len(marginals)), 2):
        distances = squared(cost.points[i], cost.points[j])
        weight = cost.weights[i] * cost.weights[j]
        found += weight * _coupled(distances, marginals[i], marginals[j])[1]
    return found


def exact_plan(
    distances: Float64[np.ndarray, "n m"], a: Float64[np.ndarray, "n"], b: Float64[np.ndarray, "m"]
) -> Float64[np.ndarray, "n m"]:
    """The optimal plan between two measures: a permutation where one is optimal, else by linear programs.

    Args:
        distances: the cost of each pair.
        a: the masses of the rows, with sum 1.
        b: the masses of the columns, with sum 1.

    Returns:
        The plan with all its entries; its cost is within 1e-9 of the range of the distances of the least one.

    Raises:
        ValueError: if the masses do not match or a distance is not finite, or HiGHS gives no answer.
    """
    distances = as_floats("exact_plan: distances", distances)
    if distances.ndim != 2:
        raise ValueError(f"exact_plan: distances have shape {distances.shape}, expected (n, m): one for each pair")
    return _coupled(distances, a, b)[0]


def _coupled(
    distances: Float64[np.ndarray, "n m"], a: Float64[np.ndarray, "n"], b: Float64[np.ndarray, "m"]
) -> tuple[Float64[np.ndarray, "n m"], float]:
    """The optimal plan, and a lower bound of its cost."""
    from scipy.optimize import linear_sum_assignment  # slow to import, and only for this

    (n, m), problem = distances.shape, Problem(TensorCost(distances), [a, b])
    if n == m and all(np.ptp(mu) == 0 for mu in problem.marginals):
        plan = np.zeros((n, m))
        plan[linear_sum_assignment(distances)] = 1 / n
        return plan, float(np.sum(plan * distances))
    solver = NaiveLp() if n * m <= _FEW else ColumnGeneration()
    solution = solver.solve(problem)
    return np.asarray(solution.plan.pair(0, 1)), solution.lower


def padded(cost: BarycenterCost, masses: Marginals) -> tuple[Float64[np.ndarray, "k n d"], Float64[np.ndarray, "k n"]]:
    """Points and masses as arrays; the first point, with no mass, fills up a measure of fewer points.

    Args:
        cost: the points of the measures.
        masses: the masses of the measures.

    Returns:
        The points and the masses.
    """
    most = max(cost.shape)
    points = [np.concatenate([x, np.repeat(x[:1], most - len(x), axis=0)]) for x in cost.points]
    return np.stack(points), np.stack([np.pad(mu, (0, most - len(mu))) for mu in masses])
