"""Kernels on vectors, and kernel ridge regression."""

import jax.numpy as jnp
import jax.scipy.linalg as linalg
from jaxtyping import Array, Float

from theory.arrays import Scalar


def squared_distances(x: Float[Array, "n d"], z: Float[Array, "m d"]) -> Float[Array, "n m"]:
    """|x_i - z_j|^2 for all pairs, without an array of n m d differences.

    Args:
        x: n vectors.
        z: m vectors.

    Returns:
        Shape (n, m), never negative; the error is round-off of |x_i|^2 + |z_j|^2.

    Source: standard; |x|^2 + |z|^2 - 2 <x, z>.
    """
    norms = jnp.sum(jnp.square(x), axis=1)[:, None] + jnp.sum(jnp.square(z), axis=1)[None, :]
    return jnp.maximum(norms - 2 * (x @ z.T), 0.0)


def gaussian_kernel(squared: Float[Array, "*any"], bandwidth: Scalar) -> Float[Array, "*any"]:
    """exp(-q / (2 L^2)) of squared distances q, elementwise.

    Args:
        squared: q, at least 0.
        bandwidth: L, positive.

    Source: standard; as in arXiv 2507.05644.
    """
    return jnp.exp(-squared / (2 * jnp.square(bandwidth)))


def laplace_kernel(squared: Float[Array, "*any"], bandwidth: Scalar) -> Float[Array, "*any"]:
    """exp(-sqrt(q) / L) of squared distances q, elementwise; its derivative at q = 0 is taken as 0.

    Args:
        squared: q, at least 0.
        bandwidth: L, positive.

    Source: standard; as in arXiv 2507.05644.
    """
    # Both branches of `where` are differentiated: the unused one must not divide by zero.
    distance = jnp.where(squared > 0, jnp.sqrt(jnp.where(squared > 0, squared, 1.0)), 0.0)
    return jnp.exp(-distance / bandwidth)


def kernel_ridge(
    gram: Float[Array, "n n"], y: Float[Array, "n *outputs"], probabilities: Float[Array, "n"], lam: Scalar
) -> Float[Array, "n *outputs"]:
    """Dual coefficients of kernel ridge regression: f = sum_j alpha_j k(x_j, .) with the least regularised risk.

    f minimises sum_i p_i (f(x_i) - y_i)^2 + lam |f|^2 in the norm of the kernel's space: alpha solves
    (K + lam D^-1) alpha = y with D = diag(p). With p_i = 1/n that is (K + n lam I) alpha = y.

    Args:
        gram: K_ij = k(x_i, x_j), symmetric and positive semidefinite.
        y: the labels; every output is a regression of its own.
        probabilities: p, positive, with sum 1.
        lam: the penalty; 0 interpolates where K is well conditioned, and gives NaN where it is not.

    Returns:
        alpha, of the shape of y.

    Source: standard.
    """
    root = jnp.sqrt(probabilities).reshape(-1, *(1,) * (y.ndim - 1))
    scaled = jnp.sqrt(probabilities)[:, None] * gram * jnp.sqrt(probabilities)[None, :]
    factor = linalg.cho_factor(scaled + lam * jnp.eye(len(gram), dtype=gram.dtype), lower=True)
    return root * linalg.cho_solve(factor, root * y)
