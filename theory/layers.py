"""The layer primitives of every network: the affine map and the laws of its initial weights."""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
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
    y = _product(weight, rows) if len(weight) > 1 else (rows @ weight[0])[:, None]
    y = y if bias is None else y + bias[None, :]
    return y.reshape(*x.shape[:-1], weight.shape[0])


@jax.custom_jvp
def _product(weight: Float[Array, "out in"], rows: Float[Array, "n in"]) -> Float[Array, "n out"]:
    return rows @ weight.T


@functools.partial(_product.defjvp, symbolic_zeros=True)
def _product_jvp(primals: tuple[Any, Any], tangents: tuple[Any, Any]) -> tuple[Any, Any]:
    """The derivative, so written that the gradient of W is (dy transposed, in memory) times x.

    XLA's product of a transposed left factor on CPU is up to three times slower (128 x 100 into 256: a step of training
    takes 128 us with it and 78 us without), and the barrier keeps the transposition out of the product.
    """
    (weight, rows), (d_weight, d_rows) = primals, tangents
    parts = []
    if not isinstance(d_weight, SymbolicZero):
        by_weight = d_weight @ rows.T
        on_cpu = jax.default_backend() == "cpu"
        parts.append((jax.lax.optimization_barrier(by_weight) if on_cpu else by_weight).T)
    if not isinstance(d_rows, SymbolicZero):
        parts.append(d_rows @ weight.T)
    return _product(weight, rows), sum(parts[1:], parts[0])


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
