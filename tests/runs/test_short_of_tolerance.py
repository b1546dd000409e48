"""A solver that has used up its steps before its tolerance says so: in the record, in the events, and as a warning."""

import io
import re
import warnings

import jax
import pytest

from dsl import *
from runs.execute import execute
from runs.heard import Heard
from runs.here import run
from runs.options import RunOptions
from runs.plan import stages
from runs.progress import Meter
from runs.store import InMemory

FLOW = Transport(EulerFlow(4, 3, "rev"), uniform(4, 3))
PLANE = Wasserstein(SparseSquare(n=5, k=2))
SQUARE = Barycenter(SparseSquare(n=5, k=3))
GAUSSIANS = GaussianBarycenter(
    ((0.0, 0.0),) * 3, (((1.0, 0.5), (0.5, 2.0)), ((3.0, -1.0), (-1.0, 1.0)), ((0.2, 0.0), (0.0, 5.0)))
)
SHORT = {
    "multimarginal": (
        FLOW, MultimarginalSinkhorn(eta=200.0, tol=1e-4, sweeps=2), MultimarginalSinkhorn(eta=200.0, tol=1e-4),
        r"MultimarginalSinkhorn stopped after 2 sweeps with marginal error 0\.\d+ > tol 0\.0001"),
    "pair": (
        PLANE, Sinkhorn(eta=500.0, tol=1e-4, iterations=10), Sinkhorn(eta=5.0, tol=1e-4),
        r"Sinkhorn stopped after 10 iterations with marginal error 0\.\d+ > tol 0\.0001"),
    "low rank": (
        PLANE, LowRankSinkhorn(rank=2, tol=1e-5, iterations=10), LowRankSinkhorn(rank=2),
        r"LowRankSinkhorn stopped after 10 iterations with a change of the factors of [\d.e+-]+ > tol 1e-05"),
    "Bregman": (
        SQUARE, Bregman(side=5, eta=40.0, sweeps=2), Bregman(side=5, eta=1.0),
        r"Bregman stopped after 2 sweeps with marginal error 0\.\d+ > tol 0\.0001"),
    "atoms": (
        SQUARE, FreeSupport(atoms=5, restarts=1, rounds=1), FreeSupport(atoms=5, restarts=1),
        r"FreeSupport stopped after 1 rounds with a value that fell in the last by 0\.\d+ > tol 1e-12"),
    "entropic atoms": (
        SQUARE, EntropicFreeSupport(atoms=3, eta=50.0, rounds=3), EntropicFreeSupport(atoms=3, eta=50.0),
        r"EntropicFreeSupport stopped after 3 rounds with a relative change of the value of [\d.e-]+ > tol 1e-06"),
    "Gaussians": (
        GAUSSIANS, BuresFixedPoint(rounds=1), BuresFixedPoint(),
        r"BuresFixedPoint stopped after 1 rounds with maps whose mean is off the identity by 0\.\d+ > tol 1e-05"),
}  # fmt: skip


SLOW = ("pair", "low rank", "entropic atoms")


@pytest.mark.parametrize(
    ("problem", "short", "enough", "message"),
    [pytest.param(*case, id=name, marks=[pytest.mark.slow] * (name in SLOW)) for name, case in SHORT.items()],
)
def test_a_solver_says_that_it_stopped_before_its_tolerance(problem, short, enough, message):
    """Whatever is measured; and one that has come to its tolerance says nothing."""
    with pytest.warns(UserWarning, match=f"^{message}$"):
        run(Solving(problem, short, (OracleCalls(),)))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        run(Solving(problem, enough, (OracleCalls(),)))


def done(points):
    store, told = InMemory(), []
    for stage in stages(points):
        execute(stage.groups, store, RunOptions(), told.append)
    assert [store.status(point.digest) for point in points] == ["finished"] * len(points)
    events = {event["point"]: event.get("short") for event in told if event["event"] == "done"}
    kept = [store.records[point.digest].environment.get("short") for point in points]
    assert kept == [events[point.digest] for point in points]
    return kept


def test_records_and_events_say_it_of_each_point_of_a_traced_sweep():
    with jax.enable_x64(True):
        by = [MultimarginalSinkhorn(eta, tol, sweeps=2) for eta, tol in ((0.1, 1e-6), (300.0, 1e-6), (300.0, 2.0))]
        points = [Solving(FLOW, solver, (Objective(), MarginalError()), precision="float64") for solver in by]
        (stage,) = stages(points)
        assert len(stage.groups) == 1
        soft, cold, careless = done(points)
        with pytest.warns(UserWarning, match="stopped after 2 sweeps"):
            error = float(run(points[1])["MarginalError"][0])
    assert soft is careless is None
    assert re.fullmatch(r"MultimarginalSinkhorn stopped after 2 sweeps with marginal error (\S+) > tol 1e-06", cold)
    assert float(cold.split()[8]) == pytest.approx(error, rel=0.05)


def test_a_run_says_it_of_the_point():
    solving = lambda sweeps: Solving(SQUARE, Bregman(side=5, eta=40.0, sweeps=sweeps), (Objective(),))
    points, stream = grid(solving, sweeps=(2, 3)), io.StringIO()
    heard, meter = Heard.of(points), Meter("mine", 2, 2, stream)
    for stage in stages(point.spec for point in points):
        execute(stage.groups, InMemory(), RunOptions(), lambda event: heard.hear(event, meter))
    found = [line.partition(" with marginal error ")[0] for line in stream.getvalue().splitlines()]
    assert found == [f"point {i} (sweeps={i + 2}): Bregman stopped after {i + 2} sweeps" for i in range(2)]


def test_a_run_that_is_observed_no_further_than_it_was_asked_has_missed_nothing():
    of = lambda when: Solving(SQUARE, Bregman(side=5, eta=40.0, sweeps=20), (Objective() @ when,))
    early, late = done([of(at(3)), of(at_end())])
    assert early is None
    assert late.startswith("Bregman stopped after 20 sweeps")
