"""Two point clouds by OTT's solvers, against linear programs, sorted points and closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import linprog

from theory.transport import ott_solvers, pairs
from theory.transport.pairs import Pair


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


@jax.jit
def soft(pair, eta, tol):
    return pairs.entropic(pair, ott_solvers.sinkhorn(pair, eta, tol, 20_000))


@jax.jit
def low_rank(pair):
    return pairs.factored(pair, ott_solvers.low_rank_sinkhorn(pair, 2, 1e-8, 200, jax.random.key(0)))


@jax.jit
def on_a_line(pair):
    return pairs.paired(pair, ott_solvers.quantiles(pair))


@jax.jit
def assigned(pair):
    return pairs.paired(pair, ott_solvers.assignment(pair))


def measures(seed: int, n: int, m: int, d: int, zeros: bool = False) -> Pair:
    rng = np.random.default_rng(seed)
    a, b = rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(m))
    if zeros:
        a[0], b[-1] = 0.0, 0.0
    return Pair(rng.normal(size=(n, d)), rng.normal(size=(m, d)), a / a.sum(), b / b.sum())


def equal(n: int, d: int, lattice: bool = False) -> Pair:
    x, y = np.random.default_rng(6).normal(size=(2, n, d))
    return Pair(*((np.round(z) if lattice else z) for z in (x, y)), np.full(n, 1 / n), np.full(n, 1 / n))


def cost_matrix(pair: Pair) -> np.ndarray:
    return np.array([[sum((x - y) ** 2) for y in pair.y] for x in pair.x])


def least(pair: Pair) -> float:
    """By a linear program."""
    n, m = len(pair.x), len(pair.y)
    sums = np.concatenate([np.kron(np.eye(n), np.ones((1, m))), np.kron(np.ones((1, n)), np.eye(m))])
    return linprog(cost_matrix(pair).ravel(), A_eq=sums, b_eq=np.concatenate([pair.a, pair.b])).fun


def check(pair: Pair, found: pairs.Coupling) -> np.ndarray:
    """The plan has the marginals and the value, and the interval has the least cost."""
    plan = np.asarray(jax.jit(lambda coupling: coupling.dense())(found))
    np.testing.assert_allclose(plan.sum(axis=1), pair.a, atol=1e-14)
    np.testing.assert_allclose(plan.sum(axis=0), pair.b, atol=1e-14)
    assert (plan >= 0).all()
    assert np.sum(plan * cost_matrix(pair)) == pytest.approx(float(found.value), abs=1e-13)
    assert found.lower - 1e-12 <= least(pair) <= found.upper + 1e-12
    return plan


@pytest.mark.parametrize("zeros", [False, True])
def test_sinkhorn_brackets_the_least_cost_within_its_entropy(zeros: bool) -> None:
    pair = measures(0, 5, 4, 2, zeros)
    found = soft(pair, 50.0, 1e-9)
    check(pair, found)
    assert found.marginal_error < 1e-8
    assert found.value - least(pair) <= np.log(20) / 50
    assert found.support_size == (4 * 3 if zeros else 5 * 4)


def test_a_plan_that_is_far_from_its_marginals_is_rounded_and_bounded() -> None:
    pair = measures(1, 5, 4, 2)
    found = soft(pair, 200.0, 0.5)
    assert found.marginal_error > 1e-3
    check(pair, found)


@pytest.mark.slow
def test_low_rank_plans_have_their_marginals_and_gelbrichs_bound_holds() -> None:
    pair = measures(2, 6, 5, 2)
    plan = check(pair, low_rank(pair))
    assert np.linalg.matrix_rank(plan, tol=1e-9) <= 3  # of the factors, and of what rounding adds


@pytest.mark.slow
def test_a_low_rank_plan_of_full_rank_is_nearly_optimal() -> None:
    pair = equal(5, 2)
    found = ott_solvers.low_rank_sinkhorn(Pair(*map(jnp.asarray, pair)), 5, 1e-10, 4000, jax.random.key(0))
    value = float(pairs.factored(Pair(*map(jnp.asarray, pair)), found).value)
    assert least(pair) - 1e-12 <= value <= 1.1 * least(pair)


def test_gelbrichs_bound_is_attained_by_an_affine_image() -> None:
    pair = measures(3, 7, 7, 2)
    linear = np.array([[2.0, 0.5], [0.5, 1.0]])
    image = Pair(pair.x, pair.x @ linear + 3.0, pair.a, pair.a)
    assert float(jax.jit(pairs.gelbrich_bound)(image)) == pytest.approx(least(image), abs=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("zeros", [False, True])
def test_on_a_line_points_are_paired_in_step(zeros: bool) -> None:
    pair = measures(4, 6, 6, 1, zeros)
    found = on_a_line(pair)
    check(pair, found)
    assert float(found.value) == pytest.approx(least(pair), abs=1e-12)
    assert found.upper - found.lower < 1e-12
    assert found.support_size <= 6 + 6 - 1


@pytest.mark.slow
def test_equal_masses_on_a_line_are_sorted() -> None:
    pair = equal(6, 1)
    expected = np.mean((np.sort(pair.x[:, 0]) - np.sort(pair.y[:, 0])) ** 2)
    assert float(on_a_line(pair).value) == pytest.approx(expected, abs=1e-13)


@pytest.mark.slow
@pytest.mark.parametrize("lattice", [False, True])
def test_an_assignment_has_a_closed_interval(lattice: bool) -> None:
    pair = equal(6, 2, lattice)
    found = assigned(pair)
    check(pair, found)
    assert found.upper - found.lower < 1e-12


@pytest.mark.slow
def test_problems_of_equal_shape_are_one_batch() -> None:
    alone = [measures(seed, 5, 4, 2) for seed in (7, 8)]
    stacked = Pair(*(np.stack(leaves) for leaves in zip(*alone, strict=True)))
    together = jax.jit(jax.vmap(soft, in_axes=(0, 0, None)))(stacked, jnp.array([10.0, 20.0]), 1e-6)
    for i, (pair, eta) in enumerate(zip(alone, (10.0, 20.0), strict=True)):
        apart = soft(pair, eta, 1e-6)
        np.testing.assert_allclose(together.value[i], apart.value, rtol=1e-12)
        np.testing.assert_allclose(together.lower[i], apart.lower, rtol=1e-12)
