"""Reductions of hard problems on graphs to transport (2012.05398, 2101.01100)."""

import abc
import math
from collections.abc import Iterable
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from jaxtyping import Int

from dsl.faults import Fault, folded
from dsl.graph_problems import Clique, GraphProblem, MaxCut
from dsl.sizes import TABLE, TENSOR, largest, limit, written_size
from dsl.spec import Spec
from dsl.transport import Posed
from theory import transport
from theory.transport.cost import Potentials, Tuples

_SOON = 2**7  # marginals of which a search, which eliminates all for each of them, is compiled in minutes
_LONG = 2**10  # an exponent that is enough to be too large


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
        yield from misfits(self.by, self.problem, "problem")

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


def fitting(problem: Any) -> str:
    """The solvers that a problem is not too large for, with their sizes; else the most vertices that one takes."""
    ways = []
    if (count := answer_count(problem)) <= TENSOR:
        ways.append(f"BruteForce() goes through {written_size(count)} answers")
    for reduction, by in (
        (CliqueToTransport(), "KelleyCuts(ColumnGeneration())"),
        (CutToTransport(), "ColumnGeneration()"),
    ):
        entries = reduction.entries(problem) if isinstance(problem, reduction.takes) else None
        if entries is not None and entries <= TABLE and len(reduction.shape(problem)) <= _SOON:
            ways.append(f"ByReduction({reduction!r}, {by}) has tables of {written_size(entries)} entries")
    return " and ".join(ways) or f"no solver is known to fit: {_few(problem)}"


def answer_count(problem: Any) -> int:
    """How many answers brute force goes through."""
    return problem.count(problem.graph.vertices)


def _few(problem: Any) -> str:
    most = largest(lambda n: problem.count(n) <= TENSOR, problem.graph.vertices)
    return f"BruteForce() takes up to {most} vertices"


def misfits(reduction: Reduction, problem: Any, field: str) -> Iterable[Fault]:
    """A problem of another kind than the reduction takes, or for which no solver of what it gives is large enough."""
    if not isinstance(problem, reduction.takes):
        name = type(reduction).__name__
        yield Fault((), f"{name} takes a {reduction.takes.__name__}, got a {type(problem).__name__}")
    elif says := reduction.misfit(problem):
        yield Fault((field,), says)


def _expect_fit(reduction: Reduction, problem: Any) -> None:
    if says := reduction.misfit(problem):
        raise ValueError(says)


def _inside(graph: Any) -> Int[np.ndarray, "m"]:
    """The vertices that have edges."""
    return np.flatnonzero(np.asarray(graph.adjacency).sum(axis=1))
