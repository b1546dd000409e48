"""Exact barycenters against linear programs over all tuples, quantiles and fixed supports."""

import numpy as np
import pytest

from theory.transport import (
    BarycenterCost,
    Measure,
    NaiveLp,
    Problem,
    SparsePlan,
    barycenter,
    fixed_support,
    free_support,
    grid_support,
    on_a_line,
    uniform,
    value_of,
)
from theory.transport.ellipses import nested_ellipses
from theory.transport.plan import marginal_error


def measures(seed: int, sizes: tuple[int, ...], d: int) -> tuple[BarycenterCost, list[np.ndarray]]:
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet(np.full(len(sizes), 3.0))
    cost = BarycenterCost([rng.uniform(-1, 1, size=(n, d)) for n in sizes], weights)
    return cost, [rng.dirichlet(np.ones(n)) for n in sizes]


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("seed", range(3))
def test_the_free_barycenter_is_optimal_sparse_and_costs_what_it_says(seed: int, d: int) -> None:
    cost, masses = measures(seed, (4, 3, 5), d)
    measure, solution = free_support(cost, masses)
    exact = NaiveLp().solve(Problem(cost, masses)).value
    assert solution.value == pytest.approx(exact, abs=1e-8)
    assert solution.lower <= exact + 1e-12 <= solution.upper + 2e-12
    assert len(measure.masses) <= sum(cost.shape) - 3 + 1
    assert measure.masses.sum() == pytest.approx(1.0, abs=1e-12)
    assert value_of(cost, masses, measure) == pytest.approx(exact, abs=1e-8)


