"""Cliques, cuts and determinants by brute force, and through transport."""

import itertools

import networkx as nx
import numpy as np
import pytest

from tests.theory.transport.instances import potentials, written_down
from theory.transport import (
    ColumnGeneration,
    NaiveLp,
    Solution,
    TensorCost,
    clique_to_barycenter,
    clique_to_pairwise,
    cut_to_transport,
    min_by_transport,
    min_oracle,
    subdeterminant_to_transport,
)
from theory.transport.cost import outer_sum
from theory.transport.problem import Problem

GRAPHS = {
    "triangle with a tail": nx.Graph([(0, 1), (1, 2), (0, 2), (2, 3)]),
    "cycle": nx.cycle_graph(5),
    "complete": nx.complete_graph(4),
    "random": nx.gnp_random_graph(6, 0.5, seed=3),
    "star": nx.star_graph(4),
}


def adjacency(graph: nx.Graph) -> np.ndarray:
    return nx.to_numpy_array(graph, nodelist=sorted(graph), dtype=np.int64)


def clique_number(graph: nx.Graph) -> int:
    return max(map(len, nx.find_cliques(graph)))


def maximum_cut(a: np.ndarray) -> int:
    sides = itertools.product((0, 1), repeat=len(a))
    return max(int(sum(a[u, v] for u, v in itertools.combinations(range(len(a)), 2) if s[u] != s[v])) for s in sides)


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
@pytest.mark.parametrize("k", [2, 3, 4])
def test_a_clique_is_a_least_pairwise_cost(graph: nx.Graph, k: int) -> None:
    cost = clique_to_pairwise(adjacency(graph), k)
    least = min_oracle(cost, [np.zeros(len(graph))] * k)
    assert (least == -k * (k - 1) / 2) == (clique_number(graph) >= k)
    assert least == written_down(cost).min()


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
def test_the_least_cost_of_a_cut_problem_is_minus_the_maximum_cut(graph: nx.Graph) -> None:
    instance = cut_to_transport(adjacency(graph))
    for solver in (NaiveLp(), ColumnGeneration()):
        assert solver.solve(instance).value == pytest.approx(-maximum_cut(adjacency(graph)), abs=1e-7)


def test_a_cut_problem_with_a_vertex_alone() -> None:
    a = np.zeros((3, 3), np.int64)
    a[0, 1] = a[1, 0] = 1
    assert NaiveLp().solve(cut_to_transport(a)).value == pytest.approx(-1.0)


def test_the_largest_subdeterminant() -> None:
    vectors = np.random.default_rng(0).normal(size=(6, 3))
    cost = subdeterminant_to_transport(vectors)
    best = max(abs(np.linalg.det(vectors[list(rows)])) for rows in itertools.combinations(range(6), 3))
    assert min_oracle(cost, [np.zeros(6)] * 3) == pytest.approx(-best, abs=1e-12)
    assert cost.tensor[0, 0, 1] == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
@pytest.mark.parametrize("k", [2, 3])
def test_a_clique_is_a_least_reduced_barycenter_cost(graph: nx.Graph, k: int) -> None:
    hidden = clique_to_barycenter(adjacency(graph), k)
    within = adjacency(graph.subgraph([v for v in graph if graph.degree(v)]))
    assert hidden.cost.points[0].shape == (len(within), k * (k - 1) * graph.number_of_edges())
    assert np.isin(hidden.cost.points[0], (0, 1)).all()
    reduced = written_down(hidden.cost) - outer_sum(hidden.potentials)
    np.testing.assert_allclose(reduced, written_down(clique_to_pairwise(within, k)) * 2 / k**2, atol=1e-12)
    found = min_oracle(hidden.cost, hidden.potentials)
    assert (found < hidden.threshold + 1e-6) == (clique_number(graph) >= k)


def test_vertices_without_edges_are_left_out_of_the_barycenter() -> None:
    a = np.zeros((4, 4), np.int64)
    a[0, 1] = a[1, 0] = 1
    assert clique_to_barycenter(a, 2).cost.shape == (2, 2)


@pytest.mark.parametrize("seed", range(4))
def test_a_minimum_from_transport_values_and_potentials(seed: int) -> None:
    rng = np.random.default_rng(seed)
    cost = TensorCost(rng.normal(size=(3, 4, 2)))
    p, asked = potentials(cost, rng), []

    def oracle(problem: Problem) -> Solution:
        asked.append(1)
        return NaiveLp().solve(problem)

    found = min_by_transport(cost, p, oracle)
    least = (cost.tensor - outer_sum(p)).min()
    assert found.value == pytest.approx(least, abs=1e-6)
    assert found.lower <= least + 1e-9
    assert found.calls == len(asked)
    assert found.calls < 60


@pytest.mark.parametrize(("unit", "offset"), [(1e-8, 0.0), (1e8, 0.0), (1.0, 1e4), (1e-8, -1e3)])
def test_a_minimum_is_found_in_any_unit(unit: float, offset: float) -> None:
    rng = np.random.default_rng(5)
    tensor = rng.normal(size=(3, 4, 2))
    p = [unit * q for q in potentials(TensorCost(tensor), rng)]
    cost = TensorCost(unit * (tensor + offset))
    found = min_by_transport(cost, p, ColumnGeneration().solve)
    exact = (cost.tensor - outer_sum(p)).min()
    rounding = 1e-14 * unit * abs(offset)
    assert found.value == pytest.approx(exact, abs=2e-7 * np.ptp(cost.tensor) + rounding)
    assert found.lower <= exact + 1e-9 * np.ptp(cost.tensor) + rounding
    assert found.calls > 1


def test_a_clique_is_decided_through_barycenters() -> None:
    """Graph to points, barycenter values by linear programs, cutting planes over the masses."""
    for name in ("triangle with a tail", "star"):
        hidden = clique_to_barycenter(adjacency(GRAPHS[name]), 3)
        found = min_by_transport(hidden.cost, hidden.potentials, NaiveLp().solve)
        assert (found.value < hidden.threshold + 1 / 18) == (clique_number(GRAPHS[name]) >= 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: clique_to_pairwise(np.eye(3, dtype=np.int64), 2), "expected a symmetric matrix of 0 and 1"),
        (lambda: cut_to_transport(np.array([[0, 1], [0, 0]])), "expected a symmetric matrix"),
        (lambda: clique_to_pairwise(np.zeros((2, 2), np.int64), 1), "k is 1, expected a clique of at least 2"),
        (lambda: clique_to_barycenter(np.zeros((2, 2), np.int64), 2), "the graph has no edge"),
        (lambda: subdeterminant_to_transport(np.ones((30, 6))), r"has 7.29e\+08 entries"),
        (
            lambda: min_by_transport(
                TensorCost(np.random.default_rng(0).normal(size=(4, 4, 4))), [np.zeros(4)] * 3, NaiveLp().solve, calls=1
            ),
            "after 1 calls the gap is",
        ),
        (lambda: min_by_transport(TensorCost(np.eye(2)), [np.zeros(2)], NaiveLp().solve), r"sizes \(2,\) do not match"),
        (lambda: subdeterminant_to_transport(np.full((2, 2), np.inf)), r"vectors\[0, 0\] is inf, expected finite"),
    ],
)
def test_what_is_no_instance_is_refused(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
