"""Rounded plans of scalings that may be traced, against their tensors and a linear program."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.theory.transport.test_sinkhorn import SIZES, far_from_zero, least, low_rank, ties
from theory.transport import (
    BarycenterCost,
    MultimarginalSinkhorn,
    Problem,
    ScaledPlan,
    TensorCost,
    entropic,
    round_scaled,
    scalings,
    uniform,
)

AWAY = np.array([0.0, 0.25, 0.75])
ETAS = 10.0 ** np.arange(-3, 13)


@pytest.mark.parametrize("eta", [pytest.param(0.5, marks=pytest.mark.slow), 40.0])
def test_a_rounded_plan_is_what_its_tensor_says(eta: float) -> None:
    rng = np.random.default_rng(0)
    tensor, marginals = rng.normal(size=SIZES), [AWAY, rng.dirichlet(np.ones(2)), rng.dirichlet(np.ones(3))]
    weights = [rng.normal(size=n) for n in SIZES]
    with jax.enable_x64(True):
        plan = round_scaled(TensorCost(tensor), eta, tuple(map(jnp.asarray, weights)), marginals)
        scaled = np.exp(sum(np.meshgrid(*plan.log_weights, indexing="ij")) - eta * tensor)
        dense = scaled + float(plan.mass) * np.einsum("i,j,k->ijk", *plan.correction)
        for i, mu in enumerate(marginals):
            others = tuple(a for a in range(3) if a != i)
            np.testing.assert_allclose(dense.sum(axis=others), mu, atol=1e-14)
            np.testing.assert_allclose(plan.marginals()[i], mu, atol=1e-14)
            np.testing.assert_allclose(plan.pair(i, i), np.diag(mu), atol=1e-14)
        np.testing.assert_allclose(plan.pair(0, 2), dense.sum(axis=1), atol=1e-14)
        np.testing.assert_allclose(plan.pair(2, 1), dense.sum(axis=0).T, atol=1e-14)
        np.testing.assert_allclose(plan.dense(), dense, atol=1e-14)
        assert float(plan.cost()) == pytest.approx(np.sum(tensor * dense), abs=1e-13)
        assert float(plan.support_size) == np.count_nonzero(dense) == 2 * 2 * 3


@pytest.mark.parametrize("mass", [1e-3, 1e-9, 1e-12])
@pytest.mark.parametrize("eta", [1.0, pytest.param(1e9, marks=pytest.mark.slow)])
def test_plans_on_the_host_and_traced_ones_are_rounded_alike(eta: float, mass: float) -> None:
    """A point has next to no mass, and the scalings leave much to correct."""
    rng = np.random.default_rng(1)
    cost, marginals = TensorCost(rng.random(SIZES)), [np.array([mass, 0.25, 0.75 - mass]), *uniform(SIZES[1:])]
    weights = tuple(rng.normal(size=n) - 2 for n in SIZES)
    host = round_scaled(cost, eta, weights, marginals)
    with jax.enable_x64(True):
        traced = jax.jit(lambda eta, w: round_scaled(cost, eta, w, marginals))(eta, tuple(map(jnp.asarray, weights)))
        np.testing.assert_allclose(traced.dense(), host.dense(), rtol=1e-12)
        assert float(traced.cost()) == pytest.approx(host.cost(cost), abs=1e-14)
        for plan in (host, traced):
            for m, mu in zip(plan.marginals(), marginals, strict=True):
                np.testing.assert_allclose(m, mu, rtol=1e-10)
    assert all(type(m) is np.ndarray and m.dtype == np.float64 for m in (*host.log_weights, *host.marginals()))
    assert isinstance(host.cost(cost), float)


def test_more_tuples_than_integers_are_counted() -> None:
    weights = tuple(jnp.zeros(1000) for _ in range(12))
    plan = ScaledPlan(TensorCost(np.zeros(1)), 1.0, weights, weights, jnp.zeros(()))
    assert float(plan.support_size) == pytest.approx(1e36)


@pytest.mark.parametrize("double", [True, False])
@pytest.mark.parametrize("make", [ties, pytest.param(far_from_zero, marks=pytest.mark.slow)])
def test_the_interval_holds_the_truth_at_every_temperature_in_either_precision(make, double: bool) -> None:
    """The instance on which the value itself falls below the truth where eta is large."""
    rng = np.random.default_rng(8)
    cost, tensor = make(rng)
    marginals = [rng.dirichlet(np.ones(n)) for n in SIZES]
    problem, exact = Problem(cost, marginals), least(tensor, marginals)
    solve = lambda eta: entropic(problem, eta, scalings(problem, eta, 1e-4, 100))
    with jax.enable_x64(double):
        found = jax.jit(jax.vmap(solve))(jnp.asarray(ETAS, float))
    assert (np.asarray(found.lower, float) <= exact + 1e-15).all()
    assert (exact <= np.asarray(found.upper, float) + 1e-15).all()
    if double:
        hosts = [MultimarginalSinkhorn(eta, 1e-4, 100).solve(problem) for eta in ETAS[:6]]
        for name in ("value", "lower", "upper", "marginal_error"):
            np.testing.assert_allclose(
                getattr(found, name)[:6], [getattr(host, name) for host in hosts], atol=1e-9 * np.abs(tensor).max()
            )
        assert found.oracle_calls[:6].tolist() == [host.oracle_calls for host in hosts]


@pytest.mark.slow
def test_a_cost_that_is_rounded_to_a_grid_is_bracketed_by_its_error() -> None:
    rng = np.random.default_rng(0)
    cost, tensor = low_rank(rng)
    marginals = [rng.dirichlet(np.ones(n)) for n in SIZES]
    problem, exact = Problem(cost, marginals), least(tensor, marginals)
    with jax.enable_x64(True):
        found = jax.jit(lambda eta: entropic(problem, eta, scalings(problem, eta, 1e-9, 5000)))(100.0)
    lower, upper = float(found.lower), float(found.upper)
    assert lower <= exact <= upper
    assert upper - lower <= 4 * cost.soft_error() + 2 * np.log(18) / 100 + 1e-6  # 18 entries, at eta = 100


def test_a_cost_without_soft_sums_is_refused() -> None:
    problem = Problem(BarycenterCost([np.eye(2), np.eye(2)]), uniform((2, 2)))
    with pytest.raises(ValueError, match="a BarycenterCost has no soft sums"):
        scalings(problem, 1.0, 1e-3)


def test_the_bound_of_large_costs_is_finite_in_single_precision() -> None:
    tensor = 1e12 * np.random.default_rng(0).uniform(size=(3, 3))
    problem = Problem(TensorCost(tensor), uniform((3, 3)))
    with jax.enable_x64(False):
        found = entropic(problem, 1e-11, scalings(problem, 1e-11, 1e-4, 100))
    exact = MultimarginalSinkhorn(1e-8, 1e-6).solve(problem)
    assert np.isfinite(float(found.lower))
    assert float(found.lower) <= exact.upper
    assert exact.lower <= float(found.upper)
