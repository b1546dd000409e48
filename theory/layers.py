"""The layer primitives of every network: the affine map and the laws of its initial weights."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Float32, PRNGKeyArray

from theory.arrays import Scalar


def dense(
    weight: Float[Array, "out in"], bias: Float[Array, "out"] | None, x: Float[Array, "*batch in"]
) -> Float[Array, "*batch out"]:
    """The affine map W x + b at each point of a batch.

    Args:
        weight: W, shape (out, in).
        bias: b, shape (out,), or None for a linear map.
        x: inputs, shape (*batch, in).

    Returns:
        Shape (*batch, out).
    """
    # One product of two matrices: on CPU a batch of more axes is about a quarter slower in the gradient.
    rows = x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
    y = rows @ weight.T
    y = y if bias is None else y + bias[None, :]
    return y.reshape(*x.shape[:-1], weight.shape[0])


def uniform_fan_in(key: PRNGKeyArray, shape: tuple[int, ...], fan_in: int) -> Float32[Array, "..."]:
    """Independent draws from U(-1 / sqrt(fan_in), 1 / sqrt(fan_in)), PyTorch's default for weights and biases.

    Args:
        key: random key.
        shape: of the draw.
        fan_in: number of inputs of the layer, at least 1.

    Returns:
        float32 of the given shape.

    Raises:
        ValueError: if fan_in is not positive.
    """
    if fan_in < 1:
        raise ValueError(f"uniform_fan_in: fan_in is {fan_in}, expected at least 1")
    bound = 1 / math.sqrt(fan_in)
    return jax.random.uniform(key, shape, jnp.float32, -bound, bound)


def normal(key: PRNGKeyArray, shape: tuple[int, ...], scale: Scalar) -> Float32[Array, "..."]:
    """Independent draws from N(0, scale^2).

    Args:
        key: random key.
        shape: of the draw.
        scale: the standard deviation; it is rounded to float32, so that every precision sees one draw.

    Returns:
        float32 of the given shape.
    """
    return jnp.asarray(scale, jnp.float32) * jax.random.normal(key, shape, jnp.float32)
