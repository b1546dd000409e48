"""Every solver against the linear program over all tuples, on every cost structure."""

import itertools
import math
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pytest

from tests.theory.transport.instances import (
    EVERY,
    ROUNDING,
    SOFT,
    Maker,
    check,
    cliques,
    problem,
    rank_one,
    truth,
    written_down,
)
from theory.transport import (
    BarycenterCost,
    ColumnGeneration,
    Ellipsoid,
    LowRankPlusSparseCost,
    MultimarginalSinkhorn,
    MultiplicativeWeights,
    NaiveLp,
    Problem,
    Reliability,
    SetCost,
    SoftCost,
    SparsePlan,
    TensorCost,
    chain_cost,
    complete_graph,
    first_iterate,
    monotone_plan,
    sinkhorn,
    sweep,
    uniform,
)
from theory.transport.master import Master
from theory.transport.plan import marginal_error


@pytest.mark.parametrize("make", EVERY)
def test_the_naive_program_has_complementary_solutions(make: Maker) -> None:
    instance = problem(make, seed=0)
    solution = NaiveLp().solve(instance)
    check(solution, instance, truth(instance))
    assert solution.gap < 1e-9
    assert solution.support_size <= instance.support_bound


def test_the_naive_program_on_a_problem_solved_by_hand() -> None:
    """A permutation of three points that costs nothing."""
    cost = TensorCost(1.0 - np.eye(3)[[1, 2, 0]])
    solution = NaiveLp().solve(Problem(cost, uniform((3, 3))))
    assert solution.value == pytest.approx(0.0, abs=1e-12)
    assert isinstance(solution.plan, SparsePlan)
    assert solution.plan.tuples.tolist() == [[0, 1], [1, 2], [2, 0]]


@pytest.mark.parametrize("make", EVERY)
@pytest.mark.parametrize("seed", [0, 1, 3])
def test_column_generation_is_exact_and_sparse(make: Maker, seed: int) -> None:
    instance = problem(make, seed, zeros=seed == 3)
    solution, exact = ColumnGeneration().solve(instance), truth(instance)
    check(solution, instance, exact)
    low, high = instance.cost.bounds()
    assert solution.value == pytest.approx(exact, abs=2e-9 * (high - low))
    assert solution.gap <= 2e-9 * (high - low)
    assert solution.support_size <= instance.support_bound


@pytest.mark.parametrize("options", [{"smoothing": 0.0}, {"batch": 1}, {"purge": 1, "batch": 8}, {"smoothing": 0.9}])
def test_options_of_column_generation_do_not_change_the_answer(options: dict[str, float]) -> None:
    rng = np.random.default_rng(0)
    instance = Problem(BarycenterCost([rng.normal(size=(5, 2)) for _ in range(4)]), uniform((5,) * 4))
    solution = ColumnGeneration(**options).solve(instance)
    check(solution, instance, truth(instance))
    assert solution.gap < 1e-8


def test_column_generation_round_by_round() -> None:
    """The value never rises and the bound never falls; purging keeps the columns in the basis."""
    rng = np.random.default_rng(1)
    instance = Problem(chain_cost(list(rng.normal(size=(4, 4, 4)))), uniform((4,) * 5))
    solver = ColumnGeneration(batch=20, purge=2)
    states = [solver.init(instance)]
    columns = [len(states[0].master.costs)]
    while not states[-1].finished:
        states.append(solver.step(instance, states[-1]))
        columns.append(len(states[-1].master.costs))
    assert (np.diff([state.value for state in states]) <= 1e-12).all()
    assert (np.diff([state.lower for state in states]) >= 0).all()
    assert max(columns) <= 2 * 20 + 20
    assert (np.diff(columns) < 0).any()
    exact = truth(instance)
    assert all(state.lower - ROUNDING <= exact <= state.value + 1e-9 for state in states)
    check(solver.answer(instance, states[2]), instance, exact)


def test_column_generation_is_equivariant_under_the_unit_of_cost() -> None:
    tensor = np.random.default_rng(0).normal(size=(4, 4, 4))
    values = [
        ColumnGeneration().solve(Problem(TensorCost(s * tensor), uniform((4,) * 3))).value / s for s in (1e-6, 1, 1e6)
    ]
    np.testing.assert_allclose(values, values[1], rtol=1e-9)


