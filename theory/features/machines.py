"""Kernel machines that learn features: ridge regression in K_M(x, z) = k((x - z)^T M (x - z)), and updates of M.

Everything is in closed form for radial kernels k(q), q the squared distance: memory is O(n^2 + n d), with no array of
Jacobians. f(x) = sum_j alpha_j k(q(x, x_j)) with alpha of shape (n, c).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from theory.arrays import Scalar
from theory.features.convergence import psd_power
from theory.kernels import squared_distances

ROUNDING = 16
Radial = Callable[[Float[Array, "*any"]], Float[Array, "*any"]]
"""A kernel as a function of the squared distance, elementwise."""


def metric_distances(
    x: Float[Array, "n d"], z: Float[Array, "m d"], metric: Float[Array, "d d"]
) -> Float[Array, "n m"]:
    """(x_i - z_j)^T M (x_i - z_j) for all pairs, with M positive semidefinite; what may be rounding alone is 0.

    Equal points are at distance 0 exactly, where the slope of a kernel may be infinite.
    """
    root = psd_power(metric, 0.5)
    return clean_distances(x @ root, z @ root)


def clean_distances(a: Float[Array, "n d"], b: Float[Array, "m d"]) -> Float[Array, "n m"]:
    """|a_i - b_j|^2 for all pairs; what may be rounding alone is 0."""
    squared = squared_distances(a, b)
    scale = jnp.sum(jnp.square(a), axis=1)[:, None] + jnp.sum(jnp.square(b), axis=1)[None, :]
    return jnp.where(squared > ROUNDING * jnp.finfo(squared.dtype).eps * scale, squared, 0.0)


def slopes(kernel: Radial, squared: Float[Array, "n m"]) -> Float[Array, "n m"]:
    """k'(q) for all pairs; 0 where q = 0, which no update needs."""
    derivative = jax.vmap(jax.grad(lambda q: kernel(q)))(jnp.ravel(squared)).reshape(squared.shape)
    return jnp.where(squared > 0, derivative, 0.0)


def kernel_fact(
    x: Float[Array, "n d"], alpha: Float[Array, "n c"], metric: Float[Array, "d d"], slope: Float[Array, "n n"]
) -> Float[Array, "d d"]:
    """FACT of a kernel ridge regression, sum_i J_f(x_i)^T alpha_i x_i^T = M S.

    Args:
        x: inputs.
        alpha: dual coefficients.
        metric: M.
        slope: k'(q_ij) for all pairs of inputs: `slopes(kernel, metric_distances(x, x, metric))`.

    Source: derived from the main theorem of arXiv 2507.05644: the residual is the ridge times alpha, which cancels it.
    """
    return metric @ fact_factor(x, alpha, slope)


def fact_factor(x: Float[Array, "n d"], alpha: Float[Array, "n c"], slope: Float[Array, "n n"]) -> Float[Array, "d d"]:
    """S = sum_ij k'(q_ij) <alpha_i, alpha_j> (x_i - x_j)(x_i - x_j)^T, symmetric, in O(n^2 (c + d) + n d^2).

    -S/2 is the gradient in M of min_f (1/2) sum |f - y|^2 / ridge + (1/2) |f|^2 over the space of K_M.

    Source: derived, see `kernel_fact`.
    """
    pairs = slope * (alpha @ alpha.T)
    return 2 * (x.T @ (jnp.sum(pairs, axis=1)[:, None] * x) - x.T @ pairs @ x)


