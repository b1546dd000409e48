"""The functions of the studies of transport, on tables made by hand and on what their points say."""

import numpy as np
import pytest

from dsl import *
from runs.studies import barycenters, mot_hardness, mot_structure
from runs.table import Entry, Rows, Table


def table(points):
    """Points with their axes and what they measured at the last of two steps."""
    entries, rows = [], {}
    for i, (axes, measured) in enumerate(points):
        entries.append(Entry(f"{i:064}", axes, "finished"))
        first = {"Objective": measured["Objective"] + 1.0}
        rows[entries[-1].digest] = Rows.of([(0, 0.0, first), (7, 1.0, measured)])
    return Table.build(entries, rows)


def test_values_at_the_end_gaps_and_excesses():
    flow = {"sigma": "rev", "n": 11}
    made = table(
        [
            (flow | {"solver": "exact"}, {"Objective": 0.5, "DualBound": 0.25, "UpperBound": 0.5}),
            (flow | {"solver": "soft"}, {"Objective": 0.75, "DualBound": 0.5, "UpperBound": 1.0}),
        ]
    )
    assert mot_structure.last(made, "Objective", sigma="rev", solver="exact").estimate == 0.5
    assert mot_structure.gap(made, sigma="rev", solver="soft").estimate == 0.5
    assert mot_structure.excess(made, "rev", 11).estimate == 0.25


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


def test_differences_of_two_exact_solvers_are_by_seed():
    made = table(
        [
            ({"k": 3, "solver": solver, "seed": seed}, {"Objective": value + seed})
            for solver, value in (("exact", 0.5), ("naive", 0.25))
            for seed in (0, 1)
        ]
    )
    np.testing.assert_allclose(barycenters.disagreement(made, 3).values, [0.25, 0.25])


@pytest.mark.parametrize("module", [barycenters, mot_hardness, mot_structure])
@pytest.mark.parametrize("scale", ["smoke", "small", "paper"])
def test_every_claim_is_of_points_that_the_study_has(module, scale):
    made = module.study(scale)
    axes = [point.axes for point in made.points]
    for claim in made.claims:
        asked = {n: v for n, v in claim.measured.keywords.items() if n in {n for a in axes for n in a} and n != "name"}
        assert any(asked.items() <= a.items() for a in axes), claim.statement
