"""Entropic multimarginal transport in the log domain, for every cost whose soft sums can be computed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float64, Int

from theory.arrays import Scalar
from theory.transport.cost import LogWeights, SoftCost, expect_soft
from theory.transport.expected import expect_a, expect_number
from theory.transport.plan import Marginals, log_marginals, marginal_error, round_scaled
from theory.transport.precision import largest_entry, rounding, upper_bound
from theory.transport.problem import Problem, Solution, dual_value

SWEEPS = 10_000
"""The most sweeps over all marginals, where nothing else is said."""


class Iterate(NamedTuple):
    """Where Sinkhorn's algorithm stands; arrays, so that `vmap` goes over problems of equal shape."""

    log_weights: tuple[Float[Array, "_"], ...]
    """w of the plan exp(sum_i w_i[j_i] - eta C_j)."""
    error: Float[Array, ""]
    """max_i |m_i - mu_i|_1, each marginal as it was before the last sweep changed it."""
    sweeps: Int[Array, ""]
    """Sweeps so far."""


def first_iterate(log_marginals: LogWeights) -> Iterate:
    """Scalings of one where there is mass.

    Args:
        log_marginals: log mu_i; -inf where there is no mass.

    Returns:
        The iterate before the first sweep.
    """
    weights = tuple(jnp.where(jnp.asarray(wanted) > -jnp.inf, 0.0, -jnp.inf) for wanted in log_marginals)
    return Iterate(weights, jnp.full_like(weights[0][0], jnp.inf), jnp.asarray(0))


def sweep(kernel: SoftCost, log_marginals: LogWeights, eta: Scalar, state: Iterate) -> Iterate:
    """Scales to each marginal in turn: w_i += log mu_i - log m_i.

    Args:
        kernel: the cost C.
        log_marginals: log mu_i.
        eta: the inverse temperature.
        state: the iterate before.

    Returns:
        The iterate after; pure.

    Source: standard; for structured costs arXiv 2008.03006 (from memory, unverified).
    """
    weights, error = list(state.log_weights), jnp.zeros_like(state.error)
    for i, wanted in enumerate(log_marginals):
        held = kernel.log_marginal(tuple(weights), eta, i)
        error = jnp.maximum(error, jnp.sum(jnp.abs(jnp.exp(held) - jnp.exp(wanted))))
        weights[i] = jnp.where(wanted > -jnp.inf, weights[i] + wanted - held, -jnp.inf)
    return Iterate(tuple(weights), error, state.sweeps + 1)


def sinkhorn(kernel: SoftCost, log_marginals: LogWeights, eta: Scalar, tol: Scalar, sweeps: int) -> Iterate:
    """Sweeps until every marginal was within a tolerance of its target before it was changed.

    Args:
        kernel: the cost C.
        log_marginals: log mu_i; -inf where there is no mass.
        eta: the inverse temperature.
        tol: of max_i |m_i - mu_i|_1.
        sweeps: the most sweeps over all marginals.

    Returns:
        The last iterate. Pure: it may be jitted, and mapped by `vmap` over marginals, eta and the cost's arrays.

    Source: as `sweep`.
    """
    expect_soft("sinkhorn", kernel)
    return jax.lax.while_loop(
        lambda state: (state.error > tol) & (state.sweeps < sweeps),
        lambda state: sweep(kernel, log_marginals, eta, state),
        first_iterate(log_marginals),
    )


def scalings(problem: Problem, eta: Scalar, tol: Scalar, sweeps: int = SWEEPS) -> Iterate:
    """Sinkhorn's algorithm on a problem that is known, while eta and the tolerance may be traced.

    Args:
        problem: with a cost that has soft sums.
        eta: the inverse temperature.
        tol: of max_i |m_i - mu_i|_1.
        sweeps: the most sweeps over all marginals.

    Returns:
        As `sinkhorn`.

    Raises:
        ValueError: if the cost has no soft sums.
    """
    return sinkhorn(*soft(problem, "scalings"), eta, tol, sweeps)


