"""Column generation: a linear program over few tuples, and a search for tuples of negative reduced cost."""

from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias, get_args

import numpy as np
from jaxtyping import Float64

from theory.transport.barycenter_cost import BarycenterCost
from theory.transport.coarsening import coarsened, coarsens, moved_potentials, split
from theory.transport.cost import Cost, Tuples, gathered
from theory.transport.expected import expect_a, expect_number
from theory.transport.low_rank import LowRankPlusSparseCost
from theory.transport.master import Master
from theory.transport.plan import SparsePlan, monotone_plan
from theory.transport.problem import Problem, Solution, dual_value
from theory.transport.vertices import answer_of

Start: TypeAlias = Literal["north_west", "rearrangement", "coarse"]
"""The plan that the first linear program has.

`monotone_plan`, the rearrangement of a low-rank cost, or that of a barycenter of fewer points, whose potentials are the
first ones too; where there are few points or more than three dimensions, this is `monotone_plan`.
"""

LEAST_TOL = 1e-9
"""The smallest gap at which to stop, as a part of the range of the cost."""


class State(NamedTuple):
    """Where column generation stands after a round; only the last one can be stepped on."""

    master: Master
    """The linear program, which the next round changes."""
    tuples: Tuples
    """Its columns at this round."""
    masses: Float64[np.ndarray, "m"]
    """Its solution."""
    potentials: tuple[Float64[np.ndarray, "_"], ...]
    """Its dual solution."""
    centre: tuple[Float64[np.ndarray, "_"], ...]
    """The potentials with the best lower bound."""
    value: float
    """The value of the linear program: an upper bound."""
    lower: float
    """The certified lower bound."""
    calls: int
    """Searches so far."""
    finished: bool
    """Whether the gap is closed, or no tuple of negative reduced cost was found."""


