from dataclasses import replace
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dsl import (
    L2,
    Adam,
    AdamW,
    Classes,
    Coefficients,
    Cosine,
    Cyclic,
    Descent,
    Exact,
    Fresh,
    Gaussian,
    GradientNorm,
    Hypercube,
    Labelled,
    LogisticLoss,
    MeanField,
    Mlp,
    Piecewise,
    Reals,
    Sample,
    Seeded,
    Sgd,
    Shuffled,
    Sigmoid,
    SquaredLoss,
    Tanh,
    Target,
    TestError,
    TestLoss,
    Training,
    TrainLoss,
    TwoLayer,
    Weights,
    at,
    at_end,
    bits,
    compile,
    digest,
    every,
    prefixes,
    reals,
)
from dsl.keys import root, streams
from dsl.program import structure
from dsl.protocols import initial_model
from dsl.realise import realised
from tests.dsl.nouns import Majority
from tests.dsl.running import run, weights
from theory.boolean import walsh_transform

X = bits(3)
TARGET = X[0] + 0.5 * X[1] * X[2]
STEPS = 5
LAM = 0.02
RUN = Training(
    task=Labelled(Hypercube(3), TARGET),
    model=TwoLayer(width=4, activation=Sigmoid(gain=2.0, slope=1.5, shift=-0.5), scaling=MeanField()),
    loss=SquaredLoss() + L2(LAM),
    protocol=Descent(STEPS, Exact(), by=Sgd(0.1)),
    measure=(Weights() @ every(1),),
    seed=3,
)

# ---------------------------------------------------------------- the same network, gradient and steps in NumPy

CUBE = np.asarray(Hypercube(3).nodes()[0], float)
LABELS = CUBE[:, 0] + 0.5 * CUBE[:, 1] * CUBE[:, 2]
Arrays = dict[str, np.ndarray]
W, B, A = "hidden[0].weight", "hidden[0].bias", "readout.weight"


def forward(w: Arrays) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    s = 1 / (1 + np.exp(-(1.5 * (CUBE @ w[W].T + w[B]) - 0.5)))
    return 2 * s @ w[A][0] / 4, 2 * s, 2 * 1.5 * s * (1 - s)


def gradient(w: Arrays) -> Arrays:
    """Of mean (f - y)^2 + lam / 2 |w|^2, by hand."""
    f, h, slope = forward(w)
    error = 2 * (f - LABELS) / len(CUBE)
    back = error[:, None] * slope * w[A] / 4
    bare = {W: back.T @ CUBE, B: back.sum(axis=0), A: (error @ h / 4)[None, :]}
    return {name: g + LAM * w[name] for name, g in bare.items()}


def adam(w: Arrays, rate: Any, decay: float = 0.0) -> list[Arrays]:
    path, zeros = [w], {n: np.zeros_like(a) for n, a in w.items()}
    first, second = zeros, zeros
    for t in range(STEPS):
        g = {n: 4 * a for n, a in gradient(w).items()}  # mean-field time: N-fold
        first = {n: 0.9 * first[n] + 0.1 * g[n] for n in g}
        second = {n: 0.999 * second[n] + 0.001 * g[n] ** 2 for n in g}
        scaled = lambda n, t=t, first=first, second=second: (
            (first[n] / (1 - 0.9 ** (t + 1))) / (np.sqrt(second[n] / (1 - 0.999 ** (t + 1))) + 1e-8)
        )
        w = {n: w[n] - rate(t) * (scaled(n) + decay * w[n]) for n in w}
        path.append(w)
    return path


def sgd(w: Arrays, rate: Any, moving: tuple[str, ...] = (W, B, A)) -> list[Arrays]:
    path = [w]
    for t in range(STEPS):
        g = gradient(w)
        w = {n: w[n] - rate(t) * 4 * g[n] if n in moving else w[n] for n in w}
        path.append(w)
    return path


def start() -> Arrays:
    model = initial_model(RUN, streams(RUN.seed))
    return {W: np.asarray(model.hidden[0].weight, float), B: np.asarray(model.hidden[0].bias, float),
            A: np.asarray(model.readout.weight, float)}  # fmt: skip


def cosine(t: int) -> float:
    return 0.05 * (1 + np.cos(np.pi * t / STEPS)) / 2


