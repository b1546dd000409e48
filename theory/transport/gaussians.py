"""Wasserstein distances and barycenters of Gaussians, which stay among moments.

OTT has the fixed-point iteration too, but stops after 5 rounds at any tolerance, iterates its square roots to an error
that is relative to nothing, and loses matrices of one entry (0.6); here roots are those of eigenvectors.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int


class Centre(NamedTuple):
    """A Gaussian near the barycenter of others, and what is certain about it."""

    mean: Float[Array, "d"]
    """Its mean."""
    covariance: Float[Array, "d d"]
    """Its covariance."""
    value: Float[Array, ""]
    """sum_i lambda_i W_2^2(N_i, N)."""
    lower: Float[Array, ""]
    """A lower bound of the least value over all measures, certified up to rounding errors."""
    upper: Float[Array, ""]
    """The value."""
    marginal_error: Float[Array, ""]
    """|sum_i lambda_i A_i - I| for the linear maps A_i from the Gaussian to each: 0 at the barycenter."""
    oracle_calls: Float[Array, ""]
    """Rounds that it took."""


def root(matrix: Float[Array, "*b d d"]) -> Float[Array, "*b d d"]:
    """The square root of a symmetric matrix without negative eigenvalues, but for rounding."""
    values, vectors = jnp.linalg.eigh(matrix)
    return (vectors * jnp.sqrt(jnp.maximum(values, 0.0))[..., None, :]) @ jnp.swapaxes(vectors, -1, -2)


def bures_squared(s: Float[Array, "d d"], t: Float[Array, "d d"]) -> Float[Array, ""]:
    """Tr S + tr T - 2 tr (S^1/2 T S^1/2)^1/2: the squared distance of centred Gaussians.

    Args:
        s: a covariance.
        t: a covariance.

    Returns:
        The squared distance.

    Source: Gelbrich 1990 (from memory, unverified).
    """
    r = root(s)
    return jnp.trace(s) + jnp.trace(t) - 2 * jnp.trace(root(r @ t @ r))


def maps_from(covariance: Float[Array, "d d"], covariances: Float[Array, "k d d"]) -> Float[Array, "k d d"]:
    """The optimal linear maps A_i = S^-1/2 (S^1/2 S_i S^1/2)^1/2 S^-1/2 from one covariance to others.

    Args:
        covariance: S, positive definite.
        covariances: S_i.

    Returns:
        The maps: symmetric, with A_i S A_i = S_i.
    """
    r = root(covariance)
    inverse = jnp.linalg.inv(r)
    return inverse @ root(r @ covariances @ r) @ inverse


class Iterate(NamedTuple):
    """Where the fixed-point iteration stands."""

    covariance: Float[Array, "d d"]
    """S."""
    map: Float[Array, "d d"]
    """A = sum_i lambda_i A_i, the mean of the maps from S to the covariances: the identity at the barycenter."""
    rounds: Int[Array, ""]
    """How many were made."""

    @property
    def error(self) -> Float[Array, ""]:
        """|A - I|, which no scale changes."""
        return jnp.sqrt(jnp.sum((self.map - jnp.eye(len(self.map), dtype=self.map.dtype)) ** 2))


def first_iterate(covariances: Float[Array, "k d d"], weights: Float[Array, "k"]) -> Iterate:
    """The weighted mean of the covariances, to begin with.

    Args:
        covariances: of the Gaussians, positive definite.
        weights: lambda, with sum 1.
    """
    return _iterate(covariances, weights, jnp.tensordot(weights, covariances, 1), jnp.zeros((), jnp.int32))


def next_iterate(covariances: Float[Array, "k d d"], weights: Float[Array, "k"], before: Iterate) -> Iterate:
    """The image of the Gaussian under the mean of its maps to the others: S <- A S A.

    Source: Alvarez-Esteban, del Barrio, Cuesta-Albertos and Matran 2016 (from memory, unverified).
    """
    moved = before.map @ before.covariance @ before.map
    return _iterate(covariances, weights, (moved + moved.T) / 2, before.rounds + 1)


def _iterate(
    covariances: Float[Array, "k d d"], weights: Float[Array, "k"], covariance: Float[Array, "d d"], rounds: Array
) -> Iterate:
    return Iterate(covariance, jnp.tensordot(weights, maps_from(covariance, covariances), 1), rounds)


def centre(
    means: Float[Array, "k d"],
    covariances: Float[Array, "k d d"],
    weights: Float[Array, "k"],
    mean: Float[Array, "d"],
    covariance: Float[Array, "d d"],
    rounds: int | Int[Array, ""],
) -> Centre:
    """What is certain about a Gaussian as the barycenter of others.

    With maps A_i of weighted mean I, the potentials |y|^2 - y^T A_i y have weighted mean 0, and |x|^2 - x^T A_i^-1 x is
    their transform: the dual value is sum_i lambda_i tr S_i (I - A_i^-1) plus the part of the means.

    Args:
        means: of the Gaussians.
        covariances: of the Gaussians, positive definite.
        weights: lambda, with sum 1.
        mean: of the candidate.
        covariance: of the candidate, positive definite.
        rounds: what it took.

    Returns:
        The candidate with its value and bound.

    Source: Agueh and Carlier 2011 for the dual (from memory, unverified); the bound is derived.
    """
    maps, identity = maps_from(covariance, covariances), jnp.eye(len(mean), dtype=mean.dtype)
    # tr A_i S = tr (S^1/2 S_i S^1/2)^1/2
    cross = jnp.trace(maps @ covariance, axis1=1, axis2=2)
    spread = jnp.trace(covariances, axis1=1, axis2=2)
    value = weights @ (jnp.sum((means - mean) ** 2, axis=1) + spread + jnp.trace(covariance) - 2 * cross)
    excess = jnp.tensordot(weights, maps, 1) - identity
    fitted = maps - excess
    positive = jnp.all(jnp.linalg.eigvalsh(fitted) > 0)
    dual = weights @ (spread - jnp.trace(covariances @ jnp.linalg.inv(fitted), axis1=1, axis2=2))
    between = weights @ jnp.sum((means - weights @ means) ** 2, axis=1)
    lower = between + jnp.where(positive, jnp.maximum(dual, 0.0), 0.0)
    error = jnp.sqrt(jnp.sum(excess**2))
    return Centre(mean, covariance, value, jnp.minimum(lower, value), value, error, jnp.asarray(rounds, value.dtype))