@pytest.mark.parametrize("offset", [-1e8, 1e4, 1e8, 1e12])
def test_column_generation_ends_on_costs_far_from_zero(offset: float) -> None:
    tensor = np.random.default_rng(0).normal(size=(6, 5, 4))
    instance = Problem(TensorCost(tensor + offset), uniform((6, 5, 4)))
    solver = ColumnGeneration()
    state = solver.init(instance)
    for _ in range(40):
        state = solver.step(instance, state)
    assert state.finished
    assert len(np.unique(state.tuples, axis=0)) == len(state.tuples)
    exact = truth(Problem(TensorCost(tensor), instance.marginals))
    rounding = 1e-15 * abs(offset)
    assert solver.answer(instance, state).value - offset == pytest.approx(exact, abs=2e-9 + rounding)
    assert solver.answer(instance, state).gap <= 1e-8 + rounding


@pytest.mark.parametrize("best", [False, True])
@pytest.mark.parametrize("vertices", [4, 6, 8])
def test_network_reliability_is_its_closed_form(vertices: int, best: bool) -> None:
    """1 - 0.005 v, for the worst case at probability .99 of each edge, and for the best case at .01."""
    up = 0.01 if best else 0.99
    edges = complete_graph(vertices)
    instance = Problem(Reliability(edges, best=best), [np.array([1 - up, up])] * len(edges))
    solution = ColumnGeneration().solve(instance)
    assert solution.value == pytest.approx(1 - 0.005 * vertices, abs=1e-9)
    assert solution.gap < 1e-9
    assert solution.support_size <= instance.support_bound


@pytest.mark.parametrize(
    ("k", "low", "high"), [(2, 1.48, 1.48), (10, 1.54711040, 1.54711057), (20, 1.55743324, 1.55743328)]
)
def test_risk_is_inside_its_published_interval(k: int, low: float, high: float) -> None:
    factor = 1 + np.arange(10)[:, None] / (10 * k)
    cost = LowRankPlusSparseCost([factor] * k)
    solution = ColumnGeneration(start="rearrangement", tol=1e-7).solve(Problem(cost, uniform(cost.shape)))
    assert low - 5e-9 <= solution.value <= high + 5e-9  # the interval is rounded to 8 digits
    assert math.exp(k * np.log(factor).mean()) - 1e-9 <= solution.lower <= solution.value
    assert solution.gap < 2e-7


def test_a_rearrangement_is_a_plan_of_any_marginals() -> None:
    instance = problem(lambda rng: LowRankPlusSparseCost([rng.uniform(0.5, 2, size=(4, 2)) for _ in range(4)]), seed=0)
    cost = instance.cost
    assert isinstance(cost, LowRankPlusSparseCost)
    plan = cost.rearrangement(instance.marginals)
    assert marginal_error(plan.marginals(), instance.marginals) < 1e-12
    assert truth(instance) - ROUNDING <= plan.cost(cost) <= monotone_plan(instance.marginals).cost(cost)


@pytest.mark.parametrize(
    ("make", "zeros"),
    [
        pytest.param(
            make, zeros, marks=() if (make, zeros) in ((cliques, False), (rank_one, True)) else pytest.mark.slow
        )
        for make in SOFT
        for zeros in (False, True)
    ],
)
def test_sinkhorn_brackets_and_rounds(make: Maker, zeros: bool) -> None:
    instance = problem(make, seed=1, zeros=zeros)
    assert isinstance(instance.cost, SoftCost)
    solution, exact = MultimarginalSinkhorn(eta=30.0, tol=1e-4, sweeps=2000).solve(instance), truth(instance)
    check(solution, instance, exact)
    assert solution.marginal_error < 1e-4
    entropy = np.log(instance.cost.shape).sum() / 30
    low, high = instance.cost.bounds()
    assert solution.value <= exact + entropy + 1e-3 * (high - low) + 2 * instance.cost.soft_error()


def test_sinkhorn_scales_two_marginals_as_the_textbook_does() -> None:
    rng = np.random.default_rng(0)
    cost, mu, nu = rng.random((4, 5)), rng.dirichlet(np.ones(4)), rng.dirichlet(np.ones(5))
    kernel, v = np.exp(-3 * cost), np.ones(5)
    for _ in range(10):
        u = mu / (kernel @ v)
        v = nu / (kernel.T @ u)
    with jax.enable_x64(True):
        found = sinkhorn(TensorCost(cost), (np.log(mu), np.log(nu)), 3.0, -1.0, 10)
        state = first_iterate((np.log(mu), np.log(nu)))
        for _ in range(10):
            state = sweep(TensorCost(cost), (np.log(mu), np.log(nu)), 3.0, state)
    for swept, w in zip(state.log_weights, found.log_weights, strict=True):
        np.testing.assert_allclose(swept, w, atol=1e-12)
    a, b = (np.exp(np.asarray(w)) for w in found.log_weights)
    np.testing.assert_allclose(a[:, None] * kernel * b, u[:, None] * kernel * v, rtol=1e-10)


