"""Sums over the tuples that are not in a list, by the dynamic program of `log_grid`, without subtracting any.

What is listed is usually what weighs most once its sparse part is put aside, so to sum everything and to take the list
away would cancel. Instead tuples are told apart while they are built: those that begin like a listed one are held one
by one, and whoever departs from the list for the first time is added to the sums of the grid.
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from theory.transport.cost import LogWeights, log_sum
from theory.transport.log_grid import LogGrid, moved


def log_sums_unlisted(
    grid: LogGrid, log_weights: LogWeights, entries: Int[Array, "s k"], last: int
) -> Float[Array, "n ..."]:
    """The logarithm of the sum of exp(sum of weights) over the tuples at each grid point that are not listed.

    Args:
        grid: of k marginals.
        log_weights: of each marginal.
        entries: the list: distinct tuples, at least one.
        last: the marginal whose points are told apart.

    Returns:
        An array of the shape (n, *grid), one for each point of the last marginal; -inf where no tuple leads.
    """
    sums = jnp.full(grid.values.shape, -jnp.inf)
    begun, at = jnp.zeros(len(entries)), jnp.zeros((len(entries), grid.values.ndim), int)
    alike = jnp.ones((len(entries), len(entries)), bool)
    for i in [*(i for i in range(len(log_weights)) if i != last), last]:
        weights, steps = jnp.asarray(log_weights[i]), jnp.asarray(grid.steps[i])
        arrived = moved(grid, sums, i) + jnp.expand_dims(weights, range(1, sums.ndim + 1))
        leaving = _leaving(begun, alike, entries[:, i], weights)
        departed = _scattered(leaving, at[:, None] + steps, arrived.shape, i == last)
        sums = jnp.logaddexp(arrived, departed) if i == last else jnp.logaddexp(log_sum(arrived, 0), departed)
        begun, at = begun + weights[entries[:, i]], at + steps[entries[:, i]]
        alike &= entries[:, i] == entries[:, i, None]
    return sums


def _leaving(
    begun: Float[Array, "s"], alike: Bool[Array, "s s"], listed: Int[Array, "s"], weights: Float[Array, "n"]
) -> Float[Array, "s n"]:
    """The weight of each beginning followed by each point with which it is no longer that of a listed tuple.

    Of listed tuples that begin alike, the first one stands for all.
    """
    first = ~jnp.any(jnp.tril(alike, -1), axis=1)
    follows = listed[:, None] == jnp.arange(len(weights))
    stays = (alike.astype(int) @ follows.astype(int)) > 0
    return jnp.where(first[:, None] & ~stays, begun[:, None] + weights, -jnp.inf)


def _scattered(
    values: Float[Array, "s n"], at: Int[Array, "s n r"], shape: tuple[int, ...], apart: bool
) -> Float[Array, "..."]:
    """Logarithms of sums of exponentials at grid points; `apart` for each point of the marginal."""
    point = jnp.broadcast_to(jnp.arange(shape[0]), values.shape)
    where = (point, *jnp.moveaxis(at, 2, 0)) if apart else tuple(jnp.moveaxis(at, 2, 0))
    largest = jnp.full(shape if apart else shape[1:], -jnp.inf).at[where].max(values)
    scale = jnp.where(largest > -jnp.inf, largest, 0.0)
    return scale + jnp.log(jnp.zeros_like(largest).at[where].add(jnp.exp(values - scale[where])))
