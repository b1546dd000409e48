"""Transport in the language: problems, solvers and measurements, against `theory`, brute force and closed forms."""

import itertools

import networkx as nx
import numpy as np
import pytest
from scipy.optimize import linprog

from dsl import *
from dsl.keys import streams
from tests.dsl.running import run

EVERYTHING = (Objective(), DualBound(), UpperBound(), OracleCalls(), SupportSize(), MarginalError())


def last(problem, by, *measure):
    found = run(Solving(problem, by, measure or EVERYTHING, precision="float64"))
    return {name: list(values.values())[-1] for name, values in found.items()}


def by_hand(tensor, marginals):
    """The least transport cost, by a linear program of its own."""
    rows = [
        (np.arange(n)[:, None] == np.indices(tensor.shape)[i].ravel()).astype(float) for i, n in enumerate(tensor.shape)
    ]
    return linprog(tensor.ravel(), A_eq=np.concatenate(rows), b_eq=np.concatenate(marginals), method="highs").fun


MAPS = {"id": [0, 1, 2, 3, 4], "rev": [4, 3, 2, 1, 0], "shift": [2, 3, 4, 0, 1], "tent": [0, 2, 4, 3, 1]}


@pytest.mark.parametrize("sigma", MAPS)
def test_a_flow_has_the_value_of_its_definition(sigma):
    tensor = np.zeros((5, 5, 5))
    for j in itertools.product(range(5), repeat=3):
        tensor[j] = sum((a - b) ** 2 for a, b in itertools.pairwise(j)) / 25 + (MAPS[sigma][j[0]] - j[2]) ** 2 / 25
    flow = Transport(EulerFlow(5, 3, sigma), uniform(5, 3))
    np.testing.assert_allclose(flow.posed().cost.at(np.argwhere(tensor >= 0)), tensor.ravel())
    expected = by_hand(tensor, [np.full(5, 0.2)] * 3)
    for solver in (ColumnGeneration(), NaiveLp()):
        found = last(flow, solver)
        assert found["Objective"] == pytest.approx(expected, abs=1e-9)
        assert found["DualBound"] <= expected + 1e-12 <= found["UpperBound"] + 1e-8
    soft = last(flow, MultimarginalSinkhorn(eta=200.0, tol=1e-6))
    assert soft["DualBound"] - 1e-9 <= expected <= soft["UpperBound"] + 1e-9
    assert soft["Objective"] <= expected + np.log(125) / 200


def test_the_plan_of_a_flow_has_its_marginals_and_its_value():
    flow = Transport(EulerFlow(5, 4, "rev"), uniform(5, 4))
    found = last(flow, ColumnGeneration(), Plan(), Objective(), SupportSize())
    tuples, masses = found["Plan"][:, :-1].astype(int), found["Plan"][:, -1]
    assert found["Plan"].shape == (5 * 4 - 4 + 1, 5)
    assert np.count_nonzero(masses) == found["SupportSize"]
    for i in range(4):
        np.testing.assert_allclose(np.bincount(tuples[:, i], masses, 5), 0.2, atol=1e-12)
    assert masses @ flow.posed().cost.at(tuples) == pytest.approx(found["Objective"], abs=1e-12)


def test_the_maps_of_a_flow_are_joint_laws_and_those_of_a_soft_plan_are_blurred():
    flow = Transport(EulerFlow(5, 4, "rev"), uniform(5, 4))
    found = last(flow, ColumnGeneration(), Plan(), PairMarginals())
    tuples, masses = found["Plan"][:, :-1].astype(int), found["Plan"][:, -1]
    by_hand = np.zeros((4, 5, 5))
    for j, mass in zip(tuples, masses, strict=True):
        for t in range(4):
            by_hand[t, j[0], j[t]] += mass
    np.testing.assert_allclose(found["PairMarginals"], by_hand, atol=1e-15)
    soft = last(flow, MultimarginalSinkhorn(eta=50.0, tol=1e-6), PairMarginals())["PairMarginals"]
    np.testing.assert_allclose(soft.sum(axis=1), 0.2, atol=1e-12)
    np.testing.assert_allclose(soft.sum(axis=2), 0.2, atol=1e-12)
    np.testing.assert_allclose(soft[0], np.eye(5) / 5, atol=1e-12)
    assert np.count_nonzero(soft[2] > 1e-6) > np.count_nonzero(by_hand[2] > 1e-6)