@pytest.mark.slow
def test_sinkhorn_survives_the_temperature_at_which_plain_exponentials_overflow() -> None:
    """The Euler flow with n = 11, k = 4 and eta = 2000."""
    n, at = 11, np.arange(11.0)
    step = (at[:, None] - at) ** 2 / n**2
    instance = Problem(chain_cost([step] * 3, step[::-1]), uniform((n,) * 4))
    solution = MultimarginalSinkhorn(eta=2000.0, tol=1e-3, sweeps=3000).solve(instance)
    exact = ColumnGeneration().solve(instance)
    assert solution.lower <= exact.value <= solution.value + ROUNDING
    assert solution.value <= 1.05 * exact.value


@pytest.mark.slow
def test_sinkhorn_maps_over_marginals_and_temperatures() -> None:
    rng = np.random.default_rng(0)
    cost = chain_cost(list(rng.random((2, 3, 3))))
    marginals = [np.log(rng.dirichlet(np.ones(3), size=4)) for _ in range(3)]
    etas = np.array([1.0, 2.0, 5.0, 10.0])
    run = lambda logs, eta: sinkhorn(cost, logs, eta, 1e-9, 500)
    with jax.enable_x64(True):
        batch = jax.vmap(run)(tuple(marginals), etas)
        for b in range(4):
            alone = run(tuple(m[b] for m in marginals), etas[b])
            assert batch.sweeps[b] == alone.sweeps
            for many, one in zip(batch.log_weights, alone.log_weights, strict=True):
                np.testing.assert_allclose(many[b], one, atol=1e-9)


@pytest.mark.parametrize("make", EVERY)
def test_multiplicative_weights_bracket(make: Maker) -> None:
    instance = problem(make, seed=2, zeros=True)
    solution, exact = MultiplicativeWeights(eps=0.2).solve(instance), truth(instance)
    check(solution, instance, exact)
    low, high = instance.cost.bounds()
    assert solution.gap < 0.8 * (high - low)


def test_multiplicative_weights_round_by_round() -> None:
    instance = problem(lambda rng: TensorCost(rng.random((3, 3, 3))), seed=1)
    solver, exact = MultiplicativeWeights(eps=0.15), truth(instance)
    states = [solver.init(instance)]
    while not states[-1].finished:
        states.append(solver.step(instance, states[-1]))
        assert states[-1].value <= states[-2].value
        assert states[-1].lower >= states[-2].lower
        assert states[-1].calls > states[-2].calls
    assert len(states) > 2
    for state in states:
        check(solver.answer(instance, state), instance, exact)


@pytest.mark.slow
def test_multiplicative_weights_improve_with_eps() -> None:
    instance = problem(lambda rng: TensorCost(rng.random((3, 3, 3))), seed=0)
    exact = truth(instance)
    solutions = [MultiplicativeWeights(eps=eps).solve(instance) for eps in (0.4, 0.2, 0.08)]
    assert solutions[2].gap < 0.3
    assert solutions[2].gap < solutions[0].gap / 2
    assert solutions[2].value - exact < 0.1
    assert solutions[0].oracle_calls < solutions[2].oracle_calls


@pytest.mark.parametrize(
    "make", [*EVERY[::7], *(pytest.param(m, marks=pytest.mark.slow) for m in EVERY if m not in EVERY[::7])]
)
def test_the_ellipsoid_method_closes_the_gap(make: Maker) -> None:
    instance = problem(make, seed=4)
    solution = Ellipsoid(tol=5e-2).solve(instance)
    check(solution, instance, truth(instance))
    low, high = instance.cost.bounds()
    assert solution.gap <= 5e-2 * (high - low) + ROUNDING
    assert solution.support_size <= instance.support_bound


def test_no_feasible_start_is_an_error_of_the_program() -> None:
    master = Master(uniform((2, 2)))
    master.add(np.array([[0, 0]]), np.array([1.0]))
    with pytest.raises(ValueError, match="the linear program over 1 tuples has no answer: HiGHS says Infeasible"):
        master.solve()


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_a_program_that_would_be_infeasible_or_unbounded_by_its_costs_is_refused(value: float) -> None:
    """No column of finite cost can make it unbounded: masses are at most 1."""

    class Broken(TensorCost):
        def at(self, tuples: np.ndarray) -> np.ndarray:
            return np.where((tuples == 1).all(axis=1), value, super().at(tuples))

    instance = Problem(Broken(np.zeros((2, 2))), uniform((2, 2)))
    with pytest.raises(ValueError, match=rf"the cost of the tuple \[1, 1\] is {value}, expected finite entries"):
        ColumnGeneration().solve(instance)


