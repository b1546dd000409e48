"""Multiplicative weights: approximate transport from approximate minima, with sparse plans.

For a target value t the question is whether some P >= 0 with mass 1 has <C, P> <= t and m_i(P) <= mu_i. The loads of
these constraints are kept, and weighted by their exponentials; the tuple of least weighted load is found by the oracle
of least reduced cost. If that load is above 1 no such P exists, and the weights are potentials that prove it.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from theory.transport.cost import Potentials, Tuples, gathered
from theory.transport.expected import expect_a, expect_number
from theory.transport.plan import SparsePlan, marginal_error, monotone_plan, round_sparse
from theory.transport.problem import Problem, Solution, dual_value


class Best(NamedTuple):
    """The best plan and the best bound so far."""

    plan: SparsePlan
    """The plan, with exact marginals."""
    value: float
    """Its cost."""
    error: float
    """max_i |m_i - mu_i|_1 before it was rounded."""
    potentials: tuple[Float64[np.ndarray, "_"], ...]
    """Those of the lower bound."""
    lower: float
    """The certified lower bound."""
    calls: int
    """Calls of the oracle."""
    finished: bool
    """Whether the interval is as small as eps asks, or a trial changed nothing."""


@dataclass(frozen=True)
class MultiplicativeWeights:
    """Bisection on the value, with a packing problem for each.

    Attributes:
        eps: accuracy of the packing problems, in (0, 1/2]: the value is sought to within about eps of the range of the
            cost, in about log(sum n) / eps^2 sum n steps for each target.
        trials: the most targets.

    Raises:
        ValueError: if eps is not in (0, 1/2], or there is no trial.

    Source: arXiv 2008.03006, after Young's packing algorithm (from memory, unverified); the certificates are derived.
    """

    eps: float = 0.1
    trials: int = 20

    def __post_init__(self) -> None:
        expect_number("MultiplicativeWeights: eps", self.eps)
        if not 0 < self.eps <= 0.5:
            raise ValueError(f"MultiplicativeWeights: eps is {self.eps}, expected 0 < eps <= 1/2")
        if self.trials < 1:
            raise ValueError(f"MultiplicativeWeights: trials is {self.trials}, expected at least 1")

    def init(self, problem: Problem) -> Best:
        """The monotone plan, and the better of the cost's own potentials and constant ones."""
        expect_a("MultiplicativeWeights: problem", problem, Problem)
        low, _ = problem.cost.bounds()
        plan, shape = monotone_plan(problem.marginals), problem.cost.shape
        flat = tuple(np.full(n, low / len(shape)) for n in shape)
        starts = (problem.cost.initial_potentials(problem.marginals), flat)
        lower, first = max((dual_value(problem, p), s) for s, p in enumerate(starts))
        return self._marked(problem, Best(plan, plan.cost(problem.cost), 0.0, starts[first], lower, 2, False))

    def step(self, problem: Problem, best: Best) -> Best:
        """A trial at the middle of the interval: a plan of about that value, or a better bound."""
        packing = _Packing(problem, (best.value + best.lower) / 2, self.eps)
        while packing.mass < packing.wanted and not packing.impossible:
            packing.step()
        after = best._replace(calls=best.calls + packing.calls)
        if packing.bound > after.lower:
            after = after._replace(potentials=packing.potentials, lower=packing.bound)
        if not packing.impossible:
            found = packing.plan()
            rounded = round_sparse(found, problem.marginals)
            if (value := rounded.cost(problem.cost)) < after.value:
                error = marginal_error(found.marginals(), problem.marginals)
                after = after._replace(plan=rounded, value=value, error=error)
        stuck = (after.value, after.lower) == (best.value, best.lower)
        return self._marked(problem, after._replace(finished=stuck))

    def answer(self, problem: Problem, best: Best) -> Solution:
        """The best plan with its certificate."""
        value, lower = best.value, min(best.lower, best.value)
        return Solution(best.plan, best.potentials, value, lower, value, best.error, best.plan.support_size, best.calls)

    def solve(self, problem: Problem) -> Solution:
        """Halves the interval of the value until it is within eps of the range of the cost.

        Args:
            problem: with any cost.

        Returns:
            The solution.
        """
        best = self.init(problem)
        for _ in range(self.trials):
            if best.finished:
                break
            best = self.step(problem, best)
        return self.answer(problem, best)

    def _marked(self, problem: Problem, best: Best) -> Best:
        low, high = problem.cost.bounds()
        return best._replace(finished=best.finished or best.value - best.lower <= self.eps * (high - low))


