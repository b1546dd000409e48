"""Entropic barycenters on a fixed support by iterative Bregman projections, in the log domain.

OTT has them too, with and without the bias of the entropy; but in its log domain (0.6.0) the step that takes the bias
off sums the kernel over ones where it should sum over the correction, and equal measures are not their own barycenter.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from theory.arrays import Scalar
from theory.transport.cost import log_sum


class Projected(NamedTuple):
    """Where the projections stand."""

    log_scalings: Float[Array, "k m"]
    """log v_i of the plans u_i exp(-eta C_i) v_i."""
    log_masses: Float[Array, "m"]
    """The logarithms of the masses of the barycenter; their sum is 1 in the limit alone."""
    log_bias: Float[Array, "m"]
    """The correction d by which the masses are multiplied; zeros where the bias is left."""
    error: Float[Array, ""]
    """max_i |m_i - mu_i|_1 of the plans, of which the other marginal is the barycenter."""
    sweeps: Int[Array, ""]
    """Sweeps so far."""


def first_projection(costs: Float[Array, "k n m"]) -> Projected:
    """Scalings of one.

    Args:
        costs: C_i between the points of each measure and those of the support.

    Returns:
        The iterate before the first sweep.
    """
    zeros = jnp.zeros_like(costs[:, 0])
    return Projected(zeros, zeros[0], zeros[0], jnp.full((), jnp.inf, costs.dtype), jnp.asarray(0))


def projection(
    costs: Float[Array, "k n m"],
    log_marginals: Float[Array, "k n"],
    weights: Float[Array, "k"],
    eta: Scalar,
    state: Projected,
    lines: tuple[Float[Array, "_ _"], ...] = (),
) -> Projected:
    """Scales every plan to its measure, and then all of them to their weighted geometric mean.

    Args:
        costs: C_i between the points of each measure and those of the support.
        log_marginals: log mu_i; -inf where there is no mass.
        weights: lambda, with sum 1.
        eta: the inverse temperature.
        state: the iterate before.
        lines: squared distances along each direction of the grid that is the support; where they are given, the bias of
            the entropy is taken off.

    Returns:
        The iterate after; pure.

    Source: Benamou, Carlier, Cuturi, Nenna and Peyre 2015; Janati, Cuturi and Gramfort 2020, algorithm 1, for the bias
    (both from memory, unverified).
    """
    kernel = -eta * costs
    before = log_sum(kernel + state.log_scalings[:, None], axis=2)
    log_u = log_marginals - before
    sums = log_sum(kernel + log_u[:, :, None], axis=1)
    log_masses, log_bias = weights @ sums + state.log_bias, state.log_bias
    if lines:
        log_bias = (log_bias + log_masses - blurred(log_bias, lines, eta)) / 2
    log_scalings = log_masses - sums
    after = log_u + log_sum(kernel + log_scalings[:, None], axis=2)
    error = jnp.max(jnp.sum(jnp.abs(jnp.exp(after) - jnp.exp(log_marginals)), axis=1))
    return Projected(log_scalings, log_masses, log_bias, error, state.sweeps + 1)


def blurred(log_masses: Float[Array, "m"], lines: tuple[Float[Array, "_ _"], ...], eta: Scalar) -> Float[Array, "m"]:
    """The logarithm of exp(-eta C) times masses on a grid, one direction after the other.

    Args:
        log_masses: in the order of `numpy.meshgrid(indexing="ij")`.
        lines: squared distances along each direction.
        eta: the inverse temperature.

    Returns:
        The logarithms.
    """
    found = log_masses.reshape([len(line) for line in lines])
    for t, line in enumerate(lines):
        along = jnp.moveaxis(found, t, -1)
        found = jnp.moveaxis(log_sum(along[..., None, :] - eta * line, axis=along.ndim), -1, t)
    return found.ravel()


jitted_projection = jax.jit(projection)
"""`projection`, compiled once for each shape."""
