"""Sinkhorn's algorithm as a traced program beside the same on the host; what solvers find out only in a run."""

from typing import Any

import jax
import numpy as np
import pytest

from dsl import *
from tests.conformance.test_nouns import compilations
from tests.dsl.running import run
from theory.transport import MultimarginalSinkhorn as MultimarginalOfTheory

FLOW = Transport(EulerFlow(4, 3, "tent"), uniform(4, 3))
NUMBERS = {
    "Objective": "value",
    "DualBound": "lower",
    "UpperBound": "upper",
    "MarginalError": "marginal_error",
    "OracleCalls": "oracle_calls",
    "SupportSize": "support_size",
}
"""What is measured, and what the answer of `theory` calls it."""
MEASURE = (Objective(), DualBound(), UpperBound(), MarginalError(), OracleCalls(), SupportSize())
ETAS = (1.0, 30.0, 500.0, 2000.0)
RISK = Transport(LowRankPlusSparse(((1.0, 2.0), (0.5, 1.5), (1.0, 0.25))), uniform(2, 3))


def soft(eta: float, problem: Any = FLOW, measure: tuple[Any, ...] = MEASURE) -> Solving:
    return Solving(problem, MultimarginalSinkhorn(eta, tol=1e-6), measure, precision="float64")


def on_host(eta: float, problem: Any = FLOW) -> Any:
    return MultimarginalOfTheory(eta, 1e-6).solve(problem.posed())


def observed(program: Program, knobs: Any) -> Any:
    """What a point measures, as one function of its knobs."""
    constants = program.constants(knobs, {})
    return program.observe(program.init(knobs, {}, constants), knobs, {}, constants, due=tuple(program.measurements))


def sweep(points: list[Solving]) -> list[Any]:
    """What all points measure in one program, which is compiled once."""
    with jax.enable_x64(True):
        program = compile(points[0])
        assert program.traced
        every = jax.tree.map(lambda *leaves: np.stack(leaves), *(program.knobs(point) for point in points))
        mapped = jax.jit(jax.vmap(lambda knobs: observed(program, knobs)))
        with compilations() as counted:
            batch = jax.block_until_ready(mapped(every))
        assert len(counted) == 1
    return [{name: values[b] for name, values in batch.items()} for b in range(len(points))]


def expect_host(found: Any, host: Any) -> None:
    """The numbers of a solution of `theory`."""
    for name, part in NUMBERS.items():
        assert found[name] == pytest.approx(getattr(host, part), abs=1e-9)


def test_a_sweep_of_temperatures_is_one_program_with_the_numbers_of_the_host() -> None:
    flow = Transport(EulerFlow(3, 2, "shift"), uniform(3, 2))
    for eta, found in zip(ETAS, sweep([soft(eta, flow) for eta in ETAS]), strict=True):
        expect_host(found, on_host(eta, flow))


@pytest.mark.slow
def test_a_point_of_a_sweep_is_what_it_is_alone_with_its_maps() -> None:
    points = [soft(eta, FLOW, (*MEASURE, PairMarginals())) for eta in ETAS]
    beside = sweep(points)
    with jax.enable_x64(True):
        program = compile(points[0])
        one = jax.jit(lambda knobs: observed(program, knobs))
        alone = [one(program.knobs(point)) for point in points]
    for eta, *every in zip(ETAS, beside, alone, strict=True):
        host = on_host(eta)
        for found in every:
            expect_host(found, host)
            np.testing.assert_allclose(found["PairMarginals"], [host.plan.pair(0, t) for t in range(3)], atol=1e-9)


def test_a_traced_problem_is_posed_once_for_all_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    flow, calls, posed = Transport(EulerFlow(3, 4, "tent"), uniform(3, 4)), [], EulerFlow.posed
    monkeypatch.setattr(EulerFlow, "posed", lambda cost: calls.append(cost) or posed(cost))
    with jax.enable_x64(True):
        found = [run(soft(eta, flow)) for eta in ETAS[:2]]
    assert len(calls) == 1
    for eta, values in zip(ETAS, found, strict=False):
        expect_host({name: at_end[0] for name, at_end in values.items()}, on_host(eta, flow))


def test_what_has_knobs_or_is_drawn_runs_on_the_host_and_so_does_single_precision() -> None:
    assert not compile(soft(30.0)).traced  # this process computes in single precision
    with jax.enable_x64(True):
        assert compile(soft(30.0)).traced
        assert not compile(soft(30.0, RISK)).traced
        assert not compile(soft(30.0, Transport(EulerFlow(2, 3, "id"), bernoulli(0.5, 3)))).traced
        drawn = Reduced(MaxCut(Seeded(RandomGraph(3, p=1.0), seed=0)), CutToTransport())
        assert not compile(soft(30.0, drawn)).traced


@pytest.mark.parametrize("problem", [FLOW, pytest.param(RISK, marks=pytest.mark.slow)])
def test_the_host_has_double_numbers(problem: Transport) -> None:
    found = {name: values[0] for name, values in run(soft(30.0, problem)).items()}
    expect_host(found, on_host(30.0, problem))


# ---------------------------------------------------------------- column generation


@pytest.mark.parametrize("d", [3, 4])
def test_power_diagrams_are_refused_for_stored_points_of_many_dimensions(d: int) -> None:
    problem = Barycenter(StoredMeasures(Stored("measures.npz", sha256="0" * 64)))
    points = np.random.default_rng(0).normal(size=(2, 3, d))
    solving = Solving(problem, ColumnGeneration(pricing="power_diagrams"), (Objective(),), precision="float64")
    given = {"problem.measures.data": {"points": points}}
    if d == 3:
        assert run(solving, given)["Objective"]
        return
    with pytest.raises(ValueError, match="'power_diagrams' are for up to 3 dimensions, not 4; 'structure' searches"):
        run(solving, given)


def test_power_diagrams_are_refused_where_a_reduction_makes_a_cost_without_points() -> None:
    by = ByReduction(CutToTransport(), ColumnGeneration(pricing="power_diagrams"))
    solving = Solving(MaxCut(Complete(3)), by, (Objective(),), precision="float64")
    with pytest.raises(ValueError, match="'power_diagrams' are searched for a Barycenter, not a GraphicalCost"):
        run(solving)