def test_highs_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    master = Master(uniform((2, 2)))
    master.add(np.array([[0, 1], [1, 0]]), np.array([1.0, 2.0]))
    master.solve()
    assert capfd.readouterr() == ("", "")


def test_purging_keeps_the_optimum() -> None:
    rng = np.random.default_rng(0)
    cost = TensorCost(rng.random((3, 3, 3)))
    tuples = np.array(list(itertools.product(range(3), repeat=3)))
    master = Master(uniform(cost.shape))
    master.add(tuples, cost.at(tuples))
    before, _ = master.solve()
    value = before @ master.costs
    master.keep(np.zeros(27, bool))
    assert len(master.costs) == len(master.tuples) < 10
    after, _ = master.solve()
    assert after @ master.costs == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize("solver", [NaiveLp(), ColumnGeneration(), Ellipsoid(), MultiplicativeWeights()])
@pytest.mark.parametrize("shape", [(4,), (1, 1), (1, 3, 1)])
def test_problems_with_one_plan(solver, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    instance = Problem(TensorCost(rng.normal(size=shape)), [rng.dirichlet(np.ones(n)) for n in shape])
    exact = float(np.sum(written_down(instance.cost).ravel() * max(instance.marginals, key=len)))
    solution = solver.solve(instance)
    check(solution, instance, exact)
    assert solution.value == pytest.approx(exact, abs=1e-12)


def test_a_constant_cost() -> None:
    instance = Problem(TensorCost(np.full((3, 2), 2.5)), [np.array([0.2, 0.3, 0.5]), np.array([0.5, 0.5])])
    for solver in (NaiveLp(), ColumnGeneration(), Ellipsoid(), MultiplicativeWeights(), MultimarginalSinkhorn(1.0)):
        solution = solver.solve(instance)
        assert (solution.value, solution.gap) == (pytest.approx(2.5), pytest.approx(0.0, abs=1e-12))


def large(sizes: tuple[int, ...]) -> Problem:
    rng = np.random.default_rng(0)
    return Problem(BarycenterCost([rng.normal(size=(n, 2)) for n in sizes]), uniform(sizes))


class Counting(SetCost):
    """A set cost without soft sums: the number of elements."""

    @property
    def elements(self) -> int:
        return 2

    def of(self, sets: np.ndarray) -> np.ndarray:
        return sets.sum(axis=1).astype(float)

    def small(self, weights: np.ndarray) -> np.ndarray:
        return (weights > 1)[None]

    def bounds(self) -> tuple[float, float]:
        return 0.0, 2.0


def test_a_set_cost_of_ones_own() -> None:
    instance = Problem(Counting(), [np.array([0.3, 0.7]), np.array([0.6, 0.4])])
    check(ColumnGeneration().solve(instance), instance, truth(instance))
    assert truth(instance) == pytest.approx(1.1)


UNTYPED: Any = SimpleNamespace(**vars(ColumnGeneration()) | {"start": "nort"})  # which the types refuse first


@pytest.mark.parametrize(
    ("solve", "message"),
    [
        (lambda: NaiveLp().solve(large((10,) * 10)), r"has 1e\+10 entries.*ColumnGeneration fits: .* 100 rows"),
        (lambda: Ellipsoid().solve(large((20, 20, 20))), "60 points need about .*; ColumnGeneration fits"),
        (
            lambda: MultimarginalSinkhorn(1.0).solve(large((3, 3))),
            "a BarycenterCost has no soft sums.*ColumnGeneration",
        ),
        (
            lambda: ColumnGeneration(start="rearrangement").solve(large((3, 3))),
            "needs a LowRankPlusSparseCost, got a Ba",
        ),
        (lambda: ColumnGeneration(tol=1e-12), "tol is 1e-12, expected at least 1e-09"),
        (lambda: ColumnGeneration(tol=math.nan), "tol is nan, expected at least 1e-09"),
        (lambda: ColumnGeneration(smoothing=1.0), r"smoothing is 1.0, expected a weight in \[0, 1\)"),
        (lambda: ColumnGeneration(smoothing=-0.1), r"smoothing is -0.1, expected a weight in \[0, 1\)"),
        (lambda: ColumnGeneration(batch=0), "batch is 0, expected at least 1"),
        (lambda: ColumnGeneration(purge=0), "purge is 0, expected at least 1"),
        (lambda: ColumnGeneration(rounds=0), "rounds is 0, expected at least 1"),
        (lambda: ColumnGeneration.__post_init__(UNTYPED), "start is 'nort', expected one of .*'rearrangement'"),
        (lambda: MultiplicativeWeights(eps=0.0).solve(large((3, 3))), "eps is 0.0, expected 0 < eps <= 1/2"),
    ],
)
def test_a_solver_that_does_not_fit_says_so(solve, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        solve()
