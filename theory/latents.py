"""Laws of a few latent coordinates with finitely many points: expectations under them are exact sums."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from theory import boolean
from theory.hermite import gauss_hermite

_MAX_COORDINATES = 12
_MAX_GRID = 2**15


class Latents(NamedTuple):
    """A law of the latent coordinates with finitely many points."""

    points: Float[Array, "m latent"]
    """The points z."""
    probabilities: Float[Array, "m"]
    """Their probabilities."""


def boolean_latents(latent: int) -> Latents:
    """The uniform law on {-1, 1}^P, its points in the order of `boolean.cube`.

    Args:
        latent: P, at most 12: every velocity is an average over 2^P points.

    Returns:
        The law.

    Raises:
        ValueError: if P is negative or above 12.
    """
    if not 0 <= latent <= _MAX_COORDINATES:
        raise ValueError(f"boolean_latents: latent is {latent}, expected 0 <= latent <= {_MAX_COORDINATES}")
    return Latents(boolean.cube(latent).astype(float), jnp.full(2**latent, 2.0**-latent))


def gaussian_latents(latent: int, nodes: int) -> Latents:
    """The Gauss-Hermite grid for N(0, I) on R^P, exact for polynomials of degree <= 2 nodes - 1 in each coordinate.

    Args:
        latent: P, at least 1.
        nodes: points for each coordinate, at least 1.

    Returns:
        The law, with nodes^P points.

    Raises:
        ValueError: if latent or nodes is not positive, or the grid has more than 2^15 points.
    """
    if latent < 1:
        raise ValueError(f"gaussian_latents: latent is {latent}, expected at least 1 coordinate")
    if nodes**latent > _MAX_GRID:
        raise ValueError(f"gaussian_latents: {nodes}^{latent} points, expected at most {_MAX_GRID}: use fewer nodes")
    line, weights = map(jnp.asarray, gauss_hermite(nodes))
    grid = lambda axis: jnp.stack(jnp.meshgrid(*[axis] * latent, indexing="ij"), axis=-1).reshape(-1, latent)
    return Latents(grid(line), jnp.prod(grid(weights), axis=-1))
