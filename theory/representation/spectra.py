"""Spectral factors of a representation: one decomposition, from which every distance at every ridge follows."""

import warnings
from typing import NamedTuple, TypeAlias

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float

Features: TypeAlias = Float[np.ndarray, "..."] | Float[Array, "..."]
"""Units of n inputs, shape (n, d); other shapes are refused with a message."""
Ridges: TypeAlias = Float[np.ndarray, "*lams"] | Float[Array, "*lams"] | float
"""Ridges >= 0, one or several."""

SMALLEST_SINGLE = 1e-6


class Spectrum(NamedTuple):
    """A representation phi of n inputs through its second moments Sigma = E phi phi^T.

    Attributes:
        directions: left singular vectors of the (n, d) data matrix, columns of zeros beyond its rank, shape (n, r).
        values: eigenvalues mu of Sigma in descending order, zeros beyond the rank, shape (r,).
        units: what each direction contributes to each unit: directions @ units is the data matrix, shape (r, d).
    """

    directions: Float[Array, "n r"]
    values: Float[Array, "r"]
    units: Float[Array, "r d"]

    @property
    def present(self) -> Bool[Array, "r"]:
        """Whether each direction is within the rank."""
        return self.values > 0


def spectrum(features: Features, centre: bool = True, normalise: bool = True) -> Spectrum:
    """The spectral factors of a representation.

    An eigenvalue counts as zero where it is at most max(mu) * max(n, d) * epsilon: duplicated and dead units, and what
    centring removes, change nothing at any ridge.

    Args:
        features: the representation of n inputs, shape (n, d).
        centre: whether to subtract the mean over the inputs.
        normalise: whether to scale to tr Sigma = 1, after centring.

    Raises:
        ValueError: if there is no input or no unit, a number is not finite, or (normalising) all units are constant.

    Source: arXiv 2210.06545, section on estimation (conventions of the authors' code; the cutoff is ours).
    """
    x = jnp.asarray(features)
    _check(x, centre, normalise)
    x = x - jnp.mean(x, axis=0, keepdims=True) if centre else x
    x = x / jnp.linalg.norm(x) if normalise else x / jnp.sqrt(x.shape[0])
    u, s, v = jnp.linalg.svd(x, full_matrices=False)
    values = s**2
    present = values > values[0] * max(x.shape) * jnp.finfo(x.dtype).eps
    return Spectrum(u * present[None, :], values * present, v * (s * present)[:, None])


def ridge_filter(of: Spectrum, lam: Ridges) -> Float[Array, "*lams r"]:
    """The filter mu / (mu + lam) of ridge regression, 1 within the rank at lam = 0.

    Args:
        of: spectral factors.
        lam: ridges >= 0, one or several.

    Returns:
        Shape (*lams, r).
    """
    safe = jnp.where(of.present, of.values, 1.0)
    ridges = jnp.asarray(lam, of.values.dtype)[..., None]
    return jnp.where(of.present, safe / (safe + ridges), 0.0)


def overlap(a: Spectrum, b: Spectrum) -> Float[Array, "r s"]:
    """Squared inner products of the directions of two representations of the same inputs, shape (r, s)."""
    return jnp.square(a.directions.T @ b.directions)


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


def check_ridge(lam: Ridges, *features: Features) -> None:
    """Ridges that distances between these representations can be computed at; with a warning where it says little.

    Raises:
        ValueError: if one is negative or NaN, or too small for single precision.
    """
    if isinstance(lam, Tracer):
        return
    least = float(np.min(np.asarray(lam, float), initial=np.inf))
    if not least >= 0:
        raise ValueError(f"lam is {least}; expected a ridge of at least 0")
    for x in features:
        if least < SMALLEST_SINGLE and x.dtype == jnp.float32:
            raise ValueError(f"lam is {least} and the features are float32; expected float64 below {SMALLEST_SINGLE}")
        n, d = x.shape
        if least == 0 and n <= d and not isinstance(x, Tracer):
            rank = int(np.linalg.matrix_rank(np.asarray(x) - np.mean(np.asarray(x), axis=0, keepdims=True)))
            message = f"at lam = 0, {n} inputs of {d} units have rank {rank}: every such representation looks alike"
            warnings.warn(message, stacklevel=3)


def _check(x: Float[Array, "..."], centre: bool, normalise: bool) -> None:
    if x.ndim != 2 or 0 in x.shape:
        raise ValueError(f"features have shape {x.shape}; expected (n, d) with at least one input and one unit")
    if isinstance(x, Tracer):
        return
    broken = np.flatnonzero(~np.isfinite(np.asarray(x)).all(axis=0))
    if broken.size:
        raise ValueError(f"unit {broken[0]} of the features is not finite ({broken.size} of {x.shape[1]} are not)")
    spread = np.ptp(np.asarray(x), axis=0) if centre else np.abs(np.asarray(x)).max(axis=0)
    if normalise and not spread.any():
        raise ValueError(
            f"all {x.shape[1]} units are {'constant' if centre else 'zero'}: there is no scale to divide by"
        )
