"""Distances between representations of the same inputs, from their spectral factors.

Every function takes features of shape (n, d) and (n, e), centres them and scales them to tr Sigma = 1. `*_between` is
the same of two `Spectrum`s, which many pairs and ridges share. Where the rank alone decides (CCA, and ridges at 0), a
representation of the largest rank that n inputs can have is a warning: all such look alike.
"""

import warnings
from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jax.core import Tracer
from jaxtyping import Array, Float

from theory.arrays import Scalar
from theory.representation.inputs import SMALLEST_SINGLE, Features, Ridges, check_pair, floating, least_ridge
from theory.representation.spectra import Spectrum, overlap, ridge_filter, spectrum


def gulp(a: Features, b: Features, lam: Ridges, *, squared: bool = False) -> Float[Array, "*lams"]:
    """The GULP distance: how differently ridge regressions on two representations predict.

    d^2 = tr(S_a^-lam S_a S_a^-lam S_a) + tr(S_b^-lam S_b S_b^-lam S_b) - 2 tr(S_a^-lam S_ab S_b^-lam S_ab^T), with
    S^-lam = (S + lam)^-1: the squared Hilbert-Schmidt distance of the two prediction operators. It bounds the mean
    squared difference of predictions for every task of norm at most 1, whose supremum is `gulp_operator`.

    Args:
        a: units of n inputs, shape (n, d).
        b: units of the same inputs, shape (n, e).
        lam: ridges >= 0 for covariances of trace 1; at 0 the rank decides.
        squared: whether to return d^2, which the authors' code and figures show.

    Returns:
        A distance for each ridge: 0 for equal representations.

    Raises:
        ValueError: if the inputs differ in number, a number is not finite, all units are constant, a ridge is negative,
            or smaller than 1e-6 in float32.

    Source: arXiv 2210.06545, closed form of the authors' code; the cutoff at lam = 0 is ours (theirs tests > 0).
    """
    return gulp_between(*_spectra(a, b), lam, squared=squared)


def gulp_between(a: Spectrum, b: Spectrum, lam: Ridges, *, squared: bool = False) -> Float[Array, "*lams"]:
    """`gulp` from spectral factors; NaN at a ridge that is negative, which only outside of programs is an error."""
    _check_ridge(lam, a, b)
    f, g = ridge_filter(a, lam), ridge_filter(b, lam)
    cross = jnp.einsum("...r,rs,...s->...", f, overlap(a, b), g)
    # a difference of nearly equal numbers may fall below zero by rounding
    square = jnp.maximum(jnp.sum(f**2, -1) + jnp.sum(g**2, -1) - 2 * cross, 0.0)
    return square if squared else jnp.sqrt(square)


def gulp_operator(a: Features, b: Features, lam: Ridges) -> Float[Array, "*lams"]:
    """The largest root mean squared difference of two ridge predictions over tasks of norm at most 1.

    The operator norm where `gulp` is the Hilbert-Schmidt norm of the same difference, so never larger than `gulp`.

    Args:
        a: units of n inputs, shape (n, d).
        b: units of the same inputs, shape (n, e).
        lam: ridges >= 0, one or several.

    Raises:
        ValueError: as for `gulp`.

    Source: derived from the definitions of arXiv 2210.06545 (their supremum taken outside of the expectation).
    """
    x, y = _spectra(a, b)
    _check_ridge(lam, x, y)
    both = jnp.concatenate([x.directions, y.directions], axis=1)
    basis, _ = jnp.linalg.qr(both)
    inside = both.T @ basis
    signed = jnp.concatenate([ridge_filter(x, lam), -ridge_filter(y, lam)], axis=-1)
    norm = lambda signs: jnp.max(jnp.abs(jnp.linalg.eigvalsh(inside.T @ (signs[:, None] * inside))))
    return lax.map(norm, signed.reshape(-1, signed.shape[-1])).reshape(signed.shape[:-1])


def canonical_correlations(a: Spectrum, b: Spectrum) -> Float[Array, "k"]:
    """Canonical correlations rho in descending order, zeros beyond the smaller rank, shape (min(r, s),)."""
    return jnp.clip(jnp.linalg.svd(a.directions.T @ b.directions, compute_uv=False), 0.0, 1.0)


