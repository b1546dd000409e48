"""Two measures, approximate barycenters and Gaussians in the language, against exact solvers and closed forms."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest

from dsl import *
from dsl.keys import streams
from dsl.spec import rebuilt
from tests.dsl.running import run

EVERYTHING = (Objective(), DualBound(), UpperBound(), MarginalError(), SupportSize(), OracleCalls())
LINE = Wasserstein(RandomMeasures(n=6, k=2, d=1, half_width=1.0))
PLANE = Wasserstein(SparseSquare(n=5, k=2))
LARGE = Wasserstein(RandomMeasures(n=9000, k=2, d=2, half_width=1.0))
SQUARE = Barycenter(SparseSquare(n=3, k=3))


def last(problem, by, *measure, seed=0):
    found = run(Solving(problem, by, measure or EVERYTHING, seed=seed, precision="float32"))
    return {name: np.asarray(list(values.values())[-1]) for name, values in found.items()}


def test_points_on_a_line_are_paired_in_order():
    x, y = np.sort(np.asarray(LINE.measures.realise(streams(3)).points)[:, :, 0], axis=1)
    found = last(LINE, Quantiles(), *EVERYTHING, seed=3)
    assert found["Objective"] == pytest.approx(np.mean((x - y) ** 2), rel=1e-5)
    assert found["UpperBound"] - found["DualBound"] <= 1e-5
    assert found["SupportSize"] <= 11


def test_host_solvers_solve_two_measures_too():
    exact = [last(PLANE, by)["Objective"] for by in (NaiveLp(), ColumnGeneration())]
    assert exact[0] == pytest.approx(exact[1], abs=1e-9)


@pytest.mark.slow
def test_sinkhorn_brackets_the_exact_value():
    exact = last(PLANE, NaiveLp())["Objective"]
    found = last(PLANE, Sinkhorn(eta=40.0, tol=1e-4))
    assert found["DualBound"] - 1e-5 <= exact <= found["UpperBound"] + 1e-5
    assert found["Objective"] - exact <= np.log(25) / 40
    assert found["MarginalError"] <= 1e-4 + 1e-6


@pytest.mark.slow
def test_an_assignment_is_a_permutation_of_the_exact_value():
    found = last(PLANE, Assignment(), *EVERYTHING, Coupling())
    assert found["Objective"] == pytest.approx(float(last(PLANE, NaiveLp())["Objective"]), abs=1e-5)
    np.testing.assert_allclose(np.sort(found["Coupling"], axis=1)[:, -1], 0.2, atol=1e-6)


@pytest.mark.slow
def test_low_rank_plans_cost_more_and_of_rank_one_are_independent():
    x, y = PLANE.measures.points
    found = last(PLANE, LowRankSinkhorn(rank=1))
    assert found["Objective"] == pytest.approx(np.mean(np.sum((x[:, None] - y) ** 2, axis=2)), rel=1e-3)
    assert found["DualBound"] <= last(PLANE, NaiveLp())["Objective"] <= found["Objective"]


APPROXIMATE = (
    FixedGrid(side=4),
    FreeSupport(atoms=3, restarts=2),
    Bregman(side=4, eta=40.0, sweeps=30),
    Bregman(side=4, eta=40.0, sweeps=30, debiased=True),
)


@pytest.mark.parametrize("by", APPROXIMATE, ids=repr)
def test_no_approximate_barycenter_beats_the_exact_one(by):
    exact = last(SQUARE, NaiveLp())["Objective"]
    found = last(SQUARE, by, *EVERYTHING, Atoms())
    assert found["DualBound"] - 1e-9 <= exact <= found["Objective"] + 1e-7
    atoms = found["Atoms"][found["Atoms"][:, -1] > 0]
    assert len(atoms) == found["SupportSize"]
    assert atoms[:, -1].sum() == pytest.approx(1.0)


@pytest.mark.slow
@pytest.mark.parametrize("by", [EntropicFreeSupport(atoms=3, eta=50.0), LowRankFreeSupport(atoms=3, rank=2)], ids=repr)
def test_no_barycenter_of_ott_beats_the_exact_one(by):
    exact = last(SQUARE, NaiveLp())["Objective"]
    assert exact <= last(SQUARE, by)["Objective"] + 1e-7


def test_atoms_get_better_with_every_round_and_stop():
    problem = Barycenter(SparseSquare(n=6, k=3))
    found = run(Solving(problem, FreeSupport(atoms=6, restarts=3, rounds=12), (Objective() @ every(1),)))
    values = list(found["Objective"].values())
    assert len(values) == 13
    assert (np.diff(values) <= 1e-12).all()
    assert values[-1] == values[-2] < values[0]


def test_gaussians_on_a_line_average_their_deviations():
    problem = GaussianBarycenter(((0.0,), (4.0,)), (((1.0,),), ((9.0,),)), (0.25, 0.75))
    found = last(problem, BuresFixedPoint(), Objective(), DualBound(), Moments())
    np.testing.assert_allclose(found["Moments"], [[3.0], [2.5**2]], rtol=1e-5)
    expected = 0.25 * (9 + 1.5**2) + 0.75 * (1 + 0.5**2)
    assert found["Objective"] == pytest.approx(expected, rel=1e-5)
    assert found["DualBound"] == pytest.approx(expected, rel=1e-5)


def test_the_iteration_of_covariances_ends_when_its_bound_has_closed():
    covariances = (((1.0, 0.5), (0.5, 2.0)), ((3.0, -1.0), (-1.0, 1.0)), ((0.2, 0.0), (0.0, 5.0)))
    problem = GaussianBarycenter(((0.0, 0.0),) * 3, covariances)
    found = last(problem, BuresFixedPoint(), Objective(), DualBound(), OracleCalls())
    assert 2 <= found["OracleCalls"] < 20
    assert found["Objective"] == pytest.approx(found["DualBound"], rel=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: RandomMeasures(6, 2, 2, half_width=1e200),
            r"half_width: expected less than or equal to 10{15}, got 1e\+200",
        ),
        (lambda: Wasserstein(SparseSquare(3, 3)), "measures: expected 2 measures, got 3"),
        (lambda: last(SQUARE, Sinkhorn(1.0)), r"by: Sinkhorn solves Wasserstein\(measures\)"),
        (
            lambda: last(LARGE, ColumnGeneration()),
            r"by: 9000 x 9000 .* more than 2\^26: Sinkhorn\(...\) makes them row",
        ),
        (lambda: last(LARGE, Assignment()), r"by: 9000 x 9000 squared distances are 8.1e\+07 numbers, more than 2\^26"),
        (lambda: last(PLANE, Quantiles()), "by: Quantiles solves measures of dimension 1, not 2"),
        (lambda: last(PLANE, LowRankSinkhorn(rank=6)), "by.rank: expected at most 5, the number of points"),
        (lambda: last(PLANE, FixedGrid(3)), r"by: FixedGrid solves Barycenter\(...\), not Wasserstein"),
        (lambda: last(SQUARE, FixedGrid(1000)), r"by.side: 1e\+07 variables are more than 2\^21"),
        (lambda: last(SQUARE, FixedGrid(3), Coupling()), "Coupling is of a plan between two measures; FixedGrid gives"),
        (
            lambda: GaussianBarycenter(((0.0,),), (((-1.0,),),)),
            r"covariances\[0\]: expected a positive definite matrix",
        ),
        (lambda: GaussianBarycenter((), ()), "means: expected vectors of one dimension"),
        (lambda: last(PLANE, BuresFixedPoint()), r"by: BuresFixedPoint solves GaussianBarycenter"),
        (
            lambda: last(PLANE, NaiveLp(), Moments()),
            "Moments is of a Gaussian barycenter; NaiveLp gives another answer",
        ),
    ],
)
def test_faults(make, message):
    with pytest.raises(SpecError, match=message):
        make()


@pytest.mark.parametrize(("noun", "by"), [(Wasserstein, NaiveLp()), (Barycenter, ColumnGeneration())])
def test_masses_of_a_file_that_do_not_sum_to_one_are_refused_by_both_problems(noun, by):
    point = Solving(noun(StoredMeasures(Stored("m.npz", sha256="0" * 64))), by, (Objective(),))
    arrays = {"points": np.array([[[0.0], [1.0]], [[0.0], [3.0]]]), "masses": np.array([[0.4, 0.4], [0.5, 0.5]])}
    with pytest.raises(ValueError, match=r"measures.masses\[0\]: the masses sum to 0.8\d*, expected 1"):
        run(point, {"problem.measures.data": arrays})


@pytest.mark.parametrize(
    ("points", "masses", "message"),
    [
        (np.zeros((2, 2, 1)), np.array([[0.5, 0.5], [0.4, 0.4]]), r"masses\[1\]: the masses sum to 0.8, expected 1"),
        (
            np.full((2, 2, 1), 1e25),
            np.full((2, 2), 0.5),
            r"points: expected numbers up to 9e\+18 in float32, got 1e\+25",
        ),
    ],
)
def test_measures_that_are_known_are_refused_before_they_are_traced(points, masses, message):
    problem = rebuilt(PLANE, measures=SimpleNamespace(points=points, masses=masses))
    with pytest.raises(ValueError, match=message):
        jax.jit(lambda: problem.pair())()


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2149, 2364])
def test_a_plan_that_needs_no_rounding_is_not_rounded_away(seed):
    problem = Wasserstein(RandomMeasures(n=6, k=2, d=2, half_width=1.0))
    exact = last(problem, NaiveLp(), seed=seed)["Objective"]
    found = last(problem, Sinkhorn(eta=0.5), seed=seed)
    assert found["DualBound"] - 1e-5 <= exact <= found["UpperBound"] + 1e-5
    assert found["Objective"] == found["UpperBound"] <= 8.0


@pytest.mark.slow
def test_low_rank_plans_of_small_measures_are_small():
    here, there = (
        last(Wasserstein(RandomMeasures(6, 2, 2, half_width=half_width)), LowRankSinkhorn(rank=2))
        for half_width in (1.0, 1e-4)
    )
    for name in ("Objective", "DualBound"):
        assert there[name] / 1e-8 == pytest.approx(here[name], rel=1e-3)


@pytest.mark.slow
def test_measures_of_unequal_sizes_are_padded_with_points_of_no_mass():
    problem = Wasserstein(Ellipses(images=2, side=7))
    assert len(set(problem.shape)) == 2
    exact = last(problem, NaiveLp())["Objective"]
    found = last(problem, Sinkhorn(eta=400.0, tol=1e-4))
    assert found["DualBound"] - 1e-5 <= exact <= found["UpperBound"] + 1e-5
    assert found["SupportSize"] == problem.shape[0] * problem.shape[1]
    with pytest.raises(SpecError, match="Assignment pairs equal numbers of points"):
        last(problem, Assignment())
