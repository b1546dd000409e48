"""What distances between representations ask of their inputs, and what they say of those that are unfit."""

from typing import TypeAlias

import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

Features: TypeAlias = Float[np.ndarray, "..."] | Float[Array, "..."]
"""Units of n inputs, shape (n, d); other shapes are refused with a message."""
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
    x = np.asarray(features)
    if x.ndim != 2 or 0 in x.shape:
        return f"has shape {x.shape}; expected (n, d): the units of n inputs, at least one of each"
    with np.errstate(over="ignore"):
        before = np.linalg.norm(x)
    if not np.isfinite(before):
        broken = np.flatnonzero(~np.isfinite(x).all(axis=0))
        return f"is not finite in unit {broken[0]} ({broken.size} of {x.shape[1]})" if broken.size else _TOO_LARGE
    left = np.linalg.norm(x - np.mean(x, axis=0, keepdims=True)) if centre else before
    if normalise and not left > rounding(x) * before:
        kind = f"constant in all {x.shape[1]} units, but for rounding" if centre else f"zero in all {x.shape[1]} units"
        return f"is {kind}: there is no scale to divide by"
    return None


_TOO_LARGE = "is too large: its norm is not finite"


def rounding(x: Float[np.ndarray, "n d"] | Float[Array, "n d"]) -> float:
    """What a norm, or an eigenvalue, of an (n, d) matrix is uncertain by, relative to the largest."""
    return max(x.shape) * float(np.finfo(x.dtype).eps)


def check_features(features: Features, name: str, centre: bool = True, normalise: bool = True) -> None:
    """Features that have spectral factors; of traced ones only the shape is known.

    Raises:
        ValueError: with the name and what is wrong.
    """
    shape = features.shape
    problem = unusable(np.zeros(shape), normalise=False) if isinstance(features, Tracer) else None
    if not isinstance(features, Tracer):
        problem = unusable(features, centre, normalise)
    if problem:
        raise ValueError(f"{name} {problem}")


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
