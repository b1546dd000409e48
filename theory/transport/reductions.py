"""Why transport is hard in general: problems on graphs as transport problems, and minima from transport values.

With F(mu) the least transport cost, a convex function of the marginals, F at a tuple of point masses is C_j, and

    min_j (C_j - sum_i p_i[j_i]) = min over mu of F(mu) - sum_i <p_i, mu_i>.

So whoever computes F can minimise C, and C may encode a clique, a cut or a determinant. Sources: arXiv 2012.05398 and
2101.01100 (from memory, unverified); the constructions are derived and checked by brute force.
"""

import itertools
from collections.abc import Callable
from numbers import Integral
from typing import NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Float64, Int

from theory.transport.barycenter_cost import BarycenterCost
from theory.transport.cost import (
    Cost,
    Given,
    Potentials,
    TensorCost,
    as_floats,
    every_tuple,
    expect_dense,
    expect_finite,
)
from theory.transport.expected import expect_function
from theory.transport.graphical import GraphicalCost
from theory.transport.oracles import expect_potentials
from theory.transport.problem import Problem, Solution, uniform

TransportOracle: TypeAlias = Callable[[Problem], Solution]
"""The least cost and potentials for given marginals: the `solve` of a solver whose potentials are finite."""

Adjacency: TypeAlias = Int[np.ndarray, "n n"]
"""Of a graph: 0 and 1, symmetric, with a zero diagonal."""


def clique_to_pairwise(adjacency: Given, k: int) -> GraphicalCost:
    """C_j = -sum_{i < i'} A[j_i, j_i']: a tuple costs -k (k - 1) / 2 exactly if its points are a k-clique.

    Args:
        adjacency: of the graph.
        k: the size of the clique, at least 2.

    Returns:
        A cost of k marginals with n points each.

    Raises:
        ValueError: if the matrix is not an adjacency, k is below 2, or the tables would be too large.
    """
    adjacency = _adjacency(adjacency)
    _expect_clique_size(k)
    pairs = tuple(itertools.combinations(range(k), 2))
    return GraphicalCost(pairs, (-adjacency.astype(float),) * len(pairs))


def cut_to_transport(adjacency: Given) -> Problem:
    """Vertices as marginals (1/2, 1/2), with C_j = -(edges whose ends differ): the least cost is minus the maximum cut.

    The optimal cut and its complement, with half of the mass each, have these marginals.

    Args:
        adjacency: of the graph.

    Returns:
        The problem, with k = |V| and n = 2.

    Raises:
        ValueError: if the matrix is not an adjacency, or the treewidth of the graph is too large.
    """
    adjacency = _adjacency(adjacency)
    edges = tuple((a, b) for a, b in np.argwhere(np.triu(adjacency)).tolist())
    alone = tuple((v,) for v in np.flatnonzero(adjacency.sum(axis=1) == 0).tolist())
    factors = (np.eye(2) - 1,) * len(edges) + (np.zeros(2),) * len(alone)
    return Problem(GraphicalCost(edges + alone, factors), uniform((2,) * len(adjacency)))


def subdeterminant_to_transport(vectors: Float64[np.ndarray, "n d"]) -> TensorCost:
    """C_j = -|det(x_{j_1}, ..., x_{j_d})|: the least entry is minus the largest subdeterminant.

    Args:
        vectors: n of them, of dimension d.

    Returns:
        A cost of d marginals with n points each.

    Raises:
        ValueError: if an entry is not finite, or the tensor has more than 2^22 entries.
    """
    vectors = as_floats("subdeterminant_to_transport: vectors", vectors)
    if vectors.ndim != 2:
        raise ValueError(f"subdeterminant_to_transport: vectors have shape {vectors.shape}, expected (n, d)")
    n, d = vectors.shape
    expect_finite("subdeterminant_to_transport: vectors", vectors)
    expect_dense("subdeterminant_to_transport", (n,) * d)
    return TensorCost(-np.abs(np.linalg.det(vectors[every_tuple((n,) * d)])).reshape((n,) * d))


class CliqueBarycenter(NamedTuple):
    """A barycenter problem that hides a clique."""

    cost: BarycenterCost
    """Binary points: the vertices that have edges, once for each of k measures."""
    potentials: tuple[Float64[np.ndarray, "_"], ...]
    """p, for which min_j (C_j - sum_i p_i[j_i]) is `threshold` exactly if there is a k-clique, and larger if not."""
    threshold: float
    """-(k - 1) / k."""


