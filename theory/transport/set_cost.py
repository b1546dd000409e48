"""Costs of sets: n = 2 at every marginal, and C_j = f({i : j_i = 1}). Network reliability is the example.

An edge e of a graph is up with a known probability, and nothing is known of how edges depend on each other. With the
cost 1[connected] the least cost is the least probability that the graph of the edges that are up is connected; with
1 - 1[connected] one minus the cost is the largest.
"""

import abc
import math
from collections.abc import Sequence

import equinox as eqx
import numpy as np
from jaxtyping import Bool, Float64, Int

from theory.transport.cost import Cost, Minimum, Potentials, Pricing, Tuples, exact_minimum, gathered
from theory.transport.expected import expect_count, written
from theory.transport.plan import Marginals

_ROOM = 2**22
_ROUNDING = 1e-9
_TREES = 10  # to begin with, for each vertex
_TIE = 1e-3


class SetCost(Cost):
    """C_j = f({i : j_i = 1}): a cost whose least reduced cost is the minimum over sets of f less a sum of weights."""

    @property
    @abc.abstractmethod
    def elements(self) -> int:
        """The number k of elements."""

    @abc.abstractmethod
    def of(self, sets: Bool[np.ndarray, "m k"]) -> Float64[np.ndarray, "m"]:
        """The values f(S)."""

    @abc.abstractmethod
    def small(self, weights: Float64[np.ndarray, "k"]) -> Bool[np.ndarray, "m k"]:
        """Sets with small f(S) - weights(S); the minimiser is one of them."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Two for each element."""
        return (2,) * self.elements

    def at(self, tuples: Tuples) -> Float64[np.ndarray, "m"]:
        """The entries C_j at the given tuples."""
        return self.of(tuples.astype(bool))

    def argmin(self, p: Potentials) -> Minimum:
        """A tuple of least reduced cost, exactly."""
        found = self.price(p)
        reduced = self.at(found.tuples) - gathered(p, found.tuples)
        best = int(reduced.argmin())
        return exact_minimum(tuple(map(int, found.tuples[best])), float(reduced[best]))

    def price(self, p: Potentials) -> Pricing:
        """The sets that `small` finds, as tuples."""
        finite = self._finite(p)
        sets = np.unique(self.small(np.array([potential[1] - potential[0] for potential in finite])), axis=0)
        tuples = sets.astype(np.int64)
        return Pricing(tuples, float((self.at(tuples) - gathered(p, tuples)).min()))

    def _finite(self, p: Potentials) -> Potentials:
        """The potentials with -inf replaced by a number so low that it is never worth its cost."""
        low, high = self.bounds()
        span = high - low + sum(float(np.ptp(q[np.isfinite(q)])) for q in p if np.isfinite(q).any())
        floor = min(float(q[np.isfinite(q)].min(initial=0.0)) for q in p) - 2 * span - 1
        return [np.maximum(q, floor) for q in p]


def _edges(given: object) -> tuple[tuple[int, int], ...]:
    if not isinstance(given, Sequence) or not all(isinstance(e, Sequence) and len(e) == 2 for e in given):
        got = f"{written(given)}; complete_graph(4) gives those of 4 vertices"
        raise ValueError(f"Reliability: edges: expected pairs of vertices such as ((0, 1), (1, 2)), got {got}")
    return tuple((a, b) for a, b in given)