@pytest.mark.parametrize("seed", range(5))
def test_on_a_line_quantiles_are_averaged(seed: int) -> None:
    cost, masses = measures(seed, (4, 6, 3), 1)
    plan = on_a_line(cost, masses)
    assert marginal_error(plan.marginals(), masses) < 1e-13
    assert plan.cost(cost) == pytest.approx(NaiveLp().solve(Problem(cost, masses)).value, abs=1e-12)
    measure = barycenter(cost, plan)
    levels = (np.arange(1000) + 0.5) / 1000
    quantiles = np.zeros(1000)
    for weight, points, mu in zip(cost.weights, cost.points, masses, strict=True):
        order = np.argsort(points[:, 0])
        quantiles += weight * points[order[np.searchsorted(np.cumsum(mu[order]), levels)], 0]
    order = np.argsort(measure.points[:, 0])
    own = measure.points[order[np.searchsorted(np.cumsum(measure.masses[order]), levels)], 0]
    np.testing.assert_allclose(own, quantiles, atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_images_on_a_lattice_have_an_exact_barycenter(seed: int) -> None:
    """Uniform measures on random pixels of a 4 x 4 image: every cell is degenerate."""
    rng = np.random.default_rng(seed)
    pixels = np.stack(np.divmod(np.arange(16.0), 4), axis=1)
    cost = BarycenterCost([pixels[rng.permutation(16)[:n]] for n in (6, 8, 7)])
    masses = uniform(cost.shape)
    measure, solution = free_support(cost, masses)
    assert solution.value == pytest.approx(NaiveLp().solve(Problem(cost, masses)).value, abs=1e-8)
    assert solution.gap < 1e-7
    assert len(measure.masses) <= sum(cost.shape) - 2


def test_the_barycenter_of_one_measure_and_of_copies_is_the_measure() -> None:
    cost, masses = measures(0, (5,), 2)
    measure, solution = free_support(cost, masses)
    assert solution.value == pytest.approx(0.0, abs=1e-12)
    np.testing.assert_allclose(measure.points, cost.points[0], atol=1e-12)
    twice = BarycenterCost([cost.points[0], cost.points[0][::-1]], [0.3, 0.7])
    assert free_support(twice, [masses[0], masses[0][::-1]])[1].value == pytest.approx(0.0, abs=1e-9)


def test_translations_move_the_barycenter_and_leave_the_cost() -> None:
    cost, masses = measures(1, (4, 4, 4), 2)
    shifts = np.random.default_rng(2).normal(size=(3, 2))
    moved = BarycenterCost([x + s for x, s in zip(cost.points, shifts, strict=True)], cost.weights)
    centre = cost.weights @ shifts
    expected = free_support(cost, masses)[1].value + cost.weights @ np.sum((shifts - centre) ** 2, axis=1)
    means = [mu @ x for mu, x in zip(masses, cost.points, strict=True)]
    cross = sum(2 * w * (m @ (s - centre)) for w, m, s in zip(cost.weights, means, shifts, strict=True))
    assert free_support(moved, masses)[1].value == pytest.approx(expected + cross, abs=1e-8)


def test_a_fixed_support_is_never_better_and_becomes_exact_on_the_right_points() -> None:
    cost, masses = measures(3, (4, 3, 4), 2)
    exact, solution = free_support(cost, masses)
    values = [fixed_support(cost, masses, grid_support(cost, side))[1] for side in (2, 5, 9)]
    assert min(values) >= solution.lower - 1e-9
    assert values[2] < values[0]
    measure, value = fixed_support(cost, masses, exact.points)
    assert value == pytest.approx(solution.value, abs=1e-8)
    assert value_of(cost, masses, measure) == pytest.approx(value, abs=1e-8)
    assert isinstance(solution.plan, SparsePlan)


@pytest.mark.parametrize("h", [1e-6, 1e-4, 1e4, 1e6])
def test_values_are_squares_of_the_unit_of_length(h: float) -> None:
    cost, masses = measures(4, (4, 3, 5), 2)
    scaled = BarycenterCost([h * x for x in cost.points], cost.weights)
    support = grid_support(cost, 5)
    measure, value = fixed_support(cost, masses, support)
    found, there = fixed_support(scaled, masses, h * support)
    assert there == pytest.approx(h**2 * value, rel=1e-9)
    moved = Measure(h * measure.points, measure.masses)
    assert value_of(scaled, masses, moved) == pytest.approx(h**2 * value, rel=1e-9)
    assert value_of(scaled, masses, found) == pytest.approx(h**2 * value, rel=1e-9)
    assert free_support(scaled, masses)[1].value == pytest.approx(h**2 * free_support(cost, masses)[1].value, rel=1e-8)


def test_the_value_of_a_point() -> None:
    cost = BarycenterCost([np.array([[0.0, 0.0], [2.0, 0.0]]), np.array([[0.0, 4.0]])], [0.25, 0.75])
    point = Measure(np.array([[0.0, 1.0]]), np.array([1.0]))
    assert value_of(cost, [np.array([0.5, 0.5]), np.array([1.0])], point) == pytest.approx(0.25 * 3 + 0.75 * 9)


def test_images_of_ellipses_have_an_exact_barycenter() -> None:
    cost = BarycenterCost(nested_ellipses(3, 7))
    masses = uniform(cost.shape)
    measure, solution = free_support(cost, masses)
    assert solution.value == pytest.approx(NaiveLp().solve(Problem(cost, masses)).value, abs=1e-8)
    assert solution.gap < 1e-8
    assert len(measure.masses) <= sum(cost.shape) - 2


def test_images_of_ellipses_are_rings_of_the_size_of_the_released_data() -> None:
    images = nested_ellipses(10, 60)
    for fewer, pixels in zip(nested_ellipses(3, 60), images, strict=False):
        np.testing.assert_array_equal(fewer, pixels)
    for pixels in images:
        assert 139 <= len(pixels) <= 192
        lattice = pixels * 60 - 0.5
        np.testing.assert_allclose(lattice, np.rint(lattice), atol=1e-9)
        assert len(np.unique(pixels, axis=0)) == len(pixels)
        assert 0 < pixels.min() < pixels.max() < 1
        radii = np.linalg.norm(pixels - pixels.mean(axis=0), axis=1)
        assert radii.min() > 0.02
        assert 1.2 < np.median(radii[radii > 0.18]) / np.median(radii[radii < 0.18])


@pytest.mark.slow
def test_in_many_dimensions_the_interval_says_how_far_the_value_may_be() -> None:
    cost, masses = measures(0, (6,) * 9, 4)
    _, solution = free_support(cost, masses)
    assert 0 < solution.lower < solution.value
    assert solution.gap > 0.01 * solution.value
    assert solution.support_size <= 9 * 6 - 9 + 1
    assert marginal_error(solution.plan.marginals(), masses) < 1e-12


@pytest.mark.slow
def test_the_published_planar_instance() -> None:
    """n = 10, k = 10: the optimum that the published data have."""
    state = np.random.RandomState(19238412)  # the published instance is drawn by the legacy generator
    cost = BarycenterCost([state.random_sample((10, 2)) * 2 - 1 for _ in range(10)])
    _, solution = free_support(cost, uniform(cost.shape))
    assert solution.value == pytest.approx(0.225571579, abs=1e-9)
    assert solution.gap < 1e-8


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: on_a_line(*measures(0, (2, 2), 2)), "the points have dimension 2, expected 1; free_support fits"),
        (lambda: fixed_support(*measures(0, (40, 40), 2), np.zeros((30000, 2))), "variables, more than .* 80 rows"),
        (lambda: free_support(measures(0, (2, 2), 2)[0], uniform((2, 3))), r"marginals\[1\]: got 3 masses"),
        (
            lambda: fixed_support(*measures(0, (2, 2), 2), np.zeros((4, 3))),
            r"support has shape \(4, 3\), expected \(n, 2\)",
        ),
        (lambda: fixed_support(*measures(0, (2, 2), 2), np.zeros((0, 2))), r"support has shape \(0, 2\), .* n >= 1"),
        (lambda: fixed_support(*measures(0, (2, 2), 2), np.full((1, 2), np.nan)), r"support\[0, 0\] is nan"),
        (lambda: grid_support(measures(0, (2, 2), 2)[0], 0), "side is 0, expected at least 1"),
    ],
)
def test_what_does_not_fit_is_refused(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