def clique_to_barycenter(adjacency: Given, k: int) -> CliqueBarycenter:
    """Measures on binary points with <x_iu, x_i'v> = A_uv for i != i', and |x_iv|^2 = (k - 1) deg(v).

    There is one coordinate for each pair i < i' and ordered edge (u, v), where x_iu and x_i'v are 1. So
    k^2 C_j = (k - 1) sum_i |x_i|^2 - 2 edges(j), and p_i[v] = (k - 1)^2 deg(v) / k^2 leaves -2 edges(j) / k^2.

    Args:
        adjacency: of the graph; vertices without edges, which are in no clique, are left out.
        k: the size of the clique, at least 2.

    Returns:
        The problem, in dimension k (k - 1) |E|.

    Raises:
        ValueError: if the matrix is not an adjacency, k is below 2, or the graph has no edge.
    """
    adjacency = _adjacency(adjacency)
    _expect_clique_size(k)
    inside = np.flatnonzero(adjacency.sum(axis=1))
    if not len(inside):
        raise ValueError("clique_to_barycenter: the graph has no edge, and so no clique of 2 vertices")
    within = adjacency[np.ix_(inside, inside)]
    tails, heads = np.nonzero(within)
    pairs = list(itertools.combinations(range(k), 2))
    points = np.zeros((k, len(inside), len(pairs), len(tails)))
    for c, (i, other) in enumerate(pairs):
        points[i, tails, c, np.arange(len(tails))] = 1
        points[other, heads, c, np.arange(len(tails))] = 1
    degrees = within.sum(axis=1) * (k - 1) ** 2 / k**2
    cost = BarycenterCost(list(points.reshape(k, len(inside), -1)))
    return CliqueBarycenter(cost, (degrees,) * k, -(k - 1) / k)


class Minimised(NamedTuple):
    """What cutting planes found."""

    value: float
    """The least reduced cost, from above."""
    lower: float
    """From below."""
    calls: int
    """Calls of the transport oracle."""
    marginals: tuple[Float64[np.ndarray, "_"], ...]
    """Where the value is attained."""


def min_by_transport(
    cost: Cost, p: Potentials, oracle: TransportOracle, tol: float = 1e-7, calls: int = 1000
) -> Minimised:
    """The least reduced cost from transport values and their potentials, by Kelley's cutting planes over marginals.

    Potentials q of a solution at any marginals bound F below by sum_i <q_i, mu_i> + const, which is a cut.

    Args:
        cost: only its shape and its bounds are read here; the oracle reads the rest.
        p: potentials.
        oracle: solves transport problems with this cost.
        tol: the gap at which to stop, as a part of the range of the cost.
        calls: the most calls.

    Returns:
        The minimum, with the number of calls.

    Raises:
        ValueError: if potentials do not match or those of the oracle are not finite, or the gap is open after `calls`
            calls.

    Source: arXiv 2012.05398 uses values alone (from memory, unverified); potentials are a shortcut.
    """
    expect_potentials(cost, p)
    expect_function("min_by_transport: oracle", oracle, "NaiveLp().solve")
    low, high = cost.bounds()
    scale = high - low or 1.0
    cuts, constants = np.empty((0, sum(cost.shape))), np.empty(0)
    best, lower, at = np.inf, -np.inf, uniform(cost.shape)
    where = at
    for call in range(1, calls + 1):
        solution = oracle(problem := Problem(cost, at))
        if not all(np.isfinite(q).all() for q in solution.potentials):
            raise ValueError("min_by_transport: the oracle gave potentials that are not finite; use NaiveLp")
        if (value := solution.value - problem.paired(p)) < best:
            best, where = value, at
        slopes = [q - r for q, r in zip(solution.potentials, p, strict=True)]
        levels = [float(slope.mean()) for slope in slopes]  # on marginals these are constants
        cuts = np.vstack([cuts, np.concatenate([s - c for s, c in zip(slopes, levels, strict=True)])])
        constants = np.append(constants, solution.lower - problem.paired(solution.potentials) + sum(levels))
        below, at = _model_minimum(cuts / scale, (constants - best) / scale, cost.shape)
        lower = best + scale * below
        if below >= -tol:
            return Minimised(best, min(lower, best), call, where)
    raise ValueError(
        f"min_by_transport: after {calls} calls the gap is {best - lower:.3g}, expected {tol:.3g} of the cost's range, "
        f"{scale:.3g}"
    )


def _model_minimum(
    cuts: Float64[np.ndarray, "c m"], constants: Float64[np.ndarray, "c"], shape: tuple[int, ...]
) -> tuple[float, tuple[Float64[np.ndarray, "_"], ...]]:
    """The least value over marginals of the largest cut, and a vertex where it is attained."""
    from scipy.optimize import linprog  # slow to import, and only for this

    m = cuts.shape[1]
    sums = np.zeros((len(shape), m + 1))
    sums[np.repeat(np.arange(len(shape)), shape), np.arange(m)] = 1
    found = linprog(
        np.append(np.zeros(m), 1.0),
        A_ub=np.hstack([cuts, -np.ones((len(cuts), 1))]),
        b_ub=-constants,
        A_eq=sums,
        b_eq=np.ones(len(shape)),
        bounds=[(0, None)] * m + [(None, None)],
        method="highs",
    )
    masses = np.split(np.maximum(found.x[:-1], 0.0), np.cumsum(shape)[:-1])
    return float(found.fun), tuple(mu / mu.sum() for mu in masses)


def _adjacency(given: Given) -> Adjacency:
    adjacency = as_floats("adjacency", given)
    square = adjacency.ndim == 2 and adjacency.shape[0] == adjacency.shape[1]
    if not square or not np.isin(adjacency, (0, 1)).all() or (adjacency != adjacency.T).any() or adjacency.trace():
        raise ValueError("adjacency: expected a symmetric matrix of 0 and 1 with a zero diagonal")
    return adjacency.astype(np.int64)


def _expect_clique_size(k: int) -> None:
    if not isinstance(k, Integral) or k < 2:
        raise ValueError(f"k is {k}, expected a clique of at least 2 vertices")
