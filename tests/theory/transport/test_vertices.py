"""Plans of linear programs: atoms of a vertex, exact marginals, and the value, for masses of any size."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.theory.transport.instances import least
from theory.transport import ColumnGeneration, NaiveLp, Problem, SparsePlan, TensorCost, monotone_plan
from theory.transport.cost import every_tuple
from theory.transport.plan import marginal_error
from theory.transport.vertices import refined, thinned, vertex

seeds = st.integers(0, 2**31 - 1)
SIZES = ((4, 3, 4), (7, 9), (2, 3, 2, 3))


def incidence(plan: SparsePlan) -> np.ndarray:
    return np.concatenate([np.arange(n)[:, None] == plan.tuples[:, i] for i, n in enumerate(plan.shape)]).astype(float)


def uneven(rng: np.random.Generator, sizes: tuple[int, ...]) -> list[np.ndarray]:
    """Masses whose logarithms are uniform over twelve decades."""
    found = [10.0 ** -rng.uniform(0, 12, n) for n in sizes]
    return [mu / mu.sum() for mu in found]


@pytest.mark.parametrize("sizes", SIZES)
def test_masses_of_any_size_leave_the_atoms_of_a_vertex(sizes: tuple[int, ...]) -> None:
    for seed in range(8):
        rng = np.random.default_rng(seed)
        instance = Problem(TensorCost(rng.normal(size=sizes)), uneven(rng, sizes))
        exact = least(instance.cost.at(every_tuple(sizes)).reshape(sizes), instance.marginals)
        for solver in (NaiveLp(), ColumnGeneration()):
            solution = solver.solve(instance)
            assert solution.support_size <= instance.support_bound
            assert marginal_error(solution.plan.marginals(), instance.marginals) < 1e-13
            assert solution.value == pytest.approx(exact, abs=1e-11)


@given(st.sampled_from(SIZES), seeds, st.sampled_from((1.0, 0.05)))
@settings(max_examples=20)
def test_thinning_keeps_marginals_and_never_costs_more(sizes: tuple[int, ...], seed: int, even: float) -> None:
    rng = np.random.default_rng(seed)
    tuples = every_tuple(sizes)[rng.random(np.prod(sizes)) < 0.8]
    masses = rng.dirichlet(np.full(len(tuples), even))
    plan = SparsePlan(sizes, tuples[masses > 0], masses[masses > 0])
    cost = TensorCost(rng.normal(size=sizes))
    found = thinned(plan, cost)
    assert found.support_size <= sum(sizes) - len(sizes) + 1
    assert np.linalg.matrix_rank(incidence(found)) == found.support_size
    assert (found.masses > 0).all()
    assert marginal_error(found.marginals(), plan.marginals()) < 1e-14
    assert found.cost(cost) <= plan.cost(cost) + 1e-14


def test_a_vertex_loses_no_atom() -> None:
    plan = monotone_plan(uneven(np.random.default_rng(0), (4, 5, 3)))
    found = thinned(plan, TensorCost(np.zeros((4, 5, 3))))
    np.testing.assert_array_equal(found.tuples, plan.tuples)
    np.testing.assert_array_equal(found.masses, plan.masses)


def test_rounding_that_adds_atoms_is_thinned() -> None:
    """The vertex of a 2 x 2 problem, with masses that are wrong at both points of either marginal."""
    instance = Problem(TensorCost(np.array([[0.0, 1.0], [1.0, 0.5]])), [np.array([0.6, 0.4]), np.array([0.5, 0.5])])
    plan = SparsePlan((2, 2), np.array([[0, 0], [0, 1], [1, 1]]), np.array([0.3, 0.2, 0.4]))
    found = vertex(SparsePlan((2, 2), plan.tuples, plan.masses * 0.9), instance)
    assert found.support_size == 3
    assert marginal_error(found.marginals(), instance.marginals) < 1e-15


def test_refining_repairs_small_errors_without_new_atoms() -> None:
    rng = np.random.default_rng(0)
    wanted = [rng.dirichlet(np.ones(n)) for n in (4, 5, 3)]
    exact = monotone_plan(wanted)
    noise = 1e-9 * np.random.default_rng(1).normal(size=exact.support_size)
    found = refined(SparsePlan(exact.shape, exact.tuples, exact.masses + noise), wanted)
    assert marginal_error(found.marginals(), wanted) < 1e-15
    assert found.support_size == exact.support_size