@pytest.mark.parametrize(
    ("by", "oracle"),
    [
        (Sgd(0.1), lambda w: sgd(w, lambda t: 0.1)),
        (Sgd(Piecewise(0.1, 2, (1.0, 0.5))), lambda w: sgd(w, lambda t: 0.1 if t < 2 else 0.05)),
        (Adam(0.01), lambda w: adam(w, lambda t: 0.01)),
        (AdamW(Cosine(0.05), 0.1), lambda w: adam(w, cosine, decay=0.1)),
    ],
    ids=["sgd", "piecewise", "adam", "adamw"],
)
def test_steps_are_those_of_the_formula(by: Any, oracle: Any) -> None:
    found = weights(replace(RUN, protocol=Descent(STEPS, Exact(), by=by)))
    expected = oracle(start())
    assert len(found) == len(expected) == STEPS + 1
    for a, b in zip(found, expected, strict=True):
        assert set(a) == {W, B, A}
        for name in a:
            np.testing.assert_allclose(a[name], b[name], rtol=2e-4, atol=1e-5)


@pytest.mark.parametrize(("only", "moving"), [("hidden", (W, B)), ("readout", (A,))])
def test_one_part_moves_alone(only: Any, moving: tuple[str, ...]) -> None:
    found = weights(replace(RUN, protocol=Descent(STEPS, Exact(), by=Sgd(0.1), only=only)))
    for a, b in zip(found, sgd(start(), lambda t: 0.1, moving), strict=True):
        for name in a:
            np.testing.assert_allclose(a[name], b[name], rtol=2e-4, atol=1e-5)


# ---------------------------------------------------------------- measurements

MEASURED = replace(
    RUN,
    measure=(
        Weights() @ every(1),
        TestLoss(Exact()) @ every(1),
        TrainLoss() @ every(1),
        TestError(Exact(), on=Labelled(Hypercube(3), Majority(3))) @ every(1),
        GradientNorm() @ every(1),
        Coefficients((*prefixes(X, 3), X[2]), Exact()) @ every(1),
        TestLoss(Fresh(7), on=Labelled(Hypercube(3), X[0])) @ at(0, STEPS),
    ),
)


@pytest.fixture(scope="module")
def measured() -> dict[str, dict[int, Any]]:
    return run(MEASURED)


def by_step(measured: dict[str, dict[int, Any]]) -> list[tuple[int, Arrays]]:
    return [(t, {n: np.asarray(a, float) for n, a in w.items()}) for t, w in measured["Weights"].items()]


def test_losses_leave_penalties_out(measured: dict[str, dict[int, Any]]) -> None:
    for t, w in by_step(measured):
        expected = np.mean((forward(w)[0] - LABELS) ** 2)
        np.testing.assert_allclose(measured["TrainLoss"][t], expected, rtol=1e-4)
        np.testing.assert_allclose(measured["TestLoss(draw=Exact(), on=None)"][t], expected, rtol=1e-4)


def test_the_gradient_norm_has_the_penalties_in_it(measured: dict[str, dict[int, Any]]) -> None:
    for t, w in by_step(measured):
        expected = np.sqrt(sum((g**2).sum() for g in gradient(w).values()))
        np.testing.assert_allclose(measured["GradientNorm"][t], expected, rtol=1e-4)


def test_coefficients_are_walsh_coefficients(measured: dict[str, dict[int, Any]]) -> None:
    for t, w in by_step(measured):
        table = np.asarray(walsh_transform(forward(w)[0]))
        np.testing.assert_allclose(measured["Coefficients"][t], table[[0b001, 0b011, 0b111, 0b100]], atol=1e-5)


def test_the_test_error_is_the_share_of_wrong_signs(measured: dict[str, dict[int, Any]]) -> None:
    y = np.where(CUBE.sum(axis=1) > 0, 1, -1)
    for t, w in by_step(measured):
        np.testing.assert_allclose(measured["TestError"][t], np.mean(np.sign(forward(w)[0]) != y), rtol=1e-5)


def test_measurements_are_taken_when_they_are_due(measured: dict[str, dict[int, Any]]) -> None:
    assert list(measured["TestLoss"]) == [
        0,
        STEPS,
    ]  # of two test losses, the one that holds knobs is named by its class
    assert list(measured["TrainLoss"]) == list(range(STEPS + 1))


class Quadrant(Target[Reals, Classes]):
    """The signs of the first two coordinates, as a class."""

    @property
    def outputs(self) -> int:
        return 4

    def __call__(self, x: Any) -> Any:
        return (x[..., 0] > 0).astype(jnp.int32) + 2 * (x[..., 1] > 0)


def test_the_test_error_of_classes_is_the_share_of_wrong_largest_coordinates() -> None:
    task = Labelled(Hypercube(2), Quadrant())
    model: Any = Mlp((3,), Tanh())
    module = model.init(root(0), task)
    assert module(CUBE_2).shape == (4, 4)
    state: Any = type("State", (), {"model": staticmethod(lambda x: module(x))})
    error = TestError(Exact())
    batch = error.constants(type("E", (), {"task": task}), root(0))
    wrong = np.argmax(module(CUBE_2), axis=-1) != np.asarray(Quadrant()(CUBE_2))
    np.testing.assert_allclose(error(None, state, batch, root(0)), wrong.mean())


