"""What distances between representations ask of their inputs, and what they say of those that are unfit."""

from typing import TypeAlias

import jax.numpy as jnp
import numpy as np
from jax import dtypes
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Real

from theory.arrays import library_of

Features: TypeAlias = Real[np.ndarray, "..."] | Real[Array, "..."] | Bool[np.ndarray, "..."] | Bool[Array, "..."]
"""Units of n inputs, shape (n, d); other shapes are refused with a message."""
Matrix: TypeAlias = Float[np.ndarray, "..."] | Float[Array, "..."]
"""Features in floating point, shape (n, d)."""
Norm: TypeAlias = np.floating | Float[Array, ""]
Ridges: TypeAlias = Float[np.ndarray, "*lams"] | Float[Array, "*lams"] | float
"""Ridges >= 0, one or several."""

SMALLEST_SINGLE = 1e-6


def unusable(features: Features, centre: bool = True, normalise: bool = True) -> str | None:
    """Why concrete features have no spectral factors, or None: the end of a sentence that begins with their name.

    "is not finite in unit 3 (1 of 5)", for example. Units count as constant where what centring leaves is within the
    rounding of the mean, epsilon * max(n, d) of the norm before: scaled to norm 1, that rounding would be the result.

    Args:
        features: the representation of n inputs, shape (n, d).
        centre: whether the mean over the inputs is to be subtracted.
        normalise: whether the scale is to be divided by; without that, constant features are as good as any.
    """
    if problem := _misshapen(features.shape):
        return problem
    given, d = np.asarray(features), features.shape[1]
    if (broken := np.flatnonzero(~np.isfinite(given).all(axis=0))).size:
        return f"is not finite in unit {broken[0]} ({broken.size} of {d})"
    with np.errstate(over="ignore", invalid="ignore"):
        x = floating(given)
        _, before, left = centred(x, centre, normalise)
    if not np.isfinite(before):
        return f"is too large: its norm is not finite in {x.dtype}"
    if not normalise or left > rounding(x) * before:
        return None
    if given.any() and np.abs(x).max() < np.finfo(x.dtype).tiny:
        return f"is too small: no number is as large as the smallest normal one in {x.dtype}"
    kind = f"constant in all {d} units, but for rounding" if centre else f"zero in all {d} units"
    return f"is {kind}: there is no scale to divide by"


def _misshapen(shape: tuple[int, ...]) -> str | None:
    if len(shape) == 2 and 0 not in shape:
        return None
    return f"has shape {shape}; expected (n, d): the units of n inputs, at least one of each"


def floating(features: Features) -> Matrix:
    """Features as the numbers that they are computed in: halves as float32, integers and booleans as JAX's default."""
    kind = jnp.promote_types(features.dtype, jnp.float32) if jnp.issubdtype(features.dtype, jnp.floating) else float
    return features.astype(dtypes.canonicalize_dtype(kind), copy=False)


def centred(x: Matrix, centre: bool, normalise: bool) -> tuple[Matrix, Norm, Norm]:
    """Features of shape (n, d) after centring, their norm before and their norm after it.

    Where the scale will be divided by, all three are in units of a power of two near the largest number, so that no
    square overflows or vanishes, and no bit changes at usual scales.
    """
    xp = library_of(x)
    if normalise:
        tiny = np.finfo(x.dtype).tiny
        largest = xp.max(xp.abs(x))
        largest = xp.where(largest < tiny, xp.ones_like(largest), largest)
        mantissa, _ = xp.frexp(largest)
        x = x / xp.minimum(largest / (2 * mantissa), 1 / tiny)  # whose reciprocal is a normal number too
    rest = x - xp.mean(x, axis=0, keepdims=True) if centre else x
    return rest, xp.linalg.norm(x), xp.linalg.norm(rest)


def rounding(x: Float[np.ndarray, "n d"] | Float[Array, "n d"]) -> float:
    """What a norm, or an eigenvalue, of an (n, d) matrix is uncertain by, relative to the largest."""
    return max(x.shape) * float(np.finfo(x.dtype).eps)


def checked(features: Features, name: str, centre: bool = True, normalise: bool = True) -> Float[Array, "n d"]:
    """Features that have spectral factors, in floating point; of traced ones only the shape is known.

    Raises:
        ValueError: with the name and what is wrong.
    """
    traced = isinstance(features, Tracer)
    if problem := _misshapen(features.shape) if traced else unusable(features, centre, normalise):
        raise ValueError(f"{name} {problem}")
    return jnp.asarray(floating(features))


def check_pair(a: Features, b: Features) -> None:
    """Two representations of the same inputs.

    Raises:
        ValueError: if they are not matrices with equally many rows.
    """
    for name, x in (("a", a), ("b", b)):
        if x.ndim != 2:
            raise ValueError(f"{name} has shape {x.shape}; expected (n, d): the units of n inputs")
    if a.shape[0] != b.shape[0]:
        raise ValueError(f"a has {a.shape[0]} inputs and b {b.shape[0]}; expected the same ones, in one order")


def least_ridge(lam: Ridges) -> float | None:
    """The smallest of concrete ridges, None of traced ones.

    Raises:
        ValueError: if one is negative or NaN.
    """
    if isinstance(lam, Tracer):
        return None
    least = float(np.min(np.asarray(lam, float), initial=np.inf))
    if not least >= 0:
        raise ValueError(f"lam is {least}; expected a ridge of at least 0")
    return least
