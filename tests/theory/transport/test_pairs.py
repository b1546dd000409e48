"""Two point clouds, by solvers and as plans, against linear programs, sorted points and closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment, linprog
from scipy.special import logsumexp

from theory.transport import ott_solvers, pairs
from theory.transport.pairs import Factors, Pair, Scalings
from theory.transport.quantiles import quantiles

SEEDS, BITS = st.integers(0, 2**32 - 1), st.sampled_from([32, 64])


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
    return pairs.paired(pair, quantiles(pair))


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
    return np.array([[sum((x - y) ** 2) for y in np.float64(pair.y)] for x in np.float64(pair.x)])


def least(pair: Pair) -> float:
    """By a linear program."""
    n, m = len(pair.x), len(pair.y)
    sums = np.concatenate([np.kron(np.eye(n), np.ones((1, m))), np.kron(np.ones((1, n)), np.eye(m))])
    cost, masses = cost_matrix(pair), [w / w.sum() for w in (np.float64(pair.a), np.float64(pair.b))]
    # HiGHS has tolerances for costs of order 1
    return linprog(cost.ravel() / cost.max(), A_eq=sums, b_eq=np.concatenate(masses)).fun * float(cost.max())


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


@pytest.mark.parametrize("zeros", [False, True])
def test_on_a_line_points_are_paired_in_step(zeros: bool) -> None:
    pair = measures(4, 6, 6, 1, zeros)
    found = on_a_line(pair)
    check(pair, found)
    assert float(found.value) == pytest.approx(least(pair), abs=1e-12)
    assert found.upper - found.lower < 1e-12
    assert found.support_size <= 6 + 6 - 1


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


# ---------------------------------------------------------------- both precisions, any origin and any unit


def cast(pair: Pair, bits: int) -> Pair:
    return Pair(*(np.asarray(leaf, f"float{bits}") for leaf in pair))


def certain(found: pairs.Coupling) -> tuple[pairs.Coupling, jax.Array]:
    return found, found.dense()


def check_plan(pair: Pair, found: tuple[pairs.Coupling, jax.Array]) -> None:
    """It has its marginals and its value, to some units in the last place."""
    plan, cost, eps = np.float64(found[1]), cost_matrix(pair), np.finfo(pair.x.dtype).eps
    assert (plan >= 0).all()
    for axis, masses in ((1, pair.a), (0, pair.b)):
        np.testing.assert_allclose(plan.sum(axis=axis), masses, rtol=0, atol=4 * eps)
    assert abs(np.sum(plan * cost) - found[0].value) <= 32 * eps * cost.max()


def check_certain(pair: Pair, found: tuple[pairs.Coupling, jax.Array], exact: float) -> None:
    """The same, and the interval has the least cost."""
    check_plan(pair, found)
    rounding = 32 * np.finfo(pair.x.dtype).eps * cost_matrix(pair).max()
    assert found[0].lower - rounding <= exact <= found[0].upper + rounding


def balanced(pair: Pair, eta: float) -> Scalings:
    """Potentials whose plan has its marginals up to rounding errors, by NumPy."""
    g, scaled = np.zeros(len(pair.b)), eta * cost_matrix(pair)
    for _ in range(20):
        f = np.log(pair.a) - logsumexp(g - scaled, axis=1)
        g = np.log(pair.b) - logsumexp(f[:, None] - scaled, axis=0)
    f, g, eta = (np.asarray(leaf / eta, pair.x.dtype) for leaf in (f, g, eta**2))
    return Scalings(f, g, eta, np.asarray(20))


def product(pair: Pair) -> Factors:
    """Of the independent plan."""
    weights = np.asarray([0.25, 0.75], pair.a.dtype)
    return Factors(np.outer(pair.a, weights), np.outer(pair.b, weights), weights, np.asarray(1), np.asarray(0.0))


RIGHT = {
    "entropic": (pairs.entropic, lambda pair: balanced(pair, 0.1)),
    "factored": (pairs.factored, product),
}


@pytest.mark.parametrize("bits", [32, pytest.param(64, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", RIGHT)
def test_plans_that_have_their_marginals_up_to_rounding_keep_them(kind: str, bits: int) -> None:
    made, keeps = RIGHT[kind]
    several = [cast(measures(seed, 5, 4, 2), bits) for seed in range(60)]
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *((pair, keeps(pair)) for pair in several))
    with jax.enable_x64(bits == 64):
        found = jax.jit(jax.vmap(lambda pair, kept: certain(made(pair, kept))))(*stacked)
    for i, pair in enumerate(several):
        check_plan(pair, jax.tree.map(lambda leaf, i=i: np.asarray(leaf)[i], found))


@jax.jit
def bound(pair, g):
    return pairs.bounded(pair, g, pairs.split(pair))


@given(SEEDS)
@settings(max_examples=10, derandomize=True)
def test_a_bound_has_no_more_rounding_errors_from_potentials_that_are_large(seed: int) -> None:
    pair = cast(measures(seed, 5, 4, 2), 32)
    g = np.float32(np.random.default_rng(seed).normal(size=4) + 2**20)
    with jax.enable_x64(False):
        found = float(bound(pair, g))
    cost, a, b = cost_matrix(pair), *(np.float64(w) / np.float64(w).sum() for w in (pair.a, pair.b))
    f = np.min(cost - g, axis=1)
    assert found == pytest.approx(f @ a + np.min(cost - f[:, None], axis=0) @ b, abs=1e-5)


@pytest.mark.parametrize("bits", [32, 64])
def test_gelbrichs_bound_has_its_digits_where_covariances_are_nearly_singular(bits: int) -> None:
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    pair = measures(5, 7, 7, 2)
    flat = pair.x * [1.0, 1e-3] @ turn
    image = cast(Pair(flat, flat @ turn.T * [1.0, 0.1] @ turn, pair.a, pair.a), bits)
    with jax.enable_x64(bits == 64):
        bound = float(jax.jit(pairs.gelbrich_bound)(image))
    assert bound == pytest.approx(least(image), abs=8 * np.finfo(image.x.dtype).eps * cost_matrix(image).max())


@pytest.mark.parametrize("scale", [1e-10, 1e10])
def test_gelbrichs_bound_is_of_any_unit(scale: float) -> None:
    pair = measures(3, 7, 7, 2)
    scaled = cast(Pair(scale * pair.x, scale * pair.y, pair.a, pair.b), 32)
    with jax.enable_x64(False):
        bound = float(jax.jit(pairs.gelbrich_bound)(scaled))
    assert bound / scale**2 == pytest.approx(float(jax.jit(pairs.gelbrich_bound)(pair)), rel=1e-5)


def moved(pair: Pair, scale: float, shift: float) -> Pair:
    """In single precision, without a rounding error for scales and shifts as they are here."""
    grid = [np.round(z * 2**10) / 2**10 for z in (pair.x, pair.y)]
    return cast(Pair(*(scale * z + shift for z in grid), pair.a, pair.b), 32)


def check_origin(solved: jax.stages.Wrapped, pair: Pair, closed: bool = True) -> None:
    with jax.enable_x64(False):
        here, there = (solved(moved(pair, 1.0, shift)) for shift in (0.0, 1000.0))
    most = cost_matrix(moved(pair, 1.0, 0.0)).max()
    assert float(there.value) == pytest.approx(float(here.value), abs=1e-6 * most)
    assert float(there.lower) == pytest.approx(float(here.lower), abs=1e-6 * most)
    assert not closed or there.upper - there.lower <= 1e-6 * most


def test_the_value_and_the_bound_of_a_plan_on_a_line_do_not_depend_on_the_origin() -> None:
    check_origin(on_a_line, measures(4, 6, 6, 1))


def test_an_assignment_does_not_depend_on_the_origin() -> None:
    check_origin(assigned, equal(12, 2))


@pytest.mark.slow
def test_entropic_and_low_rank_plans_do_not_depend_on_the_origin() -> None:
    check_origin(jax.jit(lambda pair: soft(pair, 20.0, 1e-3)), measures(0, 5, 4, 2), closed=False)
    check_origin(low_rank, measures(2, 6, 5, 2), closed=False)


@pytest.mark.slow
@pytest.mark.parametrize("scale", [2.0**-30, 2.0**-13, 2.0**10, 2.0**40])
def test_a_low_rank_plan_does_not_depend_on_the_unit(scale: float) -> None:
    with jax.enable_x64(False):
        here, there = (low_rank(moved(measures(2, 6, 5, 2), h, 0.0)) for h in (1.0, scale))
    for part in ("value", "lower"):
        assert float(getattr(there, part)) / scale**2 == pytest.approx(float(getattr(here, part)), rel=1e-6)


def test_on_a_line_equal_levels_of_two_measures_make_no_mass() -> None:
    n, m = 2000, 3000
    x, y = np.linspace(0, 1, n)[:, None], np.linspace(0, 1, m)[:, None]
    pair = cast(Pair(x, y, np.full(n, 1 / n), np.full(m, 1 / m)), 32)
    plan, found = jax.jit(lambda pair: (quantiles(pair), pairs.paired(pair, quantiles(pair))))(pair)
    assert abs(np.sum(np.asarray(plan.masses, float)) - 1) <= 4 * np.finfo(np.float32).eps
    assert found.marginal_error <= 8 * np.finfo(np.float32).eps


def test_pairs_of_points_are_counted_beyond_integers_of_32_bits() -> None:
    n = 2**16
    pair = cast(Pair(np.zeros((n, 1)), np.zeros((n, 1)), np.full(n, 1 / n), np.full(n, 1 / n)), 32)
    assert float(pairs._pairs_with_mass(pair)) == 2.0**32


def test_on_a_line_masses_may_be_less_than_rounding_errors() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        pair = cast(Pair(*rng.normal(size=(2, 12, 1)), *rng.dirichlet(np.full(12, 0.05), size=2)), 32)
        with jax.enable_x64(False):
            found = on_a_line(pair)
        assert found.marginal_error <= 4 * np.finfo(np.float32).eps
        assert found.upper - found.lower <= 1e-6 * cost_matrix(pair).max()


@jax.jit
def soft_certain(pair, eta):
    return certain(pairs.entropic(pair, ott_solvers.sinkhorn(pair, eta, 1e-4, 1000)))


@jax.jit
def low_rank_certain(pair):
    return certain(pairs.factored(pair, ott_solvers.low_rank_sinkhorn(pair, 2, 1e-4, 200, jax.random.key(0))))


def shaped(seed: int, n: int, m: int, d: int, scale: float, shift: float, bits: int) -> Pair:
    pair = measures(seed, n, m, d)
    return cast(Pair(scale * (pair.x + shift), scale * (pair.y + shift), pair.a, pair.b), bits)


@pytest.mark.slow
@given(SEEDS, BITS, st.floats(-3, 5), st.floats(-4, 3), st.sampled_from([0.0, 1000.0]))
@settings(max_examples=60, derandomize=True)
def test_every_solver_gives_a_plan_and_an_interval(
    seed: int, bits: int, power: float, size: float, shift: float
) -> None:
    with jax.enable_x64(bits == 64):
        pair = shaped(seed, 5, 4, 2, 10**size, shift, bits)
        exact = least(pair)
        check_certain(pair, soft_certain(pair, np.asarray(10**power / 10 ** (2 * size), pair.x.dtype)), exact)
        check_certain(pair, low_rank_certain(pair), exact)
        line = shaped(seed, 5, 4, 1, 10**size, shift, bits)
        check_certain(line, jax.jit(certain)(on_a_line(line)), least(line))
        uniform = cast(Pair(*(z[[0, 1, 2, 3]] for z in pair[:2]), *np.full((2, 4), 0.25)), bits)
        cost = cost_matrix(uniform)
        check_certain(uniform, jax.jit(certain)(assigned(uniform)), cost[linear_sum_assignment(cost)].mean())


@pytest.mark.slow
def test_problems_of_equal_shape_are_one_batch() -> None:
    alone = [measures(seed, 5, 4, 2) for seed in (7, 8)]
    stacked = Pair(*(np.stack(leaves) for leaves in zip(*alone, strict=True)))
    together = jax.jit(jax.vmap(soft, in_axes=(0, 0, None)))(stacked, jnp.array([10.0, 20.0]), 1e-6)
    for i, (pair, eta) in enumerate(zip(alone, (10.0, 20.0), strict=True)):
        apart = soft(pair, eta, 1e-6)
        np.testing.assert_allclose(together.value[i], apart.value, rtol=1e-12)
        np.testing.assert_allclose(together.lower[i], apart.lower, rtol=1e-12)
