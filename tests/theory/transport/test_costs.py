"""Every cost against the tensor written down entry by entry, and every oracle against brute force on it."""

import itertools
import math

import jax
import numpy as np
import pytest
from scipy.special import logsumexp

from tests.theory.transport.instances import EVERY, QUICK, SOFT, Maker, potentials, rank_one, rank_two, written_down
from theory.transport import (
    BarycenterCost,
    Cost,
    GraphicalCost,
    LowRankPlusSparseCost,
    Reliability,
    SoftCost,
    TensorCost,
    approximate_min_oracle,
    argmin_by_min,
    argmin_oracle,
    chain_cost,
    complete_graph,
    dense,
    marginals,
    marginals_by_soft_min,
    min_by_soft_min,
    min_oracle,
    soft_min_by_marginals,
    soft_min_oracle,
)
from theory.transport.cost import every_tuple, gathered, outer_sum

SEEDS = range(3)


def soft(cost: Cost) -> SoftCost:
    assert isinstance(cost, SoftCost)
    return cost


def reduced_tensor(cost: Cost, p: list[np.ndarray]) -> np.ndarray:
    return written_down(cost) - outer_sum(p)


@pytest.mark.parametrize("make", EVERY)
@pytest.mark.parametrize("seed", SEEDS)
def test_the_least_reduced_cost_is_that_of_brute_force(make: Maker, seed: int) -> None:
    rng = np.random.default_rng(seed)
    cost = make(rng)
    for scale in (0.0, 0.1, 1.0, 5.0):
        p = potentials(cost, rng, scale)
        reduced = reduced_tensor(cost, p)
        found = argmin_oracle(cost, p)
        assert reduced[found.at] == pytest.approx(found.value, abs=1e-12)
        assert found.value == pytest.approx(reduced.min(), abs=1e-9)
        assert reduced.min() - 1e-9 <= found.lower <= reduced.min() + 1e-12
        assert min_oracle(cost, p) == found.value


@pytest.mark.parametrize("make", EVERY)
def test_pricing_gives_the_minimiser_among_distinct_tuples(make: Maker) -> None:
    rng = np.random.default_rng(7)
    cost = make(rng)
    p = potentials(cost, rng)
    found = cost.price(p)
    reduced = cost.at(found.tuples) - gathered(p, found.tuples)
    least = reduced_tensor(cost, p).min()
    assert reduced.min() == pytest.approx(least, abs=1e-9)
    assert least - 1e-9 <= found.lower <= least + 1e-12
    assert len(np.unique(found.tuples, axis=0)) == len(found.tuples)


@pytest.mark.parametrize("make", EVERY)
def test_excluded_points_are_not_chosen(make: Maker) -> None:
    rng = np.random.default_rng(3)
    cost = make(rng)
    p = potentials(cost, rng)
    p[0][0] = p[1][1] = -np.inf
    found = argmin_oracle(cost, p)
    assert found.value == pytest.approx(reduced_tensor(cost, p).min(), abs=1e-9)
    assert found.at[0] != 0
    assert found.at[1] != 1


@pytest.mark.parametrize("make", EVERY)
def test_bounds_hold_every_entry(make: Maker) -> None:
    cost = make(np.random.default_rng(1))
    low, high = cost.bounds()
    entries = written_down(cost)
    assert low <= entries.min() + 1e-12
    assert entries.max() - 1e-12 <= high