def soft(
    problem: Problem, where: str = "MultimarginalSinkhorn"
) -> tuple[SoftCost, tuple[Float64[np.ndarray, "_"], ...]]:
    """The cost with its soft sums, and the logarithms of the marginals; -inf where there is no mass.

    Raises:
        ValueError: if the cost has no soft sums; the message names solvers that do without.
    """
    expect_a(f"{where}: problem", problem, Problem)
    kernel = expect_soft(where, problem.cost)
    with np.errstate(divide="ignore"):
        return kernel, tuple(np.log(mu) for mu in problem.marginals)


@dataclass(frozen=True)
class MultimarginalSinkhorn:
    """The plan exp(sum_i w_i[j_i] - eta C_j), rounded to exact marginals.

    Attributes:
        eta: the inverse temperature; the plan is within log(prod_i n_i) / eta of the least cost.
        tol: max_i |m_i - mu_i|_1 at which to stop.
        sweeps: the most sweeps.

    Raises:
        ValueError: if eta is not positive and finite, tol is negative or NaN, or there is no sweep.
    """

    eta: float
    tol: float = 1e-6
    sweeps: int = SWEEPS

    def __post_init__(self) -> None:
        expect_number("MultimarginalSinkhorn: eta", self.eta)
        if not 0 < self.eta < math.inf:
            raise ValueError(f"MultimarginalSinkhorn: eta is {self.eta}, expected a positive number")
        if not self.tol >= 0:
            raise ValueError(f"MultimarginalSinkhorn: tol is {self.tol}, expected a number of at least 0")
        if self.sweeps < 1:
            raise ValueError(f"MultimarginalSinkhorn: sweeps is {self.sweeps}, expected at least 1")

    def solve(self, problem: Problem) -> Solution:
        """The rounded plan; the lower bound is that of w / eta or (w - log mu) / eta, whichever is better.

        Args:
            problem: with a cost that has soft sums.

        Returns:
            The solution; `oracle_calls` counts sums for one marginal.

        Raises:
            ValueError: if the cost has no soft sums.
        """
        kernel, logs = soft(problem)
        with jax.enable_x64(True):
            found = _sinkhorn(kernel, logs, jnp.float64(self.eta), jnp.float64(self.tol), self.sweeps)
        weights = tuple(np.asarray(w) for w in found.log_weights)
        return self._answer(problem, kernel, weights, len(weights) * int(found.sweeps))

    def _answer(self, problem: Problem, kernel: SoftCost, weights: tuple[np.ndarray, ...], calls: int) -> Solution:
        held = tuple(np.exp(m) for m in log_marginals(kernel, weights, self.eta))
        plan, size = round_scaled(kernel, self.eta, weights, problem.marginals), largest_entry(kernel)
        value = float(plan.cost(kernel))
        upper = float(upper_bound(kernel, value, plan.marginals(), problem.marginals, plan.log_weights, self.eta))
        candidates = [tuple(w / self.eta for w in ws) for ws in (weights, _relative(weights, problem.marginals))]
        lower, first = max((dual_value(problem, p) - float(rounding(p, size)), -c) for c, p in enumerate(candidates))
        potentials, lower = candidates[-first], min(lower, upper)
        error = marginal_error(held, problem.marginals)
        return Solution(plan, potentials, value, lower, upper, error, float(plan.support_size), calls + 2)


def _relative(weights: Sequence[Float64[np.ndarray, "_"]], marginals: Marginals) -> list[Float64[np.ndarray, "_"]]:
    """Scalings of the product of the marginals instead of the counting measure; -inf where there is no mass."""
    with np.errstate(divide="ignore"):
        return [w - np.where(mu > 0, np.log(mu), 0.0) for w, mu in zip(weights, marginals, strict=True)]


_sinkhorn = jax.jit(sinkhorn, static_argnames="sweeps")