class Reliability(SetCost):
    """1[connected] of the edges that are up (worst case), or 1 - 1[connected] (best case).

    Worst case: if the edges of positive weight leave the graph in parts, they are the minimiser; else it is they, or
    they without a global minimum cut. Best case: the edges of positive weight, or they and the heaviest edges that
    connect their parts.

    Attributes:
        edges: pairs of distinct vertices 0..v-1, distinct.
        best: whether it is the best case.

    Raises:
        ValueError: if an edge is a loop or occurs twice, or the graph of all edges is not connected.

    Source: arXiv 2008.03006, network reliability (from memory, unverified; checked by brute force).
    """

    edges: tuple[tuple[int, int], ...] = eqx.field(static=True, converter=_edges)
    best: bool = eqx.field(static=True, default=False)

    def __check_init__(self) -> None:
        distinct = {frozenset(edge) for edge in self.edges}
        if any(len(edge) < 2 for edge in distinct) or len(distinct) < len(self.edges):
            raise ValueError("Reliability: expected distinct edges between distinct vertices")
        named = sorted({v for edge in self.edges for v in edge})
        if named != list(range(len(named))) or not named:
            raise ValueError(f"Reliability: the edges name vertices {named}, expected 0, 1, ..., v - 1")
        if len(parts := components(len(named), self.edges)) > 1:
            raise ValueError(f"Reliability: the graph is not connected, its parts are {parts}")

    @property
    def elements(self) -> int:
        """The number of edges."""
        return len(self.edges)

    @property
    def vertices(self) -> int:
        """The number of vertices."""
        return 1 + max(max(edge) for edge in self.edges)

    def bounds(self) -> tuple[float, float]:
        """Zero and one."""
        return 0.0, 1.0

    def initial_potentials(self, marginals: Marginals) -> tuple[Float64[np.ndarray, "_"], ...]:
        """Equal weights on all edges, as large as is feasible: what a cut, or a spanning tree, must weigh is 1.

        Worst case: 1 over the edge connectivity for an edge that is down. Best case: 1/(v - 1) for one that is up.
        """
        import networkx as nx  # slow, and only for graphs

        if self.best:
            return tuple(np.array([0.0, -1 / (self.vertices - 1)]) + 1 / self.elements for _ in self.edges)
        connectivity = nx.edge_connectivity(nx.Graph(self.edges))
        return tuple(np.array([-1 / connectivity, 0.0]) + 1 / self.elements for _ in self.edges)

    def initial_tuples(self, marginals: Marginals) -> Tuples:
        """Best case: spanning trees that load the edges alike, each of the edges that earlier ones load least.

        Loads are relative to the probability that an edge is up; ties are broken at random, or all would be at one
        vertex. Worst case: none.
        """
        if not self.best:
            return super().initial_tuples(marginals)
        up, load = np.array([mu[1] for mu in marginals]), np.zeros(self.elements)
        trees, ties = np.zeros((_TREES * self.vertices, self.elements), np.int64), np.random.default_rng(0)
        for tree in trees:
            held = self._tree(-(load + ties.uniform(1, 1 + _TIE, self.elements)) / np.maximum(up, _ROUNDING))
            load[held] += 1
            tree[held] = 1
        return np.unique(trees, axis=0)

    def of(self, sets: Bool[np.ndarray, "m k"]) -> Float64[np.ndarray, "m"]:
        """Whether the edges of each set do not do what is hoped for: 0 or 1."""
        chunk = max(1, _ROOM // self.vertices**2)
        parts = [self._connected(sets[start : start + chunk]) for start in range(0, len(sets), chunk)]
        connected = np.concatenate([np.empty(0, bool), *parts])
        return np.where(connected != self.best, 1.0, 0.0)

    def small(self, weights: Float64[np.ndarray, "k"]) -> Bool[np.ndarray, "m k"]:
        """Edges of positive weight, changed to be connected or not."""
        up = weights > 0
        if bool(self._connected(up[None])[0]) == self.best:
            exact = up[None]
        else:
            exact = np.stack([up, self._completed(up, weights) if self.best else self._cut(up, weights)])
        return np.concatenate([exact, self._trees(up, weights) if self.best else self._stars(weights)])

    def _connected(self, sets: Bool[np.ndarray, "m k"]) -> Bool[np.ndarray, "m"]:
        """Whether the edges of each set connect all vertices, by squaring adjacency matrices."""
        a, b = np.array(self.edges).T
        reach = np.tile(np.eye(self.vertices, dtype=np.float32), (len(sets), 1, 1))
        reach[:, a, b] = reach[:, b, a] = sets
        for _ in range(math.ceil(math.log2(self.vertices))):
            reach = np.minimum(reach @ reach, 1.0)
        return np.asarray((reach[:, 0] > 0).all(axis=1))

    def _cut(self, up: Bool[np.ndarray, "k"], weights: Float64[np.ndarray, "k"]) -> Bool[np.ndarray, "k"]:
        """The set without a global minimum cut."""
        import networkx as nx  # slow, and only for graphs

        graph = nx.Graph()
        graph.add_weighted_edges_from((*self.edges[e], float(weights[e])) for e in np.flatnonzero(up))
        _, (side, _) = nx.stoer_wagner(graph)
        a, b = np.isin(np.array(self.edges), side).T
        return up & (a == b)

    def _stars(self, weights: Float64[np.ndarray, "k"]) -> Bool[np.ndarray, "v k"]:
        """For each vertex, the edges that weigh something or nothing, without those at the vertex."""
        at = np.arange(self.vertices)[:, None, None] == np.array(self.edges)
        return np.tile(weights >= -_ROUNDING, (self.vertices, 1)) & ~at.any(axis=2)

    def _completed(self, up: Bool[np.ndarray, "k"], weights: Float64[np.ndarray, "k"]) -> Bool[np.ndarray, "k"]:
        """The set with the heaviest edges that connect its parts: a maximum spanning tree that is free within them."""
        completed = up.copy()
        completed[self._tree(np.where(up, np.inf, weights))] = True
        return completed

    def _trees(self, up: Bool[np.ndarray, "k"], weights: Float64[np.ndarray, "k"]) -> Bool[np.ndarray, "t k"]:
        """The set with spanning trees, each the heaviest of the edges that earlier ones do not hold, if it can."""
        keys, found = weights.copy(), []
        below = weights.min() - 1 - np.ptp(weights)
        for _ in range(self.vertices // 2):
            tree = self._tree(keys)
            keys[tree] = below
            found.append(up & (weights > _ROUNDING))
            found[-1][tree] = True
        return np.array(found)

    def _tree(self, keys: Float64[np.ndarray, "k"]) -> Int[np.ndarray, "t"]:
        """The edges of a maximum spanning tree."""
        from scipy.sparse import csr_array  # slow, and only for trees
        from scipy.sparse.csgraph import minimum_spanning_tree

        order, (a, b) = np.argsort(-keys, kind="stable"), np.array(self.edges).T
        places = np.arange(1, len(keys) + 1)  # not weights, of which zero would be no edge
        tree = minimum_spanning_tree(csr_array((places, (a[order], b[order])), shape=(self.vertices,) * 2))
        return order[tree.data.astype(np.int64) - 1]


def components(vertices: int, edges: Sequence[tuple[int, int]]) -> list[list[int]]:
    """The connected parts of a graph.

    Args:
        vertices: their number v.
        edges: pairs of vertices 0..v-1.

    Returns:
        The vertices of each part, in increasing order.
    """
    from scipy.sparse import csr_array  # slow, and only for graphs
    from scipy.sparse.csgraph import connected_components

    a, b = np.array(edges, np.int64).reshape(-1, 2).T
    graph = csr_array((np.ones(len(a)), (a, b)), shape=(vertices, vertices))
    count, labels = connected_components(graph, directed=False)
    return [np.flatnonzero(labels == part).tolist() for part in range(count)]


def complete_graph(vertices: int) -> Sequence[tuple[int, int]]:
    """The edges of a complete graph.

    Args:
        vertices: their number v.

    Returns:
        All pairs a < b of the vertices 0..v-1, in lexicographic order.

    Raises:
        ValueError: if there are no vertices, or no whole number of them.
    """
    expect_count("complete_graph: vertices", vertices, 1, "vertex")
    return tuple((a, b) for a in range(vertices) for b in range(a + 1, vertices))
