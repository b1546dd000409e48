"""OTT's solvers for two weighted point clouds.

To import OTT takes more than a second: this module is imported where it is used.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from theory.arrays import Scalar
from theory.transport.distances import squared
from theory.transport.ott_clouds import (
    Clouds,
    Geometry,
    LinearProblem,
    LRSinkhorn,
    PointCloud,
    Sinkhorn,
    hungarian,
    number,
)
from theory.transport.pairs import Factors, Pair, Pairing, Scalings, split, standard
from theory.transport.rows import Rows


def sinkhorn(pair: Pair, eta: Scalar, tol: Scalar, iterations: int, rows: Rows | None = None) -> Scalings:
    """OTT's Sinkhorn in the log domain.

    Args:
        pair: the measures.
        eta: the inverse temperature, 1 / epsilon.
        tol: the error of a marginal at which to stop, in the sum of absolute values.
        iterations: the most updates of both potentials.
        rows: how the rows of the cost matrix are split; by default as `split`.

    Returns:
        The potentials.

    Source: Cuturi 2013 (from memory, unverified).
    """
    clouds = Clouds(pair.x, pair.y, split(pair) if rows is None else rows, 1 / eta)
    solver = Sinkhorn(threshold=number(tol), max_iterations=iterations)
    found = solver(LinearProblem(clouds, a=pair.a, b=pair.b))
    return Scalings(found.f, found.g, eta, jnp.asarray(found.n_iters))


def low_rank_sinkhorn(pair: Pair, rank: int, tol: Scalar, iterations: int, key: Key[Array, ""]) -> Factors:
    """OTT's low-rank Sinkhorn: a local optimum among plans of a given rank.

    OTT is given the points as `standard`: the smaller the costs, the longer are its steps, which then overflow; and it
    expands squares, so that points far from the origin lose their digits.

    Args:
        pair: the measures.
        rank: the number of columns of the factors.
        tol: the change of the factors at which to stop, as OTT measures it.
        iterations: the most steps.
        key: of the random factors to begin with.

    Returns:
        The factors.

    Source: Scetbon, Cuturi and Peyre 2021 (from memory, unverified).
    """
    solver, (unit, _) = LRSinkhorn(rank=rank, threshold=number(tol), max_iterations=iterations), standard(pair)
    # epsilon is not used by the solver, but OTT would compute one
    found = solver(LinearProblem(PointCloud(unit.x, unit.y, epsilon=1.0), a=pair.a, b=pair.b), rng=key)
    last = jnp.maximum(jnp.sum(found.errors != -1) - 1, 0)
    return Factors(found.q, found.r, found.g, jnp.asarray(found.n_iters), found.errors[last])


def assignment(pair: Pair) -> Pairing:
    """The optimal plan between uniform measures of equal size, by OTT's Hungarian algorithm.

    The algorithm gives no potentials. Those here are lengths of shortest paths in the graph in which a plan that is not
    optimal has a negative cycle (Bellman and Ford).

    Args:
        pair: measures of n points each, with masses 1 / n.

    Returns:
        The plan and its potentials.

    Source: Kuhn 1955 (from memory, unverified).
    """
    n, cost = len(pair.x), squared(pair.x, pair.y)
    _, found = hungarian(Geometry(cost_matrix=cost))  # a PointCloud would expand the squares
    i, j = found.paired_indices
    partner = jnp.zeros(n, j.dtype).at[i].set(j)
    lengths = cost - cost[jnp.arange(n), partner][:, None]
    shorter = lambda _, g: jnp.minimum(g, jnp.min(g[partner][:, None] + lengths, axis=0))
    g = jax.lax.fori_loop(0, n, shorter, jnp.zeros(n, cost.dtype))
    return Pairing(i, j, jnp.full(n, 1 / n, cost.dtype), g)
