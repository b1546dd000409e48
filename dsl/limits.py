"""Models of infinite width."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from dsl.activations import Activation
from dsl.domains import Real, Reals
from dsl.fields import Count
from dsl.models import Model
from theory import meanfield


class MeanFieldLimit(Model[Reals, Real]):
    """The dimension-free limit of `TwoLayer(..., MeanField(), bias=False)` on the latent coordinates (2202.08658).

    Particles (a, u, s) with f(z) = mean_j a_j E_G act(<u_j, z> + s_j G), the average over all irrelevant coordinates by
    Gauss-Hermite quadrature with `nodes` points; u = 0 and s = 1 at the start, a at the midpoints of U(-1, 1). Trained
    by `Flow` on `Exact()`; time is that of SGD with step size lr after k steps, t = k lr. From memory, unverified.
    """

    particles: Count
    nodes: Count
    activation: Activation

    def init(self, key: Key[Array, ""], task: Any) -> eqx.Module:
        """The particles at time 0; nothing is random."""
        start = meanfield.initial_particles(self.particles, task.shape[0])
        return ParticleNetwork(start.a, start.u, start.s, self.activation, self.nodes)

    @property
    def time_scale(self) -> float:
        """The number of particles: each moves at rate one."""
        return float(self.particles)


class ParticleNetwork(eqx.Module):
    """The network of equally weighted particles; all of a, u and s move."""

    a: Float[Array, "n"]
    u: Float[Array, "n latent"]
    s: Float[Array, "n"]
    activation: Any
    nodes: int = eqx.field(static=True)

    def __call__(self, z: Float[Array, "m latent"]) -> Float[Array, "m"]:
        """F at each latent point."""
        n = self.a.shape[0]
        particles = meanfield.Particles(self.a, self.u, self.s, jnp.full(n, 1.0 / n))
        return meanfield.network(particles, z, meanfield.gaussian_response(self.activation, self.nodes))
