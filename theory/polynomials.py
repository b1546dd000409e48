"""Sparse polynomials in many coordinates: one gathered product per term, never a table of size 2^d.

Terms come in a padded layout: row t of an integer array of shape (r, m) lists the coordinates of term t, and the rest
of the row is -1. Where a term has degrees, a second array of the same shape holds them, 0 where the first holds -1.
A coordinate that is neither -1 nor in 0..d makes its term NaN (d, like -1, stands for the constant 1).
"""

from collections.abc import Iterable, Mapping, Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from theory.arrays import library_of
from theory.hermite import hermite

Index = Int[np.ndarray, "r m"] | Int[Array, "r m"]
Degrees = Int[np.ndarray, "r m"]
_PAD = -1


def pad_supports(supports: Iterable[Iterable[int]]) -> Degrees:
    """Sets of coordinates in the padded layout.

    Args:
        supports: r sets of coordinates >= 0, the empty set standing for the constant 1.

    Returns:
        Each set in a row in the order given, padded with -1, int32, shape (r, m) with m the size of the largest.

    Raises:
        ValueError: if a coordinate is negative or occurs twice in a set.
    """
    rows = [tuple(support) for support in supports]
    for t, row in enumerate(rows):
        if min(row, default=0) < 0:
            raise ValueError(f"support {t}: coordinate {min(row)} is negative")
        if len(set(row)) < len(row):
            raise ValueError(f"support {t}: a coordinate occurs twice in {row}")
    return _padded(rows, _PAD)


def pad_exponents(terms: Iterable[Mapping[int, int]]) -> tuple[Degrees, Degrees]:
    """Terms with degrees in the padded layout.

    Args:
        terms: r mappings from coordinates >= 0 to degrees >= 1, the empty one standing for the constant 1.

    Returns:
        The arrays `on` and `degrees` of `monomials` and `hermite_products`, int32, each of shape (r, m).

    Raises:
        ValueError: if a coordinate is negative or a degree is not positive.
    """
    rows = [dict(term) for term in terms]
    for t, row in enumerate(rows):
        if min(row.values(), default=1) < 1:
            raise ValueError(f"term {t}: degree {min(row.values())} in {row} is not positive")
    return pad_supports(rows), _padded([tuple(row.values()) for row in rows], 0)


def characters(x: Float[Array, "*batch d"], index: Index) -> Float[Array, "*batch r"]:
    """Characters chi_S(x) = prod_{i in S} x_i of r sets at each point.

    Args:
        x: points, shape (*batch, d).
        index: the sets, padded with -1 (see `pad_supports`), shape (r, m). A NumPy array is compiled in, and faster.

    Returns:
        Shape (*batch, r), of the dtype of x; 1 for the empty set.

    Source: standard; the padding is that of a constant column appended to x, which -1 points at.
    """
    return jnp.prod(_factors(x, index), axis=-1)


def nested_characters(x: Float[Array, "*batch d"], order: Int[np.ndarray | Array, "k"]) -> Float[Array, "*batch k"]:
    """Characters of the nested sets {order[0]}, {order[0], order[1]}, ..., the terms of a staircase.

    Args:
        x: points, shape (*batch, d).
        order: the coordinates in the order in which they join, shape (k,).

    Returns:
        prod_{i <= j} x[order[i]] at index j, shape (*batch, k), of the dtype of x.

    Source: the staircase S_k of arXiv 2108.10573, before summation.
    """
    return jnp.cumprod(jnp.take(x, order, axis=-1), axis=-1)


def monomials(x: Float[Array, "*batch d"], on: Index, degrees: Degrees) -> Float[Array, "*batch r"]:
    """Products of powers prod_j x[on[t, j]]^degrees[t, j] at each point, for each term t.

    Args:
        x: points, shape (*batch, d).
        on: coordinates, padded with -1, shape (r, m).
        degrees: exponents >= 0, 0 where `on` is padded, shape (r, m); static.

    Returns:
        Shape (*batch, r), of the dtype of x.

    Raises:
        ValueError: if a degree is negative or the shapes differ.
    """
    _check_degrees(on, degrees)
    # x^3 y is the product of x, x, x, y: one gather for all degrees, exact signs, and no pow.
    columns = _padded([np.repeat(np.arange(row.size), row) for row in degrees], degrees.shape[1])
    xp = library_of(on)
    extended = xp.pad(on, ((0, 0), (0, 1)), constant_values=_PAD)
    return characters(x, xp.take_along_axis(extended, columns, axis=1))


def hermite_products(x: Float[Array, "*batch d"], on: Index, degrees: Degrees) -> Float[Array, "*batch r"]:
    """Products of orthonormal Hermite polynomials prod_j he_degrees[t, j](x[on[t, j]]), for each term t.

    Args:
        x: points, shape (*batch, d).
        on: coordinates, padded with -1, shape (r, m).
        degrees: degrees >= 0, 0 where `on` is padded, shape (r, m); static.

    Returns:
        Shape (*batch, r), of the dtype of x. Terms are orthonormal under N(0, I) unless equal.

    Raises:
        ValueError: if a degree is negative or the shapes differ.

    Source: standard; targets of arXiv 2302.11055.
    """
    _check_degrees(on, degrees)
    gathered = _factors(x, on)
    factors = jnp.ones_like(gathered)
    for degree in np.unique(degrees[degrees > 0]).tolist():
        factors = jnp.where(degrees == degree, hermite(degree, gathered), factors)
    return jnp.prod(factors, axis=-1)


def _factors(x: Float[Array, "*batch d"], index: Index) -> Float[Array, "*batch r m"]:
    """The coordinates of each term, 1 in the padding."""
    constant = jnp.ones((*x.shape[:-1], 1), x.dtype)
    return jnp.take(jnp.concatenate((x, constant), axis=-1), index, axis=-1)


def _padded(rows: Sequence[Sequence[int] | Int[np.ndarray, "_"]], fill: int) -> Degrees:
    """Rows of different lengths as one array."""
    table = np.full((len(rows), max(map(len, rows), default=0)), fill, np.int32)
    for t, row in enumerate(rows):
        table[t, : len(row)] = row
    return table


def _check_degrees(on: Index, degrees: Degrees) -> None:
    if on.shape != degrees.shape:
        raise ValueError(f"on has shape {on.shape} and degrees has shape {degrees.shape}: they must be equal")
    if (degrees < 0).any():
        raise ValueError(f"degrees: {degrees.min()} is negative")