def cca(a: Features, b: Features) -> Float[Array, ""]:
    """The distance 1 - mean(rho) over the canonical correlations, as many as the smaller rank.

    Source: mean CCA as in the code of arXiv 2210.06545, with ranks in place of widths.
    """
    return cca_between(*_spectra(a, b))


def cca_between(a: Spectrum, b: Spectrum) -> Float[Array, ""]:
    """`cca` from spectral factors."""
    _warn_if_full(a, b)
    return 1 - jnp.sum(canonical_correlations(a, b)) / _smaller_rank(a, b)


def mean_squared_cca(a: Features, b: Features) -> Float[Array, ""]:
    """The distance 1 - mean(rho^2): for full ranks a linear function of `gulp` squared at lam = 0.

    Source: arXiv 2210.06545, relation to CCA.
    """
    return mean_squared_cca_between(*_spectra(a, b))


def mean_squared_cca_between(a: Spectrum, b: Spectrum) -> Float[Array, ""]:
    """`mean_squared_cca` from spectral factors."""
    _warn_if_full(a, b)
    return 1 - jnp.sum(overlap(a, b)) / _smaller_rank(a, b)


def ridge_cca(a: Features, b: Features, lam: Ridges) -> Float[Array, "*lams"]:
    """The similarity tr(S_a^-lam S_ab S_b^-lam S_ba): the inner product of which `gulp` is the distance.

    Source: arXiv 2210.06545, relation to ridge CCA.
    """
    x, y = _spectra(a, b)
    _check_ridge(lam, x, y)
    return jnp.einsum("...r,rs,...s->...", ridge_filter(x, lam), overlap(x, y), ridge_filter(y, lam))


def svcca(a: Features, b: Features, keep: float = 0.99) -> Float[Array, ""]:
    """`cca` of the leading principal components that hold a share `keep` of the variance.

    Raises:
        ValueError: if keep is not in (0, 1], or as for `cca`.

    Source: arXiv 1706.05806 (from memory, unverified).
    """
    if not 0 < keep <= 1:
        raise ValueError(f"keep is {keep}; expected a share in (0, 1]")
    return svcca_between(*_spectra(a, b), keep)


def svcca_between(a: Spectrum, b: Spectrum, keep: Scalar) -> Float[Array, ""]:
    """`svcca` from spectral factors."""
    return cca_between(_leading(a, keep), _leading(b, keep))


def pwcca(a: Features, b: Features) -> Float[Array, ""]:
    """The distance 1 - sum_i w_i rho_i with w_i the share of a's units that lies on its i-th canonical variate.

    It is not symmetric; the weights sum to 1 over the variates of the smaller rank.

    Source: arXiv 1806.05759 (from memory, unverified); the code of arXiv 2210.06545 normalises before it truncates.
    """
    return pwcca_between(*_spectra(a, b))


def pwcca_between(a: Spectrum, b: Spectrum) -> Float[Array, ""]:
    """`pwcca` from spectral factors."""
    _warn_if_full(a, b)
    left, rho, _ = jnp.linalg.svd(a.directions.T @ b.directions, full_matrices=False)
    shares = jnp.sum(jnp.abs(left.T @ a.units), axis=1)
    shares = jnp.where(jnp.arange(len(rho)) < _smaller_rank(a, b), shares, 0.0)
    return 1 - jnp.sum(shares * jnp.clip(rho, 0.0, 1.0)) / jnp.sum(shares)


def linear_cka(a: Features, b: Features) -> Float[Array, ""]:
    """The similarity |S_ab|_F^2 / (|S_a|_F |S_b|_F), 1 for equal representations.

    Source: arXiv 1905.00414 (from memory, unverified); limit of `ridge_cca`, normalised, for lam to infinity.
    """
    return linear_cka_between(*_spectra(a, b))


def linear_cka_between(a: Spectrum, b: Spectrum) -> Float[Array, ""]:
    """`linear_cka` from spectral factors."""
    return (a.values @ overlap(a, b) @ b.values) / (jnp.linalg.norm(a.values) * jnp.linalg.norm(b.values))


def procrustes(a: Features, b: Features, *, squared: bool = False) -> Float[Array, ""]:
    """The distance min_Q |A - B Q|_F over orthogonal maps Q (with zero columns added to the narrower one).

    Args:
        a: units of n inputs, shape (n, d).
        b: units of the same inputs, shape (n, e).
        squared: whether to return the square, |A|^2 + |B|^2 - 2 |A^T B|_*, which the code of arXiv 2210.06545 shows.

    Source: standard; both representations are scaled to |A|_F = |B|_F = 1.
    """
    return procrustes_between(*_spectra(a, b), squared=squared)


