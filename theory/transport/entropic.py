"""Plans that Sinkhorn's scalings give, rounded to exact marginals, and what is certain about them; may be traced.

`MultimarginalSinkhorn` says the same on the host, where a better lower bound may be known.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from theory.arrays import Scalar
from theory.transport.cost import LogWeights, SoftCost
from theory.transport.expected import expect_a
from theory.transport.plan import Marginals, ScaledPlan, log_marginals, round_scaled
from theory.transport.precision import largest_entry, rounding, upper_bound
from theory.transport.problem import Problem
from theory.transport.sinkhorn import Iterate, soft

_COLD = 2.0**60  # an inverse temperature, in units of the cost, at which soft minima are minima


class Entropic(NamedTuple):
    """A plan with exact marginals, and what is certain about it: a `Solution` whose parts may be traced."""

    plan: ScaledPlan
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
    kernel, logs = soft(problem, "entropic")
    expect_a("entropic: found", found, Iterate)
    weights, marginals = tuple(map(jnp.asarray, found.log_weights)), problem.marginals
    plan = round_scaled(kernel, eta, weights, marginals)
    value, held = jnp.asarray(plan.cost()), log_marginals(kernel, weights, eta)
    upper = jnp.asarray(upper_bound(kernel, value, plan.marginals(), marginals, plan.log_weights, eta))
    relative = tuple(w - np.where(mu > 0, log, 0.0) for w, mu, log in zip(weights, marginals, logs, strict=True))
    lower = jnp.maximum(*(_dual(kernel, marginals, tuple(w / eta for w in ws)) for ws in (weights, relative)))
    errors = [jnp.sum(jnp.abs(jnp.exp(m) - mu)) for m, mu in zip(held, marginals, strict=True)]
    calls = len(weights) * found.sweeps + 2
    return Entropic(
        plan, value, jnp.minimum(lower, upper), upper, jnp.max(jnp.stack(errors)), jnp.asarray(plan.support_size), calls
    )


def _dual(kernel: SoftCost, marginals: Marginals, p: LogWeights) -> Float[Array, ""]:
    """The certified value of potentials, with a soft minimum at which nothing but the minimum counts."""
    paired = sum(jnp.sum(jnp.where(mu > 0, q, 0.0) * mu) for q, mu in zip(p, marginals, strict=True))
    largest = largest_entry(kernel)
    cold = _COLD / 2.0 ** math.ceil(math.log2(largest)) if largest > 0 else _COLD  # powers of two round no product
    minimum = -jax.nn.logsumexp(kernel.log_marginal(tuple(cold * q for q in p), cold, 0)) / cold
    return paired + minimum - kernel.soft_error() - rounding(p, largest)