@pytest.mark.parametrize(("sign", "up"), [(1.0, 0.99), (-1.0, 0.01)])
def test_reliability_of_a_complete_network_is_its_closed_form(sign, up):
    for v in (3, 5, 8):
        network = Transport(Connected(Complete(v), sign), bernoulli(up, v * (v - 1) // 2))
        assert last(network, ColumnGeneration())["Objective"] == pytest.approx(1 - 0.005 * v, abs=1e-9)


def test_reliability_of_a_drawn_network_is_that_of_its_edges():
    drawn = RandomGraph(4, p=0.8).realise(streams(1))
    graph = nx.from_numpy_array(np.asarray(drawn.adjacency))
    sets = list(itertools.product((0, 1), repeat=graph.number_of_edges()))
    kept = lambda up: graph.edge_subgraph(e for e, one in zip(graph.edges, up, strict=True) if one)
    spans = lambda part: part.number_of_nodes() == 4 and nx.is_connected(part)
    tensor = np.array([float(spans(kept(up))) for up in sets]).reshape((2,) * graph.number_of_edges())
    problem = Transport(Connected(Seeded(RandomGraph(4, p=0.8), seed=1), 1.0), bernoulli(0.9, graph.number_of_edges()))
    found = last(problem, ColumnGeneration())["Objective"]
    assert found == pytest.approx(by_hand(tensor, [np.array([0.1, 0.9])] * tensor.ndim), abs=1e-8)


def test_the_risk_of_two_factors_pairs_them_counter_monotonely():
    a, b = np.array([1.0, 2.0, 4.0]), np.array([1.0, 3.0, 5.0])
    problem = Transport(LowRankPlusSparse((tuple(a.tolist()), tuple(b.tolist()))), uniform(3, 2))
    for start in ("north_west", "rearrangement"):
        assert last(problem, ColumnGeneration(start=start))["Objective"] == pytest.approx(a @ b[::-1] / 3, abs=1e-8)


A, B = ((1.0, 2.0, 0.5), (1.5, 1.0), (0.25, 1.0, 2.0)), ((0.5, 0.5, 3.0), (1.0, 2.5), (1.0, 0.5, 0.25))
LISTED = (((0, 1, 2), -1.5), ((2, 0, 0), 4.0))
UNEQUAL = ((0.5, 0.25, 0.25), (0.125, 0.875), (0.0, 0.5, 0.5))


@pytest.mark.parametrize("solver", [ColumnGeneration(), NaiveLp(), MultiplicativeWeights(eps=0.05)])
def test_low_rank_plus_sparse_adds_products_and_listed_entries(solver):
    tensor = sum(np.einsum("i,j,k->ijk", *map(np.array, term)) for term in (A, B))
    for at, value in LISTED:
        tensor[at] += value
    problem = Transport(LowRankPlusSparse(A, terms=(B,), sparse=LISTED), Masses(UNEQUAL))
    assert problem.shape == (3, 2, 3)
    np.testing.assert_allclose(problem.posed().cost.at(np.argwhere(np.isfinite(tensor))), tensor.ravel(), atol=1e-14)
    found = last(problem, solver)
    exact, (low, high) = by_hand(tensor, [np.array(mu) for mu in UNEQUAL]), problem.posed().cost.bounds()
    assert found["DualBound"] - 1e-9 <= exact <= found["UpperBound"] + 1e-9
    exactly = not isinstance(solver, MultiplicativeWeights)
    assert found["Objective"] == pytest.approx(exact, abs=1e-8 if exactly else 0.1 * (high - low))


def test_weights_of_multiplicative_weights_bracket_the_exact_value():
    flow = Transport(EulerFlow(4, 3, "shift"), uniform(4, 3))
    exact = last(flow, NaiveLp())["Objective"]
    found = last(flow, MultiplicativeWeights(eps=0.1))
    assert found["DualBound"] - 1e-9 <= exact <= found["Objective"] + 1e-9
    low, high = flow.posed().cost.bounds()
    assert found["Objective"] - found["DualBound"] <= 0.1 * (high - low) + 1e-9


def test_every_round_has_an_interval_around_the_value_and_the_last_closes_it():
    flow = Transport(EulerFlow(6, 5, "tent"), uniform(6, 5))
    found = run(Solving(flow, ColumnGeneration(rounds=60), (Objective() @ every(1), DualBound() @ every(1))))
    upper, lower = (np.array(list(found[name].values())) for name in ("Objective", "DualBound"))
    assert (lower <= upper[-1] + 1e-9).all()
    assert (upper >= lower[-1] - 1e-9).all()
    assert upper[-1] - lower[-1] <= 1e-8
    assert upper[0] > upper[-1]


# ---------------------------------------------------------------- barycenters


def test_the_published_instance_is_that_of_the_seed_and_has_its_published_optimum():
    np.random.seed(19238412)  # noqa: NPY002 # the legacy generator is what the released code uses
    expected = [np.random.random((10, 2)) * 2 - 1 for _ in range(10)]  # noqa: NPY002 # the same
    np.testing.assert_array_equal(SparseSquare().points, expected)
    found = last(Barycenter(SparseSquare()), ColumnGeneration(pricing="power_diagrams"), Objective(), DualBound())
    assert found["Objective"] == pytest.approx(0.225571579281, abs=1e-11)
    assert found["DualBound"] == pytest.approx(0.225571579281, abs=1e-9)


def test_a_barycenter_on_a_line_averages_quantiles_with_its_weights():
    line = RandomMeasures(n=4, k=2, d=1, half_width=3.0)
    points = np.sort(np.asarray(line.realise(streams(7)).points)[:, :, 0], axis=1)
    solving = Solving(
        Barycenter(line, (0.25, 0.75)), ColumnGeneration(), (Objective(), Atoms()), seed=7, precision="float64"
    )
    found = run(solving)
    atoms = next(iter(found["Atoms"].values()))
    atoms = atoms[atoms[:, -1] > 0]
    np.testing.assert_allclose(np.sort(atoms[:, 0]), 0.25 * points[0] + 0.75 * points[1], atol=1e-6)
    value = 0.25 * 0.75 * np.mean((points[0] - points[1]) ** 2)
    assert next(iter(found["Objective"].values())) == pytest.approx(value, rel=1e-6)


def test_measures_are_drawn_from_the_seed_within_their_width():
    drawn = [np.asarray(RandomMeasures(50, 3, 2, half_width=2.0).realise(streams(s)).points) for s in (0, 0, 1)]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert drawn[0].shape == (3, 50, 2)
    assert (drawn[0] != drawn[2]).all()
    assert 1.9 < np.abs(drawn[0]).max() <= 2.0


def stored(points, **arrays):
    """The solution of a barycenter of stored measures, and of its plan."""
    problem = Barycenter(StoredMeasures(Stored("measures.npz", sha256="0" * 64)))
    given = {"problem.measures.data": {"points": points, **arrays}}
    found = run(Solving(problem, ColumnGeneration(), (Objective(), Atoms()), precision="float64"), given)
    return {name: next(iter(values.values())) for name, values in found.items()}


def test_stored_measures_are_those_of_their_arrays_without_what_pads():
    points = SparseSquare(4, 3).points
    expected = last(Barycenter(SparseSquare(4, 3)), ColumnGeneration(), Objective())["Objective"]
    assert stored(points)["Objective"] == pytest.approx(expected, abs=1e-6)
    padded = np.concatenate([points, np.full((3, 2, 2), 7.0)], axis=1)
    masses = np.concatenate([np.full((3, 4), 0.25), np.zeros((3, 2))], axis=1)
    found = stored(padded, masses=masses)
    assert found["Objective"] == pytest.approx(expected, abs=1e-6)
    assert found["Atoms"].shape == (3 * 4 - 3 + 1, 3)


def test_stored_measures_have_masses_of_their_own():
    """Two measures on a line, of unequal sizes: quantiles are averaged."""
    points, masses = np.array([[[0.0], [4.0]], [[1.0], [9.0]]]), np.array([[0.25, 0.75], [1.0, 0.0]])
    found = stored(points, masses=masses)
    assert found["Objective"] == pytest.approx((0.25 * 1 + 0.75 * 9) / 4, abs=1e-6)
    np.testing.assert_allclose(found["Atoms"][np.argsort(found["Atoms"][:, 0])], [[0.5, 0.25], [2.5, 0.75]], atol=1e-6)


def test_a_file_without_points_is_refused():
    held = Solving(Barycenter(StoredMeasures(Stored("a.npz", "0" * 64))), ColumnGeneration(), (Objective(),))
    with pytest.raises(ValueError, match=r"the file has the arrays \['x'\], expected 'points'"):
        run(held, {"problem.measures.data": {"x": np.zeros(3)}})


def test_ellipses_are_images_padded_to_one_size():
    family = Ellipses(3, side=7)
    assert family.points.shape == family.shape == (3, max(family.sizes), 2)
    assert [int(np.count_nonzero(mu)) for mu in family.masses] == list(family.sizes) == list(Barycenter(family).shape)
    np.testing.assert_allclose(family.masses.sum(axis=1), 1.0)
    found = last(Barycenter(family), ColumnGeneration(pricing="power_diagrams"))
    assert found["UpperBound"] - found["DualBound"] < 1e-8
    assert 0 < found["SupportSize"] <= sum(family.sizes) - 2


def test_small_instances_in_many_dimensions_are_exact():
    points = RandomMeasures(n=3, k=3, d=5, half_width=1.0)
    exact, naive = (last(Barycenter(points), by) for by in (ColumnGeneration(), NaiveLp()))
    assert exact["Objective"] == pytest.approx(naive["Objective"], abs=1e-8)
    assert exact["UpperBound"] - exact["DualBound"] < 1e-8


# ---------------------------------------------------------------- hard problems

GRAPHS = {"K4": Complete(4), "cycle": Cycle(5), "random": Seeded(RandomGraph(6, p=0.5), seed=3)}
CLIQUE3 = Clique(Cycle(5), 3)
TO_TRANSPORT, TO_BARYCENTER = (
    ByReduction(reduction, KelleyCuts(NaiveLp())) for reduction in (CliqueToTransport(), CliqueToBarycenter())
)


def adjacency(graph):
    return np.asarray(graph.realise(streams(0)).adjacency if hasattr(graph, "realise") else graph.adjacency)


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("k", [3, 4])
def test_cliques_are_decided_by_transport_as_by_brute_force_and_by_networkx(graph, k):
    problem, network = Clique(GRAPHS[graph], k), nx.from_numpy_array(adjacency(GRAPHS[graph]))
    expected = max(map(len, nx.find_cliques(network))) >= k
    solvers = (BruteForce(), TO_TRANSPORT, TO_BARYCENTER) if k == 3 else (BruteForce(), TO_TRANSPORT)
    answers = [last(problem, by, Objective(), Decided(), DualBound(), UpperBound()) for by in solvers]
    assert [bool(found["Decided"]) for found in answers] == [expected] * len(solvers)
    for found in answers:
        assert found["Objective"] == pytest.approx(answers[0]["Objective"], abs=1e-6)
        assert found["DualBound"] - 1e-9 <= answers[0]["Objective"] <= found["UpperBound"] + 1e-6


@pytest.mark.parametrize("graph", GRAPHS)
def test_the_largest_cut_is_the_value_of_transport(graph):
    matrix = adjacency(GRAPHS[graph])
    edges = np.argwhere(np.triu(matrix))
    sides = itertools.product((0, 1), repeat=len(matrix))
    expected = max(sum(side[a] != side[b] for a, b in edges) for side in sides)
    assert last(MaxCut(GRAPHS[graph]), BruteForce(), Objective())["Objective"] == expected
    by = ByReduction(CutToTransport(), NaiveLp())
    assert last(MaxCut(GRAPHS[graph]), by, Objective())["Objective"] == pytest.approx(expected, abs=1e-8)


def test_what_a_reduction_makes_is_a_problem_of_its_own():
    least = last(Reduced(Clique(Complete(4), 3), CliqueToBarycenter()), KelleyCuts(NaiveLp()), Objective())
    assert least["Objective"] == pytest.approx(-2 / 3, abs=1e-7)  # -(k - 1) / k: there is a clique
    cut = last(Reduced(MaxCut(Cycle(5)), CutToTransport()), ColumnGeneration(), Objective())
    assert cut["Objective"] == pytest.approx(-4, abs=1e-7)


@pytest.mark.parametrize("graph", [*GRAPHS.values(), Seeded(RandomGraph(6, p=0.3), seed=0)])
@pytest.mark.parametrize("k", [2, 3])
def test_instances_of_a_barycenter_count_pairs_in_their_dimension(graph, k):
    matrix = adjacency(graph)
    found = run(Analysis(Reduced(Clique(graph, k), CliqueToBarycenter()), (InstanceSize(), CostIdentity())))
    edges, inside = int(matrix.sum()) // 2, int(np.count_nonzero(matrix.sum(axis=1)))
    assert found["InstanceSize"][0].tolist() == [k, inside, k * (k - 1) * edges]
    assert found["CostIdentity"][0] < 1e-12


@pytest.mark.parametrize(
    ("problem", "by", "size"),
    [(CLIQUE3, CliqueToTransport(), [3, 5, 0]), (MaxCut(Cycle(5)), CutToTransport(), [5, 2, 0])],
)
def test_costs_of_other_reductions_count_too(problem, by, size):
    found = run(Analysis(Reduced(problem, by), (InstanceSize(), CostIdentity())))
    assert found["InstanceSize"][0].tolist() == size
    assert found["CostIdentity"][0] == 0.0


# ---------------------------------------------------------------- what does not fit is told when it is written

FLOW = Transport(EulerFlow(4, 3, "rev"), uniform(4, 3))
NETWORK = Transport(Connected(Complete(3), 1.0), bernoulli(0.9, 3))
CLIQUE = Clique(Complete(3), 2)
TWO_SIZES = LowRankPlusSparse(((1.0,), (1.0, 2.0)))
BIG = Transport(EulerFlow(2000, 2, "id"), uniform(2000, 2))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Transport(EulerFlow(4, 3, "rev"), uniform(4, 2)), r"marginals: expected the sizes \(4, 4, 4\)"),
        (lambda: Connected(Complete(1), 1.0), "graph: expected a connected graph with an edge"),
        (lambda: Connected(Complete(3), 0.5), r"sign: expected 1.0 \(the worst case\) or -1.0"),
        (lambda: LowRankPlusSparse(()), "factors: expected values for each of at least one marginal"),
        (lambda: LowRankPlusSparse(((1.0, -2.0),)), r"factors\[0\]\[1\]: .*greater than 0"),
        (lambda: LowRankPlusSparse(((1.0, np.inf),)), r"factors\[0\]\[1\]: .*finite"),
        (lambda: LowRankPlusSparse(A, terms=(A[:2],)), r"terms\[0\]: expected factors of the lengths \(3, 2, 3\)"),
        (lambda: LowRankPlusSparse(A, terms=(A,) * 4), "terms: expected a rank of at most 4, got 5"),
        (lambda: LowRankPlusSparse(A, sparse=(((0, 2, 0), 1.0),)), r"sparse\[0\]\[0\]: expected a tuple of the shape"),
        (lambda: LowRankPlusSparse(A, sparse=LISTED + LISTED[:1]), r"sparse\[2\]\[0\]: \(0, 1, 2\) is listed twice"),
        (lambda: Masses(((0.5, 0.4), (1.0,))), r"masses\[0\]: expected masses with the sum 1, got 0.9"),
        (lambda: Masses(((1.0,), (1.5, -0.5))), r"masses\[1\]\[1\]: .*greater than or equal to 0"),
        (lambda: Masses(()), "masses: expected at least one distribution"),
        (
            lambda: Transport(EulerFlow(2, 2, "id"), Masses(((1.0,), (0.5, 0.5)))),
            r"marginals: expected the sizes \(2, 2\) of the cost, got \(1, 2\)",
        ),
        (lambda: Connected(Seeded(Complete(4), seed=0), 1.0), "nothing in Complete is drawn once per run"),
        (
            lambda: last(
                Barycenter(RandomMeasures(3, 2, 4, half_width=1.0)), ColumnGeneration(pricing="power_diagrams")
            ),
            "by.pricing: 'power_diagrams' are for up to 3 dimensions, not 4; 'structure' searches small tensors",
        ),
        (lambda: Analysis(of=Hypercube(3), measure=(InstanceSize(),)), r"InstanceSize is of a Reduced\(...\) problem"),
        (lambda: Barycenter(SparseSquare(3, 2), (0.5, 0.4)), "weights: expected the sum 1, got 0.9"),
        (lambda: Barycenter(SparseSquare(3, 2), (1.0,)), "weights: expected 2, one a measure, got 1"),
        (lambda: last(CLIQUE, NaiveLp()), r"by: NaiveLp solves transport; Clique takes BruteForce\(\)"),
        (lambda: last(FLOW, BruteForce()), r"by: BruteForce goes through answers on a graph"),
        (lambda: last(FLOW, KelleyCuts(NaiveLp())), "by: KelleyCuts searches a cost, Transport has none"),
        (lambda: last(FLOW, ByReduction(CutToTransport(), NaiveLp())), "by: CutToTransport takes a MaxCut"),
        (lambda: ByReduction(CliqueToTransport(), NaiveLp()), "by: CliqueToTransport needs KelleyCuts"),
        (lambda: Reduced(CLIQUE, CutToTransport()), "CutToTransport takes a MaxCut, got a Clique"),
        (lambda: last(NETWORK, MultimarginalSinkhorn(10.0, 0.1)), "MultimarginalSinkhorn needs a cost with soft sums"),
        (lambda: last(FLOW, ColumnGeneration(start="rearrangement")), "by.start: 'rearrangement' starts LowRankPlus"),
        (lambda: last(FLOW, ColumnGeneration(start="coarse")), "by.start: 'coarse' starts a Barycenter"),
        (lambda: last(FLOW, ColumnGeneration(pricing="power_diagrams")), "by.pricing: 'power_diagrams' are searched"),
        (lambda: last(FLOW, MultimarginalSinkhorn(9.0, 0.1), Plan()), "Plan is of plans with few atoms"),
        (lambda: last(FLOW, NaiveLp(), Atoms()), "Atoms is of a Barycenter, not of a Transport"),
        (lambda: Analysis(of=Hypercube(3), measure=(StepsMade(),)), "StepsMade counts the steps of a run"),
        (lambda: last(FLOW, NaiveLp(), Decided()), "Decided is of a Clique, not of a Transport"),
        (lambda: last(Barycenter(SparseSquare()), NaiveLp()), r"2\^33 entries, more than 2\^20; ColumnGen"),
        (
            lambda: last(CLIQUE, BruteForce(), SupportSize()),
            "SupportSize is of a transport plan; BruteForce gives another answer",
        ),
        (
            lambda: last(Transport(TWO_SIZES, Masses(((1.0,), (0.5, 0.5)))), NaiveLp(), PairMarginals()),
            r"PairMarginals needs marginals of one size, got \(1, 2\)",
        ),
        (lambda: last(BIG, ColumnGeneration(), PairMarginals()), r"joint laws have 8e\+06 entries, more than 2\^22"),
        (lambda: last(CLIQUE, BruteForce(), PairMarginals()), "PairMarginals is of a transport plan; BruteForce gives"),
    ],
)
def test_faults(make, message):
    with pytest.raises(SpecError, match=message):
        make()


def test_what_is_drawn_has_no_parts_before_a_run():
    with pytest.raises(ValueError, match="it has no edges before"):
        RandomGraph(3, p=0.5).adjacency  # noqa: B018 # reading it is what is refused
    with pytest.raises(ValueError, match="it has no points before"):
        RandomMeasures(3, 2, 2, half_width=1.0).points  # noqa: B018 # the same
    with pytest.raises(ValueError, match="it has no points before"):
        StoredMeasures(Stored("a.npz", "0" * 64)).points  # noqa: B018 # the same


def test_a_drawn_network_that_is_not_connected_is_refused_in_its_run():
    sparse = Seeded(RandomGraph(4, p=0.2), seed=0)
    with pytest.raises(ValueError, match=r"Connected: the graph is not connected, its parts are \[\["):
        last(Transport(Connected(sparse, 1.0), bernoulli(0.9, 2)), ColumnGeneration(), Objective())


def test_an_identity_of_too_many_tuples_is_refused():
    with pytest.raises(ValueError, match=r"CostIdentity: the cost has 1.3e\+07 entries, more than 1048576"):
        run(Analysis(Reduced(Clique(Cycle(60), 4), CliqueToTransport()), (CostIdentity(),)))
