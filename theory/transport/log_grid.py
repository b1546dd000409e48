"""Sums over tuples of a positive low-rank cost, by dynamic programming over the logarithms of its products.

R_j = sum_l prod_i f_i[j_i, l] depends on the tuple only through r sums of logarithms. These are rounded to a grid, and
best values or sums are kept for each grid point while one marginal after the other is added: every term is positive,
so nothing cancels, and the work is that of sum_i n_i grids. An expansion of exp(-eta C) in powers, which is the
polynomial route, cancels like e^(eta range).
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float64, Int

from theory.transport.cost import LogWeights, Potentials, log_sum

MOST_RANK = 4
"""The largest rank for which the grid has room for the 32 points in each direction that higher ranks are given."""

_MOST_POINTS = 2**22


class LogGrid(NamedTuple):
    """The rounded logarithms of the factors."""

    steps: tuple[Int[np.ndarray, "_ r"], ...]
    """For each marginal and point, how many grid steps its factors add, in each of r directions."""
    values: Float64[np.ndarray, "..."]
    """R at each grid point."""
    error: float
    """How far R of a tuple may be from that of its grid point."""


def log_grid(factors: Sequence[Float64[np.ndarray, "_ r"]], bins: int) -> LogGrid:
    """Rounds the logarithms of positive factors to a grid.

    Args:
        factors: f_i, shape (n_i, r), positive.
        bins: grid points in each direction.

    Returns:
        The grid, of about bins^r points.

    Raises:
        ValueError: if there are fewer than 2 bins, or the grid has more than 2^22 points.
    """
    if bins < 2:
        raise ValueError(f"log_grid: bins is {bins}, expected at least 2 in each direction")
    logs = [np.log(f) for f in factors]
    lowest = [log.min(axis=0) for log in logs]
    low, width = np.sum(lowest, axis=0), np.sum([np.ptp(log, axis=0) for log in logs], axis=0)
    unit = np.where(width > 0, width / (bins - 1), 1.0)
    steps = tuple(np.rint((log - least) / unit).astype(np.int64) for log, least in zip(logs, lowest, strict=True))
    sizes = np.sum([step.max(axis=0) for step in steps], axis=0) + 1
    _expect_few(sizes, bins)
    at = [low[axis] + unit[axis] * np.arange(n) for axis, n in enumerate(sizes)]
    values = np.sum([np.exp(mesh) for mesh in np.meshgrid(*at, indexing="ij")], axis=0)
    rest = [log - least - unit * step for log, least, step in zip(logs, lowest, steps, strict=True)]
    up, down = (np.sum([f(r, axis=0) for r in rest], axis=0) for f in (np.max, np.min))
    largest = np.exp(low + unit * (sizes - 1))
    return LogGrid(steps, values, float(np.sum(largest * np.maximum(np.expm1(up), -np.expm1(down)))))


def least(grid: LogGrid, p: Potentials, count: int) -> tuple[Int[np.ndarray, "m k"], Float64[np.ndarray, "m"]]:
    """The tuples of least reduced cost of the rounded cost, one for each of the best grid points.

    Args:
        grid: of k marginals.
        p: potentials.
        count: how many, at most.

    Returns:
        The tuples, shape (m, k), and their reduced costs with the rounded cost, increasing; the first is the minimum.
    """
    reached = [np.full(grid.values.shape, -np.inf)]
    reached[0][(0,) * grid.values.ndim] = 0.0
    for step, potential in zip(grid.steps, p, strict=True):
        total = np.full(grid.values.shape, -np.inf)
        for c, gain in zip(step, potential, strict=True):
            there, here = _shifted(c)
            np.maximum(total[there], reached[-1][here] + gain, out=total[there])
        reached.append(total)
    reduced = (grid.values - reached[-1]).ravel()
    best = np.argsort(reduced, kind="stable")[:count]
    best = best[np.isfinite(reduced[best])] if np.isfinite(reduced[best[0]]) else best[:1]
    return _traced_back(grid, p, reached, best), reduced[best]


def log_sums(grid: LogGrid, log_weights: LogWeights, skipped: int) -> Float[Array, "..."]:
    """The logarithm of the sum of exp(sum of weights) over the tuples at each grid point, without one marginal.

    Args:
        grid: of k marginals.
        log_weights: of each marginal.
        skipped: the marginal that is left out.

    Returns:
        An array of the shape of the grid; -inf where no tuple leads.
    """
    sums = jnp.full(grid.values.shape, -jnp.inf).at[(0,) * grid.values.ndim].set(0.0)
    for i, weights in enumerate(log_weights):
        if i != skipped:
            terms = moved(grid, sums, i)
            sums = log_sum(terms + jnp.expand_dims(jnp.asarray(weights), range(1, terms.ndim)), axis=0)
    return sums


def moved(grid: LogGrid, sums: Float[Array, "..."], i: int) -> Float[Array, "n ..."]:
    """The sums as they arrive when each of the points of a marginal adds its step.

    Args:
        grid: of k marginals.
        sums: logarithms of sums at each grid point.
        i: the marginal.

    Returns:
        For each of its points, the sums moved by its step; -inf where nothing arrives.
    """
    size = grid.values.shape
    padded = jnp.pad(sums, [(n, 0) for n in size], constant_values=-jnp.inf)
    return jax.vmap(lambda step: jax.lax.dynamic_slice(padded, jnp.array(size) - step, size))(
        jnp.asarray(grid.steps[i])
    )


def _expect_few(sizes: Int[np.ndarray, "r"], bins: int) -> None:
    if (size := float(np.prod(sizes.astype(float)))) > _MOST_POINTS:
        fit = int(_MOST_POINTS ** (1 / len(sizes)))
        raise ValueError(
            f"log_grid: rank {len(sizes)} with {bins} bins makes a grid of {size:.3g} points, more than "
            f"{_MOST_POINTS}; about {fit} bins fit, or a rank of at most {MOST_RANK}"
        )


def _shifted(c: Int[np.ndarray, "r"]) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """The grid points that are reached by a step, and those it starts from."""
    there = tuple(slice(int(step), None) for step in c)
    return there, tuple(slice(None, -int(step) or None) for step in c)


def _traced_back(
    grid: LogGrid, p: Potentials, reached: Sequence[Float64[np.ndarray, "..."]], ends: Int[np.ndarray, "m"]
) -> Int[np.ndarray, "m k"]:
    """The tuples that lead to the given grid points."""
    at = np.stack(np.unravel_index(ends, grid.values.shape), axis=1)
    chosen = []
    for step, potential, before in zip(grid.steps[::-1], p[::-1], reached[-2::-1], strict=True):
        origins = at[:, None] - step
        valid = (origins >= 0).all(axis=2)
        gains = before[tuple(np.maximum(origins, 0).transpose(2, 0, 1))] + potential
        choice = np.where(valid, gains, -np.inf).argmax(axis=1)
        chosen.append(choice)
        at = at - step[choice]
    return np.stack(chosen[::-1], axis=1)
