"""A run with a rule ends at the step that the unstopped run's losses name, alone and beside others."""

from dataclasses import replace
from typing import Any

import chex
import jax
import numpy as np
import optax
import pytest

import runs
from dsl import *
from tests.dsl.running import run

X = bits(3)
STEPS = 60
BASE = Training(
    task=Labelled(Hypercube(3), X[0] + 0.5 * X[1] * X[2]),
    model=TwoLayer(4, Tanh(), Standard()),
    loss=SquaredLoss() + L2(0.01),
    protocol=Descent(STEPS, Exact(), by=Adam(0.05)),
    measure=(TrainLoss() @ every(1), Weights() @ every(1)),
    seed=3,
)
FLOW = replace(BASE, protocol=Flow(3.0, STEPS, Exact()))
ENDS = (StepsMade() @ at_end(), Weights() @ at_end())


def stopping(of: Training, below: float, **changes: Any) -> Training:
    return replace(of, protocol=replace(of.protocol, stop=Stop(below)), **changes)


@pytest.mark.parametrize("of", [BASE, FLOW], ids=["descent", "flow"])
def test_the_last_step_made_is_the_first_whose_loss_is_below(of: Training) -> None:
    free = run(of)
    losses = np.array([float(free["TrainLoss"][t]) for t in range(STEPS + 1)])
    for t in (7, 30):
        below = float((losses[t - 1] + losses[t]) / 2)
        first = int(np.argmax(losses < below))
        assert 0 < first < STEPS  # the loss falls through the bound inside the run
        found = run(stopping(of, below, measure=ENDS))
        assert found["StepsMade"][STEPS] == first + 1
        chex.assert_trees_all_close(found["Weights"][STEPS], free["Weights"][first + 1], rtol=1e-5, atol=1e-6)


def test_the_loss_is_that_of_the_steps_own_batch() -> None:
    """With one example a step, the run ends at the first example that is fitted well enough."""
    task: Any = Sample(Labelled(Hypercube(3), X[0] * X[1]), n=8)
    free = replace(BASE, task=task, protocol=Descent(STEPS, Cyclic(1), by=Sgd(0.02)), measure=(Weights() @ every(1),))
    program, knobs = compile(free), compile(free).knobs(free)
    constants = program.constants(knobs, {})
    (x, y), state, losses = constants["drawn"]["task"].points, program.init(knobs, {}, constants), []
    for t in range(STEPS):
        a, w, b = state["model"].readout.weight[0], state["model"].hidden[0].weight, state["model"].hidden[0].bias
        losses.append(float((np.tanh(np.asarray(w) @ x[t % 8] + b) @ a - y[t % 8]) ** 2))
        state = program.advance(state, knobs, {}, constants, 1)
    ordered = sorted(losses)
    below = (ordered[2] + ordered[3]) / 2
    found = run(stopping(free, below, measure=(StepsMade() @ at_end(),)))
    assert found["StepsMade"][STEPS] == 1 + next(t for t, loss in enumerate(losses) if loss < below)


@pytest.mark.slow
def test_a_rule_that_is_never_met_changes_nothing() -> None:
    found = run(stopping(BASE, -1.0, measure=(*BASE.measure, StepsMade() @ at_end())))
    assert found.pop("StepsMade") == {STEPS: STEPS}
    chex.assert_trees_all_close(found, run(BASE), rtol=1e-5, atol=1e-6)


def test_a_loss_that_is_nan_ends_nothing() -> None:
    diverging = replace(BASE, protocol=Descent(STEPS, Exact(), by=Sgd(1e30)))
    assert run(stopping(diverging, -1.0, measure=(StepsMade() @ at_end(),)))["StepsMade"][STEPS] == STEPS


def test_one_digest_without_a_rule_one_program_for_all_bounds() -> None:
    assert digest(replace(BASE, protocol=Descent(STEPS, Exact(), by=Adam(0.05), stop=None))) == digest(BASE)
    assert digest(stopping(BASE, 0.1)) != digest(BASE)
    assert jax.tree.structure(stopping(BASE, 0.1)) == jax.tree.structure(stopping(BASE, 0.2))


BOUNDS = (0.9, 0.6, 0.3, -1.0, 0.05)


@pytest.fixture(scope="module")
def study() -> list[Training]:
    measure = (StepsMade() @ at(20, STEPS), TestLoss(Exact()) @ every(20))
    return [stopping(replace(BASE, seed=seed), below, measure=measure) for seed in (0, 1) for below in BOUNDS]


@pytest.mark.slow
def test_points_that_stop_at_other_steps_do_not_feel_each_other(study: list[Training]) -> None:
    table = runs.run(Study("stops", study)).where(step=STEPS)
    assert len(set(table["StepsMade"])) >= 4  # they do stop at other steps
    for i, point in enumerate(study):
        alone = runs.run(point).where(step=STEPS)
        assert alone["StepsMade"] == table["StepsMade"][i]
        assert (
            alone["TestLoss"] == table["TestLoss"][i]
        )  # bit for bit: lanes do not depend on how many points there are


@pytest.mark.slow
def test_lanes_of_one_batch_stop_each_at_its_own_step(study: list[Training]) -> None:
    program = compile(study[0])

    def ended(knobs: Any) -> Any:
        constants = program.constants(knobs, {})
        return program.advance(program.init(knobs, {}, constants), knobs, {}, constants, STEPS)

    knobs = jax.tree.map(lambda *leaves: np.stack(leaves), *map(program.knobs, study))
    abreast = jax.jit(jax.vmap(ended))(knobs)
    one = jax.jit(ended)
    for i, point in enumerate(study):
        alone = one(program.knobs(point))
        assert alone["step"] == abreast["step"][i]
        assert alone["done"] == abreast["done"][i] == (alone["step"] < STEPS)
        mine = jax.tree.map(lambda leaf, i=i: leaf[i], abreast["model"])
        chex.assert_trees_all_close(mine, alone["model"], rtol=1e-4, atol=1e-5)


COUNTED: list[int] = []


class Counted(Optimizer):
    """SGD that tells the host of every step that is computed."""

    lr: float

    def transformation(self, steps: int) -> optax.GradientTransformation:
        inside = optax.sgd(self.lr)

        def update(updates: Any, state: Any, params: Any = None) -> Any:
            jax.debug.callback(lambda: COUNTED.append(1))
            return inside.update(updates, state, params)

        return optax.GradientTransformation(inside.init, update)


def test_blocks_that_have_stopped_are_not_computed() -> None:
    of = replace(BASE, protocol=Descent(1000, Exact(), by=Counted(0.1)), measure=(StepsMade() @ at_end(),))
    points = [stopping(of, below) for below in (0.9, 0.6, 0.3)]
    program = compile(points[0])

    def steps(knobs: Any) -> Any:
        constants = program.constants(knobs, {})
        return program.advance(program.init(knobs, {}, constants), knobs, {}, constants, 1000)["step"]

    COUNTED.clear()
    knobs = jax.tree.map(lambda *leaves: np.stack(leaves), *map(program.knobs, points))
    made = np.asarray(jax.jit(lambda knobs: jax.lax.map(steps, knobs))(knobs))
    jax.effects_barrier()
    assert len(set(made)) == 3
    assert made.max() < 1000
    assert len(COUNTED) == made.sum()
