"""Flows, ridge and the mean-field limit against closed forms and `theory`."""

from dataclasses import replace

import jax
import numpy as np
import pytest

import runs
from dsl import *
from dsl.modules import split
from theory import dimension_free, latents, meanfield

X = bits(3)


def training(model, protocol, measure, target=X[0] + 0.5 * X[0] * X[1], loss=None):
    return Training(
        task=Labelled(Hypercube(3), target), model=model, loss=loss or SquaredLoss(), protocol=protocol,
        measure=measure, seed=0)  # fmt: skip


def weights_after(run, steps):
    program, knobs = compile(run), compile(run).knobs(run)
    constants = jax.jit(program.constants)(knobs, {})  # normal draws are rounded as the compiler likes
    state = program.advance(program.init(knobs, {}, constants), knobs, {}, constants, steps)
    return state["model"], constants


def test_a_flow_of_a_linear_model_is_an_exponential():
    # f = <w, x> on the cube: the risk is |w - w*|^2 + rest, so w(t) = w* + exp(-2t) (w_0 - w*)
    model = TwoLayer(1, HermiteSeries((0.0, 1.0)), Standard(), bias=False)
    run = training(model, Flow(until=0.7, steps=50, draw=Exact(), only="hidden"), (TestLoss(Exact()) @ every(50),))
    start, end = weights_after(run, 0)[0], weights_after(run, 50)[0]
    a = float(start.readout.weight[0, 0])
    w0, w1 = (np.asarray(m.hidden[0].weight)[0] for m in (start, end))
    target = np.array([1.0, 0.0, 0.0]) / a
    np.testing.assert_allclose(w1, target + np.exp(-2 * a * a * 0.7) * (w0 - target), atol=1e-5)


@pytest.mark.slow
def test_halving_the_step_of_a_flow_changes_nothing_visible():
    model = TwoLayer(8, Tanh(), Standard())
    ends = [
        runs.run(training(model, Flow(2.0, steps, Exact()), (TestLoss(Exact()) @ at_end(),)))["TestLoss"][-1]
        for steps in (40, 80)
    ]
    assert ends[0] == pytest.approx(ends[1], rel=1e-5)


def test_ridge_is_the_solution_of_the_normal_equations():
    model = TwoLayer(6, Tanh(), Standard())
    run = training(model, Ridge(lam=0.01, draw=Exact(), only="readout"), (TestLoss(Exact()) @ every(1),))
    module, _ = weights_after(run, 1)
    (x, y), _ = run.task.nodes()
    hidden = np.tanh(np.asarray(x) @ np.asarray(module.hidden[0].weight).T + np.asarray(module.hidden[0].bias))
    expected = np.linalg.solve(hidden.T @ hidden / 8 + 0.01 * np.eye(6), hidden.T @ np.asarray(y) / 8)
    np.testing.assert_allclose(module.readout.weight[0], expected, rtol=2e-3, atol=1e-4)
    before, _ = weights_after(run, 0)
    np.testing.assert_array_equal(before.hidden[0].weight, module.hidden[0].weight)


def test_ridge_refuses_a_negative_penalty():
    with pytest.raises(SpecError, match="greater than or equal to 0"):
        Ridge(lam=-1.0, draw=Exact())


@pytest.mark.slow
def test_the_mean_field_limit_flows_as_theory_says():
    sigma = Sigmoid(gain=3.0, slope=3.0, shift=-1.0)
    run = training(
        MeanFieldLimit(16, 24, sigma), Flow(1.0, 40, Exact()), (TestLoss(Exact()) @ at_end(),), loss=0.5 * SquaredLoss()
    )
    module, _ = weights_after(run, 40)
    law, response = latents.boolean_latents(3), meanfield.gaussian_response(sigma, 24)
    values = run.task.y(law.points)
    start = meanfield.initial_particles(16, 3)
    found = dimension_free.dimension_free_flow(values, start, law, response, until=1.0, steps=40)
    last = jax.tree.map(lambda leaf: np.asarray(leaf)[-1], found.particles)
    np.testing.assert_allclose(module.a, last.a, atol=2e-4)
    np.testing.assert_allclose(module.u, last.u, atol=2e-4)
    np.testing.assert_allclose(module.s, last.s, atol=2e-4)


@pytest.mark.slow
def test_wide_networks_follow_their_limit():
    sigma, until, lr = Sigmoid(gain=3.0, slope=3.0, shift=-1.0), 4.0, 0.02
    limit = training(
        MeanFieldLimit(32, 24, sigma), Flow(until, 100, Exact()), (TestLoss(Exact()) @ at_end(),),
        target=X[0], loss=0.5 * SquaredLoss())  # fmt: skip
    wide = replace(
        limit,
        task=Labelled(Hypercube(100), X[0]),
        model=TwoLayer(1024, sigma, MeanField(), bias=False),
        protocol=Descent(int(until / lr), Fresh(400), by=Sgd(lr)),
        measure=(TestLoss(Fresh(4000)) @ at_end(),),
    )
    a, b = (runs.run(run)["TestLoss"][-1] for run in (limit, wide))
    assert b == pytest.approx(a, abs=0.03)


def test_the_particles_are_all_weights():
    module = MeanFieldLimit(4, 5, Tanh()).init(None, Labelled(Hypercube(3), X[0]))
    assert [leaf.shape for leaf in jax.tree.leaves(split(module)[0])] == [(4,), (4, 3), (4,)]
