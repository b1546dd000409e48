"""Hard problems on graphs, and how whoever solves transport solves them (2012.05398, 2101.01100)."""

import abc
import itertools
from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
from jaxtyping import Array, Int, Key
from pydantic import Field

from dsl.faults import Fault
from dsl.graphs import Graph
from dsl.solving import Problem, Solver
from dsl.spec import Spec
from dsl.transport import Posed
from dsl.transport_solvers import TransportSolver
from theory import transport
from theory.transport.brute_force import max_cut, most_pairs
from theory.transport.cost import Potentials, Tuples


class Verdict(NamedTuple):
    """The answer to a problem on a graph."""

    value: float
    """The largest value found."""
    lower: float
    """A certified lower bound of the maximum."""
    upper: float
    """A certified upper bound."""
    oracle_calls: int
    """Transport problems that were solved for it."""


class GraphProblem(Problem, abstract=True):
    """A problem on a graph that is hard in general."""

    @abc.abstractmethod
    def searched(self) -> int:
        """The maximum, by going through every answer."""

    @abc.abstractmethod
    def counted(self, answers: Tuples) -> Int[np.ndarray, "m"]:
        """The value of each of some answers, one a row."""


class Clique(GraphProblem):
    """The most pairs of adjacent vertices in a k-tuple of vertices: k (k - 1) / 2 exactly if there is a k-clique."""

    graph: Graph
    k: Annotated[int, Field(ge=2)]

    def searched(self) -> int:
        """The maximum over all multisets of k vertices."""
        return most_pairs(np.asarray(self.graph.adjacency), self.k)

    def counted(self, answers: Tuples) -> Int[np.ndarray, "m"]:
        """The pairs of adjacent vertices in k-tuples."""
        adjacency = np.asarray(self.graph.adjacency)
        pairs = itertools.combinations(range(self.k), 2)
        return np.sum([adjacency[answers[:, a], answers[:, b]] for a, b in pairs], axis=0)


class MaxCut(GraphProblem):
    """The most edges between two parts of the vertices."""

    graph: Graph

    def searched(self) -> int:
        """The maximum over all parts."""
        return max_cut(np.asarray(self.graph.adjacency))

    def counted(self, answers: Tuples) -> Int[np.ndarray, "m"]:
        """The edges whose ends are on different sides, 0 and 1 for each vertex."""
        tails, heads = np.nonzero(np.triu(np.asarray(self.graph.adjacency)))
        return np.sum(answers[:, tails] != answers[:, heads], axis=1)


class BruteForce(Solver):
    """Goes through every answer."""

    traced: ClassVar[bool] = False

    @property
    def last(self) -> int:
        """0: the answer comes at once."""
        return 0

    def init(self, problem: Any, key: Key[Array, ""]) -> Verdict:
        """The maximum."""
        found = float(problem.searched())
        return Verdict(found, found, found, 0)

    def answer(self, problem: Any, state: Any) -> Verdict:
        """The maximum."""
        return state

    def unfit(self, problem: Any) -> Iterable[Fault]:
        """A problem with no finite list of answers."""
        if not isinstance(problem, GraphProblem):
            yield Fault((), f"BruteForce goes through answers on a graph; {type(problem).__name__} takes NaiveLp()")


class Search(NamedTuple):
    """What some reductions lead to: the least reduced cost of a tensor."""

    cost: transport.Cost
    """C."""
    potentials: Potentials
    """p: wanted is min_j (C_j - sum_i p_i[j_i])."""


class Reduction(Spec, abstract=True):
    """From a problem on a graph to transport; the least value there is minus a multiple of the maximum here.

    `takes` is the kind of problem, `gives` whether it becomes one transport problem or a search over a cost.
    """

    takes: ClassVar[type[GraphProblem]]
    gives: ClassVar[Literal["transport", "search"]]

    @abc.abstractmethod
    def posed(self, problem: Any) -> Any:
        """A `theory.transport.Problem`, or a `Search`."""

    def factor(self, problem: Any) -> float:
        """The maximum is minus this times the least value."""
        return 1.0

    def answers(self, problem: Any, tuples: Tuples) -> Tuples:
        """The answers to the problem that tuples of the cost stand for; by default they are the tuples."""
        return tuples


class CliqueToTransport(Reduction):
    """C_j = -(adjacent pairs of j): k marginals, each with all vertices (2012.05398)."""

    takes: ClassVar[type[GraphProblem]] = Clique
    gives: ClassVar[Literal["transport", "search"]] = "search"

    def posed(self, problem: Any) -> Search:
        """A graphical cost on all pairs of marginals."""
        cost = transport.clique_to_pairwise(np.asarray(problem.graph.adjacency, np.int64), problem.k)
        return Search(cost, [np.zeros(n) for n in cost.shape])


