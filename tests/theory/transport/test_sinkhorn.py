"""Sinkhorn's certified interval at every temperature, against a linear program written here; and what it refuses."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from theory.transport import (
    LowRankPlusSparseCost,
    MultimarginalSinkhorn,
    Problem,
    SoftCost,
    TensorCost,
    chain_cost,
)

ROUNDING = 1e-12
SIZES = (3, 2, 3)


def tensor(rng: np.random.Generator) -> tuple[SoftCost, np.ndarray]:
    entries = rng.normal(size=SIZES)
    return TensorCost(entries), entries


def far_from_zero(rng: np.random.Generator) -> tuple[SoftCost, np.ndarray]:
    """Entries that are large beside their range: a mass that is a little wrong costs much."""
    entries = 1000 + rng.random(SIZES)
    return TensorCost(entries), entries


def ties(rng: np.random.Generator) -> tuple[SoftCost, np.ndarray]:
    entries = rng.integers(0, 3, size=SIZES).astype(float)
    return TensorCost(entries), entries


def cycle(rng: np.random.Generator) -> tuple[SoftCost, np.ndarray]:
    steps, closing = [rng.normal(size=(3, 2)), rng.normal(size=(2, 3))], rng.normal(size=(3, 3))
    entries = np.zeros(SIZES)
    for i, j, k in itertools.product(*map(range, SIZES)):
        entries[i, j, k] = steps[0][i, j] + steps[1][j, k] + closing[i, k]
    return chain_cost(steps, closing), entries


def low_rank(rng: np.random.Generator) -> tuple[SoftCost, np.ndarray]:
    """A product and an entry; sums are over a grid that rounds it, one grid for all that is compiled."""
    factors = [np.linspace(0.5, 2 - 0.1 * i, n)[:, None] for i, n in enumerate(SIZES)]
    entries = np.einsum("ia,ja,ka->ijk", *factors)
    entries[0, 1, 2] -= 1.5
    return LowRankPlusSparseCost(factors, np.array([[0, 1, 2]]), np.array([-1.5]), bins=256), entries


MAKERS = (tensor, far_from_zero, ties, cycle)


def least(entries: np.ndarray, marginals: list[np.ndarray]) -> float:
    """The least cost over all plans, by a linear program with a column for each entry."""
    at = np.indices(entries.shape).reshape(entries.ndim, -1)
    rows = np.concatenate([np.arange(n)[:, None] == at[i] for i, n in enumerate(entries.shape)]).astype(float)
    shift = entries.min()  # HiGHS has absolute tolerances
    return shift + linprog((entries - shift).ravel(), A_eq=rows, b_eq=np.concatenate(marginals), method="highs").fun


def bracketed(make: Callable[..., tuple[SoftCost, np.ndarray]], seed: int, exponent: float, zeros: bool) -> None:
    """The interval at eta = 10^exponent holds the least cost of an instance."""
    rng = np.random.default_rng(seed)
    cost, entries = make(rng)
    marginals = [rng.dirichlet(np.ones(n)) for n in SIZES]
    if zeros:
        marginals[0] = np.array([0.0, 0.25, 0.75])
    solution = MultimarginalSinkhorn(10.0**exponent, tol=1e-4, sweeps=100).solve(Problem(cost, marginals))
    exact, size = least(entries, marginals), np.abs(entries).max()
    assert math.isfinite(solution.lower)
    assert math.isfinite(solution.upper)
    assert solution.lower <= exact + ROUNDING * size
    assert exact <= solution.upper + ROUNDING * size
    assert solution.lower <= solution.upper
    assert solution.value <= solution.upper


seeds, exponents = st.integers(0, 2**31 - 1), st.floats(-3, 12)


@given(st.sampled_from(MAKERS), seeds, exponents, st.booleans())
@example(ties, 8, 7.0, False)
@example(ties, 8, 12.0, False)
@settings(max_examples=12)
def test_the_interval_holds_the_truth_at_every_temperature(make, seed: int, exponent: float, zeros: bool) -> None:
    bracketed(make, seed, exponent, zeros)


@pytest.mark.slow
@given(st.sampled_from((*MAKERS, low_rank)), seeds, exponents, st.booleans())
@settings(max_examples=200)
def test_the_interval_holds_the_truth_of_many(make, seed: int, exponent: float, zeros: bool) -> None:
    bracketed(make, seed, exponent, zeros)


def test_what_is_uncertain_is_small_where_masses_are_known() -> None:
    rng = np.random.default_rng(0)
    cost, entries = tensor(rng)
    marginals = [rng.dirichlet(np.ones(n)) for n in SIZES]
    for eta in (1.0, 1e3, 1e6):
        solution = MultimarginalSinkhorn(eta, tol=1e-6, sweeps=100).solve(Problem(cost, marginals))
        assert 0 <= solution.upper - solution.value <= 1e-12 * eta
        dense = solution.plan.dense()
        assert np.sum(dense * entries) <= solution.upper  # not the value, which is rounded


@pytest.mark.parametrize(
    ("options", "message"),
    [
        *(({"eta": eta}, f"eta is {eta}, expected a positive number") for eta in (0.0, -5.0, math.nan, math.inf)),
        *(({"eta": 1.0, "tol": tol}, f"tol is {tol}, expected a number of at least 0") for tol in (-1e-3, math.nan)),
        *(({"eta": 1.0, "sweeps": n}, f"sweeps is {n}, expected at least 1") for n in (0, -3)),
    ],
)
def test_numbers_that_mean_nothing_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"MultimarginalSinkhorn: {message}"):
        MultimarginalSinkhorn(**options)
