"""The search for barycenters in any dimension, against brute force on small instances."""

import itertools

import numpy as np
import pytest

from theory.transport import BarycenterCost, ColumnGeneration, NaiveLp, Problem, approximate_min_oracle, barycenter_cost
from theory.transport.cost import every_tuple, gathered, outer_sum
from theory.transport.local_search import local_minima, pairwise_bound


def instance(seed: int, sizes: tuple[int, ...], d: int, scale: float = 0.1) -> tuple[BarycenterCost, list[np.ndarray]]:
    rng = np.random.default_rng(seed)
    cost = BarycenterCost([rng.normal(size=(n, d)) for n in sizes], rng.dirichlet(np.full(len(sizes), 3.0)))
    return cost, [scale * rng.normal(size=n) for n in sizes]


def reduced_tensor(cost: BarycenterCost, p: list[np.ndarray]) -> np.ndarray:
    return cost.at(every_tuple(cost.shape)).reshape(cost.shape) - outer_sum(p)


@pytest.fixture
def local(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is small enough for its tensor."""
    monkeypatch.setattr(barycenter_cost, "MAX_DENSE", 0)


@pytest.mark.parametrize("seed", range(4))
def test_no_exchange_of_a_point_improves_what_is_found(seed: int) -> None:
    cost, p = instance(seed, (3, 4, 3, 5), 5)
    middle, _, _ = cost._box()
    found = local_minima(cost._sites(p, middle), np.concatenate(cost.points) - middle)
    reduced = reduced_tensor(cost, p)
    assert len(np.unique(found, axis=0)) == len(found)
    for j in found:
        for i, v in itertools.product(range(4), range(5)):
            if v < cost.shape[i]:
                other = j.copy()
                other[i] = v
                assert reduced[tuple(other)] >= reduced[tuple(j)] - 1e-11
    assert reduced[tuple(found.T)].min() == pytest.approx(reduced.min(), abs=1e-12)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("scale", [0.0, 0.1, 10.0])
def test_pairs_bound_the_minimum_from_below(seed: int, scale: float) -> None:
    cost, p = instance(seed, (3, 2, 4, 3), 6, scale)
    p[0][0] = p[2][1] = -np.inf
    least = reduced_tensor(cost, p).min()
    trivial = -sum(q.max() for q in p)
    assert trivial - 1e-12 <= pairwise_bound(cost.points, cost.weights, p) <= least + 1e-12


def test_the_bound_of_two_measures_is_the_minimum() -> None:
    cost, p = instance(0, (6, 7), 8)
    assert pairwise_bound(cost.points, cost.weights, p) == pytest.approx(reduced_tensor(cost, p).min(), abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_local_pricing_brackets_the_minimum(local: None, seed: int) -> None:
    cost, p = instance(seed, (4, 3, 5), 4)
    p[1][0] = -np.inf
    found, least = cost.price(p), reduced_tensor(cost, p).min()
    assert (cost.at(found.tuples) - gathered(p, found.tuples)).min() == pytest.approx(least, abs=1e-12)
    assert found.lower <= least


@pytest.mark.parametrize("seed", range(3))
def test_column_generation_with_local_pricing_brackets_the_optimum(local: None, seed: int) -> None:
    cost, _ = instance(seed, (4, 3, 5), 4)
    rng = np.random.default_rng(seed)
    problem = Problem(cost, [rng.dirichlet(np.ones(n)) for n in cost.shape])
    solution = ColumnGeneration().solve(problem)
    exact = NaiveLp().solve(Problem(barycenter_cost.dense(cost), problem.marginals)).value
    assert solution.lower - 1e-12 <= exact <= solution.value + 1e-12
    assert solution.value == pytest.approx(exact, abs=1e-8)
    assert solution.support_size <= problem.support_bound


def test_a_search_that_is_not_certified_says_so() -> None:
    cost, p = instance(0, (8,) * 8, 4, scale=0.5)
    with pytest.raises(ValueError, match=r"BarycenterCost: the least reduced cost is known to .*, expected 1e-08"):
        approximate_min_oracle(cost, p, 1e-8)


def test_the_bound_keeps_its_digits_far_from_the_origin() -> None:
    cost, p = instance(0, (3, 4, 3), 5)
    near, far = ([x + shift for x in cost.points] for shift in (0.0, 1e6))
    assert pairwise_bound(tuple(far), cost.weights, p) == pytest.approx(
        pairwise_bound(tuple(near), cost.weights, p), abs=1e-8
    )
