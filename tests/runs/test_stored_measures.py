"""A file that holds no measures, or others than its solver can do, is refused by name before its points are solved."""

import hashlib

import numpy as np
import pytest

from dsl import *
from runs.execute import execute
from runs.here import run
from runs.inputs import stored
from runs.options import RunError, RunOptions
from runs.plan import stages
from runs.store import InMemory


@pytest.mark.parametrize("problem", [Barycenter, Wasserstein])
@pytest.mark.parametrize(
    ("points", "masses", "message"),
    [
        ([[0, 1, 2], [3, 4, 5]], [[1, 0, 0], [0.4, 0, 0.4]], r"masses\[1\]: the masses sum to 0.8, expected 1"),
        ([[0, 1, 2], [3, 4, 5]], [[1, 0, 0], [0, 1.5, -0.5]], r"masses\[1\]\[2\] is -0.5, expected masses"),
        (
            [[0, 1, 1], [3, 4, 5]],
            [[0, 0.5, 0.5], [1, 0, 0]],
            r"points\[0\]\[2\] = \[1.0\] occurs twice, at points\[0\]\[1\]",
        ),
        ([[0, 1, np.nan], [3, 4, 5]], [[0, 0.5, 0.5], [1, 0, 0]], r"points\[0\]\[2\] = \[nan\], expected finite"),
    ],
)
def test_the_file_the_path_and_the_place_are_named(tmp_path, problem, points, masses, message):
    np.savez(tmp_path / "x.npz", points=np.array(points, float)[:, :, None], masses=np.array(masses, float))
    data = Stored("x.npz", hashlib.sha256((tmp_path / "x.npz").read_bytes()).hexdigest())
    point = Solving(problem(StoredMeasures(data)), NaiveLp(), (Objective(),))
    with pytest.raises(RunError, match=rf"x.npz is not what the spec says: problem.measures.data: {message}"):
        stored(point, tmp_path)


def kept(folder, **arrays):
    """The measures of a new file."""
    np.savez(folder / "x.npz", **arrays)
    return StoredMeasures(Stored("x.npz", hashlib.sha256((folder / "x.npz").read_bytes()).hexdigest()))


UNFIT = {
    "weights": (
        (3, 4, 2),
        lambda measures: (Barycenter(measures, (0.5, 0.5)), ColumnGeneration()),
        r"problem\.weights: expected 3, one a measure, got 2$",
    ),
    "two measures": (
        (3, 4, 2),
        lambda measures: (Wasserstein(measures), NaiveLp()),
        r"problem\.measures: expected 2 measures, got 3$",
    ),
    "dimensions": (
        (3, 4, 4),
        lambda measures: (Barycenter(measures), ColumnGeneration(pricing="power_diagrams")),
        r"by\.pricing: 'power_diagrams' are for up to 3 dimensions, not 4; 'structure' searches small tensors",
    ),
    "tensor": (
        (3, 200, 2),
        lambda measures: (Barycenter(measures), NaiveLp()),
        r"by: the tensor has about 2\^23 entries, more than 2\^20; ColumnGeneration\(\) has 600 rows$",
    ),
    "grid": (
        (3, 40, 4),
        lambda measures: (Barycenter(measures), Bregman(side=100, eta=10.0)),
        r"by\.side: 1e\+08 points of the grid, .* side=11 fits; ColumnGeneration\(\) has 120 rows$",
    ),
    "linear program": (
        (3, 40, 4),
        lambda measures: (Barycenter(measures), FixedGrid(side=100)),
        r"by\.side: 1.21e\+10 variables are more than 2\^21: take fewer points, side=11 fits; ColumnGeneration",
    ),
    "atoms": (
        (3, 40, 4),
        lambda measures: (Barycenter(measures), FreeSupport(atoms=10**5, restarts=1)),
        r"by\.atoms: expected at most 4096, got 100000: .*; ColumnGeneration\(\) has 120 rows$",
    ),
}


@pytest.mark.parametrize(("shape", "make", "message"), UNFIT.values(), ids=UNFIT)
def test_what_a_solver_cannot_do_with_a_file_is_told_when_it_is_read(tmp_path, shape, make, message):
    problem, by = make(kept(tmp_path, points=np.random.default_rng(0).normal(size=shape)))
    with pytest.raises(RunError, match=rf"^ValueError: the spec does not fit what is in x\.npz: {message}"):
        run(Solving(problem, by, (Objective(),)), data=tmp_path)


def test_points_that_fit_a_file_go_on_beside_one_that_does_not(tmp_path):
    measures = kept(tmp_path, points=np.random.default_rng(0).normal(size=(3, 4, 4)))
    solvers = ColumnGeneration(pricing="power_diagrams"), ColumnGeneration()
    points = [Solving(Barycenter(measures), by, (Objective(),)) for by in solvers]
    store = InMemory()
    for stage in stages(points):
        execute(stage.groups, store, RunOptions(data=tmp_path), lambda event: None)
    refused, found = (store.status(point.digest) for point in points)
    assert refused is not None
    assert refused.startswith("failed: ValueError: the spec does not fit what is in x.npz: by.")
    assert found == "finished"


def test_points_without_mass_are_no_points_of_a_problem(tmp_path):
    points = np.random.default_rng(0).normal(size=(2, 1100, 1))  # 2^20.2 pairs, of which 2^20 have mass
    masses = np.where(np.arange(1100) < 1024, 1 / 1024, 0.0) * np.ones((2, 1))
    point = Solving(Wasserstein(kept(tmp_path, points=points, masses=masses)), NaiveLp(), (Objective(),))
    arrays = {"problem.measures.data": {"points": points, "masses": masses}}
    assert not list(point.misfits(arrays))
    (fault,) = point.misfits({"problem.measures.data": {"points": points}})
    assert str(fault) == "by: the tensor has about 2^20 entries, more than 2^20; ColumnGeneration() has 2200 rows"


def test_joint_laws_of_stored_measures_are_those_of_the_plan(tmp_path):
    points = np.random.default_rng(0).normal(size=(3, 4, 1))
    masses = np.array([[0.25] * 4, [0.4, 0.3, 0.2, 0.1], [0.1, 0.2, 0.3, 0.4]])
    measures = kept(tmp_path, points=points, masses=masses)
    (laws,) = run(Solving(Barycenter(measures), NaiveLp(), (PairMarginals(),)), data=tmp_path)["PairMarginals"]
    np.testing.assert_allclose(laws[0], np.diag(masses[0]), atol=1e-9)
    np.testing.assert_allclose(laws.sum(axis=1), masses, atol=1e-9)
    np.testing.assert_allclose(laws.sum(axis=2), masses[[0, 0, 0]], atol=1e-9)


def test_joint_laws_of_stored_measures_of_unequal_sizes_are_refused_with_the_sizes(tmp_path):
    points = np.random.default_rng(0).normal(size=(2, 3, 1))
    measures = kept(tmp_path, points=points, masses=np.array([[0.5, 0.5, 0.0], [0.2, 0.3, 0.5]]))
    with pytest.raises(RunError, match=r"measure\[0\]: PairMarginals needs marginals of one size, got \(2, 3\)$"):
        run(Solving(Barycenter(measures), NaiveLp(), (PairMarginals(),)), data=tmp_path)