class _Packing:
    """Mass is put on tuples of least weighted load, as long as that is at most 1 per mass.

    A step adds eps to the largest load it touches, so that after a mass of log(rows)/eps no load is more than
    (1 + 2 eps) times the mass.
    """

    def __init__(self, problem: Problem, target: float, eps: float) -> None:
        low, high = problem.cost.bounds()
        self._problem, self._eps, self._low, self._range = problem, eps, low, (high - low) or 1.0
        self._target = self._unit(np.array([target]))[0]
        self._loads = [np.where(mu > 0, 0.0, -np.inf) for mu in problem.marginals]
        self._cost_load = 0.0
        self._tuples: Tuples = np.empty((0, len(self._loads)), np.int64)
        self._costs, self._masses = np.empty(0), np.empty(0)
        self.mass, self.calls, self.impossible, self.bound = 0.0, 0, False, -np.inf
        self.wanted = math.log(1 + sum(problem.cost.shape)) / eps
        self.potentials: tuple[Float64[np.ndarray, "_"], ...] = ()

    def plan(self) -> SparsePlan:
        """The mass that was put, divided by its sum."""
        return SparsePlan(self._problem.cost.shape, self._tuples, self._masses / self._masses.sum())

    def step(self) -> None:
        """Puts mass on a tuple, or finds that none has a load of at most 1."""
        own, weights = self._weights()
        t = self._cached(own, weights)
        if t is None:
            t = self._searched(own, weights)
            if self._load_of(t, own, weights) > 1:
                self.impossible = True
                return
        index, marginals = self._tuples[t], self._problem.marginals
        rates = [1 / mu[v] for mu, v in zip(marginals, index, strict=True)]
        added = self._eps / max(self._costs[t] / self._target, *rates)
        self._masses[t] += added
        self.mass += added
        self._cost_load += added * self._costs[t] / self._target
        for loads, v, rate in zip(self._loads, index, rates, strict=True):
            loads[v] += added * rate

    def _weights(self) -> tuple[float, Potentials]:
        """The exponentials of the loads, with sum 1: that of the cost, and those of the points over their masses."""
        top = max(self._cost_load, *(float(loads.max()) for loads in self._loads))
        own, rest = math.exp(self._cost_load - top), [np.exp(loads - top) for loads in self._loads]
        total = own + sum(float(part.sum()) for part in rest)
        with np.errstate(divide="ignore", invalid="ignore"):
            each = zip(rest, self._problem.marginals, strict=True)
            return own / total, [np.where(mu > 0, part / mu / total, np.inf) for part, mu in each]

    def _cached(self, own: float, weights: Potentials) -> int | None:
        """A tuple met before whose load is at most 1."""
        if not len(self._costs):
            return None
        loads = own * self._costs / self._target + gathered(weights, self._tuples)
        best = int(loads.argmin())
        return best if loads[best] <= 1 else None

    def _searched(self, own: float, weights: Potentials) -> int:
        """The tuple of least load, by the oracle; its certificate is kept if it is the best."""
        scale = self._range * self._target / own
        p = tuple(-scale * part for part in weights)
        found = self._problem.cost.argmin(p)
        self.calls += 1
        if (bound := self._problem.paired(p) + found.lower) > self.bound:
            self.bound, self.potentials = bound, p
        index = np.array([found.at])
        if (known := np.flatnonzero((self._tuples == index).all(axis=1))).size:
            return int(known[0])
        self._tuples = np.concatenate([self._tuples, index])
        self._costs = np.append(self._costs, self._unit(self._problem.cost.at(index)))
        self._masses = np.append(self._masses, 0.0)
        return len(self._costs) - 1

    def _load_of(self, t: int, own: float, weights: Potentials) -> float:
        return float(own * self._costs[t] / self._target + gathered(weights, self._tuples[t : t + 1])[0])

    def _unit(self, costs: Float64[np.ndarray, "m"]) -> Float64[np.ndarray, "m"]:
        """Costs scaled to [1, 2]."""
        return 1 + (costs - self._low) / self._range
