"""Plans that Sinkhorn's scalings give, rounded to exact marginals, and what is certain about them; may be traced.

`theory.transport.plan` and `MultimarginalSinkhorn` have the same on the host, where a better lower bound may be known.
"""

import math
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from theory.arrays import Scalar
from theory.transport.cost import LogWeights, SoftCost
from theory.transport.plan import Marginals, log_pair, mean_cost
from theory.transport.precision import largest_entry, rounding, upper_bound
from theory.transport.problem import Problem
from theory.transport.sinkhorn import Iterate, soft

_COLD = 2.0**60  # an inverse temperature, in units of the cost, at which soft minima are minima
_NEGLIGIBLE = 1e-14  # mass that is not worth a correction, as in `plan`


class EntropicPlan(eqx.Module):
    """P_j = exp(sum_i w_i[j_i] - scale C_j) + mass prod_i q_i[j_i], as `ScaledPlan`, of arrays that may be traced.

    Attributes:
        kernel: the cost C.
        scale: eta.
        log_weights: w, the logarithms of the scalings.
        correction: q_i, distributions.
        mass: of the correction.
    """

    kernel: SoftCost
    scale: Scalar
    log_weights: tuple[Float[Array, "_"], ...]
    correction: tuple[Float[Array, "_"], ...]
    mass: Float[Array, ""]

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes n_1, ..., n_k."""
        return self.kernel.shape

    @property
    def support_size(self) -> Float[Array, ""]:
        """The number of tuples of points that have mass; a float, since integers overflow."""
        counts = [jnp.sum(jnp.isfinite(w).astype(float)) for w in self.log_weights]
        return jnp.prod(jnp.stack(counts))

    def marginals(self) -> list[Float[Array, "_"]]:
        """The marginals m_1, ..., m_k."""
        scaled = _marginals(self.kernel, self.log_weights, self.scale)
        return [m + self.mass * q for m, q in zip(scaled, self.correction, strict=True)]

    def cost(self) -> Float[Array, ""]:
        """<C, P>, for the cost that the sums use."""
        scaled, mean = mean_cost(self.kernel, self.log_weights, self.scale)
        _, rest = mean_cost(self.kernel, tuple(jnp.log(q) for q in self.correction), 0.0)
        return jnp.exp(scaled) * mean + self.mass * rest

    def pair(self, i: int, j: int) -> Float[Array, "n m"]:
        """The joint law of two marginals, shape (n_i, n_j); of one with itself, its masses on the diagonal."""
        scaled = jnp.exp(log_pair(self.kernel, self.log_weights, self.scale, i, j))
        q, r = self.correction[i], self.correction[j]
        return scaled + self.mass * (jnp.diag(q) if i == j else jnp.outer(q, r))


class Entropic(NamedTuple):
    """A plan with exact marginals, and what is certain about it: a `Solution` whose parts may be traced."""

    plan: EntropicPlan
    """The plan."""
    value: Float[Array, ""]
    """The cost of the plan."""
    lower: Float[Array, ""]
    """A certified lower bound of the least cost."""
    upper: Float[Array, ""]
    """A certified upper bound: the value, and what the plan's cost may be wrong by."""
    marginal_error: Float[Array, ""]
    """max_i |m_i - mu_i|_1 of the plan before it was rounded."""
    support_size: Float[Array, ""]
    """The number of tuples of points that have mass."""
    oracle_calls: Int[Array, ""]
    """How often the cost was searched or summed."""


def entropic(problem: Problem, eta: Scalar, found: Iterate) -> Entropic:
    """The plan of Sinkhorn's scalings, rounded to exact marginals, with its certified interval.

    Args:
        problem: with a cost that has soft sums; it is known, only eta and scalings may be traced.
        eta: the inverse temperature.
        found: the scalings w.

    Returns:
        The plan; its lower bound is that of w / eta or (w - log mu) / eta, whichever is better. Pure: it may be jitted,
        and mapped by `vmap` over eta and the scalings.

    Raises:
        ValueError: if the cost has no soft sums.
    """
    kernel, logs = soft(problem)
    weights, marginals = found.log_weights, problem.marginals
    plan = rounded(kernel, marginals, eta, weights)
    value = plan.cost()
    upper = jnp.asarray(upper_bound(kernel, value, plan.marginals(), marginals, plan.log_weights, eta))
    relative = tuple(w - np.where(mu > 0, log, 0.0) for w, mu, log in zip(weights, marginals, logs, strict=True))
    lower = jnp.maximum(*(_dual(kernel, marginals, tuple(w / eta for w in ws)) for ws in (weights, relative)))
    held = zip(_marginals(kernel, weights, eta), marginals, strict=True)
    error = jnp.max(jnp.stack([jnp.sum(jnp.abs(m - mu)) for m, mu in held]))
    calls = len(weights) * found.sweeps + 2
    return Entropic(plan, value, jnp.minimum(lower, upper), upper, error, plan.support_size, calls)


def rounded(kernel: SoftCost, marginals: Marginals, scale: Scalar, log_weights: LogWeights) -> EntropicPlan:
    """Slices are scaled down until no point has too much; a product of distributions brings what is missing.

    Args:
        kernel: the cost C.
        marginals: mu, k distributions.
        scale: eta.
        log_weights: w of the plan exp(sum_i w_i[j_i] - eta C_j).

    Returns:
        A plan with these marginals.

    Source: as `theory.transport.plan.round_sparse`.
    """
    weights = [jnp.asarray(w) for w in log_weights]
    for i, mu in enumerate(marginals):
        held = kernel.log_marginal(tuple(weights), scale, i)
        excess = jnp.where(mu > 0, held - np.log(np.where(mu > 0, mu, 1.0)), jnp.inf)
        weights[i] = weights[i] - jnp.maximum(0.0, excess)
    held = _marginals(kernel, tuple(weights), scale)
    missing = [jnp.maximum(mu - m, 0.0) for m, mu in zip(held, marginals, strict=True)]
    mass = jnp.min(jnp.stack([jnp.sum(part) for part in missing]))
    lacking = mass > _NEGLIGIBLE
    parts = [jnp.where(lacking, part, mu) for part, mu in zip(missing, marginals, strict=True)]
    correction = tuple(part / jnp.sum(part) for part in parts)
    return EntropicPlan(kernel, scale, tuple(weights), correction, jnp.where(lacking, mass, 0.0))


def _marginals(kernel: SoftCost, log_weights: LogWeights, scale: Scalar) -> list[Float[Array, "_"]]:
    return [jnp.exp(kernel.log_marginal(log_weights, scale, i)) for i in range(len(log_weights))]


def _dual(kernel: SoftCost, marginals: Marginals, p: LogWeights) -> Float[Array, ""]:
    """The certified value of potentials, with a soft minimum at which nothing but the minimum counts."""
    paired = sum(jnp.sum(jnp.where(mu > 0, q, 0.0) * mu) for q, mu in zip(p, marginals, strict=True))
    largest = largest_entry(kernel)
    cold = _COLD / 2.0 ** math.ceil(math.log2(largest)) if largest > 0 else _COLD  # powers of two round no product
    minimum = -jax.nn.logsumexp(kernel.log_marginal(tuple(cold * q for q in p), cold, 0)) / cold
    return paired + minimum - kernel.soft_error() - rounding(p, largest)
