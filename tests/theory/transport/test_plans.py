"""Plans against their tensors, and rounding to exact marginals."""

from typing import Any

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.theory.transport.instances import QUICK, Maker, problem, written_down
from theory.transport import (
    Problem,
    ScaledPlan,
    SoftCost,
    SparsePlan,
    TensorCost,
    dual_value,
    monotone_plan,
    round_scaled,
    round_sparse,
    uniform,
)
from theory.transport.cost import every_tuple
from theory.transport.plan import marginal_error, recoupled

seeds = st.integers(0, 2**31 - 1)


def distributions(rng: np.random.Generator, sizes: tuple[int, ...]) -> list[np.ndarray]:
    """Some with points without mass."""
    found = [rng.dirichlet(np.ones(n)) * (rng.random(n) < 0.8) for n in sizes]
    return [mu / mu.sum() if mu.sum() else np.full(len(mu), 1 / len(mu)) for mu in found]


def axis_sums(tensor: np.ndarray) -> list[np.ndarray]:
    axes = range(tensor.ndim)
    return [tensor.sum(axis=tuple(a for a in axes if a != i)) for i in axes]


@given(seeds, st.lists(st.integers(1, 5), min_size=1, max_size=4))
def test_the_monotone_plan_has_its_marginals_and_few_atoms(seed: int, sizes: list[int]) -> None:
    wanted = distributions(np.random.default_rng(seed), tuple(sizes))
    plan = monotone_plan(wanted)
    assert marginal_error(plan.marginals(), wanted) < 1e-13
    assert plan.support_size <= sum(sizes) - len(sizes) + 1
    assert (np.diff(plan.tuples, axis=0) >= 0).all()


@given(seeds)
def test_a_rounded_sparse_plan_has_exact_marginals(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = (3, 4, 2)
    tuples = every_tuple(shape)[rng.permutation(24)[:9]]
    plan = SparsePlan(shape, tuples, rng.dirichlet(np.ones(9)))
    wanted = distributions(rng, shape)
    rounded = round_sparse(plan, wanted)
    assert marginal_error(rounded.marginals(), wanted) < 1e-13
    assert (rounded.masses > 0).all()
    assert len(np.unique(rounded.tuples, axis=0)) == rounded.support_size
    moved = np.abs(rounded.dense() - plan.dense()).sum()
    errors = sum(np.abs(m - mu).sum() for m, mu in zip(plan.marginals(), wanted, strict=True))
    assert moved <= 2 * errors + 1e-12


def test_marginals_of_other_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"round_sparse: got marginals of sizes \(3, 4\), expected \(3, 3\)"):
        round_sparse(monotone_plan(uniform((3, 3))), uniform((3, 4)))


def test_rounding_keeps_what_is_right() -> None:
    plan = monotone_plan(uniform((3, 4)))
    rounded = round_sparse(plan, uniform((3, 4)))
    np.testing.assert_allclose(rounded.dense(), plan.dense(), atol=1e-15)


@given(seeds)
@settings(max_examples=30)
def test_recoupling_keeps_marginals(seed: int) -> None:
    rng = np.random.default_rng(seed)
    wanted = distributions(rng, (3, 4, 2))
    plan = monotone_plan(wanted)
    orders = [rng.permutation(plan.support_size) for _ in range(2)]
    some = np.array([True, False, True])
    paired = recoupled(plan, some, *orders)
    assert marginal_error(paired.marginals(), wanted) < 1e-12
    np.testing.assert_allclose(paired.dense().sum(axis=1), plan.dense().sum(axis=1), atol=1e-12)


def pair_sums(tensor: np.ndarray, i: int, j: int) -> np.ndarray:
    """The joint law of two axes of a tensor, by a sum over all others."""
    if i == j:
        return np.diag(axis_sums(tensor)[i])
    joint = tensor.sum(axis=tuple(a for a in range(tensor.ndim) if a not in (i, j)))
    return joint if i < j else joint.T


@given(seeds)
def test_the_pairs_of_a_sparse_plan_are_sums_of_its_tensor(seed: int) -> None:
    rng = np.random.default_rng(seed)
    plan = SparsePlan((3, 4, 2), every_tuple((3, 4, 2))[rng.permutation(24)[:7]], rng.dirichlet(np.ones(7)))
    for i, j in np.ndindex(3, 3):
        np.testing.assert_allclose(plan.pair(i, j), pair_sums(plan.dense(), i, j), atol=1e-15)


