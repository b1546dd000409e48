"""Two-layer networks in mean-field scaling, in the limit of large dimension: particles (a, u, s).

With a target that reads P coordinates z out of d to infinity, a neuron a sigma(<w, x>) is seen only through its readout
a, its weights u on z, and the norm s of the rest of w: <w, x> has the law of <u, z> + s G with G of law N(0, 1). So the
network is f(z) = E_particles[a E_G sigma(<u, z> + s G)]. The average over G, the `Response` of a neuron, is all that is
needed of the activation. A bias is a coordinate of u at which z is 1: append a column of ones to the points.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax.numpy as jnp
from jaxtyping import Array, Float

from theory.arrays import Scalar
from theory.hermite import gauss_hermite

Response: TypeAlias = Callable[[Any, Any], Float[Array, "*shape"]]
"""E sigma(mean + scale G), elementwise in means and scales that broadcast; of ReLU, `hermite.relu_gaussian_mean`."""


class Particles(NamedTuple):
    """Neurons as the limit sees them, and how much each counts."""

    a: Float[Array, "n"]
    """Readouts."""
    u: Float[Array, "n latent"]
    """Weights on the latent coordinates."""
    s: Float[Array, "n"]
    """Norms of the weights on all others."""
    weights: Float[Array, "n"]
    """Weights of a quadrature, with sum 1; they do not move."""


def initial_particles(n: int, latent: int, scale: Scalar = 1.0) -> Particles:
    """The limit at time 0: a at the n midpoints of U(-1, 1), u = 0, s = scale.

    Only a is random in this limit, so that a quadrature of a replaces a sample of neurons.

    Args:
        n: number of particles, at least 1.
        latent: number P of latent coordinates.
        scale: sqrt(d E w_1^2) of the initial first layer.

    Returns:
        Particles of equal weight whose network is 0.

    Raises:
        ValueError: if n is not positive.

    Source: arXiv 2202.08658, initialisation of the dimension-free dynamics (from memory, unverified).
    """
    if n < 1:
        raise ValueError(f"initial_particles: n is {n}, expected at least 1 particle")
    ones = jnp.ones(n)
    return Particles(a=(2 * jnp.arange(n) + 1) / n - 1, u=jnp.zeros((n, latent)), s=scale * ones, weights=ones / n)


def gaussian_response(activation: Callable[[Any], Any], nodes: int = 24) -> Response:
    """E activation(mean + scale G) by quadrature.

    Args:
        activation: smooth, elementwise. 24 nodes resolve a slope times scale up to about 3; for ReLU there is
            `hermite.relu_gaussian_mean`.
        nodes: points of the Gauss-Hermite quadrature, at least 1.

    Returns:
        The response, differentiable in both arguments.

    Raises:
        ValueError: if nodes is not positive.
    """
    points, weights = gauss_hermite(nodes)

    def response(mean: Float[Array, "*#shape"], scale: Float[Array, "*#shape"]) -> Float[Array, "*#shape"]:
        mean, scale = jnp.broadcast_arrays(mean, scale)
        dtype = jnp.result_type(mean, scale)
        at = jnp.asarray(points, dtype).reshape(-1, *[1] * mean.ndim)
        return jnp.tensordot(jnp.asarray(weights, dtype), activation(mean + scale * at), axes=1)

    return response


def features(particles: Particles, z: Float[Array, "m latent"], response: Response) -> Float[Array, "m n"]:
    """The hidden layer E_G sigma(<u_j, z> + s_j G) at each point.

    Args:
        particles: n of them.
        z: points, shape (m, P).
        response: of the activation.

    Returns:
        Shape (m, n).
    """
    return response(z @ particles.u.T, particles.s[None, :])


def network(particles: Particles, z: Float[Array, "m latent"], response: Response) -> Float[Array, "m"]:
    """The network f(z) = sum_j weights_j a_j E_G sigma(<u_j, z> + s_j G) at each point.

    Args:
        particles: n of them.
        z: points, shape (m, P).
        response: of the activation.

    Returns:
        Shape (m,).

    Source: arXiv 2202.08658, the dimension-free limit (from memory, unverified).
    """
    return features(particles, z, response) @ (particles.weights * particles.a)