class CliqueToBarycenter(Reduction):
    """Binary points in dimension k (k - 1) |E| whose variances count adjacent pairs (2101.01100; our construction)."""

    takes: ClassVar[type[GraphProblem]] = Clique
    gives: ClassVar[Literal["transport", "search"]] = "search"

    def posed(self, problem: Any) -> Search:
        """A barycenter's cost, with the potentials that leave -2 pairs / k^2."""
        found = transport.clique_to_barycenter(np.asarray(problem.graph.adjacency, np.int64), problem.k)
        return Search(found.cost, found.potentials)

    def factor(self, problem: Any) -> float:
        """k^2 / 2."""
        return problem.k**2 / 2

    def answers(self, problem: Any, tuples: Tuples) -> Tuples:
        """Their vertices: those without edges have no points."""
        return np.flatnonzero(np.asarray(problem.graph.adjacency).sum(axis=1))[tuples]


class CutToTransport(Reduction):
    """C_j = -(edges whose ends differ), two points and equal masses for each vertex (2012.05398)."""

    takes: ClassVar[type[GraphProblem]] = MaxCut
    gives: ClassVar[Literal["transport", "search"]] = "transport"

    def posed(self, problem: Any) -> transport.Problem:
        """The problem, whose least cost is minus the maximum cut."""
        return transport.cut_to_transport(np.asarray(problem.graph.adjacency, np.int64))


class Reduced(Posed):
    """What a reduction makes of a problem, as a problem of its own."""

    problem: GraphProblem
    by: Reduction

    def check(self) -> Iterable[Fault]:
        """A problem of the kind that the reduction takes."""
        yield from _other_kind(self.by, self.problem)

    @property
    def gives(self) -> Literal["transport", "search"]:
        """As for the reduction."""
        return self.by.gives

    def posed(self) -> Any:
        """A `theory.transport.Problem`, or a `Search`."""
        return self.by.posed(self.problem)


class KelleyCuts(Solver):
    """The least reduced cost of a tensor from transport values and potentials, by cutting planes over the marginals.

    The answer to a `Reduced` problem; in `ByReduction`, to the problem itself.
    """

    traced: ClassVar[bool] = False
    oracle: TransportSolver

    @property
    def last(self) -> int:
        """0: the answer comes at once."""
        return 0

    def solve(self, posed: Search) -> Verdict:
        """The minimum; the oracle solves for one choice of marginals after another."""
        found = transport.min_by_transport(posed.cost, posed.potentials, self.oracle.solve)
        return Verdict(found.value, found.lower, found.value, found.calls)

    def init(self, problem: Any, key: Key[Array, ""]) -> Verdict:
        """The minimum."""
        return self.solve(problem.posed())

    def answer(self, problem: Any, state: Any) -> Verdict:
        """The minimum."""
        return state

    def unfit(self, problem: Any) -> Iterable[Fault]:
        """A problem that is no search over a cost."""
        if not (isinstance(problem, Posed) and problem.gives == "search"):
            kind = type(problem).__name__
            yield Fault((), f"KelleyCuts searches a cost, {kind} has none: use it inside ByReduction(...)")


class ByReduction(Solver):
    """Solves a problem on a graph by what a reduction makes of it."""

    traced: ClassVar[bool] = False
    reduction: Reduction
    by: TransportSolver | KelleyCuts

    def check(self) -> Iterable[Fault]:
        """A solver of what the reduction gives."""
        if (self.reduction.gives == "search") != isinstance(self.by, KelleyCuts):
            needed = "KelleyCuts(...)" if self.reduction.gives == "search" else "a solver of transport"
            yield Fault(("by",), f"{type(self.reduction).__name__} needs {needed}, got {self.by!r}")

    @property
    def last(self) -> int:
        """0: the answer comes at once."""
        return 0

    def init(self, problem: Any, key: Key[Array, ""]) -> Verdict:
        """The answer to the reduced problem, read as one to the problem."""
        solve: Any = self.by.solve
        found, factor = solve(self.reduction.posed(problem)), self.reduction.factor(problem)
        return Verdict(-factor * found.value, -factor * found.upper, -factor * found.lower, found.oracle_calls)

    def answer(self, problem: Any, state: Any) -> Verdict:
        """The maximum."""
        return state

    def unfit(self, problem: Any) -> Iterable[Fault]:
        """A problem of another kind than the reduction takes."""
        yield from _other_kind(self.reduction, problem)


def _other_kind(reduction: Reduction, problem: Any) -> Iterable[Fault]:
    if not isinstance(problem, reduction.takes):
        name = type(reduction).__name__
        yield Fault((), f"{name} takes a {reduction.takes.__name__}, got a {type(problem).__name__}")
