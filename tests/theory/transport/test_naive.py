"""The exact oracle is exact in every unit, far from zero, and for tiny masses."""

import numpy as np
import pytest

from tests.theory.transport.instances import least
from theory.transport import NaiveLp, Problem, TensorCost
from theory.transport.plan import marginal_error


@pytest.mark.parametrize("unit", [1e-30, 1e-12, 1e-7, 1e7, 1e20, 1e30])
def test_values_are_equivariant_under_the_unit_of_cost(unit: float) -> None:
    rng = np.random.default_rng(0)
    tensor, marginals = rng.normal(size=(4, 5, 3)), [rng.dirichlet(np.ones(n)) for n in (4, 5, 3)]
    solution = NaiveLp().solve(Problem(TensorCost(unit * tensor), marginals))
    assert solution.value / unit == pytest.approx(least(tensor, marginals), abs=1e-12)
    assert solution.gap <= 1e-12 * unit


@pytest.mark.parametrize("offset", [-2001.0, 2001.0, 1e6])
def test_a_constant_is_added_to_the_value_and_leaves_no_gap(offset: float) -> None:
    """Entries that differ by 1e-4 at most, uneven masses."""
    rng = np.random.default_rng(20)
    tensor, marginals = 1e-4 * rng.random((4, 4, 4)), [rng.dirichlet(np.full(4, 0.05)) for _ in range(3)]
    solution = NaiveLp().solve(Problem(TensorCost(tensor + offset), marginals))
    rounding = 1e-15 * abs(offset)
    assert solution.value - offset == pytest.approx(least(tensor, marginals), abs=rounding)
    assert solution.gap <= rounding


@pytest.mark.parametrize("tiny", [1e-6, 1e-9, 1e-10, 1e-11, 1e-12])
def test_tiny_masses_are_carried(tiny: float) -> None:
    """By hand: what the second rows lack comes from the first, at the price of the range."""
    marginals = [np.array([1 - tiny, tiny]), np.array([1 - tiny / 2, tiny / 2])]
    for unit in (1.0, 1e8):
        solution = NaiveLp().solve(Problem(TensorCost(unit * (1 - np.eye(2))), marginals))
        assert solution.value == pytest.approx(unit * tiny / 2, rel=1e-3)
        assert marginal_error(solution.plan.marginals(), marginals) < 1e-15
        assert solution.support_size == 3


@pytest.mark.parametrize("seed", [11, 13, 35])
def test_masses_of_twelve_decades(seed: int) -> None:
    rng = np.random.default_rng(seed)
    marginals = [10.0 ** -rng.uniform(0, 12, n) for n in (4, 3, 4)]
    marginals = [mu / mu.sum() for mu in marginals]
    tensor = rng.normal(size=(4, 3, 4))
    solution = NaiveLp().solve(Problem(TensorCost(tensor), marginals))
    assert solution.value == pytest.approx(least(tensor, marginals), abs=1e-12)
    assert solution.support_size <= 4 + 3 + 4 - 3 + 1
    assert marginal_error(solution.plan.marginals(), marginals) < 1e-13


def test_points_without_mass_have_no_atom() -> None:
    marginals = [np.array([0.5, 0.0, 0.5]), np.array([0.0, 1 - 1e-11, 1e-11])]
    solution = NaiveLp().solve(Problem(TensorCost(np.array([[0.0, 1, 2], [0, 0, 0], [0, 2, 1]])), marginals))
    assert solution.value == pytest.approx(1.5, abs=1e-10)
    assert (solution.plan.dense()[1] == 0).all()
    assert (solution.plan.dense()[:, 0] == 0).all()
