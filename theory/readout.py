"""Training the last layer alone: the risk is quadratic in it, so that its gradient flow has a closed form.

The output at point i, of probability p_i, is sum_j weights[j] a[j] features[i, j]. Time is mean-field time: each a_j
moves at rate one whatever its weight. A network in another scaling has weights of 1.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from theory.arrays import Scalar


def second_layer_flow(
    a: Float[Array, "n"],
    features: Float[Array, "m n"],
    target: Float[Array, "m"],
    probabilities: Float[Array, "m"],
    weights: Float[Array, "n"],
    time: Scalar,
    ridge: Scalar = 0.0,
) -> Float[Array, "n"]:
    """The flow a_j' = E[(h - f) features_j] - ridge a_j after a time, by the eigenvectors of its kernel.

    The kernel is K(x, y) = sum_j weights[j] features_j(x) features_j(y). Along an eigenvector of eigenvalue k^2 the
    rate is k^2 + ridge; the part of a that no point sees decays at rate ridge.

    Args:
        a: the readout at time 0, shape (n,).
        features: of n neurons at m points, shape (m, n).
        target: h at the points, shape (m,).
        probabilities: of the points, shape (m,).
        weights: of the neurons, positive, shape (n,); 1/n each in mean-field scaling.
        time: at least 0. At infinity the answer is kernel ridge regression, the minimiser of
            E[(h - f)^2] + ridge sum_j weights[j] a_j^2; with no ridge, the minimiser of the risk nearest to `a`.
        ridge: the penalty, at least 0.

    Returns:
        The readout at the time, shape (n,).

    Source: second phase of arXiv 2202.08658 (from memory, unverified); the formula is derived.
    """
    rows, columns = jnp.sqrt(probabilities), jnp.sqrt(weights)
    # In b = sqrt(weights) a the flow is that of least squares, whose matrix is symmetric.
    b = columns * a
    left, k, right = jnp.linalg.svd(rows[:, None] * features * columns[None, :], full_matrices=False)
    # Round-off in the place of a zero would be followed for ever: at time infinity it would be divided by.
    k = jnp.where(k > jnp.finfo(k.dtype).eps * max(features.shape) * k[0], k, 0.0)
    start, goal = right @ b, left.T @ (rows * target)
    decay, gain = _decay_and_gain(jnp.square(k) + ridge, time)
    unseen, _ = _decay_and_gain(jnp.asarray(ridge, k.dtype), time)
    return (unseen * (b - right.T @ start) + right.T @ (decay * start + gain * k * goal)) / columns


def _decay_and_gain(rate: Float[Array, "*any"], time: Scalar) -> tuple[Float[Array, "*any"], Float[Array, "*any"]]:
    """exp(-rate t) and its integral up to t, of which 0 stands for the value at rate 0: nothing drives that part."""
    moves = rate > 0
    fall = jnp.expm1(-jnp.where(moves, rate, 1.0) * time)
    return jnp.where(moves, 1 + fall, 1.0), jnp.where(moves, -fall / jnp.where(moves, rate, 1.0), 0.0)