@pytest.mark.parametrize("make", QUICK)
@pytest.mark.parametrize("scale", [pytest.param(0.0, marks=pytest.mark.slow), 5.0])
def test_a_scaled_plan_is_what_its_tensor_says(make: Maker, scale: float) -> None:
    instance = problem(make, seed=0, zeros=True)
    cost, rng = instance.cost, np.random.default_rng(1)
    assert isinstance(cost, SoftCost)
    weights = tuple(0.5 * rng.normal(size=n) - 3 for n in cost.shape)
    plan = round_scaled(cost, scale, weights, instance.marginals)
    assert isinstance(plan, ScaledPlan)
    tensor = plan.dense()
    assert tensor.min() >= 0
    assert marginal_error(axis_sums(tensor), instance.marginals) < 1e-12
    assert marginal_error(plan.marginals(), instance.marginals) < 1e-12
    soft = cost.soft_at(every_tuple(cost.shape)).reshape(cost.shape)
    assert plan.cost(cost) == pytest.approx(np.sum(soft * tensor), abs=1e-10)
    assert plan.cost(cost) == pytest.approx(np.sum(written_down(cost) * tensor), abs=cost.soft_error() + 1e-10)
    assert plan.support_size == np.count_nonzero(tensor)
    for i, j in ((0, 0), (0, 1), (2, 0)):
        np.testing.assert_allclose(plan.pair(i, j), pair_sums(tensor, i, j), atol=1e-12)


def test_the_cost_of_a_scaled_plan_is_that_of_its_kernel() -> None:
    cost = TensorCost(np.ones((2, 2)))
    plan = round_scaled(cost, 1.0, (np.zeros(2),) * 2, uniform((2, 2)))
    with pytest.raises(ValueError, match="its cost is known for the cost that it scales"):
        plan.cost(TensorCost(np.zeros((2, 2))))


def test_results_do_not_depend_on_the_precision_of_the_process() -> None:
    cost = TensorCost(np.random.default_rng(0).normal(size=(3, 3)))
    with jax.enable_x64(False):
        plan = round_scaled(cost, 2.0, (np.zeros(3),) * 2, uniform((3, 3)))
    assert all(m.dtype == np.float64 for m in plan.marginals())
    assert marginal_error(plan.marginals(), uniform((3, 3))) < 1e-13


def test_a_dual_value_is_a_lower_bound_with_infinite_potentials_where_nothing_lies() -> None:
    cost = TensorCost(np.array([[0.0, 5.0], [1.0, 2.0]]))
    instance = Problem(cost, [np.array([0.0, 1.0]), np.array([0.5, 0.5])])
    assert dual_value(instance, [np.array([-np.inf, 0.0]), np.array([1.0, 2.0])]) == 1.5


@pytest.mark.parametrize(
    ("marginals", "message"),
    [
        ([np.array([0.5, 0.4]), np.array([0.5, 0.5])], r"marginals\[0\]: the masses sum to 0.9, expected 1"),
        ([np.array([0.5, 0.5]), np.array([1.5, -0.5])], r"marginals\[1\]\[1\] is -0.5, expected masses that are not"),
        ([np.array([1.0]), np.array([0.5, 0.5])], r"marginals\[0\]: got 1 masses, the cost has 2 points"),
        ([np.array([0.5, 0.5])], r"marginals: got 1, expected 2 for a cost of \(2, 2\)"),
        ([np.array([0.5, 0.5]), np.array([np.nan, 0.5])], r"marginals\[1\]\[0\] is nan"),
        ([np.full((2, 1), 0.5), np.full(2, 0.5)], r"marginals\[0\] has shape \(2, 1\), expected \(2,\)"),
        ([[0.5, 0.5], [0.5, "a"]], r"marginals\[1\]: expected an array of numbers, got list"),
        ([np.full(2, 0.4, np.float32), np.full(2, 0.5)], r"marginals\[0\]: the masses sum to 0.8"),
    ],
)
def test_bad_marginals_are_refused(marginals: list[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Problem(TensorCost(np.zeros((2, 2))), marginals)


@pytest.mark.parametrize("given", [[0.25, 0.75], np.array([0.25, 0.75], np.float32), (1, 0), np.array([1, 0])])
def test_marginals_may_be_lists_and_are_in_double_precision(given: Any) -> None:
    instance = Problem(TensorCost([[0, 1], [1, 0]]), [given, given])
    for mu in instance.marginals:
        assert mu.dtype == np.float64
        np.testing.assert_array_equal(mu, given)


def test_masses_of_single_precision_are_divided_by_their_sum() -> None:
    instance = Problem(TensorCost(np.zeros((3, 3))), [np.full(3, 1 / 3, np.float32)] * 2)
    np.testing.assert_allclose(instance.marginals, 1 / 3, rtol=1e-15)
