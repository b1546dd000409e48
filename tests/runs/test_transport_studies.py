"""The functions of the studies of transport, on tables made by hand and on what their points say."""

import hashlib

import numpy as np
import pytest

from dsl import *
from runs.execute import execute
from runs.options import RunOptions
from runs.plan import stages
from runs.store import InMemory
from runs.studies import barycenter_hardness, barycenters, mot_hardness, mot_structure
from runs.table import Entry, Rows, Table
from theory import transport


def table(points):
    """Points with their axes and what they measured at the last of two steps."""
    entries, rows = [], {}
    for i, (axes, measured) in enumerate(points):
        entries.append(Entry(f"{i:064}", axes, "finished"))
        first = {"Objective": measured["Objective"] + 1.0}  # at another step
        rows[entries[-1].digest] = Rows.of([(0, 0.0, first), (7, 1.0, measured)])
    return Table.build(entries, rows)


def test_values_at_the_end_gaps_and_excesses():
    flow = {"sigma": "rev", "n": 51}
    values = {200.0: 1.5, 2000.0: 0.75}
    made = table(
        [
            (flow | {"solver": "exact"}, {"Objective": 0.5, "DualBound": 0.25, "UpperBound": 0.5}),
            *(
                (flow | {"solver": "soft", "eta": eta}, {"Objective": value, "DualBound": 0.5, "UpperBound": 1.0})
                for eta, value in values.items()
            ),
        ]
    )
    assert mot_structure.last(made, "Objective", sigma="rev", solver="exact").estimate == 0.5
    assert mot_structure.gap(made, sigma="rev", solver="exact").estimate == 0.25
    assert mot_structure.excess(made, "rev", 2000.0).estimate == 0.25
    assert mot_structure.gain(made, "rev").estimate == 0.75


def test_jensens_bound_is_that_of_the_reference_file():
    for k, bound in ((2, 1.4798880), (5, 1.5279507), (10, 1.5471104), (20, 1.5574332)):
        assert mot_structure.jensen(k) == pytest.approx(bound, abs=5e-8)
    made = table([({"k": 2}, {"Objective": 1.48, "DualBound": 1.48})])
    assert mot_structure.over_jensen(made, 2).estimate == pytest.approx(1.48 - 1.4798880, abs=1e-7)


def test_the_worst_difference_from_brute_force_is_told():
    answers = {("a", 3, "transport"): 2.0, ("b", 3, "transport"): 5.0, ("a", 3, "brute force"): 2.0}
    answers[("b", 3, "brute force")] = 3.0
    made = table([({"graph": g, "k": k, "way": way}, {"Objective": v}) for (g, k, way), v in answers.items()])
    worst = mot_hardness.errors(made, "transport", "brute force", "Objective")
    assert (worst.estimate, worst.n) == (2.0, 2)


def test_an_exact_value_is_compared_with_that_of_all_tuples():
    points = [({"marginals": 4, "solver": s}, {"Objective": v}) for s, v in (("exact", 2.5), ("naive", 2.25))]
    assert mot_structure.apart(table(points), 4).estimate == 0.25


def test_instances_and_decisions_of_barycenters_are_compared_with_what_is_known():
    decided = {("a", "barycenter"): 3.0, ("a", "brute force"): 3.0, ("b", "barycenter"): 1.0, ("b", "brute force"): 2.0}
    points = [({"graph": g, "k": 3, "solver": s}, {"Objective": v}) for (g, s), v in decided.items()]
    found = barycenter_hardness.errors(table(points), "Objective")
    assert (found.estimate, found.n) == (1.0, 2)
    sizes = {"a": ([3.0, 5.0, 30.0], 1e-15), "b": ([3.0, 4.0, 36.0], 2e-15)}
    of_instances = [
        ({"graph": g, "k": 3}, {"Objective": 0.0, "InstanceSize": size, "CostIdentity": error})
        for g, (size, error) in sizes.items()
    ]
    made = table(of_instances)
    assert barycenter_hardness.dimension(made, "b", 3).estimate == 36.0
    assert (barycenter_hardness.identity(made).estimate, barycenter_hardness.identity(made).n) == (2e-15, 2)


def test_edges_that_claims_name_are_those_of_the_graphs():
    for name, edges in barycenter_hardness.EDGES.items():
        assert (barycenter_hardness.GRAPHS | barycenter_hardness.LARGER)[name].edges == edges


