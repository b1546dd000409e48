"""Hard problems on graphs, and how whoever solves transport solves them (2012.05398, 2101.01100)."""

import abc
import itertools
import math
from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
from jaxtyping import Array, Int, Key
from pydantic import Field

from dsl.faults import Fault, folded
from dsl.graphs import Graph
from dsl.sizes import SEARCHED, TABLE, TENSOR, largest, limit, written_size
from dsl.solving import Problem, Solver
from dsl.spec import Spec
from dsl.transport import Posed
from dsl.transport_solvers import MultimarginalSinkhorn, MultiplicativeWeights, NaiveLp, TransportSolver
from theory import transport
from theory.transport.brute_force import max_cut, most_pairs
from theory.transport.cost import Potentials, Tuples

_SOON = 2**7  # marginals of which a search, which eliminates all for each of them, is compiled in minutes
_LONG = 2**10  # an exponent that is enough to be too large


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
    """A problem on a graph, its field `graph`, that is hard in general."""

    @abc.abstractmethod
    def count(self, vertices: int) -> int:
        """The number of answers that `searched` goes through, on a graph of so many vertices."""

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

    def count(self, vertices: int) -> int:
        """The multisets of k vertices."""
        return math.comb(vertices + self.k - 1, self.k)

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

    def count(self, vertices: int) -> int:
        """The parts, where the first vertex is on one side."""
        return 2 ** (vertices - 1)

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
        """A problem with no finite list of answers, or with too many."""
        if not isinstance(problem, GraphProblem):
            yield Fault((), f"BruteForce goes through answers on a graph; {type(problem).__name__} takes NaiveLp()")
        elif (count := _answers(problem)) > TENSOR:
            says = f"{written_size(count)} answers are more than {limit(TENSOR)}"
            yield Fault((), f"{says}; {fitting(problem)}")


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
        """A `theory.transport.Problem`, or a `Search`.

        Raises:
            ValueError: as `misfit`, for a drawn graph.
        """

    def shape(self, problem: Any) -> tuple[int, ...] | None:
        """The sizes of the marginals; None where they are known only in a run."""
        return None

    def entries(self, problem: Any) -> int | None:
        """The entries of the largest array that every solver needs, or fewer; None where they are known in a run."""
        return None

    def misfit(self, problem: Any) -> str | None:
        """Why no solver can be given what this makes of a problem; None if one can, or if a run will tell."""
        if (entries := self.entries(problem) or 0) <= TABLE:
            return None
        return f"{self!r} makes arrays of {written_size(entries)} entries, more than {limit(TABLE)}; {fitting(problem)}"

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

    def shape(self, problem: Any) -> tuple[int, ...]:
        """All vertices, k times."""
        return (problem.graph.vertices,) * problem.k

    def entries(self, problem: Any) -> int:
        """Tables of all tuples, or a matrix for each pair of marginals."""
        n, k = problem.graph.vertices, problem.k
        return max(n ** min(k, _LONG), math.comb(k, 2) * n**2)

    def posed(self, problem: Any) -> Search:
        """A graphical cost on all pairs of marginals."""
        _expect_fit(self, problem)
        cost = transport.clique_to_pairwise(np.asarray(problem.graph.adjacency, np.int64), problem.k)
        return Search(cost, [np.zeros(n) for n in cost.shape])


class CliqueToBarycenter(Reduction):
    """Binary points in dimension k (k - 1) |E| whose variances count adjacent pairs (2101.01100; our construction)."""

    takes: ClassVar[type[GraphProblem]] = Clique
    gives: ClassVar[Literal["transport", "search"]] = "search"

    def shape(self, problem: Any) -> tuple[int, ...] | None:
        """The vertices that have edges, k times."""
        return None if problem.graph.edges is None else (len(_inside(problem.graph)),) * problem.k

    def entries(self, problem: Any) -> int | None:
        """The coordinates of all points."""
        k, edges = problem.k, problem.graph.edges
        return None if edges is None else k * len(_inside(problem.graph)) * k * (k - 1) * edges

    def misfit(self, problem: Any) -> str | None:
        """Adds: a graph without an edge, which has no points."""
        none = f"CliqueToBarycenter() needs a graph with an edge, got {folded(problem.graph)}"
        return none if problem.graph.edges == 0 else super().misfit(problem)

    def posed(self, problem: Any) -> Search:
        """A barycenter's cost, with the potentials that leave -2 pairs / k^2."""
        _expect_fit(self, problem)
        found = transport.clique_to_barycenter(np.asarray(problem.graph.adjacency, np.int64), problem.k)
        return Search(found.cost, found.potentials)

    def factor(self, problem: Any) -> float:
        """k^2 / 2."""
        return problem.k**2 / 2

    def answers(self, problem: Any, tuples: Tuples) -> Tuples:
        """Their vertices: those without edges have no points."""
        return _inside(problem.graph)[tuples]


