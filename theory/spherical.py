"""Gradient steps on the sphere, with clipped coordinates (2302.11055, phase 1)."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from theory.arrays import Scalar


def spherical_step(
    w: Float[Array, "*neurons d"], gradient: Float[Array, "*neurons d"], rate: Scalar, clip: Scalar
) -> Float[Array, "*neurons d"]:
    """W - rate (I - w w^T) gradient, brought back to the unit sphere with no coordinate beyond `clip`.

    Coordinates at the clip stay there: only the others are rescaled, because renormalising all of them would undo the
    clip, and without it w collapses on the coordinate that it finds first.

    Args:
        w: unit vectors.
        gradient: of the loss, of the same shape.
        rate: the step size.
        clip: the largest modulus of a coordinate; from 1 on there is none.

    Source: 2302.11055, phase 1 of the layer-wise algorithm; structure from memory, unverified.
    """
    tangent = gradient - jnp.sum(gradient * w, axis=-1, keepdims=True) * w
    moved = w - rate * tangent
    moved = moved / jnp.linalg.norm(moved, axis=-1, keepdims=True)
    return clipped_to_sphere(moved, clip)


def clipped_to_sphere(w: Float[Array, "*neurons d"], clip: Scalar) -> Float[Array, "*neurons d"]:
    """Clip the coordinates of unit vectors and rescale those below the clip, so that the norm is 1 again.

    Where the clipped coordinates alone have a norm of 1 or more, or nothing is left to rescale, the rest is left as it
    is.
    """
    at_clip = jnp.abs(w) >= clip
    held = jnp.where(at_clip, jnp.sign(w) * clip, 0.0)
    rest = jnp.where(at_clip, 0.0, w)
    room = 1.0 - jnp.sum(jnp.square(held), axis=-1, keepdims=True)
    mass = jnp.sum(jnp.square(rest), axis=-1, keepdims=True)
    scale = jnp.sqrt(jnp.where((room > 0.0) & (mass > 0.0), room / jnp.where(mass > 0.0, mass, 1.0), 1.0))
    return held + scale * rest
