"""Soft sums by polynomials, against sums over the tensor, and where rounding errors take over."""

from collections.abc import Sequence

import numpy as np
import pytest

from theory.transport import LowRankPlusSparseCost
from theory.transport.cost import every_tuple, outer_sum
from theory.transport.powers import exponential, marginals_by_powers


def instance(rank: int) -> tuple[LowRankPlusSparseCost, list[np.ndarray]]:
    rng = np.random.default_rng(rank)
    factors = [rng.uniform(0.5, 1.5, size=(n, rank)) for n in (3, 2, 4)]
    entries = np.array([[0, 1, 2], [2, 0, 3]])
    cost = LowRankPlusSparseCost(factors, entries, np.array([1.5, -0.5]), bins={1: 2048, 2: 48, 3: 24}[rank])
    return cost, [0.3 * rng.normal(size=n) for n in (3, 2, 4)]


def summed(cost: LowRankPlusSparseCost, p: list[np.ndarray], eta: float, entries: np.ndarray) -> list[np.ndarray]:
    """The marginals of the tensor with these entries of C."""
    tensor = np.exp(-eta * (entries.reshape(cost.shape) - outer_sum(p)))
    each = range(len(cost.shape))
    return [tensor.sum(axis=tuple(a for a in each if a != i)) for i in each]


def errors(cost: LowRankPlusSparseCost, p: list[np.ndarray], eta: float, found: Sequence[np.ndarray]) -> float:
    """The largest relative error of marginals."""
    exact = summed(cost, p, eta, cost.at(every_tuple(cost.shape)))
    return max(float(np.abs(a / b - 1).max()) for a, b in zip(found, exact, strict=True))


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_a_warm_sum_is_that_of_the_tensor(rank: int) -> None:
    cost, p = instance(rank)
    eta = 3 / (cost.bounds()[1] - cost.bounds()[0])
    by_degree = [errors(cost, p, eta, marginals_by_powers(cost, p, eta, degree)) for degree in (2, 6, 14)]
    assert by_degree[2] < 1e-9
    assert by_degree[2] < 1e-3 * by_degree[1] < 1e-3 * by_degree[0]


def test_a_cold_sum_is_lost_to_rounding_where_the_grid_is_not() -> None:
    """eta times the range is about 240: no degree helps, since coefficients are as large as the terms cancel."""
    cost, p = instance(2)
    eta = 40.0
    assert min(errors(cost, p, eta, marginals_by_powers(cost, p, eta, degree)) for degree in (5, 10, 20, 40)) > 1e6
    on_the_grid = summed(cost, p, eta, cost.soft_at(every_tuple(cost.shape)))
    assert errors(cost, p, eta, on_the_grid) < 1 < np.expm1(eta * cost.soft_error()) < 1e2


def test_the_polynomial_interpolates_the_exponential() -> None:
    at = np.linspace(0.5, 2.5, 50)
    np.testing.assert_allclose(exponential(1.5, 0.5, 2.5, 12)(at), np.exp(-1.5 * at), atol=1e-11)
    assert len(exponential(0.0, 0.0, 1.0, 4).coef) == 5
