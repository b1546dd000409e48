"""Spectral factors of a representation: one decomposition, from which every distance at every ridge follows."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from theory.representation.inputs import SMALLEST_SINGLE as SMALLEST_SINGLE
from theory.representation.inputs import Features, Ridges, centred, checked, least_ridge, rounding


class Spectrum(NamedTuple):
    """A representation phi of n inputs through its second moments Sigma = E phi phi^T.

    All of it is NaN where the representation is constant over the inputs or not finite, known only inside a program.

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
        """Whether each direction is within the rank; a NaN is, so that it is not lost."""
        return self.values != 0


def spectrum(features: Features, centre: bool = True, normalise: bool = True, *, name: str = "features") -> Spectrum:
    """The spectral factors of a representation.

    An eigenvalue counts as zero where it is at most max(mu) * max(n, d) * epsilon: duplicated and dead units, and what
    centring removes, change nothing at any ridge.

    Args:
        features: the representation of n inputs, shape (n, d).
        centre: whether to subtract the mean over the inputs.
        normalise: whether to scale to tr Sigma = 1, after centring.
        name: what a message calls the features.

    Raises:
        ValueError: if there is no input or no unit, a number is not finite, or (normalising) all units are constant up
            to rounding; where that is known inside a program only, everything is NaN.

    Source: arXiv 2210.06545, section on estimation (conventions of the authors' code; the cutoff is ours).
    """
    return _factors(checked(features, name, centre, normalise), centre, normalise)


def standard(features: Float[Array, "n d"], centre: bool = True, normalise: bool = True) -> Float[Array, "n d"]:
    """A representation, centred and scaled to sum 1 of squares; NaN if not finite, or constant up to rounding."""
    rest, before, norm = centred(features, centre, normalise)
    varies = norm > rounding(features) * before
    if normalise:
        return jnp.where(varies & jnp.isfinite(before), rest / norm, jnp.nan)
    scaled = jnp.where(varies, rest, 0.0) / jnp.sqrt(features.shape[0])
    return jnp.where(jnp.isfinite(before), scaled, jnp.nan)


@partial(jax.jit, static_argnums=(1, 2))
def _factors(features: Float[Array, "n d"], centre: bool, normalise: bool) -> Spectrum:
    x = standard(features, centre, normalise)
    usable = jnp.isfinite(x[0, 0])
    found = _by_moments(jnp.where(usable, x, 0.0)) if x.shape[0] >= x.shape[1] else _by_svd(jnp.where(usable, x, 0.0))
    return jax.tree.map(lambda part: jnp.where(usable, part, jnp.nan), found)


def _by_svd(x: Float[Array, "n d"]) -> Spectrum:
    u, s, v = jnp.linalg.svd(x, full_matrices=False)
    values = s**2
    present = values > values[0] * rounding(x)
    return Spectrum(u * present[None, :], values * present, v * (s * present)[:, None])


def _by_moments(x: Float[Array, "n d"]) -> Spectrum:
    """From eigenvectors v of X^T X: much faster than the singular vectors of X, and as exact where it has to be.

    The columns of X v should be orthogonal. The rounding of X^T X, epsilon * max(mu), leaves those of eigenvalues mu
    and nu at an angle of epsilon * max(mu) / sqrt(mu nu), so that small ones that count are decomposed again.
    """
    moments, v = _descending(x.T @ x)
    columns, zero = x @ v, moments[0] * rounding(x)
    # in double precision angles of 4e-10, and the rounding of the second decomposition is by as much below the cutoff
    large = moments > moments[0] * float(jnp.finfo(x.dtype).eps) ** 0.4
    unresolved = jnp.any(~large & (moments > zero / 2))
    columns, units = lax.cond(unresolved, _again, lambda x, y, v, large: (y, v.T), x, columns, v, large)
    values = jnp.sum(columns**2, axis=0)
    order = jnp.argsort(-values)  # small ones that were found together are in order up to rounding only
    columns, values, units = columns[:, order], values[order], units[order]
    present = values > zero
    norms = jnp.sqrt(jnp.where(present, values, 1.0))
    return Spectrum(columns * (present / norms)[None, :], values * present, units * (norms * present)[:, None])


def _again(
    x: Float[Array, "n d"], columns: Float[Array, "n d"], v: Float[Array, "d d"], large: Bool[Array, "d"]
) -> tuple[Float[Array, "n d"], Float[Array, "d d"]]:
    """Columns of which the small ones are orthogonal too, by their own moments; and units: X = columns @ units."""
    norms = jnp.where(large, jnp.linalg.norm(columns, axis=0), 1.0)
    unit = jnp.where(large, columns / norms, 0.0)
    rest = jnp.where(large, 0.0, columns)
    along = unit.T @ rest
    rest = rest - unit @ along
    _, turn = _descending(rest.T @ rest)
    turned = jnp.roll(turn, jnp.sum(large), axis=1)  # the large ones come first; of the small ones, zeros last
    units = jnp.where(large[:, None], v.T + (along / norms[:, None]) @ v.T, turned.T @ v.T)
    return jnp.where(large, columns, rest @ turned), units


def _descending(matrix: Float[Array, "d d"]) -> tuple[Float[Array, "d"], Float[Array, "d d"]]:
    values, vectors = jnp.linalg.eigh(matrix)
    return values[::-1], vectors[:, ::-1]


def ridge_filter(of: Spectrum, lam: Ridges) -> Float[Array, "*lams r"]:
    """The filter mu / (mu + lam) of ridge regression, 1 within the rank at lam = 0.

    Args:
        of: spectral factors.
        lam: ridges >= 0, one or several.

    Returns:
        Shape (*lams, r); NaN at a ridge that is negative, known only inside a program.

    Raises:
        ValueError: if a ridge is negative or NaN.
    """
    least_ridge(lam)
    safe = jnp.where(of.present, of.values, 1.0)
    ridges = jnp.asarray(lam, of.values.dtype)[..., None]
    filters = jnp.where(of.present, safe / (safe + ridges), 0.0)
    return jnp.where(ridges >= 0, filters, jnp.nan)


def overlap(a: Spectrum, b: Spectrum) -> Float[Array, "r s"]:
    """Squared inner products of the directions of two representations of the same inputs, shape (r, s)."""
    return jnp.square(a.directions.T @ b.directions)
