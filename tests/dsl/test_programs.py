"""Experiments that are not one training: solving, analysis, and what reads other experiments."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, ClassVar

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dsl import (
    Analysis,
    Count,
    Descent,
    Exact,
    Fault,
    Hypercube,
    Labelled,
    Measurement,
    Mlp,
    Problem,
    Result,
    Sgd,
    Solver,
    Solving,
    Spec,
    SpecError,
    SquaredLoss,
    Stored,
    Tanh,
    TestLoss,
    Trained,
    Training,
    Weights,
    at,
    at_end,
    bits,
    compile,
    dump,
    every,
    load,
)
from dsl.program import references, requires, structure
from tests.dsl.running import run

# ---------------------------------------------------------------- nouns of a user


class Root(Problem):
    """The square root of a number."""

    of: float


class Newton(Solver):
    """x <- (x + of / x) / 2 until x * x is near enough."""

    steps: Count
    tolerance: float = 1e-5

    @property
    def last(self) -> int:
        return self.steps

    def init(self, problem: Any, key: Any) -> Any:
        return jnp.ones(()) * problem.of

    def step(self, problem: Any, state: Any, key: Any) -> Any:
        return (state + problem.of / state) / 2

    def answer(self, problem: Any, state: Any) -> Any:
        return state

    def finished(self, problem: Any, state: Any) -> Any:
        return jnp.abs(state**2 - problem.of) < self.tolerance


class Bisection(Solver):
    """The same in Python on the host."""

    traced: ClassVar[bool] = False

    @property
    def last(self) -> int:
        return 50

    def init(self, problem: Any, key: Any) -> Any:
        return np.array([0.0, max(1.0, float(problem.of))])

    def step(self, problem: Any, state: Any, key: Any) -> Any:
        middle = float(state.mean())  # a number of Python: this cannot be traced
        return np.array([state[0], middle] if middle**2 > problem.of else [middle, state[1]])

    def answer(self, problem: Any, state: Any) -> Any:
        return state.mean()


class Answer(Measurement):
    """The answer itself."""

    def __call__(self, experiment: Any, state: Any, constants: Any, key: Any) -> Any:
        return state.answer


class Steps(Measurement):
    """The number of steps taken."""

    def __call__(self, experiment: Any, state: Any, constants: Any, key: Any) -> Any:
        return state.step


class Norm(Measurement):
    """The squared norm of the arrays that an analysis reads."""

    def __call__(self, experiment: Any, state: Any, constants: Any, key: Any) -> Any:
        return sum(jnp.sum(a**2) for a in jax.tree.leaves(experiment.of.arrays))

    def unfit(self, experiment: Any) -> Iterable[Fault]:
        if not isinstance(experiment.of, Spec):
            yield Fault((), "expected one noun to read")


# ---------------------------------------------------------------- solving


def test_an_iterative_solver_stops_when_it_has_finished() -> None:
    found = run(Solving(Root(2.0), Newton(40), (Answer() @ every(20), Steps())))
    assert list(found["Answer"]) == [0, 20, 40]
    assert list(found["Steps"]) == [40]  # bare: observed at the end
    assert float(found["Answer"][40]) == pytest.approx(2**0.5, rel=1e-5)
    assert 3 <= int(found["Steps"][40]) <= 6


def test_a_solver_that_never_finishes_takes_all_steps() -> None:
    found = run(Solving(Root(2.0), Newton(7, tolerance=0.0), (Steps() @ every(1),)))
    assert [int(n) for n in found["Steps"].values()][:3] == [0, 1, 2]


def test_a_solver_on_the_host_has_the_same_interface() -> None:
    host = Solving(Root(2.0), Bisection(), (Answer(), Steps() @ at(0, 3)), precision="float64")
    assert not compile(host).traced
    found = run(host)
    assert float(found["Answer"][50]) == pytest.approx(2**0.5, rel=1e-9)
    assert {t: int(n) for t, n in found["Steps"].items()} == {0: 0, 3: 3}


def test_lanes_that_finish_at_different_steps_do_not_disturb_each_other() -> None:
    points = [Solving(Root(v), Newton(40), (Steps(),)) for v in (1.0, 2.0, 1000.0)]
    program = compile(points[0])
    knobs = jax.tree.map(lambda *leaves: np.stack(leaves), *(program.knobs(p) for p in points))

    def steps(knobs: Any) -> Any:
        constants = program.constants(knobs, {})
        return program.advance(program.init(knobs, {}, constants), knobs, {}, constants, 40)["step"]

    alone = [int(run(p)["Steps"][40]) for p in points]
    assert jax.jit(jax.vmap(steps))(knobs).tolist() == alone
    assert len(set(alone)) == 3


def test_faults_of_a_solving() -> None:
    with pytest.raises(SpecError, match=r"measure\[0\].when.at\[0\]: step 50 is beyond the last step, 40"):
        Solving(Root(2.0), Newton(40), (Answer() @ at(50),))
    with pytest.raises(SpecError, match=r"measure\[0\]: TestLoss reads the task of an experiment; a Solving has none"):
        Solving(Root(2.0), Newton(40), (TestLoss(Exact()),))
    with pytest.raises(
        SpecError, match=r"measure\[0\]: Weights reads the model of an experiment; an Analysis has none"
    ):
        Analysis(of=TASK, measure=(Weights(),))


# ---------------------------------------------------------------- what reads other experiments

TASK = Labelled(Hypercube(3), bits(3)[0])
FIRST = Training(
    task=TASK,
    model=Mlp((3,), Tanh()),
    loss=SquaredLoss(),
    protocol=Descent(4, Exact(), by=Sgd(0.1)),
    measure=(Weights() @ at(2, 4), TestLoss(Exact()) @ every(1)),
    seed=0,
)


@pytest.fixture(scope="module")
def first() -> dict[str, dict[int, Any]]:
    return run(FIRST)


def test_a_run_that_starts_from_another_goes_on_where_it_stopped(first: dict[str, dict[int, Any]]) -> None:
    second = replace(FIRST, model=Trained(FIRST, at=2), protocol=Descent(2, Exact(), by=Sgd(0.1)),
                     measure=(Weights() @ at_end(), TestLoss(Exact()) @ every(1)), seed=7)  # fmt: skip
    assert requires(second) == (FIRST,)
    assert {path: noun.source() for path, noun in references(second).items()} == {"model": (FIRST, "Weights", 2)}
    found = run(second, {"model": first["Weights"][2]})
    chex.assert_trees_all_close(found["Weights"][2], first["Weights"][4], rtol=1e-6)
    np.testing.assert_allclose(found["TestLoss"][0], first["TestLoss"][2], rtol=1e-6)


def test_runs_that_differ_in_what_they_read_share_a_program() -> None:
    a, b = (replace(FIRST, model=Trained(replace(FIRST, seed=seed))) for seed in (1, 2))
    assert structure(a) == structure(b)
    assert structure(replace(FIRST, model=Trained(a))) == structure(a)  # the architecture alone remains
    assert requires(replace(FIRST, model=Trained(a))) == (a,)
    assert Trained(a).source()[2] == 4


def test_an_analysis_reads_results_and_stored_arrays(first: dict[str, dict[int, Any]]) -> None:
    expected = sum(float((a**2).sum()) for a in first["Weights"][2].values())
    of = Result(FIRST, "Weights", at=at(2))
    found = run(Analysis(of=of, measure=(Norm(),)), {"of": first["Weights"][2]})
    np.testing.assert_allclose(found["Norm"][0], expected, rtol=1e-6)
    stored = Stored("weights.safetensors", sha256="0" * 64)
    again = run(Analysis(of=stored, measure=(Norm(),)), {"of": {"a": np.ones(3)}})
    np.testing.assert_allclose(again["Norm"][0], 3.0)
    assert requires(Analysis(of=stored, measure=(Norm(),))) == ()
    assert requires(Analysis(of=of, measure=(Norm(),))) == (FIRST,)


def test_inputs_are_arguments_and_not_constants() -> None:
    stored = Analysis(of=Stored("a", sha256="0" * 64), measure=(Norm(),))
    program = compile(stored)
    assert not [leaf for leaf in jax.tree.leaves(program) if isinstance(leaf, jax.Array)]
    assert structure(stored) == structure(Analysis(of=Stored("b", sha256="1" * 64), measure=(Norm(),)))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Trained(FIRST, at=3), "at: expected a step at which the run measures Weights(), At(at=(2, 4)), got 3"),
        (lambda: Trained(replace(FIRST, measure=())), "run.measure: expected Weights() @ ..., because Trained reads"),
        (lambda: Result(FIRST, "Weight"), "Training does not measure 'Weight' (did you mean 'Weights'?)"),
        (lambda: Result(FIRST, "Weights", at=at(3)), "at: expected one step at which the run measures Weights"),
        (lambda: Result(FIRST, "Weights", at=at(2, 4)), "at: expected one step at which the run measures Weights"),
        (lambda: Stored("../a", sha256="0" * 64), "name: expected the name of a file in the data directory"),
        (
            lambda: Stored("a", sha256="0"),
            "sha256: expected the hash of a file, 64 of the digits 0-9 and a-f, as `stepwell add` prints it, got '0'",
        ),
        (lambda: Analysis(of=(TASK, TASK), measure=(Norm(),)), "measure[0]: expected one noun to read"),
    ],
)
def test_faults_of_references(make: Any, text: str) -> None:
    with pytest.raises(SpecError) as caught:
        make()
    assert text in str(caught.value)


def test_a_trained_model_is_not_initialised_by_itself() -> None:
    with pytest.raises(ValueError, match="known only when it has run"):
        Trained(FIRST).init(jax.random.key(0), TASK)


def test_a_slot_in_a_file_is_a_fault() -> None:
    """A slot is what `compile` leaves: an experiment with one would wait for arrays that nobody gives."""
    data = dump(Analysis(of=Hypercube(3), measure=()))
    with pytest.raises(SpecError, match="of: ArraySlot stands in a program for arrays from outside"):
        load(data | {"of": {"kind": "ArraySlot"}})
