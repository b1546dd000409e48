"""Hard problems on graphs (2012.05398, 2101.01100)."""

import abc
import itertools
import math
from typing import Annotated, NamedTuple

import numpy as np
from jaxtyping import Int
from pydantic import Field

from dsl.graphs import Graph
from dsl.solving import Problem
from theory.transport.brute_force import max_cut, most_pairs
from theory.transport.cost import Tuples


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
