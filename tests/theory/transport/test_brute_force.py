"""Brute force on graphs, against networkx and counts that are known."""

import networkx as nx
import numpy as np
import pytest

from theory.transport.brute_force import max_cut, most_pairs
from theory.transport.euler_flow import destinations


def test_tuples_reach_all_pairs_exactly_where_there_is_a_clique():
    for seed in range(8):
        graph = nx.gnp_random_graph(6, 0.5, seed=seed)
        largest = max(map(len, nx.find_cliques(graph)))
        matrix = nx.to_numpy_array(graph, dtype=np.int64)
        assert [most_pairs(matrix, k) == k * (k - 1) // 2 for k in range(2, 7)] == [k <= largest for k in range(2, 7)]


def test_tuples_of_a_bipartite_graph_divide_evenly():
    matrix = nx.to_numpy_array(nx.complete_bipartite_graph(2, 3), dtype=np.int64)
    assert [most_pairs(matrix, k) for k in (2, 3, 4, 5)] == [1, 2, 4, 6]


def test_cuts_of_known_graphs():
    graphs = (nx.complete_graph(5), nx.cycle_graph(5), nx.complete_bipartite_graph(3, 4), nx.petersen_graph())
    assert [max_cut(nx.to_numpy_array(g, dtype=np.int64)) for g in graphs] == [6, 4, 12, 12]


def test_large_instances_are_refused():
    with pytest.raises(ValueError, match="take a smaller graph"):
        max_cut(np.zeros((30, 30), np.int64))
    with pytest.raises(ValueError, match="multisets of vertices, more than"):
        most_pairs(np.zeros((60, 60), np.int64), 8)


def test_destinations_are_permutations():
    for n in (4, 5):
        for flow in ("id", "rev", "shift", "tent"):
            assert sorted(destinations(n, flow).tolist()) == list(range(n))
    assert destinations(5, "tent").tolist() == [0, 2, 4, 3, 1]
