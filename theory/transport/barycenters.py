"""Wasserstein barycenters of discrete measures: min over nu of sum_i lambda_i W_2^2(mu_i, nu).

With nu free this is multimarginal transport with the cost of `BarycenterCost`, and nu is the image of the plan under
the weighted mean; a vertex has at most sum_i n_i - k + 1 atoms. In fixed dimension that takes polynomial time (arXiv
2006.08012), in growing dimension it is NP-hard (arXiv 2101.01100); both from memory, unverified.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from theory.transport.barycenter_cost import BarycenterCost, expect_points
from theory.transport.column_generation import ColumnGeneration
from theory.transport.cost import as_floats, written_size
from theory.transport.distances import squared
from theory.transport.expected import expect_a, expect_count
from theory.transport.plan import Marginals, SparsePlan, monotone_plan
from theory.transport.problem import Problem, Solution

MAX_VARIABLES = 2**21
"""The most variables of the linear program of a fixed support."""
_TOLERANCE = 1e-10  # the least that HiGHS accepts


class Measure(NamedTuple):
    """A discrete measure."""

    points: Float64[np.ndarray, "m d"]
    """Its atoms."""
    masses: Float64[np.ndarray, "m"]
    """Their masses."""


def barycenter(cost: BarycenterCost, plan: SparsePlan) -> Measure:
    """The image of a plan under the weighted mean.

    Args:
        cost: its points and weights.
        plan: of the measures on these points.

    Returns:
        The measure; its cost is at most that of the plan, and equal to it where the plan is optimal.

    Raises:
        ValueError: if the plan is not sparse, or of other sizes.
    """
    expect_a("barycenter: cost", cost, BarycenterCost)
    expect_a("barycenter: plan", plan, SparsePlan)
    if plan.shape != cost.shape:
        raise ValueError(f"barycenter: got a plan of shape {plan.shape}, expected {cost.shape} as the cost has")
    return Measure(cost.means(plan.tuples), plan.masses)


def free_support(cost: BarycenterCost, masses: Marginals, tol: float = 1e-9) -> tuple[Measure, Solution]:
    """The barycenter with its certificate: exact in up to three dimensions and on small instances.

    In more dimensions, with more than 2^22 tuples, pricing is local: the certified interval of the solution says how
    far from optimal its value may be.

    Args:
        cost: the points of the measures, and the weights.
        masses: the masses of the measures.
        tol: the gap at which to stop, as a part of a quarter of the squared diameter.

    Returns:
        The barycenter, and the solution of the transport problem.

    Raises:
        ValueError: if the masses do not match.

    Source: arXiv 2006.08012 (the approach; from memory, unverified); pricing as in `power_diagram`.
    """
    expect_a("free_support: cost", cost, BarycenterCost)
    solution = ColumnGeneration(tol=tol).solve(Problem(cost, masses))
    assert isinstance(solution.plan, SparsePlan)
    return barycenter(cost, solution.plan), solution


def on_a_line(cost: BarycenterCost, masses: Marginals) -> SparsePlan:
    """The optimal plan in one dimension: quantiles are averaged.

    Args:
        cost: points of dimension 1, and the weights.
        masses: the masses of the measures.

    Returns:
        The plan; `barycenter` gives its measure.

    Raises:
        ValueError: if the dimension is not 1.

    Source: standard.
    """
    expect_a("on_a_line: cost", cost, BarycenterCost)
    if (d := cost.points[0].shape[1]) != 1:
        raise ValueError(f"on_a_line: the points have dimension {d}, expected 1; free_support fits up to 3")
    orders = [np.argsort(points[:, 0]) for points in cost.points]
    plan = monotone_plan([mu[order] for mu, order in zip(Problem(cost, masses).marginals, orders, strict=True)])
    tuples = np.stack([order[plan.tuples[:, i]] for i, order in enumerate(orders)], axis=1)
    return SparsePlan(plan.shape, tuples, plan.masses)


def fixed_support(
    cost: BarycenterCost, masses: Marginals, support: Float64[np.ndarray, "m d"]
) -> tuple[Measure, float]:
    """The best measure on given points, by one linear program.

    Args:
        cost: the points of the measures, and the weights.
        masses: the masses of the measures.
        support: where the barycenter may have mass, such as `grid_support`.

    Returns:
        The measure, and sum_i lambda_i W_2^2(mu_i, nu): an upper bound of that of a free barycenter.

    Raises:
        ValueError: if the support has no point or another dimension, the linear program has more than 2^21 variables,
            or HiGHS gives no answer.
    """
    from scipy.optimize import linprog  # slow to import, and only for this
    from scipy.sparse import block_diag, csr_array, eye_array, hstack, kron, vstack

    expect_a("fixed_support: cost", cost, BarycenterCost)
    support = as_floats("fixed_support: support", support)
    expect_points("fixed_support: support", support, cost.points[0].shape[1])
    marginals, m = Problem(cost, masses).marginals, len(support)
    expect_variables(cost, m)
    distances = np.concatenate(
        [(w * squared(x, support)).ravel() for w, x in zip(cost.weights, cost.points, strict=True)]
    )
    scale = float(distances.max()) or 1.0  # tolerances of HiGHS are absolute
    sources = block_diag([kron(eye_array(n), np.ones((1, m))) for n in cost.shape])
    targets = block_diag([kron(np.ones((1, n)), eye_array(m)) for n in cost.shape])
    nothing, shared = csr_array((sum(cost.shape), m)), kron(np.ones((len(cost.shape), 1)), eye_array(m))
    matrix = vstack([hstack([sources, nothing]), hstack([targets, -shared])])
    wanted = np.concatenate([*marginals, np.zeros(m * len(cost.shape))])
    found = linprog(
        np.concatenate([distances / scale, np.zeros(m)]),
        A_eq=matrix.tocsr(),
        b_eq=wanted,
        method="highs",
        options={"primal_feasibility_tolerance": _TOLERANCE, "dual_feasibility_tolerance": _TOLERANCE},
    )
    if found.x is None:
        raise ValueError(f"fixed_support: HiGHS gives no answer: {found.message}")
    best = np.maximum(np.asarray(found.x)[-m:], 0.0)
    return Measure(support[best > 0], best[best > 0] / best.sum()), scale * float(found.fun)


def expect_variables(cost: BarycenterCost, m: int) -> None:
    """A support of m points whose linear program is small enough.

    Args:
        cost: the points of the measures.
        m: the number of points of the support.

    Raises:
        ValueError: if there are more than 2^21 variables.
    """
    if (size := m * (sum(cost.shape) + 1)) > MAX_VARIABLES:
        raise ValueError(
            f"fixed_support: {written_size(size)} variables, more than {MAX_VARIABLES}; take fewer points than {m}, "
            f"or free_support: its linear program has {sum(cost.shape)} rows"
        )


def grid_support(cost: BarycenterCost, side: int) -> Float64[np.ndarray, "m d"]:
    """A regular grid on the smallest box around all points.

    Args:
        cost: the points of the measures.
        side: the number of points along each direction.

    Returns:
        The side^d points of the grid, the last coordinate changing first.

    Raises:
        ValueError: if side is below 1.
    """
    expect_a("grid_support: cost", cost, BarycenterCost)
    expect_count("grid_support: side", side, 1, "point along each direction")
    everything = np.concatenate(cost.points)
    axes = [
        np.linspace(low, high, side) for low, high in zip(everything.min(axis=0), everything.max(axis=0), strict=True)
    ]
    return np.stack([mesh.ravel() for mesh in np.meshgrid(*axes, indexing="ij")], axis=1)
