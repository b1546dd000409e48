"""Starts from smaller problems: what is merged, split and moved, and that the answer is that of any other start."""

import numpy as np
import pytest

from theory.transport import (
    BarycenterCost,
    ColumnGeneration,
    Problem,
    TensorCost,
    coarsening,
    dual_value,
    grid_support,
    nested_ellipses,
    uniform,
)
from theory.transport.coarsening import coarsened, coarsens, moved_potentials, split
from theory.transport.master import Master


def images(count: int, side: int) -> Problem:
    cost = BarycenterCost(nested_ellipses(count, side))
    return Problem(cost, uniform(cost.shape))


def scattered(seed: int) -> Problem:
    rng = np.random.default_rng(seed)
    cost = BarycenterCost([rng.normal(size=(n, 2)) for n in (9, 12, 7)], [0.5, 0.3, 0.2])
    masses = [rng.dirichlet(np.ones(n)) for n in cost.shape]
    masses[0][2] = 0.0
    return Problem(cost, [mu / mu.sum() for mu in masses])


def cost_of(problem: Problem) -> BarycenterCost:
    assert isinstance(problem.cost, BarycenterCost)
    return problem.cost


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Problems of more than 12 points are many."""
    monkeypatch.setattr(coarsening, "_FEW", 12)


@pytest.mark.parametrize("problem", [images(3, 12), scattered(0)])
def test_merging_keeps_masses_and_means(problem: Problem) -> None:
    cost = cost_of(problem)
    coarser = coarsened(cost, problem.marginals)
    assert sum(coarser.cost.shape) <= 0.6 * sum(cost.shape)
    sets = zip(cost.points, problem.marginals, coarser.cost.points, coarser.marginals, coarser.parents, strict=True)
    for x, mu, y, nu, parent in sets:
        np.testing.assert_allclose(np.bincount(parent, mu), nu, atol=1e-15)
        np.testing.assert_allclose(nu @ y, mu @ x, atol=1e-10)


@pytest.mark.parametrize("problem", [images(3, 12), scattered(1)])
def test_a_plan_that_is_split_has_the_marginals_and_nearly_the_value(problem: Problem) -> None:
    cost = cost_of(problem)
    coarser = coarsened(cost, problem.marginals)
    solution = ColumnGeneration().solve(Problem(coarser.cost, coarser.marginals))
    tuples = split(coarser, solution.plan, problem.marginals)
    master = Master(problem.marginals)
    master.add(tuples, cost.at(tuples))
    masses, _ = master.solve()
    exact = ColumnGeneration().solve(problem).value
    assert exact - 1e-9 <= masses @ master.costs <= 2 * exact + 1e-9


def test_moved_potentials_are_feasible_at_every_place_that_is_looked_at() -> None:
    problem = images(3, 16)
    cost = cost_of(problem)
    coarser = coarsened(cost, problem.marginals)
    p = moved_potentials(cost, coarser, ColumnGeneration().solve(Problem(coarser.cost, coarser.marginals)).potentials)
    sums = 0.0
    for weight, x, q in zip(cost.weights, cost.points, p, strict=True):
        distances = np.sum((x[:, None] - grid_support(cost, 64)) ** 2, axis=2)
        sums = sums + np.min(weight * distances - q[:, None], axis=0)
    assert sums.min() >= -1e-12
    zero = [np.zeros(n) for n in cost.shape]
    assert dual_value(problem, zero) < dual_value(problem, p) <= ColumnGeneration().solve(problem).value + 1e-12


@pytest.mark.parametrize("problem", [images(3, 10), scattered(2)])
def test_the_answer_does_not_depend_on_the_start(few: None, problem: Problem) -> None:
    plain, coarse = (ColumnGeneration(start=start).solve(problem) for start in ("north_west", "coarse"))
    assert coarsens(cost_of(problem))
    assert coarse.value == pytest.approx(plain.value, abs=2e-9)
    assert coarse.gap < 2e-9
    assert coarse.support_size <= problem.support_bound


def test_what_cannot_be_merged_is_solved_at_once(few: None) -> None:
    """Sixteen measures of a point each, and points in four dimensions."""
    rng = np.random.default_rng(0)
    single = BarycenterCost([rng.normal(size=(1, 2)) for _ in range(16)])
    high = BarycenterCost([rng.normal(size=(7, 4)) for _ in range(2)])
    for cost in (single, high):
        assert not coarsens(cost)
        assert ColumnGeneration(start="coarse").solve(Problem(cost, uniform(cost.shape))).gap < 1e-8


def test_the_start_is_for_barycenters() -> None:
    with pytest.raises(ValueError, match="start: 'coarse' needs a BarycenterCost, got a TensorCost; use 'north_west'"):
        ColumnGeneration(start="coarse").solve(Problem(TensorCost(np.zeros((2, 2))), uniform((2, 2))))


@pytest.mark.slow
def test_images_of_full_size_have_an_exact_barycenter() -> None:
    """Ten images of 60 x 60 pixels: the optimum that an earlier run certified, and a closed interval."""
    problem = images(10, 60)
    solution = ColumnGeneration(start="coarse").solve(problem)
    assert solution.value == pytest.approx(0.00522800625136371, abs=1e-9)
    assert solution.gap < 1e-8
    assert solution.support_size <= problem.support_bound
