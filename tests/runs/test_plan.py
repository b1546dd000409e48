from dataclasses import replace

import pytest

from dsl import *
from runs.cost import estimate
from runs.lanes import lanes
from runs.plan import flatten, grouped, length, stages


def training(width: int = 4, seed: int = 0, lr: float = 0.1, precision="float32", **more) -> Training:
    x = bits(3)
    return Training(
        task=Labelled(Hypercube(3), x[0] + x[0] * x[1]),
        model=TwoLayer(width, Tanh(), Standard()),
        loss=SquaredLoss(),
        protocol=Descent(4, Exact(), by=Sgd(lr)),
        measure=(TestLoss(Exact()) @ every(2), Weights() @ at_end()),
        seed=seed,
        precision=precision,
        **more,
    )


def after(run: Training, **changes) -> Training:
    return replace(run, model=Trained(run), **changes)


def test_points_that_differ_in_knobs_share_a_group():
    points = [training(seed=s, lr=lr) for s in range(3) for lr in (0.1, 0.2)] + [training(width=5)]
    assert [len(group.points) for group in grouped(points)] == [6, 1]


def test_groups_do_not_depend_on_what_is_read():
    first = [training(seed=s) for s in range(2)]
    second = [after(run) for run in first] + [after(after(first[0]))]
    assert [len(group.points) for group in grouped(second)] == [3]


def test_the_lanes_of_an_analysis_are_those_of_its_observation():
    def width(inputs):
        law = Labelled(Gaussian(3), reals(3)[0])
        of = tuple(Representation(Mlp((w,), Tanh()), Sample(law, n=inputs), 0) for w in (4, 5))
        program = compile(point := Analysis(of=of, measure=(DistanceMatrix(Cka()),)))
        return lanes(estimate(program, program.knobs(point), {}), "cpu")

    assert (width(8), width(4_000)) == (32, 1)


def test_required_experiments_come_first_and_once():
    run = training()
    outer = [after(run), after(run, seed=7)]
    order = list(flatten(outer).values())
    assert order == [run, *outer]


def test_a_chain_of_self_training_is_flattened_without_recursion_or_repetition():
    run = training()
    for _ in range(40):
        run = after(run)
    assert len(flatten([run])) == 41


def test_one_worker_for_each_change_of_precision():
    inner = training()
    wide = after(inner, precision="float64")
    assert [stage.precision for stage in stages([inner, training(width=5)])] == ["float32"]
    assert [stage.precision for stage in stages([wide, training(width=5)])] == ["float32", "float64"]
    assert [len(stage.groups) for stage in stages([wide, training(width=5)])] == [2, 1]


@pytest.mark.parametrize("at", [1, 3])
def test_a_step_without_weights_is_refused(at):
    with pytest.raises(SpecError, match="a step at which the run measures Weights"):
        Trained(training(), at=at)


def solving(by, **more) -> Solving:
    problem = Barycenter(RandomMeasures(n=2, k=2, d=1, half_width=1.0))
    return Solving(problem=problem, by=by, measure=(Objective(),), **more)


def test_lengths_tell_steps_from_rounds_and_most_from_all():
    stopping = replace(training(), protocol=Descent(4, Exact(), by=Sgd(0.1), stop=Stop(0.1)))
    rounds, at_once = solving(ColumnGeneration(rounds=7)), solving(NaiveLp())
    assert length([training(), training(seed=1)]) == "8 steps"
    assert length([training(), stopping]) == "at most 8 steps"
    assert length([rounds, rounds]) == "at most 14 rounds"
    assert length([at_once]) == "no steps"
    assert length([training(), rounds]) == "4 steps and at most 7 rounds"
    assert length([Analysis(of=Hypercube(3), measure=())]) == "no steps"
