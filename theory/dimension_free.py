"""The dimension-free dynamics: the gradient flow of two-layer mean-field networks in the limit of large dimension.

It leaves a saddle along directions that grow exponentially, from errors of 1e-17 if from nothing else. So use float64,
and never read from a long run that some coordinate is found, nor from a run that it is found late.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from theory import boolean
from theory.arrays import Scalar
from theory.integrators import rk4_step
from theory.latents import Latents
from theory.meanfield import Particles, Response, network


class Rates(NamedTuple):
    """How fast each layer moves, and its ridge penalty: lambda / 2 E_particles of the squared weights."""

    xi_a: Scalar = 1.0
    """Rate of the second layer; 0 freezes it."""
    xi_w: Scalar = 1.0
    """Rate of the first layer; 0 freezes it."""
    lambda_a: Scalar = 0.0
    """Penalty on the second layer."""
    lambda_w: Scalar = 0.0
    """Penalty on the first layer."""


BOTH_LAYERS = Rates()
FIRST_LAYER = Rates(xi_a=0.0)
SECOND_LAYER = Rates(xi_w=0.0)


class Trajectory(NamedTuple):
    """What a flow passed through."""

    times: Float[Array, "t"]
    """From 0 to the end, evenly spaced."""
    particles: Particles
    """The particles at each time: every array has a leading axis t."""
    outputs: Float[Array, "t m"]
    """The network at each time, at the points of the law."""


def velocity(
    particles: Particles, target: Float[Array, "m"], law: Latents, response: Response, rates: Rates = BOTH_LAYERS
) -> Particles:
    """The right-hand side of the dimension-free dynamics; its `weights` are 0.

    With r = h - f, and m the mean of the response: a' = xi_a (E[r response] - lambda_a a),
    u' = xi_w (a E[r d_m response z] - lambda_w u) and s' = xi_w (a E[r d_s response] - lambda_w s). For n particles of
    equal weight it is -n times the gradient of half the penalised risk.

    Args:
        particles: n of them.
        target: h at the points of the law, shape (m,).
        law: of the latent coordinates.
        response: of the activation; d_m response = E sigma' and d_s response = E[sigma' G].
        rates: of the layers, with their penalties.

    Returns:
        The time derivative of each part.

    Source: arXiv 2202.08658, the dimension-free dynamics (from memory, unverified); a rate multiplies its penalty too.
    """
    a, u, s, weights = particles
    hidden, pullback = jax.vjp(response, law.points @ u.T, jnp.broadcast_to(s[None, :], (target.size, s.size)))
    residual = law.probabilities * (target - hidden @ (weights * a))
    of_mean, of_scale = pullback(residual[:, None] * a[None, :])
    return Particles(
        a=rates.xi_a * (residual @ hidden - rates.lambda_a * a),
        u=rates.xi_w * (of_mean.T @ law.points - rates.lambda_w * u),
        s=rates.xi_w * (jnp.sum(of_scale, axis=0) - rates.lambda_w * s),
        weights=jnp.zeros_like(weights),
    )


def dimension_free_flow(
    target: Float[Array, "m"],
    particles: Particles,
    law: Latents,
    response: Response,
    *,
    until: Scalar,
    steps: int,
    saves: int = 1,
    rates: Rates = BOTH_LAYERS,
) -> Trajectory:
    """The dimension-free dynamics by the Runge-Kutta method of order 4.

    To train in phases, start each flow from the last particles of the one before. With the first layer frozen,
    `readout.second_layer_flow` is exact and faster. The flow grows stiff as it learns, and beyond the limit of
    stability the result stays finite and is wrong: its risk rises, or levels off as on a plateau, where the exact one
    never rises. For 3 / (1 + exp(1 - 3x)) and scale 1 a step of 0.05 is stable and one of 0.1 is not (measured).

    Args:
        target: h at the points of the law, shape (m,).
        particles: at time 0.
        law: of the latent coordinates.
        response: of the activation.
        until: the length of the flow, in the time of half the risk (twice as fast as that of the risk).
        steps: number of steps, a positive multiple of `saves`.
        saves: number of times after 0 at which the state is kept.
        rates: of the layers, with their penalties.

    Returns:
        The states at times 0, until / saves, ..., until.

    Raises:
        ValueError: if steps is not a positive multiple of saves.

    Source: arXiv 2202.08658 (from memory, unverified).
    """
    if saves < 1 or steps < 1 or steps % saves:
        raise ValueError(f"dimension_free_flow: steps is {steps}, expected a positive multiple of saves, {saves}")
    field = lambda state: velocity(state, target, law, response, rates)
    one = lambda _, state: rk4_step(field, state, until / steps)

    def leg(state: Particles, _: None) -> tuple[Particles, Particles]:
        state = jax.lax.fori_loop(0, steps // saves, one, state)
        return state, state

    _, passed = jax.lax.scan(leg, particles, length=saves)
    passed = jax.tree.map(lambda first, rest: jnp.concatenate((first[None], rest)), particles, passed)
    outputs = jax.lax.map(lambda state: network(state, law.points, response), passed)
    return Trajectory(until * jnp.linspace(0, 1, saves + 1), passed, outputs)


def risk(target: Float[Array, "m"], output: Float[Array, "*t m"], law: Latents) -> Float[Array, "*t"]:
    """The population risk E(h - f)^2, without a factor 1/2.

    Args:
        target: h at the points of the law, shape (m,).
        output: f there, shape (*t, m).
        law: of the latent coordinates.

    Returns:
        Shape (*t,).
    """
    return jnp.square(target - output) @ law.probabilities


def walsh_coefficients(trajectory: Trajectory) -> Float[Array, "t points"]:
    """Fourier coefficients of the network along a flow on Boolean latents.

    Args:
        trajectory: of a flow whose law is `boolean_latents`.

    Returns:
        f_t^(S) at index S as in `boolean.walsh_transform`, shape (t, 2^P).

    Raises:
        ValueError: if the law has a number of points that is no power of two.
    """
    return jax.vmap(boolean.walsh_transform)(trajectory.outputs)
