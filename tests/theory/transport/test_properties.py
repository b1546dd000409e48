"""What holds of every solver on random small instances of every cost structure; the linear program knows the truth."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.theory.transport.instances import EVERY, SOFT, Maker, check, in_units, problem, truth, written_down
from theory.transport import (
    BarycenterCost,
    ColumnGeneration,
    Ellipsoid,
    MultimarginalSinkhorn,
    MultiplicativeWeights,
    NaiveLp,
    Problem,
    SoftCost,
    uniform,
)

seeds = st.integers(0, 2**31 - 1)
EXACT = (NaiveLp(), ColumnGeneration())
SOLVERS = (*EXACT, MultiplicativeWeights(eps=0.3))


def solved_as_the_linear_program_does(instance: Problem, solvers: Sequence[Any]) -> None:
    exact, (low, high) = truth(instance), instance.cost.bounds()
    largest = float(np.abs(written_down(instance.cost)).max())
    for solver in solvers:
        solution = solver.solve(instance)
        check(solution, instance, exact, unit=max(largest, high - low))
        if not isinstance(solver, MultiplicativeWeights):
            assert solution.support_size <= instance.support_bound
        if solver in EXACT:
            assert solution.value == pytest.approx(exact, abs=2e-9 * (high - low))
            assert solution.gap <= 2e-9 * (high - low)


def posed(make: Maker, seed: int, zeros: bool, concentration: float, decimals: int, offset: float) -> Problem:
    """Any structure, in any unit, some a thousand ranges from zero, with masses from even to very uneven."""
    plain = problem(make, seed, zeros, concentration)
    return Problem(in_units(plain.cost, 10.0**decimals, offset), plain.marginals)


variants = (seeds, st.booleans(), st.sampled_from((1.0, 0.1)), st.integers(-6, 6), st.sampled_from((0.0, 1e3, -1e3)))


@given(st.sampled_from(EVERY), st.tuples(*variants))
@settings(max_examples=10)
def test_solvers_agree_with_the_linear_program(make: Maker, variant: tuple[Any, ...]) -> None:
    solved_as_the_linear_program_does(posed(make, *variant), SOLVERS)


@pytest.mark.slow
@pytest.mark.parametrize("make", EVERY)
@given(st.tuples(*variants))
@settings(max_examples=25)
def test_solvers_agree_with_the_linear_program_on_many(make: Maker, variant: tuple[Any, ...]) -> None:
    solved_as_the_linear_program_does(posed(make, *variant), (*SOLVERS, Ellipsoid(tol=0.2)))


@pytest.mark.slow
@pytest.mark.parametrize("make", SOFT)
@given(seeds, st.booleans(), st.floats(0.1, 300.0))
@settings(max_examples=25)
def test_sinkhorn_brackets_at_every_temperature(make: Maker, seed: int, zeros: bool, eta: float) -> None:
    instance = problem(make, seed, zeros)
    assert isinstance(instance.cost, SoftCost)
    check(MultimarginalSinkhorn(eta, tol=1e-3, sweeps=300).solve(instance), instance, truth(instance))


def points(kind: str, n: int, rng: np.random.Generator) -> np.ndarray:
    """Distinct points in the plane, with ties where they are on a lattice, a line or a circle."""
    at = rng.permutation(9)[:n].astype(float)
    match kind:
        case "lattice":
            return np.stack(np.divmod(at, 3), axis=1)
        case "line":
            return np.stack([at, 2 * at], axis=1)
        case "circle":
            return np.stack([np.cos(2 * np.pi * at / 9), np.sin(2 * np.pi * at / 9)], axis=1)
    return rng.normal(size=(n, 2))


@given(
    st.lists(
        st.tuples(st.sampled_from(("lattice", "line", "circle", "free")), st.integers(1, 5)), min_size=1, max_size=4
    ),
    seeds,
    st.booleans(),
)
@settings(max_examples=12)
def test_planar_barycenters_of_any_sizes_masses_and_ties(kinds: list[tuple[str, int]], seed: int, equal: bool) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet(np.full(len(kinds), 2.0))
    cost = BarycenterCost([points(kind, n, rng) for kind, n in kinds], weights)
    masses = uniform(cost.shape) if equal else [rng.dirichlet(np.ones(n)) for n in cost.shape]
    instance = Problem(cost, masses)
    solution = ColumnGeneration().solve(instance)
    check(solution, instance, truth(instance))
    assert solution.gap <= 2e-9 * max(1.0, cost.bounds()[1])
    assert solution.support_size <= instance.support_bound


@pytest.mark.parametrize("translate", [lambda x: x, lambda x: x + 100.0, lambda x: 1e-3 * x])
def test_one_measure_many_times_is_its_own_barycenter(translate: Callable[[np.ndarray], np.ndarray]) -> None:
    """Points that several measures share, in other orders: every tuple of equal points costs nothing."""
    rng = np.random.default_rng(0)
    shared, masses = translate(points("lattice", 6, rng)), rng.dirichlet(np.ones(6))
    orders = [rng.permutation(6) for _ in range(4)]
    cost = BarycenterCost([shared[order] for order in orders])
    solution = ColumnGeneration().solve(Problem(cost, [masses[order] for order in orders]))
    assert solution.value == pytest.approx(0.0, abs=2e-9 * cost.bounds()[1])
    assert solution.support_size <= 4 * 6 - 4 + 1
