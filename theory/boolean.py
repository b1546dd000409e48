"""Fourier analysis on the cube {-1, 1}^n with its uniform law.

Point b of the cube, 0 <= b < 2^n, has x_i = -1 where bit i of b is set, and coefficient S, 0 <= S < 2^n, belongs to
the character chi_S(x) = prod_{i in S} x_i with S read as a bitmask; so chi_S(point b) = (-1)^|S & b|.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, PRNGKeyArray

from theory.arrays import AnyArray, library_of

_MAX_CUBE = 20
_WORD = 32
_LAST = np.uint32(_WORD - 1)
_SIGN = np.uint32(0x80000000)
_ONE = np.uint32(0x3F800000)


def walsh_transform(values: Float[AnyArray, "points"]) -> Float[AnyArray, "points"]:
    """Fourier coefficients of a function on the cube, by the fast Walsh-Hadamard transform in O(n 2^n).

    Args:
        values: f at the points of the cube, in the order of `cube`, shape (2^n,); NumPy or JAX.

    Returns:
        f^(S) = E[f chi_S] at index S, shape (2^n,), of the dtype and library of `values`.

    Raises:
        ValueError: if the length is not a power of two.

    Source: standard; conventions of arXiv 2108.10573 (f^(S) = E[f chi_S]).
    """
    return inverse_walsh_transform(values) / values.size


def inverse_walsh_transform(coefficients: Float[AnyArray, "points"]) -> Float[AnyArray, "points"]:
    """Values sum_S f^(S) chi_S of a function on the cube, the inverse of `walsh_transform`.

    Args:
        coefficients: f^(S) at index S, shape (2^n,); NumPy or JAX.

    Returns:
        f at the points of the cube, in the order of `cube`, shape (2^n,), of the same dtype and library.

    Raises:
        ValueError: if the length is not a power of two.

    Source: standard.
    """
    xp = library_of(coefficients)
    table = coefficients
    # Each pass works on the highest bit and makes it the lowest, so that n passes restore the order.
    for _ in range(_dimension(table.size)):
        low, high = table.reshape(2, -1)
        table = xp.stack((low + high, low - high), axis=-1).reshape(-1)
    return table


def level_weights(coefficients: Float[AnyArray, "points"]) -> Float[AnyArray, "levels"]:
    """Fourier weight of each level, W_k = sum_{|S| = k} f^(S)^2.

    Args:
        coefficients: f^(S) at index S, shape (2^n,); NumPy or JAX.

    Returns:
        W_0, ..., W_n, shape (n + 1,), of the same dtype and library. Their sum is E f^2 (Parseval).

    Raises:
        ValueError: if the length is not a power of two.

    Source: standard; used for group alignment in arXiv 2208.03113.
    """
    xp = library_of(coefficients)
    weights = xp.square(coefficients)[:, None]
    # Adding the highest bit away, with a shift by one level where it is set, sums in pairs: float32 stays accurate.
    for _ in range(_dimension(coefficients.size)):
        low, high = weights.reshape(2, -1, weights.shape[-1])
        weights = xp.pad(low, ((0, 0), (0, 1))) + xp.pad(high, ((0, 0), (1, 0)))
    return weights[0]


def cube(n: int) -> Float32[Array, "points n"]:
    """All points of {-1, 1}^n in the order of `walsh_transform`.

    Args:
        n: the dimension, 0 <= n <= 20.

    Returns:
        The points, values +-1 in float32, shape (2^n, n).

    Raises:
        ValueError: if n is negative or above 20.
    """
    if not 0 <= n <= _MAX_CUBE:
        raise ValueError(
            f"cube: n is {n}, expected 0 <= n <= {_MAX_CUBE}: a table has 2^n rows. For a sparse polynomial in many "
            "coordinates use theory.polynomials.characters, which needs no table."
        )
    bits = jnp.arange(2**n, dtype=jnp.uint32)[:, None] >> jnp.arange(n, dtype=jnp.uint32)[None, :] & 1
    return 1 - 2 * bits.astype(jnp.float32)


def sample_bits(key: PRNGKeyArray, n: int, d: int) -> Float32[Array, "n d"]:
    """Independent uniform points of {-1, 1}^d, from one random bit per coordinate.

    Coordinate i of a point is bit i % 32 of its random word i // 32; so, for one key, points of dimensions with equal
    numbers of words, ceil(d / 32), agree in the coordinates that they share.

    Args:
        key: random key.
        n: number of points.
        d: dimension, at least 0.

    Returns:
        Values +-1 in float32, shape (n, d).
    """
    words = jax.random.bits(key, (n, -(-d // _WORD)), jnp.uint32)
    # A word beside each of its bits, with shifts from an index: XLA makes one vectorised pass of it, five times faster
    # than a third axis of 32 that is flattened and cut.
    repeated = jnp.repeat(words, _WORD, axis=1)[:, :d]
    to_sign = _LAST - jax.lax.iota(jnp.uint32, d) % _WORD
    # The sign bit alone tells 1.0f from -1.0f: no conversion, and 32 times fewer random words than a draw each.
    return jax.lax.bitcast_convert_type(repeated << to_sign[None, :] & _SIGN | _ONE, jnp.float32)


def _dimension(size: int) -> int:
    """The n of size = 2^n."""
    if size < 1 or size & (size - 1):
        raise ValueError(f"a function on the cube has 2^n values, got {size}: not a power of two")
    return size.bit_length() - 1