@pytest.mark.parametrize("make", QUICK)
@pytest.mark.parametrize("eta", [pytest.param(0.5, marks=pytest.mark.slow), 40.0])
def test_soft_minima_and_marginals_are_sums_of_exponentials(make: Maker, eta: float) -> None:
    rng = np.random.default_rng(5)
    cost = soft(make(rng))
    p = potentials(cost, rng)
    rounded = cost.soft_at(every_tuple(cost.shape)).reshape(cost.shape)
    assert np.abs(rounded - written_down(cost)).max() <= cost.soft_error() + 1e-12
    exponents = -eta * (rounded - outer_sum(p))
    expected = -logsumexp(exponents) / eta
    assert soft_min_oracle(cost, p, eta) == pytest.approx(expected, abs=1e-9)
    found = marginals(cost, p, eta)
    for i in range(len(cost.shape)):
        axes = tuple(a for a in range(len(cost.shape)) if a != i)
        np.testing.assert_allclose(found[i], np.exp(logsumexp(exponents, axis=axes)), rtol=1e-8)


@pytest.mark.parametrize("make", SOFT)
def test_a_very_cold_soft_minimum_neither_overflows_nor_leaves_its_sandwich(make: Maker) -> None:
    rng = np.random.default_rng(6)
    cost = soft(make(rng))
    p = potentials(cost, rng)
    least, error = reduced_tensor(cost, p).min(), cost.soft_error()
    for eta in (1.0, 1e3, 1e6):
        value = soft_min_oracle(cost, p, eta)
        assert least - np.log(cost.shape).sum() / eta - error - 1e-9 <= value <= least + error + 1e-9
    assert min_by_soft_min(cost, p, 1e-3) == pytest.approx(least, abs=1e-3 + error)


@pytest.mark.parametrize("make", EVERY)
def test_an_argmin_follows_from_minima(make: Maker) -> None:
    rng = np.random.default_rng(8)
    cost = make(rng)
    p, calls = potentials(cost, rng), []

    def minimum(q: list[np.ndarray]) -> float:
        calls.append(1)
        return min_oracle(cost, q)

    index = argmin_by_min(minimum, p)
    assert reduced_tensor(cost, p)[index] == pytest.approx(reduced_tensor(cost, p).min(), abs=1e-8)
    assert len(calls) <= sum(cost.shape) + 1


@pytest.mark.parametrize("make", QUICK)
def test_marginals_and_soft_minima_give_each_other(make: Maker) -> None:
    rng = np.random.default_rng(9)
    cost = soft(make(rng))
    p = potentials(cost, rng)
    p[0][0] = -np.inf
    found = marginals(cost, p, 3.0)
    again = marginals_by_soft_min(lambda q: soft_min_oracle(cost, q, 3.0), p, 3.0)
    for a, b in zip(found, again, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9)
    assert soft_min_by_marginals(found, 3.0) == pytest.approx(soft_min_oracle(cost, p, 3.0), abs=1e-12)


def test_a_chain_of_many_variables_is_summed_and_minimised() -> None:
    """20 variables with 3 values, against transfer matrices."""
    steps = [np.random.default_rng(t).normal(size=(3, 3)) for t in range(19)]
    cost = chain_cost(steps)
    p = [np.zeros(3)] * 20
    best, total = np.zeros(3), np.zeros(3)
    for step in steps:
        best = (best[:, None] + step).min(axis=0)
        total = logsumexp(total[:, None] - 2.0 * step, axis=0)
    assert min_oracle(cost, p) == pytest.approx(best.min(), abs=1e-12)
    assert soft_min_oracle(cost, p, 2.0) == pytest.approx(-logsumexp(total) / 2, abs=1e-12)


def test_a_factor_of_three_variables_and_its_axes() -> None:
    values = np.arange(24.0).reshape(2, 3, 4)
    cost = GraphicalCost(((2, 0, 1),), (values,))
    assert cost.shape == (3, 4, 2)
    assert cost.at(np.array([[1, 2, 0]]))[0] == values[0, 1, 2]


@pytest.mark.slow
def test_oracles_trace_and_map_over_factors() -> None:
    rng = np.random.default_rng(0)
    steps = rng.normal(size=(5, 2, 3, 3))
    with jax.enable_x64(True):
        weights = tuple(np.zeros(3) for _ in range(3))
        one = lambda step: chain_cost([step[0], step[1]]).log_marginal(weights, 2.0, 1)
        mapped = jax.vmap(one)(jax.numpy.asarray(steps))
        for got, step in zip(mapped, steps, strict=True):
            np.testing.assert_allclose(got, one(step), rtol=1e-12)