def procrustes_between(a: Spectrum, b: Spectrum, *, squared: bool = False) -> Float[Array, ""]:
    """`procrustes` from spectral factors."""
    scaled = jnp.sqrt(a.values)[:, None] * (a.directions.T @ b.directions) * jnp.sqrt(b.values)[None, :]
    nuclear = jnp.sum(jnp.linalg.svd(scaled, compute_uv=False))
    square = jnp.maximum(jnp.sum(a.values) + jnp.sum(b.values) - 2 * nuclear, 0.0)
    return square if squared else jnp.sqrt(square)


class Estimate(NamedTuple):
    """A plug-in estimate from n inputs.

    Attributes:
        value: of the sample.
        corrected: with the jackknife's estimate of the bias, which is O(1/n), taken off.
        error: the jackknife's standard error, O(n^-1/2).
    """

    value: Float[Array, "*lams"]
    corrected: Float[Array, "*lams"]
    error: Float[Array, "*lams"]


def estimate_gulp(a: Features, b: Features, lam: Ridges, groups: int = 20) -> Estimate:
    """`gulp` squared with its error bar, by the jackknife that leaves out one group of inputs at a time.

    Args:
        a: units of n inputs, in random order, shape (n, d).
        b: units of the same inputs, shape (n, e).
        lam: ridges >= 0.
        groups: of nearly equal size, at least 2.

    Raises:
        ValueError: if there are fewer than 2 groups or more than inputs, or as for `gulp`.

    Source: arXiv 2210.06545 for the rates (from memory, unverified); the jackknife is standard.
    """
    n = a.shape[0]
    if not 2 <= groups <= n:
        raise ValueError(f"groups is {groups}; expected at least 2 and at most the {n} inputs")
    x, y = jnp.asarray(floating(a)), jnp.asarray(floating(b))
    value = gulp(x, y, lam, squared=True)
    keep = [jnp.flatnonzero(jnp.arange(n) % groups != g) for g in range(groups)]
    parts = jnp.stack([gulp(x[k], y[k], lam, squared=True) for k in keep])
    mean = jnp.mean(parts, axis=0)
    variance = (groups - 1) * jnp.mean(jnp.square(parts - mean[None]), axis=0)
    return Estimate(value, groups * value - (groups - 1) * mean, jnp.sqrt(variance))


def _spectra(a: Features, b: Features) -> tuple[Spectrum, Spectrum]:
    check_pair(a, b)
    return spectrum(a, name="a"), spectrum(b, name="b")


def _check_ridge(lam: Ridges, *every: Spectrum) -> None:
    """Ridges that distances between these representations can be computed at; a warning where they say little.

    Raises:
        ValueError: if one is negative or NaN, or too small for single precision.
    """
    least = least_ridge(lam)
    if least is None:
        return
    if least < SMALLEST_SINGLE and any(one.values.dtype == jnp.float32 for one in every):
        raise ValueError(
            f"lam is {least} and the features are float32; expected float64 below {SMALLEST_SINGLE}: features of NumPy "
            'in float64, after jax.config.update("jax_enable_x64", True)'
        )
    if least == 0:
        _warn_if_full(*every)


def _warn_if_full(*every: Spectrum) -> None:
    """A warning of concrete representations whose rank is all that n centred inputs leave: they span the same space."""
    for one in every:
        n = one.directions.shape[0]
        if not isinstance(one.values, Tracer) and (rank := int(jnp.sum(one.present))) >= max(n - 1, 1):
            message = f"{n} inputs of rank {rank}: every such representation looks alike, use more inputs or a ridge"
            warnings.warn(message, stacklevel=4)


def _smaller_rank(a: Spectrum, b: Spectrum) -> Float[Array, ""]:
    return jnp.minimum(jnp.sum(a.present), jnp.sum(b.present)).astype(a.values.dtype)


def _leading(of: Spectrum, keep: Scalar) -> Spectrum:
    """The directions up to the first that completes the share."""
    before = jnp.cumsum(of.values) - of.values
    inside = before < keep * jnp.sum(of.values)
    return Spectrum(of.directions * inside[None, :], of.values * inside, of.units * inside[:, None])
