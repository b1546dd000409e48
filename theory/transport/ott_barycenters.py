"""OTT's barycenters.

To import OTT takes more than a second: this module is imported where it is used.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from theory.arrays import Scalar
from theory.transport.approximate import SETTLED
from theory.transport.ott_clouds import (
    FreeBarycenterProblem,
    FreeWassersteinBarycenter,
    LRSinkhorn,
    Sinkhorn,
    number,
)


class Found(NamedTuple):
    """A barycenter of OTT."""

    points: Float[Array, "m d"]
    """Its atoms."""
    masses: Float[Array, "m"]
    """Their masses, with sum 1."""
    iterations: Int[Array, ""]
    """Iterations of the outer loop."""
    change: Float[Array, ""]
    """Of the entropic value in the last of them, relative to it; infinite after one."""


def entropic_free_support(
    points: Float[Array, "k n d"],
    masses: Float[Array, "k n"],
    weights: Float[Array, "k"],
    start: Float[Array, "m d"],
    eta: Scalar,
    rounds: int,
    rank: int | None = None,
) -> Found:
    """Atoms of equal mass that are moved to the means of entropic, or low-rank, couplings.

    Args:
        points: of the measures.
        masses: of the measures; 0 where a measure has fewer points.
        weights: lambda, with sum 1.
        start: the atoms to begin with.
        eta: the inverse temperature; low-rank couplings have none.
        rounds: the most rounds.
        rank: of the couplings; None for full rank.

    Returns:
        The atoms.

    Source: Cuturi and Doucet 2014 (from memory, unverified), as OTT has it.
    """
    linear = Sinkhorn(threshold=1e-4, max_iterations=5000) if rank is None else LRSinkhorn(rank=rank)
    problem = FreeBarycenterProblem(points, masses, weights=weights, epsilon=number(1 / eta))
    solver = FreeWassersteinBarycenter(linear, min_iterations=1, max_iterations=rounds, threshold=SETTLED)
    found = solver(problem, bar_size=len(start), x_init=start)
    costs = found.costs
    assert costs is not None  # OTT's hint is wider than what it gives
    made = jnp.sum(costs != -1)
    change = jnp.abs(costs[made - 1] - costs[made - 2]) / jnp.abs(costs[made - 1])
    return Found(found.x, found.a, made, jnp.where(made > 1, change, jnp.inf))
