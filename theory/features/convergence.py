"""The Features at Convergence Theorem for a layer of a network, and the neural feature ansatz beside it.

A layer acts as W h. At a critical point of mean loss + (lam/2) |W|_F^2 the matrix W^T W equals FACT; away from one it
need not, so a comparison is worth what the gradient's norm beside it is.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Float

from theory.arrays import Scalar

CHUNK = 64


def fact(weight: Float[Array, "out in"], gradient: Float[Array, "out in"], lam: Scalar) -> Float[Array, "in in"]:
    """FACT = -1/(n lam) sum_i (grad_h l_i) h_i^T of a layer W h, which is -W^T G / lam.

    grad_h l_i = W^T d_i with d_i the gradient at W h_i, and G = (1/n) sum_i d_i h_i^T is the gradient of the mean loss
    in W: one backward pass, and no Jacobian.

    Args:
        weight: W.
        gradient: G, of the mean loss without the penalty.
        lam: the penalty's factor, in lam/2 |W|_F^2; positive.

    Returns:
        W^T W at a critical point; symmetric there, and not before.

    Raises:
        ValueError: if lam is not positive.

    Source: arXiv 2507.05644, main theorem.
    """
    if not isinstance(lam, Tracer) and not lam > 0:
        raise ValueError(f"lam is {lam}; expected a positive one: without a penalty no FACT is defined")
    return -(weight.T @ gradient) / lam


def fact_of_layer(
    model: eqx.Module,
    layer: Callable[[Any], Float[Array, "out in"]],
    loss: Callable[[Any], Float[Array, ""]],
    lam: Scalar,
) -> Float[Array, "in in"]:
    """`fact` for a weight matrix of any Equinox model.

    Args:
        model: the model.
        layer: picks the matrix, as for `eqx.tree_at`: `lambda model: model.layers[0].weight`.
        loss: of a model, the mean over the data without the penalty.
        lam: the penalty's factor, in lam/2 |W|_F^2; positive.

    Raises:
        ValueError: if lam is not positive.

    Source: arXiv 2507.05644, main theorem.
    """
    weight = layer(model)
    return fact(weight, jax.grad(lambda w: loss(eqx.tree_at(layer, model, w)))(weight), lam)


def agop(
    f: Callable[[Float[Array, "d"]], Float[Array, "..."]],
    points: Float[Array, "n d"],
    chunk: int = CHUNK,
    weights: Float[Array, "n"] | None = None,
) -> Float[Array, "d d"]:
    """The average gradient outer product sum_i w_i J_i^T J_i, with J_i the Jacobian of f at point i.

    Args:
        f: a function of one point, with any number of outputs.
        points: where, shape (n, d).
        chunk: points whose Jacobians are in memory together.
        weights: w, with sum 1; None for 1/n each.

    Source: standard; the neural feature ansatz is W^T W proportional to a power of it.
    """

    def product(x: Float[Array, "d"], weight: Float[Array, ""]) -> Float[Array, "d d"]:
        jacobian = jax.jacrev(lambda z: jnp.ravel(f(z)))(x)
        return weight * (jacobian.T @ jacobian)

    n, d = points.shape
    shares = jnp.full(n, 1 / n, points.dtype) if weights is None else weights
    whole = n - n % chunk
    add = lambda total, some: (total + jnp.sum(jax.vmap(product)(*some), axis=0), None)
    blocks = points[:whole].reshape(-1, chunk, d), shares[:whole].reshape(-1, chunk)
    total, _ = jax.lax.scan(add, jnp.zeros((d, d), points.dtype), blocks)
    return add(total, (points[whole:], shares[whole:]))[0]


def psd_power(matrix: Float[Array, "d d"], power: Scalar) -> Float[Array, "d d"]:
    """A power of a positive semidefinite matrix; eigenvalues that rounding made negative count as zero.

    Args:
        matrix: symmetric; only its symmetric part is read.
        power: positive.

    Source: standard.
    """
    values, vectors = jnp.linalg.eigh((matrix + matrix.T) / 2)
    return (vectors * jnp.maximum(values, 0.0)[None, :] ** power) @ vectors.T


def cosine(a: Float[Array, "d e"], b: Float[Array, "d e"]) -> Float[Array, ""]:
    """The cosine <a, b>_F / (|a|_F |b|_F) between two matrices; 0 where one of them is zero.

    Source: the measure of agreement of arXiv 2507.05644 (from memory, unverified).
    """
    norms = jnp.linalg.norm(a) * jnp.linalg.norm(b)
    return jnp.where(norms > 0, jnp.vdot(a, b) / jnp.where(norms > 0, norms, 1.0), 0.0)
