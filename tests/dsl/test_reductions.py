"""Problems on graphs that are too large, or oracles that are not exact, are told when the spec is written."""

import math

import networkx as nx
import numpy as np
import pytest

from dsl import *
from dsl.keys import streams
from dsl.sizes import TABLE
from dsl.spec import rebuilt
from tests.dsl.running import run
from theory import transport

CUT, BY_PAIRS, BY_POINTS = CutToTransport(), CliqueToTransport(), CliqueToBarycenter()
BLIND = Seeded(RandomGraph(30, p=0.5), seed=0)
FOUR, EIGHT = Clique(Cycle(60), 4), Clique(Cycle(60), 8)


def solving(problem, by):
    return Solving(problem, by, (Objective(),), precision="float64")


def kelley(reduction, oracle=None):
    return ByReduction(reduction, KelleyCuts(oracle or NaiveLp()))


REFUSED = {
    "cuts": (
        lambda: solving(MaxCut(Complete(30)), BruteForce()),
        r"by: 5.37e\+08 answers are more than 2\^20; no solver is known to fit: BruteForce\(\) takes up to 21 vertices",
    ),
    "cuts of a drawn graph": (
        lambda: solving(MaxCut(BLIND), BruteForce()),
        r"by: 5.37e\+08 answers are more than 2\^20; .* up to 21 vertices",
    ),
    "cuts, and what fits": (
        lambda: solving(MaxCut(Cycle(60)), BruteForce()),
        r"by: 5.76e\+17 answers .* ByReduction\(CutToTransport\(\), ColumnGeneration\(\)\) has tables of 8 entries",
    ),
    "cuts, and what would take hours": (
        lambda: solving(MaxCut(Cycle(300)), BruteForce()),
        r"by: 2\^299 answers are more than 2\^20; no solver is known to fit",
    ),
    "multisets": (
        lambda: solving(EIGHT, BruteForce()),
        r"by: 6.52e\+09 answers are more than 2\^20; .* takes up to 17 vertices",
    ),
    "multisets, and what fits": (
        lambda: solving(Clique(Cycle(300), 3), BruteForce()),
        r"by: 4.55e\+06 answers .* KelleyCuts\(ColumnGeneration\(\)\)\) has tables of 2.7e\+07 entries",
    ),
    "tables of a cut": (
        lambda: solving(MaxCut(Complete(30)), ByReduction(CUT, ColumnGeneration())),
        r"by.reduction: CutToTransport\(\) makes arrays of 1.07e\+09 entries, more than 2\^26; .* 21 vertices",
    ),
    "a tensor of a cut": (
        lambda: solving(MaxCut(Cycle(30)), ByReduction(CUT, NaiveLp())),
        r"by.by: the tensor has 1.07e\+09 entries, more than 2\^20; ColumnGeneration\(\) has 60 rows",
    ),
    "tables of pairs": (
        lambda: solving(Clique(Cycle(512), 6), kelley(BY_PAIRS, ColumnGeneration())),
        r"by.reduction: CliqueToTransport\(\) makes arrays of 1.8e\+16 entries, more than 2\^26; .* 27 vertices",
    ),
    "a tensor of pairs": (
        lambda: solving(FOUR, kelley(BY_PAIRS)),
        r"by.by.oracle: the tensor has 1.3e\+07 entries, more than 2\^20; ColumnGeneration\(\) has 240 rows",
    ),
    "points": (
        lambda: solving(Clique(Complete(512), 4), kelley(BY_POINTS)),
        r"by.reduction: CliqueToBarycenter\(\) makes arrays of 3.21e\+09 entries, more than 2\^26; .* 69 vertices",
    ),
    "points, and what fits": (
        lambda: solving(Clique(Complete(60), 4), kelley(BY_POINTS, ColumnGeneration())),
        r"by.by.oracle: .* 2\^22 entries are not searched exactly for points; BruteForce\(\) goes through 5.96e",
    ),
    "a tensor of points": (
        lambda: solving(FOUR, kelley(BY_POINTS)),
        r"by.by.oracle: the tensor has 1.3e\+07 entries, more than 2\^20; BruteForce\(\) goes through 5.96e",
    ),
    "what a reduction makes": (
        lambda: Reduced(MaxCut(Complete(30)), CUT),
        r"problem: CutToTransport\(\) makes arrays of 1.07e\+09 entries",
    ),
    "a search of what it makes": (
        lambda: solving(Reduced(FOUR, BY_PAIRS), KelleyCuts(NaiveLp())),
        r"by.oracle: the tensor has 1.3e\+07 entries, more than 2\^20; ColumnGeneration\(\) has 240 rows",
    ),
    "a tensor of what it makes": (
        lambda: solving(Reduced(MaxCut(Cycle(30)), CUT), NaiveLp()),
        r"by: the tensor has about 2\^30 entries, more than 2\^20; ColumnGeneration\(\) has 60 rows",
    ),
    "all tuples of pairs": (
        lambda: Analysis(Reduced(FOUR, BY_PAIRS), (InstanceSize(), CostIdentity())),
        r"measure\[1\]: CostIdentity: the cost has 1.3e\+07 entries, more than 1048576; .* of at most 32 vertices",
    ),
    "all tuples of cuts": (
        lambda: Analysis(Reduced(MaxCut(Cycle(22)), CUT), (CostIdentity(),)),
        r"measure\[0\]: CostIdentity: the cost has 4.19e\+06 entries, more than 1048576; .* of at most 20 vertices",
    ),
    "many marginals": (lambda: Reduced(Clique(Complete(1), 10**9), BY_PAIRS), r"problem: .* arrays of 5e\+17 entries"),
    "no edge": (
        lambda: solving(Clique(Complete(1), 2), kelley(BY_POINTS)),
        r"by.reduction: CliqueToBarycenter\(\) needs a graph with an edge, got Complete\(n=1\)",
    ),
    "weights": (
        lambda: kelley(BY_PAIRS, MultiplicativeWeights(eps=0.1)),
        r"oracle: expected an exact oracle, NaiveLp\(\) or ColumnGeneration\(\), got MultiplicativeWeights",
    ),
    "entropy": (
        lambda: load({"kind": "KelleyCuts", "oracle": dump(MultimarginalSinkhorn(eta=1.0, tol=0.1))}),
        r"oracle: expected an exact oracle, NaiveLp\(\) or ColumnGeneration\(\), got MultimarginalSinkhorn",
    ),
}


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_too_large_is_told_where_it_is_written_with_what_fits(make, message):
    with pytest.raises(SpecError, match=message):
        make()