CUBE_2 = Hypercube(2).nodes()[0]


# ---------------------------------------------------------------- programs


def test_a_users_noun_works_in_an_experiment_without_another_line() -> None:
    users = replace(
        RUN,
        task=Labelled(Hypercube(3), Majority(3)),
        model=Mlp((8,), Tanh()),
        loss=LogisticLoss(),
        protocol=Descent(60, Fresh(16), by=Adam(0.05)),
        measure=(TestError(Exact()) @ at_end(),),
    )
    assert run(users)["TestError"][60] == 0.0


def test_a_program_is_one_for_all_knobs() -> None:
    other = replace(RUN, seed=9, loss=SquaredLoss() + L2(1.0), protocol=Descent(STEPS, Exact(), by=Sgd(0.7)))
    assert structure(other) == structure(RUN)
    assert structure(replace(RUN, protocol=Descent(STEPS + 1, Exact(), by=Sgd(0.1)))) != structure(RUN)
    chex.assert_trees_all_equal(run(other), run(other, by=compile(RUN)))


def test_knobs_are_strong_arrays_of_the_precision() -> None:
    knobs = compile(RUN).knobs(RUN)
    assert knobs.seed.dtype == np.int32
    assert {leaf.dtype for leaf in jax.tree.leaves(knobs)} == {np.dtype(np.int32), np.dtype(np.float32)}
    double = replace(RUN, precision="float64")
    assert compile(double).knobs(double).loss.penalties[0].lam.dtype == np.float64


def test_the_state_is_arrays_and_says_when_it_is_done() -> None:
    program, knobs = compile(RUN), compile(RUN).knobs(RUN)
    constants = jax.jit(program.constants)(knobs, {})
    state = jax.jit(program.init)(knobs, {}, constants)
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(state))
    assert not program.finished(state)
    whole = jax.jit(program.advance)(state, knobs, {}, constants, STEPS)
    assert program.finished(whole)
    parts = state
    for n in (2, 0, 3):
        parts = jax.jit(program.advance)(parts, knobs, {}, constants, n)
    chex.assert_trees_all_equal(parts, whole)


def test_double_precision_is_that_of_the_whole_run() -> None:
    with jax.enable_x64(True):
        found = weights(replace(RUN, precision="float64", measure=(Weights() @ at(0, STEPS),)))
    expected = sgd({n: np.asarray(a) for n, a in found[0].items()}, lambda t: 0.1)
    for name, value in found[1].items():
        assert value.dtype == np.float64
        np.testing.assert_allclose(value, expected[-1][name], rtol=1e-10)


@pytest.mark.parametrize(
    "draw", [Shuffled(4), *(pytest.param(d, marks=pytest.mark.slow) for d in (Cyclic(4, start=1), Exact()))]
)
def test_training_on_a_sample_sees_the_sample_and_tests_see_the_law(draw: Any) -> None:
    sample = Sample(Labelled(Gaussian(2), reals(2)[0] * reals(2)[1]), n=10)
    kept = (TrainLoss() @ at(0), TestLoss(Exact()) @ at(0), Weights() @ at(0, 2))
    task: Any = sample
    on_sample = replace(RUN, task=task, protocol=Descent(2, draw, by=Sgd(0.01)), measure=kept)
    found = run(on_sample)
    drawn, net = realised(sample, streams(3)), initial_model(on_sample, streams(3))
    x, y = drawn.points
    np.testing.assert_allclose(found["TrainLoss"][0], np.mean((net(x) - y) ** 2), rtol=1e-4)
    (x, y), w = Labelled(Gaussian(2), reals(2)[0] * reals(2)[1]).nodes()
    np.testing.assert_allclose(found["TestLoss"][0], w @ (net(x) - y) ** 2, rtol=1e-4)
    assert not np.array_equal(found["Weights"][0][A], found["Weights"][2][A])


def test_a_seeded_sample_is_one_draw_for_all_seeds() -> None:
    task: Any = Sample(Labelled(Gaussian(2), reals(2)[0]), n=6)
    program = lambda noun, seed: replace(RUN, task=noun, measure=(TrainLoss() @ at(0),), seed=seed)
    points = lambda noun, seed: (
        jax.jit(compile(program(noun, seed)).constants)(compile(program(noun, seed)).knobs(program(noun, seed)), {})[
            "drawn"
        ]["task"].points
    )
    chex.assert_trees_all_equal(points(Seeded(task, seed=1), 0), points(Seeded(task, seed=1), 5))
    assert not np.array_equal(points(task, 0)[0], points(task, 5)[0])
    assert digest(Seeded(task, seed=1)) != digest(task)