class CutToTransport(Reduction):
    """C_j = -(edges whose ends differ), two points and equal masses for each vertex (2012.05398)."""

    takes: ClassVar[type[GraphProblem]] = MaxCut
    gives: ClassVar[Literal["transport", "search"]] = "transport"

    def shape(self, problem: Any) -> tuple[int, ...]:
        """2 for each vertex."""
        return (2,) * problem.graph.vertices

    def entries(self, problem: Any) -> int | None:
        """2^(w + 1) for the least treewidth w of a graph of as many vertices and edges: at most w n - w (w + 1) / 2."""
        n, edges = problem.graph.vertices, problem.graph.edges
        if edges is None:
            return None
        return 2 ** (1 + next(w for w in range(n) if w * n - w * (w + 1) // 2 >= edges))

    def posed(self, problem: Any) -> transport.Problem:
        """The problem, whose least cost is minus the maximum cut."""
        _expect_fit(self, problem)
        try:
            return transport.cut_to_transport(np.asarray(problem.graph.adjacency, np.int64))
        except ValueError as error:
            raise ValueError(f"{error}; {_few(problem)}") from None


class Reduced(Posed):
    """What a reduction makes of a problem, as a problem of its own."""

    problem: GraphProblem
    by: Reduction

    def check(self) -> Iterable[Fault]:
        """A problem of the kind that the reduction takes, and not too large for it."""
        yield from _unfit(self.by, self.problem, "problem")

    @property
    def shape(self) -> tuple[int, ...] | None:
        """As for the reduction."""
        return self.by.shape(self.problem)

    @property
    def gives(self) -> Literal["transport", "search"]:
        """As for the reduction."""
        return self.by.gives

    def posed(self) -> Any:
        """A `theory.transport.Problem`, or a `Search`."""
        return self.by.posed(self.problem)


class KelleyCuts(Solver, version=2):
    """The least reduced cost of a tensor from transport values and potentials, by cutting planes over the marginals.

    The answer to a `Reduced` problem; in `ByReduction`, to the problem itself.
    """

    traced: ClassVar[bool] = False
    oracle: TransportSolver

    def check(self) -> Iterable[Fault]:
        """An oracle that is exact: the cuts of another do not meet."""
        if isinstance(self.oracle, (MultiplicativeWeights, MultimarginalSinkhorn)):
            says = f"expected an exact oracle, NaiveLp() or ColumnGeneration(), got {folded(self.oracle)}"
            yield Fault(("oracle",), says)

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
        """A problem that is no search over a cost, or too large for the oracle."""
        if not (isinstance(problem, Posed) and problem.gives == "search"):
            kind = type(problem).__name__
            yield Fault((), f"KelleyCuts searches a cost, {kind} has none: use it inside ByReduction(...)")
        elif isinstance(problem, Reduced):
            yield from (fault.under("oracle") for fault in _unlisted(self.oracle, problem.by, problem.problem))


class ByReduction(Solver):
    """Solves a problem on a graph by what a reduction makes of it."""

    traced: ClassVar[bool] = False
    reduction: Reduction
    by: TransportSolver | KelleyCuts

    def check(self) -> Iterable[Fault]:
        """A solver of what the reduction gives."""
        if (self.reduction.gives == "search") != isinstance(self.by, KelleyCuts):
            needed = "KelleyCuts(...)" if self.reduction.gives == "search" else "a solver of transport"
            yield Fault(("by",), f"{type(self.reduction).__name__} needs {needed}, got {folded(self.by)}")

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
        """A problem of another kind than the reduction takes, or one that is too large for it or for `by`."""
        if faults := list(_unfit(self.reduction, problem, "reduction")):
            yield from faults
        elif isinstance(self.by, KelleyCuts):
            yield from (fault.under("by", "oracle") for fault in _unlisted(self.by.oracle, self.reduction, problem))
        else:
            yield from (fault.under("by") for fault in _unlisted(self.by, self.reduction, problem))


def fitting(problem: Any) -> str:
    """The solvers that a problem is not too large for, with their sizes; else the most vertices that one takes."""
    ways = []
    if (count := _answers(problem)) <= TENSOR:
        ways.append(f"BruteForce() goes through {written_size(count)} answers")
    for reduction, by in (
        (CliqueToTransport(), "KelleyCuts(ColumnGeneration())"),
        (CutToTransport(), "ColumnGeneration()"),
    ):
        entries = reduction.entries(problem) if isinstance(problem, reduction.takes) else None
        if entries is not None and entries <= TABLE and len(reduction.shape(problem)) <= _SOON:
            ways.append(f"ByReduction({reduction!r}, {by}) has tables of {written_size(entries)} entries")
    return " and ".join(ways) or f"no solver is known to fit: {_few(problem)}"


def _answers(problem: Any) -> int:
    return problem.count(problem.graph.vertices)


def _few(problem: Any) -> str:
    most = largest(lambda n: problem.count(n) <= TENSOR, problem.graph.vertices)
    return f"BruteForce() takes up to {most} vertices"


def _unfit(reduction: Reduction, problem: Any, field: str) -> Iterable[Fault]:
    """A problem of another kind than the reduction takes, or for which no solver of what it gives is large enough."""
    if not isinstance(problem, reduction.takes):
        name = type(reduction).__name__
        yield Fault((), f"{name} takes a {reduction.takes.__name__}, got a {type(problem).__name__}")
    elif says := reduction.misfit(problem):
        yield Fault((field,), says)


def _unlisted(solver: TransportSolver, reduction: Reduction, problem: Any) -> Iterable[Fault]:
    """A tensor of more entries than the solver lists, or searches exactly."""
    if (shape := reduction.shape(problem)) is None:
        return
    size, by_points = math.prod(shape), isinstance(reduction, CliqueToBarycenter)
    exact = size <= SEARCHED or not by_points
    fits = f"ColumnGeneration() has {sum(shape)} rows" if exact else fitting(problem)
    if isinstance(solver, NaiveLp) and size > TENSOR:
        yield Fault((), f"the tensor has {written_size(size)} entries, more than {limit(TENSOR)}; {fits}")
    elif not exact:
        yield Fault((), f"tensors of more than {limit(SEARCHED)} entries are not searched exactly for points; {fits}")


def _expect_fit(reduction: Reduction, problem: Any) -> None:
    if says := reduction.misfit(problem):
        raise ValueError(says)


def _inside(graph: Any) -> Int[np.ndarray, "m"]:
    """The vertices that have edges."""
    return np.flatnonzero(np.asarray(graph.adjacency).sum(axis=1))