def test_stored_measures_are_read_from_their_file(tmp_path):
    points = np.concatenate([SparseSquare(3, 2).points, np.zeros((2, 1, 2))], axis=1)
    masses = np.array([[0.5, 0.25, 0.25, 0.0], [0.25, 0.25, 0.5, 0.0]])
    np.savez(tmp_path / "measures.npz", points=points, masses=masses)
    data = Stored("measures.npz", hashlib.sha256((tmp_path / "measures.npz").read_bytes()).hexdigest())
    point = Solving(Barycenter(StoredMeasures(data)), ColumnGeneration(), (Objective(), UpperBound()))
    store = InMemory()
    for stage in stages([point]):
        execute(stage.groups, store, RunOptions(data=tmp_path), lambda event: None)
    cost = transport.BarycenterCost(list(SparseSquare(3, 2).points))
    exact = transport.NaiveLp().solve(transport.Problem(cost, [mu[:3] for mu in masses])).value
    rows = store.records[digest(point)].rows
    np.testing.assert_allclose(rows.value.astype(float), exact, atol=1e-6)  # read in float32


def test_differences_of_two_exact_solvers_are_by_seed():
    made = table(
        [
            ({"k": 3, "solver": solver, "seed": seed}, {"Objective": value + seed})
            for solver, value in (("exact", 0.5), ("naive", 0.25))
            for seed in (0, 1)
        ]
    )
    np.testing.assert_allclose(barycenters.disagreement(made, 3).values, [0.25, 0.25])


def test_excesses_are_above_the_published_optimum_and_gains_are_between_solvers():
    values = {("IBP, eta 100", 10): 0.25, (barycenters.FINE, 10): 0.24, ("free support", 1): 0.23}
    made = table(
        [
            ({"family": family, "effort": effort, "seed": seed}, {"Objective": value + seed * 2**-8})
            for (family, effort), value in values.items()
            for seed in ((0, 1) if family == "free support" else (0,))
        ]
    )
    best = barycenters.PUBLISHED
    np.testing.assert_allclose(barycenters.excess(made, "free support", 1).values, [0.23 - best, 0.23 + 2**-8 - best])
    gained = barycenters.gain(made, "free support", 1, than=(barycenters.FINE, 10))
    np.testing.assert_allclose(gained.values, [0.01, 0.01 - 2**-8])
    assert barycenters.best_projection(made).estimate == pytest.approx(0.24)
    assert barycenters.least_excess(made).estimate == pytest.approx(0.23 - best)


def test_an_image_has_the_masses_of_its_atoms_and_a_sharper_one_covers_fewer_pixels():
    padded = np.zeros((6, 3))
    padded[:4] = [[0.1, 0.1, 0.25], [0.4, 0.1, 0.25], [0.1, 0.9, 0.25], [0.12, 0.92, 0.25]]
    spread = np.array([[(i + 0.5) / 4, (j + 0.5) / 4, 1 / 16] for i in range(4) for j in range(4)])
    points = [
        ({"painter": painter, "side": 4}, {"Objective": value, "Atoms": atoms})
        for painter, value, atoms in (("exact", 0.25, padded), ("IBP", 1.0, spread))
    ]
    made = table(points)
    expected = np.zeros((4, 4))
    expected[0, 0], expected[1, 0], expected[0, 3] = 0.25, 0.25, 0.5
    np.testing.assert_allclose(barycenters.image(made, "exact"), expected)
    assert barycenters.pixels_covered(made, "IBP") == pytest.approx(16.0)
    assert barycenters.sharper(made, "exact", "IBP").estimate == pytest.approx(16.0 / 2**1.5)
    assert barycenters.nearer(made, "exact", "IBP").estimate == 0.75


def test_what_weights_miss_is_told_against_the_closed_form():
    made = table([({"case": "worst", "solver": "weights", "vertices": 6}, {"Objective": 0.98})])
    assert mot_structure.missed(made, 6).estimate == pytest.approx(0.01)


@pytest.mark.parametrize("module", [barycenter_hardness, barycenters, mot_hardness, mot_structure])
@pytest.mark.parametrize("scale", ["smoke", "small", "paper"])
def test_every_claim_is_of_points_that_the_study_has(module, scale):
    made = module.study(scale)
    axes = [point.axes for point in made.points]
    for claim in made.claims:
        given = getattr(claim.measured, "keywords", {})
        asked = {n: v for n, v in given.items() if n in {n for a in axes for n in a} and n != "name"}
        assert any(asked.items() <= a.items() for a in axes), claim.statement