@pytest.mark.parametrize("best", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_reliability_on_random_graphs(best: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    path = {(int(rng.integers(v)), v) for v in range(1, 5)}
    extra = {e for e in itertools.combinations(range(5), 2) if rng.random() < 0.4}
    cost = Reliability(tuple(sorted(path | extra)), best=best)
    for scale in (0.1, 0.5, 2.0):
        p = potentials(cost, rng, scale)
        assert min_oracle(cost, p) == pytest.approx(reduced_tensor(cost, p).min(), abs=1e-12)


def test_connected_spanning_subgraphs_of_k4() -> None:
    assert int(written_down(Reliability(complete_graph(4))).sum()) == 38


@pytest.mark.parametrize("best", [False, True])
def test_initial_potentials_of_reliability_are_feasible(best: bool) -> None:
    cost = Reliability(((0, 1), (1, 2), (2, 0), (2, 3), (3, 0)), best=best)
    p = cost.initial_potentials([np.full(2, 0.5)] * 5)
    assert reduced_tensor(cost, list(p)).min() >= -1e-12


@pytest.mark.parametrize("rank", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_large_low_rank_search_is_bracketed(rank: int) -> None:
    """7^7 entries are searched on the grid, and once by brute force; listed tuples are put in the way."""
    rng = np.random.default_rng(rank)
    factors = [rng.uniform(0.8, 1.25, size=(7, rank)) for _ in range(7)]
    p = [0.3 * rng.normal(size=7) for _ in range(7)]
    plain = LowRankPlusSparseCost(factors)
    assert plain.table is None
    entries = np.unique(np.concatenate([[plain.argmin(p).at], rng.integers(7, size=(4, 7))]), axis=0)
    cost = LowRankPlusSparseCost(factors, entries, np.where(np.arange(len(entries)) == 1, -0.5, 3.0))
    assert cost.table is None
    reduced = written_down(cost) - outer_sum(p)
    found = cost.argmin(p)
    assert found.lower <= reduced.min() + 1e-12
    assert found.value - reduced.min() <= 2 * cost.soft_error()
    assert reduced[found.at] == pytest.approx(found.value, abs=1e-12)
    assert cost.soft_error() < (0.01 if rank == 1 else 0.5)


def test_the_search_avoids_a_listed_minimiser() -> None:
    """The minimiser of R, its runner-up, and so on are made dear; what is left is found."""
    rng = np.random.default_rng(4)
    factors = [rng.uniform(0.8, 1.25, size=(6, 1)) for _ in range(7)]
    p = [rng.normal(size=6) for _ in range(7)]
    order = np.argsort((written_down(LowRankPlusSparseCost(factors)) - outer_sum(p)).ravel())[:5]
    entries = np.stack(np.unravel_index(order, (6,) * 7), axis=1)
    cost = LowRankPlusSparseCost(factors, entries, np.full(5, 100.0))
    reduced = written_down(cost) - outer_sum(p)
    found = cost.argmin(p)
    assert reduced.min() <= found.value <= reduced.min() + 2 * cost.soft_error()
    assert reduced.min() - 2 * cost.soft_error() <= found.lower <= reduced.min() + 1e-12


def test_jensen_potentials_are_certified_on_a_large_instance() -> None:
    """Risk with k = 20: the lower bound is exp(sum_i E log f_i), far above what the grid certifies."""
    factor = 1 + np.arange(10)[:, None] / 200
    cost = LowRankPlusSparseCost([factor] * 20)
    p = cost.initial_potentials([np.full(10, 0.1)] * 20)
    bound = sum(q.mean() for q in p) + cost.argmin(p).lower
    assert bound == pytest.approx(math.exp(20 * np.log(factor).mean()), abs=1e-10)
    assert bound == pytest.approx(1.5574332, abs=1e-7)


@pytest.mark.parametrize("make", [rank_one, rank_two])
def test_the_grid_converges_to_the_cost(make: Maker) -> None:
    cost = make(np.random.default_rng(2))
    assert isinstance(cost, LowRankPlusSparseCost)
    errors = [LowRankPlusSparseCost(cost.factors, bins=bins).soft_error() for bins in (16, 64, 256)]
    assert errors[0] > 2 * errors[1] > 4 * errors[2]


@pytest.mark.parametrize("seed", range(6))
def test_planar_pricing_on_grids_with_ties(seed: int) -> None:
    """Equal measures on a lattice with potentials of few values: cells of the diagrams meet in points and lines."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.divmod(np.arange(6.0), 3), axis=1)
    cost = BarycenterCost([grid] * 3)
    p = [rng.integers(-1, 2, size=6) / 4 for _ in range(3)]
    assert min_oracle(cost, p) == pytest.approx(reduced_tensor(cost, p).min(), abs=1e-9)


@pytest.mark.parametrize("scale", [1e3, 1e8, 1e12])
def test_planar_pricing_ends_and_is_exact_to_rounding_for_large_potentials(scale: float) -> None:
    rng = np.random.default_rng(0)
    grid = np.stack(np.divmod(np.arange(6.0), 3), axis=1)
    cost = BarycenterCost([grid] * 3)
    common = [scale * rng.normal(size=1) for _ in range(3)]
    p = [c + np.round(rng.normal(size=6)) / 4 for c in common]
    reduced = reduced_tensor(cost, p)
    found = cost.argmin(p)
    assert found.lower <= reduced.min() <= found.value + 1e-14 * scale
    assert found.value - found.lower <= 1e-9 + 1e-13 * scale


def test_planar_pricing_far_from_the_origin() -> None:
    rng = np.random.default_rng(0)
    points = [rng.normal(size=(4, 2)) for _ in range(3)]
    p = [0.2 * rng.normal(size=4) for _ in range(3)]
    near, far = BarycenterCost(points), BarycenterCost([x + 1e4 for x in points])
    assert min_oracle(far, p) == pytest.approx(min_oracle(near, p), abs=1e-7)


def test_the_barycenter_cost_is_a_variance() -> None:
    rng = np.random.default_rng(0)
    points, weights = [rng.normal(size=(2, 3)) for _ in range(3)], np.array([0.2, 0.3, 0.5])
    x = np.stack([points[0][1], points[1][0], points[2][1]])
    pairs = sum(weights[i] * weights[j] * np.sum((x[i] - x[j]) ** 2) for i, j in itertools.combinations(range(3), 2))
    assert BarycenterCost(points, weights).at(np.array([[1, 0, 1]]))[0] == pytest.approx(pairs, abs=1e-14)


def test_an_approximate_search_says_how_exact_it_is() -> None:
    cost = LowRankPlusSparseCost([np.random.default_rng(0).uniform(0.5, 2, size=(10, 1)) for _ in range(8)])
    p = [5 * np.random.default_rng(1).normal(size=10) for _ in range(8)]
    with pytest.raises(ValueError, match=r"LowRankPlusSparseCost: the least reduced cost is known to .*, expected"):
        min_oracle(cost, p)
    assert approximate_min_oracle(cost, p, 10.0) == cost.argmin(p).value


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: TensorCost(np.array([[0.0, np.inf]])), r"TensorCost: tensor\[0, 1\] is inf, expected finite"),
        (lambda: TensorCost(np.array(1.0)), "the tensor has no axis"),
        (lambda: TensorCost([[0.0, 1.0], [2.0]]), "TensorCost: tensor: expected an array of numbers, got list"),
        (lambda: TensorCost(np.zeros((0, 2))), r"the tensor has shape \(0, 2\), expected points on each axis"),
        (lambda: GraphicalCost((), ()), "0 cliques for 0 factors"),
        (lambda: chain_cost([]), "chain_cost: expected at least one step"),
        (lambda: chain_cost([], np.zeros((2, 2))), "chain_cost: expected at least one step"),
        (lambda: chain_cost([np.zeros(2)]), r"factors\[0\] has 1 axes for the 2 of \(0, 1\)"),
        (lambda: GraphicalCost(((-1, 0),), (np.zeros((2, 2)),)), r"cliques\[0\] is \(-1, 0\), expected distinct"),
        (lambda: GraphicalCost(((0,),), (np.zeros(0),)), r"factors\[0\] has shape \(0,\), expected points on each"),
        (lambda: GraphicalCost(((0,),), ([0.0, [1.0]],)), r"factors\[0\]: expected an array of numbers, got list"),
        (lambda: GraphicalCost(((0,),), (jax.numpy.array([1.0, np.inf]),)), r"factors\[0\]\[1\] is inf, expected"),
        (lambda: GraphicalCost(((0, 1),), ()), "1 cliques for 0 factors"),
        (lambda: GraphicalCost(((0, 0),), (np.zeros((2, 2)),)), r"cliques\[0\] is \(0, 0\), expected distinct"),
        (lambda: GraphicalCost(((0, 1),), (np.zeros(2),)), r"factors\[0\] has 1 axes for the 2 of \(0, 1\)"),
        (lambda: GraphicalCost(((0, 2),), (np.zeros((2, 2)),)), r"variables \[1\] are in no clique"),
        (lambda: GraphicalCost(((0,), (0,)), (np.zeros(2), np.zeros(3))), r"factors\[0\] has shape \(2,\), other"),
        (lambda: GraphicalCost(((0,),), (np.array([np.nan]),)), r"factors\[0\]\[0\] is nan"),
        (
            lambda: GraphicalCost(tuple(itertools.combinations(range(8), 2)), (np.zeros((20, 20)),) * 28),
            "the treewidth of the cliques is too large for n = 20",
        ),
        (lambda: Reliability(((0, 1), (2, 3))), r"the graph is not connected, its parts are \[\[0, 1\], \[2, 3\]\]"),
        (lambda: Reliability(((0, 1), (1, 0))), "expected distinct edges"),
        (lambda: Reliability(((0, 2),)), r"vertices \[0, 2\], expected 0, 1"),
        (lambda: LowRankPlusSparseCost([np.array([[1.0], [0.0]])]), r"factors\[0\]\[1, 0\] is 0.0, expected positive"),
        (lambda: LowRankPlusSparseCost([np.ones((2, 1)), np.ones((2, 2))]), r"factors\[1\] has shape \(2, 2\)"),
        (lambda: LowRankPlusSparseCost([np.ones((2, 1))], bins=1), "bins is 1, expected at least 2"),
        (lambda: LowRankPlusSparseCost([np.ones(3), np.ones(3)]), r"factors\[0\] has shape \(3,\), expected \(n, r\)"),
        (lambda: LowRankPlusSparseCost([np.ones((3, 1)), np.ones(3)]), r"factors\[1\] has shape .*, expected \(n, 1\)"),
        (
            lambda: LowRankPlusSparseCost([np.ones((2, 1))], np.array([[0], [0]]), np.ones(2)),
            "entries name a tuple twice",
        ),
        (lambda: LowRankPlusSparseCost([np.ones((2, 1))], np.array([[2]]), np.ones(1)), "not all within a tensor"),
        (lambda: LowRankPlusSparseCost([np.ones((2, 1))], np.array([[1]]), np.ones(2)), "expected 2 tuples of 1"),
        (lambda: BarycenterCost([np.zeros((2, 2))]), r"points\[0\]\[1\] = \[0.0, 0.0\] occurs twice; add the masses"),
        (
            lambda: BarycenterCost([np.zeros((1, 2)), np.zeros((1, 3))]),
            r"points\[1\] has dimension 3, points\[0\] has 2",
        ),
        (lambda: BarycenterCost([np.zeros((1, 2))], [0.5]), r"weights \[0.5\], expected positive ones with sum 1"),
        (lambda: BarycenterCost([np.zeros((1, 2))], [0.5, 0.5]), "2 weights for 1 measures"),
        (lambda: BarycenterCost([np.array([[np.inf, 0.0]])]), r"points\[0\]\[0, 0\] is inf"),
        (lambda: BarycenterCost([]), "expected at least one measure"),
        (lambda: BarycenterCost([np.zeros(3)]), r"points\[0\] has shape \(3,\), expected \(n, d\) with n, d >= 1"),
        (lambda: BarycenterCost([np.zeros((1, 0))]), r"points\[0\] has shape \(1, 0\), expected \(n, d\)"),
        (lambda: BarycenterCost([np.zeros((1, 2)), np.zeros(2)]), r"points\[1\] has shape \(2,\), expected \(n, d\)"),
        (
            lambda: BarycenterCost([[[-1e154], [1e154]]]),
            r"squared distances overflow: .* from -1e\+154 to 1e\+154; take",
        ),
        (lambda: dense(BarycenterCost([np.random.default_rng(0).normal(size=(10, 2))] * 8)), "ColumnGeneration needs"),
        (lambda: min_oracle(TensorCost(np.zeros((2, 2))), [np.zeros(2)]), r"sizes \(2,\) do not match a cost of"),
    ],
)
def test_bad_costs_are_refused(build, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


TWO = TensorCost(np.eye(2))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: min_oracle(TWO, [np.array([0.0, np.nan]), p]), r"potentials\[0\]\[1\] is nan, expected a number"),
        (lambda p: argmin_oracle(TWO, [p, np.array([np.inf, 0.0])]), r"potentials\[1\]\[0\] is inf, expected a number"),
        (lambda p: soft_min_oracle(TWO, [p, p], 0.0), "soft_min_oracle: eta is 0.0, expected a positive inverse"),
        (lambda p: soft_min_oracle(TWO, [p, p], -1.0), "soft_min_oracle: eta is -1.0, expected a positive inverse"),
        (lambda p: marginals(TWO, [p, p], math.nan), "marginals: eta is nan, expected a positive inverse"),
        (lambda p: marginals(TWO, [p + 1e3, p], 10.0), r"marginals: a marginal is exp\(1e\+04\), expected at most"),
        (
            lambda p: marginals_by_soft_min(lambda q: soft_min_oracle(TWO, q, 10.0), [p + 1e3, p], 10.0),
            r"marginals_by_soft_min: a marginal is exp\(1e\+04\), expected at most",
        ),
        (lambda p: marginals_by_soft_min(lambda q: 0.0, [p, p], 0.0), "marginals_by_soft_min: eta is 0.0, expected"),
        (lambda p: min_by_soft_min(TWO, [p, p], 0.0), "min_by_soft_min: eps is 0.0, expected a positive error"),
    ],
)
def test_what_an_oracle_cannot_answer_is_refused(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(np.zeros(2))


def test_costs_are_made_of_lists_as_of_arrays() -> None:
    rows = [[1, 2], [3, 5]]
    costs = (TensorCost(rows), chain_cost([np.array(rows)]), GraphicalCost([[0, 1]], [rows]))
    for cost in costs:
        np.testing.assert_array_equal(written_down(cost), rows)
    low_rank, points = (
        LowRankPlusSparseCost([[[1], [3]], [[1], [2]]]),
        BarycenterCost(
            [
                [[0], [2]],
                [
                    [
                        0,
                    ],
                    [4],
                ],
            ]
        ),
    )
    np.testing.assert_array_equal(written_down(low_rank), [[1, 2], [3, 6]])
    np.testing.assert_array_equal(written_down(points), [[0, 4], [1, 1]])