@pytest.mark.parametrize(
    ("problem", "by"),
    [
        (MaxCut(Complete(21)), BruteForce()),
        (Clique(Cycle(17), 8), BruteForce()),
        (FOUR, BruteForce()),
        (MaxCut(Cycle(60)), ByReduction(CUT, ColumnGeneration())),
        (MaxCut(Complete(20)), ByReduction(CUT, NaiveLp())),
        (MaxCut(Complete(26)), ByReduction(CUT, ColumnGeneration())),
        (FOUR, kelley(BY_PAIRS, ColumnGeneration())),
        (Clique(Cycle(32), 4), kelley(BY_PAIRS)),
        (Clique(Cycle(45), 4), kelley(BY_POINTS, ColumnGeneration())),
        (MaxCut(BLIND), ByReduction(CUT, ColumnGeneration())),
        (Clique(BLIND, 4), kelley(BY_POINTS)),
    ],
    ids=repr,
)
def test_what_messages_say_fits_is_accepted(problem, by):
    assert solving(problem, by).problem == problem


GRAPHS = [Complete(6), Cycle(7), RandomGraph(9, p=0.4).realise(streams(2))]


@pytest.mark.parametrize("graph", GRAPHS, ids=("complete", "cycle", "drawn"))
def test_sizes_are_those_of_the_arrays(graph):
    """Against the arrays themselves, and for cuts against the treewidth of a network."""
    adjacency = np.asarray(graph.adjacency)
    network = nx.from_numpy_array(adjacency)
    assert (graph.vertices, graph.edges) == (network.number_of_nodes(), network.number_of_edges())
    clique, cut = as_problem(Clique, graph, 3), as_problem(MaxCut, graph)
    points = transport.clique_to_barycenter(adjacency, 3).cost
    assert BY_POINTS.entries(clique) == sum(x.size for x in points.points)
    assert BY_POINTS.shape(clique) == points.shape
    assert BY_PAIRS.shape(clique) == transport.clique_to_pairwise(adjacency, 3).shape
    assert BY_PAIRS.entries(clique) == len(adjacency) ** 3
    assert CUT.shape(cut) == transport.cut_to_transport(adjacency).cost.shape
    width, _ = nx.approximation.treewidth_min_degree(network)  # an upper bound
    assert CUT.entries(cut) <= 2 ** (width + 1)
    if isinstance(graph, (Complete, Cycle)):
        assert CUT.entries(cut) == 2 ** (width + 1)


def as_problem(kind, graph, *fields):
    """A problem on a graph that may be drawn already, as a solver sees it in a run."""
    return rebuilt(kind(Complete(3), *fields), graph=graph)


@pytest.mark.parametrize("k", [2, 3, 5])
def test_answers_are_counted(k):
    assert [Clique(Complete(4), k).count(n) for n in (1, 2, 6)] == [math.comb(n + k - 1, k) for n in (1, 2, 6)]
    assert [MaxCut(Complete(4)).count(n) for n in (1, 2, 6)] == [1, 2, 32]


def test_a_drawn_graph_that_is_too_large_is_told_in_its_run_with_what_fits():
    dense = Seeded(RandomGraph(100, p=0.9), seed=0)
    with pytest.raises(ValueError, match=r"CutToTransport\(\) makes arrays of .* more than 2\^26; .* 21 vertices"):
        run(solving(MaxCut(dense), ByReduction(CUT, ColumnGeneration())))
    with pytest.raises(
        ValueError, match=r"CliqueToBarycenter\(\) makes arrays of .* entries, more than 2\^26; .*Brute"
    ):
        run(solving(Clique(dense, 6), kelley(BY_POINTS)))
    middling = Seeded(RandomGraph(30, p=0.9), seed=0)
    drawn = as_problem(MaxCut, RandomGraph(30, p=0.9).realise(streams(0)))
    assert 0 < (CUT.entries(drawn) or 0) <= TABLE
    with pytest.raises(
        ValueError, match=r"treewidth of the cliques is too large for n = 2; BruteForce\(\) takes up to 21"
    ):
        run(solving(MaxCut(middling), ByReduction(CUT, ColumnGeneration())))
