"""Barycenters with a given number of atoms of equal mass: couple, move the atoms to the means, and so on."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from theory.transport.approximate import exact_plan
from theory.transport.barycenter_cost import BarycenterCost
from theory.transport.distances import squared
from theory.transport.plan import Marginals


class Supports(NamedTuple):
    """Where the atoms of several starts are."""

    points: Float64[np.ndarray, "starts m d"]
    """The atoms, of mass 1 / m each."""
    means: Float64[np.ndarray, "starts m d"]
    """Where they go: for each atom, the weighted mean of what it is coupled with."""
    values: Float64[np.ndarray, "starts"]
    """sum_i lambda_i W_2^2(mu_i, nu) for these atoms."""


def coupled(cost: BarycenterCost, masses: Marginals, points: Float64[np.ndarray, "starts m d"]) -> Supports:
    """The optimal couplings of given atoms with every measure.

    Args:
        cost: the points of the measures, and the weights.
        masses: the masses of the measures.
        points: the atoms of each start.

    Returns:
        The same atoms, where they go, and their values.
    """
    means, values = np.zeros_like(points), np.zeros(len(points))
    mass = np.full(points.shape[1], 1 / points.shape[1])
    for s, atoms in enumerate(points):
        for weight, x, mu in zip(cost.weights, cost.points, masses, strict=True):
            distances = squared(x, atoms)
            plan = exact_plan(distances, mu, mass)
            values[s] += weight * np.sum(distances * plan)
            means[s] += weight * (plan.T @ x) / plan.sum(axis=0)[:, None]
    return Supports(points, means, values)


def moved(cost: BarycenterCost, masses: Marginals, state: Supports) -> Supports:
    """The atoms at their means, coupled anew: no value increases.

    Args:
        cost: the points of the measures, and the weights.
        masses: the masses of the measures.
        state: the atoms before.

    Returns:
        The atoms after.

    Source: Cuturi and Doucet 2014, with exact couplings and fixed masses (from memory, unverified).
    """
    return coupled(cost, masses, state.means)