def kernel_agop(
    x: Float[Array, "n d"],
    alpha: Float[Array, "n c"],
    metric: Float[Array, "d d"],
    slope: Float[Array, "n n"],
    centre: bool = False,
) -> Float[Array, "d d"]:
    """The average gradient outer product (1/n) sum_i J_f(x_i)^T J_f(x_i), output by output.

    Args:
        x: inputs.
        alpha: dual coefficients.
        metric: M.
        slope: k'(q_ij) for all pairs of inputs: `slopes(kernel, metric_distances(x, x, metric))`.
        centre: whether to subtract the mean Jacobian over the inputs first.

    Source: standard; centring as in the modular-arithmetic experiments that arXiv 2507.05644 compares with.
    """

    def add(total: Float[Array, "d d"], weights: Float[Array, "n"]) -> tuple[Float[Array, "d d"], None]:
        rows = 2 * ((slope @ weights)[:, None] * x - slope @ (weights[:, None] * x))
        rows = rows - jnp.mean(rows, axis=0, keepdims=True) if centre else rows
        return total + rows.T @ rows, None

    zero = jnp.zeros((x.shape[1], x.shape[1]), x.dtype)
    total, _ = jax.lax.scan(add, zero, alpha.T)
    return metric @ (total / x.shape[0]) @ metric


def nfa_update(
    x: Float[Array, "n d"],
    alpha: Float[Array, "n c"],
    metric: Float[Array, "d d"],
    slope: Float[Array, "n n"],
    power: Scalar = 0.5,
    centre: bool = False,
) -> Float[Array, "d d"]:
    """M <- AGOP^power: power 1 in the first recursive feature machines, 1/2 in their modular arithmetic.

    Source: the algorithms that arXiv 2507.05644 compares with (settings from their public code).
    """
    return psd_power(kernel_agop(x, alpha, metric, slope, centre), power)


def fact_update(
    x: Float[Array, "n d"], alpha: Float[Array, "n c"], metric: Float[Array, "d d"], slope: Float[Array, "n n"]
) -> Float[Array, "d d"]:
    """M <- (F F^T)^(1/2) with F = FACT; fixed where F = M.

    It is U s U^T of F = U s V^T; F F^T would lose the singular values below about 1e-8 of the largest.

    Source: arXiv 2507.05644 (from memory, unverified).
    """
    u, s, _ = jnp.linalg.svd(kernel_fact(x, alpha, metric, slope))
    return (u * s[None, :]) @ u.T


def fact_mean_update(
    x: Float[Array, "n d"], alpha: Float[Array, "n c"], metric: Float[Array, "d d"], slope: Float[Array, "n n"]
) -> Float[Array, "d d"]:
    """M <- (F M M^T F^T)^(1/4), which is |M S M|^(1/2): the geometric mean of FACT and the last M.

    F M = M S M is symmetric, so one eigendecomposition does; the product of four matrices loses half of the digits.

    Source: the stabilised update of arXiv 2507.05644 (from memory, unverified); the short form is derived.
    """
    values, vectors = jnp.linalg.eigh(metric @ fact_factor(x, alpha, slope) @ metric)
    return (vectors * jnp.sqrt(jnp.abs(values))[None, :]) @ vectors.T


def block_circulance(block: Float[Array, "p p"]) -> Float[Array, ""]:
    """The share of a block's centred energy in its best circulant part: constant in (i - j) mod p, or in (i + j) mod p.

    Args:
        block: an off-diagonal block of a feature matrix of one-hot pairs.

    Returns:
        1 for a circulant or Hankel-circulant block; 0 for a constant one.

    Source: the feature matrices of modular addition in arXiv 2507.05644; the measure is derived.
    """
    p = block.shape[0]
    centred = block - jnp.mean(block)
    rows, columns = jnp.arange(p)[:, None], jnp.arange(p)[None, :]
    energy = lambda index: jnp.sum(jnp.square(jnp.zeros(p).at[index].add(centred))) / p
    best = jnp.maximum(energy((rows - columns) % p), energy((rows + columns) % p))
    whole = jnp.sum(jnp.square(centred))
    varies = whole > jnp.finfo(block.dtype).eps * jnp.sum(jnp.square(block))
    return jnp.where(varies, best / jnp.where(varies, whole, 1.0), 0.0)
