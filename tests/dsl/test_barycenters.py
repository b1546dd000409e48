"""Measures that are none are refused with the place where the file has the fault."""

import re
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dsl import *
from dsl.barycenters import DrawnMeasures, checked_measures, supports
from tests.dsl.running import run

FILE = StoredMeasures(Stored("measures.npz", sha256="0" * 64))


def pair(first, second=((0.0, 0.0), (1.0, 0.0), (2.0, 0.0))):
    """Two measures of three points in the plane."""
    return np.array([first, second], float)


GOOD = pair(second=[(3.0, 0.0), (4.0, 0.0), (5.0, 1.0)], first=[(0.0, 0.0), (1.0, 0.0), (2.0, 0.0)])
REFUSED = {
    "axes": ({"points": np.zeros((2, 3))}, r"points have shape \(2, 3\), expected 3 axes"),
    "nothing": (
        {"points": np.zeros((0, 2, 1))},
        r"points have shape \(0, 2, 1\), expected \(k, n, d\), each at least 1",
    ),
    "masses of other shape": (
        {"points": GOOD, "masses": np.ones((2, 1))},
        r"masses have shape \(2, 1\), expected \(2, 3\), one a point",
    ),
    "sum": (
        {"points": GOOD, "masses": np.array([[0.5, 0.5, 0], [0.4, 0, 0.4]])},
        r"masses\[1\]: the masses sum to 0.8, expected 1",
    ),
    "no mass": (
        {"points": GOOD, "masses": np.array([[0.0, 0, 0], [0.5, 0, 0.5]])},
        r"masses\[0\]: the masses sum to 0, expected 1",
    ),
    "negative": (
        {"points": GOOD, "masses": np.array([[1.0, 0, 0], [0, 1.5, -0.5]])},
        r"masses\[1\]\[2\] is -0.5, expected masses that are finite and not negative",
    ),
    "mass that is no number": (
        {"points": GOOD, "masses": np.array([[0, np.nan, 1.0], [0.5, 0, 0.5]])},
        r"masses\[0\]\[1\] is nan, expected masses that are finite",
    ),
    "twice": (
        {"points": pair([(9, 9), (1, 2), (1, 2)]), "masses": np.array([[0, 0.5, 0.5], [0.5, 0.5, 0]])},
        r"points\[0\]\[2\] = \[1.0, 2.0\] occurs twice, at points\[0\]\[1\] too; add the masses",
    ),
    "no number": (
        {"points": pair([(9, 9), (1, 2), (3, np.nan)]), "masses": np.array([[0, 0.5, 0.5], [0.5, 0.5, 0]])},
        r"points\[0\]\[2\] = \[3.0, nan\], expected finite numbers",
    ),
    "infinite": ({"points": pair([(0, np.inf), (1, 2), (3, 4)])}, r"points\[0\]\[0\] = \[0.0, inf\], expected finite"),
    "squares overflow": (
        {"points": pair([(0, 1), (1, 2), (1e200, 4)])},
        r"points\[0\]\[2\] = \[1e\+200, 4.0\], expected finite numbers up to .*e\+15\d",
    ),
}
PROBLEMS = {
    "Barycenter": (Barycenter(FILE), ColumnGeneration()),
    "FreeSupport": (Barycenter(FILE), FreeSupport(2, 1)),
    "Wasserstein": (Wasserstein(FILE), NaiveLp()),
}


def solved(problem, by, arrays):
    with jax.enable_x64(True):
        return run(Solving(problem, by, (Objective(),), precision="float64"), {"problem.measures.data": arrays})


@pytest.mark.parametrize("kind", PROBLEMS)
@pytest.mark.parametrize(("arrays", "message"), REFUSED.values(), ids=REFUSED)
def test_stored_measures_that_are_none_are_refused_with_the_place_in_the_file(arrays, message, kind):
    problem, by = PROBLEMS[kind]
    with pytest.raises(ValueError, match=message):
        solved(problem, by, arrays)


@pytest.mark.parametrize(("arrays", "message"), REFUSED.values(), ids=REFUSED)
def test_the_file_is_told_where_it_is_no_measures(arrays, message):
    (fault,) = FILE.misfits(arrays)
    assert fault.path == ("data",)
    assert re.search(message, fault.problem)


def test_text_is_no_point_and_a_file_may_lack_points():
    (fault,) = FILE.misfits({"points": np.array([[["a"]]])})
    assert "could not convert string to float" in fault.problem
    (fault,) = FILE.misfits({"x": np.zeros(3)})
    assert "the file has the arrays ['x'], expected 'points'" in fault.problem


def test_every_measure_of_a_file_has_its_fault_up_to_eight():
    arrays = {"points": np.arange(24.0).reshape(12, 2, 1), "masses": np.ones((12, 2))}
    told = [str(fault) for fault in FILE.misfits(arrays)]
    assert told == [f"data: masses[{i}]: the masses sum to 2, expected 1" for i in range(8)]


def test_measures_are_given_back_in_double_precision_as_they_are():
    points = np.array([[[0, 0], [1, 2], [1, 2]], [[3, 4], [5, 6], [7, 8]]], np.int32)
    masses = np.array([[0.25, 0.75, 0.0], [0.1, 0.2, 0.7]], np.float32)
    found = checked_measures(points, masses)
    assert [each.dtype for each in found] == [np.float64] * 2
    for each, given in zip(found, (points, masses), strict=True):
        np.testing.assert_array_equal(each, given)


def test_points_without_mass_are_not_read():
    family = types.SimpleNamespace(
        points=np.array([[[0.0], [np.nan], [0.0]], [[1.0], [2.0], [np.inf]]]),
        masses=np.array([[1.0, 0.0, 0.0], [0.25, 0.75, 0.0]]),
    )
    points, masses = supports(family)
    assert [x.tolist() for x in points] == [[[0.0]], [[1.0], [2.0]]]
    assert [mu.tolist() for mu in masses] == [[1.0], [0.25, 0.75]]
    arrays = {"points": family.points, "masses": family.masses}
    found = solved(Barycenter(FILE), ColumnGeneration(), arrays)
    assert next(iter(found["Objective"].values())) == pytest.approx((0.25 * 1 + 0.75 * 4) / 4, abs=1e-9)


def test_points_that_are_drawn_may_be_equal():
    drawn = DrawnMeasures(jnp.array([[[1.0], [1.0]], [[2.0], [4.0]]]))
    points, masses = supports(drawn)
    assert [x.tolist() for x in points] == [[[1.0], [1.0]], [[2.0], [4.0]]]
    assert [mu.tolist() for mu in masses] == [[0.5, 0.5]] * 2
    with pytest.raises(ValueError, match=r"points\[0\]\[1\] = \[1.0\] occurs twice"):
        checked_measures(drawn.points, drawn.masses)


def test_a_file_of_other_measures_than_the_problem_asks_for_is_refused():
    weighted = Barycenter(FILE, (0.5, 0.25, 0.25))
    with pytest.raises(ValueError, match="weights: expected 2, one a measure, got 3"):
        solved(weighted, ColumnGeneration(), {"points": GOOD})
    with pytest.raises(ValueError, match="expected 2 measures, got 3"):
        solved(Wasserstein(FILE), NaiveLp(), {"points": np.concatenate([GOOD, GOOD[:1]])})
