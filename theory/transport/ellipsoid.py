"""The ellipsoid method on the dual: polynomial with an oracle of least reduced cost, and slow; for small instances."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from theory.transport.expected import expect_a
from theory.transport.master import Master
from theory.transport.plan import SparsePlan, monotone_plan
from theory.transport.problem import Problem, Solution
from theory.transport.vertices import answer_of

_MOST_ROWS = 40


@dataclass(frozen=True)
class Ellipsoid:
    """Maximises the concave G(p) = sum_i <p_i, mu_i> + min_j (C_j - sum_i p_i[j_i]) by central cuts.

    mu minus the indicator of the minimiser is a supergradient; with N = sum_i n_i - k coordinates (the first point of
    each marginal has potential 0), the volume of the ellipsoid that holds the maximiser falls by e^(-1/(2(N+1))) a cut.
    The plan is the best one on the tuples that the oracle named.

    Attributes:
        tol: the gap at which to stop, as a part of the range of the cost.
        calls: the most calls of the oracle; a round of cuts is finished.

    Raises:
        ValueError: if tol is negative or NaN, or there is no call.

    Source: arXiv 2008.03006 (the use of it; from memory, unverified); the method is standard.
    """

    tol: float = 1e-6
    calls: int = 20_000

    def __post_init__(self) -> None:
        if not self.tol >= 0:
            raise ValueError(f"Ellipsoid: tol is {self.tol}, expected a number of at least 0")
        if self.calls < 1:
            raise ValueError(f"Ellipsoid: calls is {self.calls}, expected at least 1")

    def solve(self, problem: Problem) -> Solution:
        """Cuts until the best plan on the tuples met is within `tol` of the best bound.

        Args:
            problem: with sum_i n_i <= 40.

        Returns:
            The solution, a vertex.

        Raises:
            ValueError: if the problem is larger.
        """
        expect_a("Ellipsoid: problem", problem, Problem)
        shape = problem.cost.shape
        if sum(shape) > _MOST_ROWS:
            raise ValueError(
                f"Ellipsoid: {sum(shape)} points need about {20 * sum(shape) ** 2} calls of the oracle, more than for "
                f"{_MOST_ROWS}; ColumnGeneration fits: its linear program has {sum(shape)} rows"
            )
        low, high = problem.cost.bounds()
        search = _Search(problem, 2 * (high - low) * len(shape) + 1e-12)
        master, plan = Master(problem.marginals, high - low or 1.0, low), monotone_plan(problem.marginals)
        master.add(plan.tuples, problem.cost.at(plan.tuples))
        masses, _ = master.solve()
        while search.calls < self.calls and masses @ master.costs - search.lower > self.tol * (high - low):
            new = search.cuts(10 * sum(shape))
            master.add(new, problem.cost.at(new))
            masses, _ = master.solve()
        held = masses > 0
        found = SparsePlan(shape, master.tuples[held], masses[held])
        return answer_of(problem, found, search.best, search.lower, search.calls)


class _Search:
    """The ellipsoid (p - centre)^T shape^-1 (p - centre) <= 1, and the best potentials so far."""

    def __init__(self, problem: Problem, radius: float) -> None:
        sizes = [n - 1 for n in problem.cost.shape]
        self._problem, self._splits, n = problem, np.cumsum(sizes)[:-1], sum(sizes)
        self._centre, self._shape = np.zeros(n), radius**2 * max(1, n) * np.eye(n)
        self.calls, self.lower = 0, -np.inf
        self.best = self._potentials()

    def cuts(self, count: int) -> np.ndarray:
        """Cuts through the centre; the tuples that the oracle named, distinct."""
        named = [self._cut() for _ in range(count)]
        return np.unique(np.array(named), axis=0)

    def _cut(self) -> tuple[int, ...]:
        p = self._potentials()
        found = self._problem.cost.argmin(p)
        self.calls += 1
        if (bound := self._problem.paired(p) + found.lower) > self.lower:
            self.lower, self.best = bound, p
        each = zip(self._problem.marginals, found.at, strict=True)
        rising = np.concatenate([(mu - (np.arange(len(mu)) == v))[1:] for mu, v in each])
        self._shrink(rising)
        return found.at

    def _shrink(self, rising: Float64[np.ndarray, "n"]) -> None:
        """The least ellipsoid that holds the half of this one where the function can be larger."""
        n, along = len(rising), self._shape @ rising
        if (length := float(rising @ along)) <= 0:
            return
        along = along / np.sqrt(length)
        self._centre = self._centre + along / (n + 1)
        if n > 1:
            self._shape = n**2 / (n**2 - 1) * (self._shape - 2 / (n + 1) * np.outer(along, along))
        else:
            self._shape = self._shape / 4

    def _potentials(self) -> tuple[Float64[np.ndarray, "_"], ...]:
        return tuple(np.concatenate([[0.0], part]) for part in np.split(self._centre, self._splits))