@dataclass(frozen=True)
class ColumnGeneration:
    """The dual is maximised over the tuples known so far; what it violates most is added.

    Every search, at potentials p, certifies sum_i <p_i, mu_i> + min_j (C_j - sum_i p_i[j_i]). Searches are made between
    the best potentials so far and those of the linear program (Wentges smoothing), nearer and nearer to the latter
    until a column is found: in the degenerate programs of transport the duals of a vertex jump about.

    Attributes:
        tol: the gap at which to stop, as a part of the range of the cost, at least 1e-9: the linear program is solved
            to 1e-10.
        smoothing: the weight of the best potentials, in [0, 1).
        batch: the most columns that are added in a round, at least 1.
        purge: columns are removed when there are more than this many for each row, at least 1.
        start: the first plan.
        rounds: the most rounds, at least 1.

    Raises:
        ValueError: if a number is not in its range, or there is no such start.

    Source: arXiv 2008.03006 (from memory, unverified); Wentges 1997 for the smoothing (from memory, unverified).
    """

    tol: float = LEAST_TOL
    smoothing: float = 0.5
    batch: int = 300
    purge: int = 20
    start: Start = "north_west"
    rounds: int = 10_000

    def __post_init__(self) -> None:
        for name in ("tol", "smoothing", "batch", "purge", "rounds"):
            expect_number(f"ColumnGeneration: {name}", getattr(self, name))
        if not self.tol >= LEAST_TOL:
            raise ValueError(f"ColumnGeneration: tol is {self.tol}, expected at least {LEAST_TOL} of the cost's range")
        if not 0 <= self.smoothing < 1:
            raise ValueError(f"ColumnGeneration: smoothing is {self.smoothing}, expected a weight in [0, 1)")
        for name in ("batch", "purge", "rounds"):
            if (value := getattr(self, name)) < 1:
                raise ValueError(f"ColumnGeneration: {name} is {value}, expected at least 1")
        if self.start not in get_args(Start):
            raise ValueError(f"ColumnGeneration: start is {self.start!r}, expected one of {get_args(Start)}")

    def init(self, problem: Problem) -> State:
        """The first linear program.

        Raises:
            ValueError: if the start is for another cost.
        """
        expect_a("ColumnGeneration: problem", problem, Problem)
        master = Master(problem.marginals, _scale(problem.cost), problem.cost.bounds()[0])
        start, centre = self._first(problem)
        good = problem.cost.initial_tuples(problem.marginals)
        first = np.unique(np.concatenate([start, _star(problem), good]), axis=0)
        master.add(first, problem.cost.at(first))
        masses, potentials = master.solve()
        lower = dual_value(problem, centre)
        value = float(masses @ master.costs)
        return State(master, master.tuples, masses, potentials, centre, value, lower, 1, False)

    def step(self, problem: Problem, state: State) -> State:
        """One round: a search, new columns, and the linear program with them."""
        tol = self.tol * _scale(problem.cost)
        new, state = self._search(problem, state, tol)
        if not len(new) or state.value - state.lower <= tol:
            return state._replace(finished=True)
        master = state.master
        if len(master.costs) > self.purge * sum(problem.cost.shape):
            left = master.costs - gathered(state.potentials, master.tuples)
            master.keep(left <= np.median(left))
        master.add(new, problem.cost.at(new))
        masses, potentials = master.solve()
        value = float(masses @ master.costs)
        finished = value - state.lower <= tol
        return State(master, master.tuples, masses, potentials, state.centre, value, state.lower, state.calls, finished)

    def answer(self, problem: Problem, state: State) -> Solution:
        """The plan of the last linear program, rounded, with its certificate."""
        held = state.masses > 0
        plan = SparsePlan(problem.cost.shape, state.tuples[held], state.masses[held])
        return answer_of(problem, plan, state.centre, state.lower, state.calls)

    def solve(self, problem: Problem) -> Solution:
        """Rounds until the gap is closed, no column is found, or there were too many.

        Args:
            problem: with any cost.

        Returns:
            The solution; its support has at most sum_i n_i - k + 1 atoms.

        Raises:
            ValueError: as `init`, or if HiGHS gives no answer.
        """
        state = self.init(problem)
        for _ in range(self.rounds):
            if state.finished:
                break
            state = self.step(problem, state)
        return self.answer(problem, state)

    def _first(self, problem: Problem) -> tuple[Tuples, tuple[Float64[np.ndarray, "_"], ...]]:
        """The tuples of a plan, and potentials."""
        cost, potentials = problem.cost, problem.cost.initial_potentials(problem.marginals)
        needed = {"rearrangement": LowRankPlusSparseCost, "coarse": BarycenterCost}.get(self.start, Cost)
        if not isinstance(cost, needed):
            kind = type(cost).__name__
            raise ValueError(f"start: {self.start!r} needs a {needed.__name__}, got a {kind}; use 'north_west'")
        if isinstance(cost, LowRankPlusSparseCost) and self.start == "rearrangement":
            return cost.rearrangement(problem.marginals).tuples, potentials
        plan = monotone_plan(problem.marginals).tuples
        if isinstance(cost, BarycenterCost) and self.start == "coarse" and coarsens(cost):
            near, potentials = self._from_coarser(problem, cost)
            plan = np.concatenate([plan, near])
        return plan, potentials

    def _from_coarser(
        self, problem: Problem, cost: BarycenterCost
    ) -> tuple[Tuples, tuple[Float64[np.ndarray, "_"], ...]]:
        """Tuples and potentials near those of a barycenter of fewer points, which is found in the same way."""
        coarser = coarsened(cost, problem.marginals)
        solution = self.solve(Problem(coarser.cost, coarser.marginals))
        assert isinstance(solution.plan, SparsePlan)
        potentials = moved_potentials(cost, coarser, solution.potentials)
        near = split(coarser, solution.plan, problem.marginals)
        return np.concatenate([near, cost.price(potentials).tuples]), potentials

    def _search(self, problem: Problem, state: State, tol: float) -> tuple[Tuples, State]:
        """Searches from the best potentials towards those of the linear program, until there are new columns.

        A column that is there already has a negative reduced cost where the cost is rounded to more than `tol`.
        """
        weight = self.smoothing
        while True:
            p = tuple(weight * a + (1 - weight) * b for a, b in zip(state.centre, state.potentials, strict=True))
            found = problem.cost.price(p)
            lower = problem.paired(p) + found.lower
            state = state._replace(calls=state.calls + 1)
            if lower > state.lower:
                state = state._replace(lower=lower, centre=p)
            reduced = problem.cost.at(found.tuples) - gathered(state.potentials, found.tuples)
            below = np.flatnonzero(reduced < -tol / 2)
            below = below[state.master.lacks(found.tuples[below])]
            if len(below) or weight == 0 or state.value - state.lower <= tol:
                return found.tuples[below[np.argsort(reduced[below], kind="stable")[: self.batch]]], state
            weight = weight / 2 if weight > 0.1 else 0.0


def _star(problem: Problem) -> Tuples:
    """The tuple of the heaviest points and those that differ from it in one place: with them the dual is bounded."""
    heaviest = np.array([int(mu.argmax()) for mu in problem.marginals])
    parts = [np.tile(heaviest, (len(mu), 1)) for mu in problem.marginals]
    for i, part in enumerate(parts):
        part[:, i] = np.arange(len(part))
    return np.concatenate(parts)


def _scale(cost: Cost) -> float:
    """The range of the cost, or 1 where it is constant."""
    low, high = cost.bounds()
    return high - low if high > low else 1.0
