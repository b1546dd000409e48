"""The exact oracle is exact in every unit, far from zero, and for tiny masses."""

import numpy as np
import pytest

from tests.theory.transport.instances import least
from theory.transport import NaiveLp, Problem, TensorCost, uniform
from theory.transport.plan import marginal_error


@pytest.mark.parametrize("unit", [1e-30, 1e-12, 1e-7, 1e7, 1e20, 1e30])
def test_values_are_equivariant_under_the_unit_of_cost(unit: float) -> None:
    rng = np.random.default_rng(0)
    tensor, marginals = rng.normal(size=(4, 5, 3)), [rng.dirichlet(np.ones(n)) for n in (4, 5, 3)]
    solution = NaiveLp().solve(Problem(TensorCost(unit * tensor), marginals))
    assert solution.value / unit == pytest.approx(least(tensor, marginals), abs=1e-12)
    assert solution.gap <= 1e-12 * unit


@pytest.mark.parametrize("offset", [-2e3, 2e3, 1e6])
def test_a_constant_is_added_to_the_value_and_leaves_no_gap(offset: float) -> None:
    rng = np.random.default_rng(1)
    tensor, marginals = rng.random((6, 7)), [rng.dirichlet(np.ones(n)) for n in (6, 7)]
    solution = NaiveLp().solve(Problem(TensorCost(tensor + offset), marginals))
    assert solution.value - offset == pytest.approx(least(tensor, marginals), abs=1e-14 * abs(offset))
    assert solution.gap <= 1e-14 * abs(offset)


@pytest.mark.parametrize("tiny", [1e-6, 1e-9, 1e-10, 1e-11, 1e-12])
def test_tiny_masses_are_carried(tiny: float) -> None:
    """By hand: what the second rows lack comes from the first, at the price of the range."""
    marginals = [np.array([1 - tiny, tiny]), np.array([1 - tiny / 2, tiny / 2])]
    for unit in (1.0, 1e8):
        solution = NaiveLp().solve(Problem(TensorCost(unit * (1 - np.eye(2))), marginals))
        assert solution.value == pytest.approx(unit * tiny / 2, rel=1e-3)
        assert marginal_error(solution.plan.marginals(), marginals) < 1e-15
        assert solution.support_size == 3


def test_masses_of_twelve_decades_and_points_without_mass() -> None:
    marginals = [10.0 ** -np.arange(0, 13, 2.0), np.array([1.0, 0.0, 3e-10, 1e-5]), uniform((3,))[0]]
    marginals = [mu / mu.sum() for mu in marginals]
    tensor = np.random.default_rng(2).normal(size=(7, 4, 3))
    solution = NaiveLp().solve(Problem(TensorCost(tensor), marginals))
    assert solution.value == pytest.approx(least(tensor, marginals), abs=1e-12)
    assert marginal_error(solution.plan.marginals(), marginals) < 1e-13
