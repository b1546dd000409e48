"""Pseudo-random permutations that are evaluated, never stored: shuffled epochs without an array of indices."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PRNGKeyArray, UInt32

_ROUNDS = 8

Words = UInt32[Array, "..."]


def permuted_index(key: PRNGKeyArray, index: Int[np.ndarray | Array, "*shape"], n: int) -> Int[Array, "*shape"]:
    """A keyed pseudo-random bijection of {0, ..., n-1}, evaluated at `index`.

    A Feistel network permutes the smallest domain of 4^h >= n values; a value that falls outside {0, ..., n-1} is
    permuted again until it does not (cycle walking), fewer than 4 times on average.

    Args:
        key: random key; one for each permutation.
        index: where to evaluate, 0 <= index < n (not checked: it may be traced), any shape.
        n: size of the permuted set, 1 <= n < 2^31; static.

    Returns:
        The image of each index, of the shape and dtype of `index`.

    Raises:
        ValueError: if n is out of range.

    Source: Luby and Rackoff 1988 (Feistel networks); Black and Rogaway 2002 (cycle walking); both from memory,
    unverified. The distribution over keys is not exactly uniform.
    """
    if not 1 <= n < 2**31:
        raise ValueError(f"permuted_index: n is {n}, expected 1 <= n < 2^31")
    half_bits = ((n - 1).bit_length() + 1) // 2
    words = jax.random.bits(key, (_ROUNDS,), jnp.uint32)

    def walk(value: Words) -> Words:
        return jnp.where(value >= n, _feistel(words, value, half_bits), value)

    first = _feistel(words, jnp.asarray(index, jnp.uint32), half_bits)
    return jax.lax.while_loop(lambda value: jnp.any(value >= n), walk, first).astype(index.dtype)


def _feistel(words: UInt32[Array, "rounds"], value: Words, half_bits: int) -> Words:
    """A bijection of {0, ..., 4^half_bits - 1}, one round for each word."""
    mask = jnp.uint32(2**half_bits - 1)
    left, right = value >> half_bits, value & mask
    for word in words:
        left, right = right, left ^ (_mix(right ^ word) & mask)
    return left << half_bits | right


def _mix(value: Words) -> Words:
    """The 32-bit finaliser of MurmurHash3 (from memory): every input bit reaches every output bit."""
    value = (value ^ value >> 16) * jnp.uint32(0x85EBCA6B)
    value = (value ^ value >> 13) * jnp.uint32(0xC2B2AE35)
    return value ^ value >> 16
