"""Hermite analysis on the line with the law N(0, 1).

he_k = He_k / sqrt(k!) are the probabilists' Hermite polynomials, orthonormal under N(0, 1). They are never made from
He_k, which overflows float32 together with k! where he_k is still of order one.
"""

import math
from collections import deque
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import ndtr
from jaxtyping import Array, Float, Float64

from theory.arrays import AnyArray, Scalar, library_of


def hermite(degree: int, x: Float[AnyArray, "*shape"]) -> Float[AnyArray, "*shape"]:
    """The orthonormal Hermite polynomial he_degree at each point.

    Args:
        degree: at least 0.
        x: points of any shape; NumPy or JAX.

    Returns:
        The shape, dtype and library of x.

    Raises:
        ValueError: if the degree is negative.

    Source: standard; he_k = (x he_{k-1} - sqrt(k-1) he_{k-2}) / sqrt(k).
    """
    return deque(_recurrence(degree, x), maxlen=1)[0]


def hermite_all(degree: int, x: Float[AnyArray, "*shape"]) -> Float[AnyArray, "degrees *shape"]:
    """The orthonormal Hermite polynomials he_0, ..., he_degree at each point.

    Args:
        degree: at least 0.
        x: points of any shape; NumPy or JAX.

    Returns:
        Shape (degree + 1, *x.shape), of the dtype and library of x.

    Raises:
        ValueError: if the degree is negative.

    Source: as `hermite`.
    """
    return library_of(x).stack(list(_recurrence(degree, x)))


def gauss_hermite(n: int) -> tuple[Float64[np.ndarray, "n"], Float64[np.ndarray, "n"]]:
    """Gauss-Hermite quadrature for N(0, 1): E f(G) = sum_i weights[i] f(points[i]) for degrees up to 2n - 1.

    It converges only as 1/n for functions with a kink, such as relu: use closed forms there.

    Args:
        n: number of points, at least 1.

    Returns:
        Points in increasing order and weights that sum to 1, float64 NumPy of shape (n,) each.

    Raises:
        ValueError: if n is not positive.

    Source: standard.
    """
    if n < 1:
        raise ValueError(f"gauss_hermite: n is {n}, expected at least 1 point")
    points, weights = _roots(n)
    return points, weights / weights.sum()


def hermite_coefficients(f: Callable[[Any], Any], degree: int, nodes: int = 200) -> Float[np.ndarray | Array, "k"]:
    """Hermite coefficients E[f(G) he_k(G)] of a function for k = 0, ..., degree, by quadrature.

    Args:
        f: the function, elementwise; it is given float64 NumPy points of shape (nodes,).
        degree: the highest degree, at least 0.
        nodes: points of the quadrature: exact where f is a polynomial of degree <= 2 nodes - 1 - degree.

    Returns:
        Shape (degree + 1,): float64 NumPy if f answers in NumPy, else JAX (and f may then hold traced values).

    Raises:
        ValueError: if the degree is negative or nodes is not positive.

    Source: standard.
    """
    points, weights = gauss_hermite(nodes)
    return (hermite_all(degree, points) * weights) @ f(points)


def relu_gaussian_mean(
    mean: Scalar | Float[Array, "*#shape"], scale: Scalar | Float[Array, "*#shape"]
) -> Float[Array, "*#shape"]:
    """E relu(mean + scale G) = mean Phi(mean / scale) + scale phi(mean / scale), with G of law N(0, 1).

    Args:
        mean: any real, of a shape that broadcasts against `scale`.
        scale: at least 0; at 0 the value is relu(mean).

    Returns:
        The common shape. Far in the lower tail (mean / scale below about -5 in float32) only the absolute error is
        small.

    Source: standard; its derivative in mean is Phi(mean / scale).
    """
    # Both branches of `where` are differentiated: the unused one must not divide by zero.
    safe = jnp.where(scale > 0, scale, 1.0)
    z = mean / safe
    density = jnp.exp(-jnp.square(z) / 2) / math.sqrt(2 * math.pi)
    return jnp.where(scale > 0, mean * ndtr(z) + safe * density, jax.nn.relu(mean))


def power_to_hermite(k: int) -> dict[int, float]:
    """Coefficients c_j with x^k = sum_j c_j he_j.

    With k = j + 2m, c_j = k! / (2^m m! j!) sqrt(j!), exact up to the last root.

    Args:
        k: at least 0.

    Returns:
        j -> c_j for the nonzero coefficients, j increasing with the parity of k.

    Raises:
        ValueError: if k is negative.
        OverflowError: if some c_j^2 exceeds the range of a float (k > 151).

    Source: standard.
    """
    _check_degree(k)
    squares = {}
    for j in range(k % 2, k + 1, 2):
        pairs = (k - j) // 2
        matchings = math.comb(k, j) * math.factorial(2 * pairs) // (2**pairs * math.factorial(pairs))
        squares[j] = matchings**2 * math.factorial(j)
    return {j: math.sqrt(square) for j, square in squares.items()}


def hermite_linearization(j: int, k: int) -> dict[int, float]:
    """Coefficients c_l with he_j he_k = sum_l c_l he_l.

    With l = j + k - 2r, c_l = r! binom(j, r) binom(k, r) sqrt(l! / (j! k!)), exact up to the last root.

    Args:
        j: at least 0.
        k: at least 0.

    Returns:
        l -> c_l for the nonzero coefficients, l = |j - k|, |j - k| + 2, ..., j + k.

    Raises:
        ValueError: if j or k is negative.
        OverflowError: if some c_l^2 exceeds the range of a float (j = k > 327).

    Source: standard (product formula of the Hermite polynomials).
    """
    _check_degree(j)
    _check_degree(k)
    coefficients = {}
    for r in range(min(j, k), -1, -1):
        count = math.factorial(r) * math.comb(j, r) * math.comb(k, r)
        ratio = Fraction(math.factorial(j + k - 2 * r), math.factorial(j) * math.factorial(k))
        coefficients[j + k - 2 * r] = math.sqrt(count**2 * ratio)
    return coefficients


def _recurrence(degree: int, x: Float[AnyArray, "*shape"]) -> Iterator[Float[AnyArray, "*shape"]]:
    """he_0(x), ..., he_degree(x), one after the other."""
    _check_degree(degree)
    # 0 * x would turn an infinite x into NaN; x**0 is 1 in both libraries.
    previous, value = x**0, x**0
    yield value
    for k in range(1, degree + 1):
        previous, value = value, (x * value - math.sqrt(k - 1) * previous) / math.sqrt(k)
        yield value


def _roots(n: int) -> tuple[Float64[np.ndarray, "n"], Float64[np.ndarray, "n"]]:
    """Points and unnormalised weights; NumPy's own routine divides by zero from a few hundred points on."""
    from scipy.special import roots_hermitenorm

    return roots_hermitenorm(n)


def _check_degree(degree: int) -> None:
    if degree < 0:
        raise ValueError(f"degree is {degree}: a Hermite polynomial has degree at least 0")
