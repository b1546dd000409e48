"""Regular networks and their layer-wise coordinate descent, against numpy and `theory`."""

import itertools
import re
from dataclasses import replace

import jax
import numpy as np
import pytest

from dsl import *
from dsl.keys import root, streams
from dsl.modules import weights_of
from tests.dsl.running import run, weights
from theory.quadratic_dag import population_gradient, spectral_neuron

X = bits(4)
TASK = Labelled(Hypercube(4), X[0] + X[0] * X[1] + 0.5 * prod(X[:3]))
DAG = QuadraticDag(layers=3, width=4, from_hidden=0.5, from_input=0.5, scale=0.3)


def training(**changes):
    fields = {
        "task": TASK, "model": DAG, "loss": SquaredLoss() + L2(0.2),
        "protocol": CoordinateDescent(steps_per_layer=5, draw=Exact(), lr=0.05),
        "measure": (Weights() @ every(1), TestLoss(Exact()) @ every(1)), "seed": 0, "precision": "float64",
    }  # fmt: skip
    return Training(**(fields | changes))


def by_step(experiment):
    with jax.enable_x64(True):
        return [{name: np.asarray(value) for name, value in found.items()} for found in weights(experiment)]


# ---------------------------------------------------------------- the model


def test_a_network_is_the_sum_of_its_neurons_and_only_edges_have_weights():
    net = DAG.init(root(3), TASK)
    edges, weight = np.asarray(net.edges), np.asarray(net.weight)
    assert edges.any()
    assert not weight[~edges].any()
    np.testing.assert_allclose(np.abs(weight[edges]), 0.3, rtol=1e-6)
    assert {-1.0, 1.0} == set(np.sign(weight[edges]).tolist())
    points = Hypercube(4).sample(root(0), 6)
    for x, out in zip(np.asarray(points), np.asarray(net(points)), strict=True):
        rows = np.zeros(edges.shape[2])
        rows[:5] = [1.0, *x]
        for layer in range(3):
            rows[5 + 4 * layer : 9 + 4 * layer] = (weight[layer] @ rows) ** 2
        assert out == pytest.approx(rows[5:].sum(), rel=1e-4)
    assert net(points.reshape(2, 3, 4)).shape == (2, 3)


def test_the_edges_are_not_trained():
    assert [leaf.shape for leaf in jax.tree.leaves(weights_of(DAG.init(root(0), TASK)))] == [(3, 4, 17), (3, 4)]
    ends = by_step(training(protocol=Descent(3, Exact(), by=Sgd(0.01)), measure=(Weights() @ at_end(),)))
    edges = np.asarray(DAG.init(streams(0).init, TASK).edges)
    assert not ends[0]["weight"][~edges].any()


@pytest.mark.parametrize("field", ["from_hidden", "from_input"])
def test_probabilities_lie_between_0_and_1(field):
    with pytest.raises(SpecError, match=f"{field}.*less than or equal to 1"):
        replace(DAG, **{field: 1.5})


# ---------------------------------------------------------------- the protocol


def spectra(weight, bias, upto):
    """The Fourier coefficients of all rows of a network, by `theory`; layers from `upto` on are blank."""
    rows = [{0: 1.0}, *({1 << i: 1.0} for i in range(4))]
    for layer in range(3):
        known = rows + [{} for _ in range(weight.shape[2] - len(rows))]
        rows += [
            spectral_neuron(known, w.tolist(), float(b)) if layer < upto else {}
            for w, b in zip(weight[layer], bias[layer], strict=True)
        ]
    return rows


def minus(f, g):
    return {s: f.get(s, 0.0) - g.get(s, 0.0) for s in {*f, *g}}


@pytest.mark.slow
def test_every_step_is_a_coordinate_of_the_population_gradient_in_fourier_space():
    found, lr, lam = by_step(training()), 0.05, 0.2
    with jax.enable_x64(True):
        start = np.asarray(DAG.init(streams(0).init, TASK).weight)
    target = {0b1: 1.0, 0b11: 1.0, 0b111: 0.5}
    for step in range(15):
        layer, before, after = step // 5, found[step], found[step + 1]
        weight, bias = before["weight"].copy(), before["bias"]
        weight[layer] = start[layer] if step % 5 == 0 else weight[layer]
        rows, left = spectra(weight, bias, layer), target
        for row in rows[5:]:
            left = minus(left, row)
        for w in range(4):
            seen = left if w == 0 else minus(left, {0: left.get(0, 0.0)})
            slopes, of_bias = population_gradient(seen, rows, weight[layer, w].tolist(), float(bias[layer, w]))
            full = -lr * np.append(np.array(slopes) + lam * weight[layer, w], of_bias + lam * bias[layer, w])
            moved = np.append(after["weight"][layer, w] - weight[layer, w], after["bias"][layer, w] - bias[layer, w])
            changed = np.flatnonzero(moved)
            assert len(changed) <= 1
            np.testing.assert_allclose(moved[changed], full[changed], rtol=1e-6, atol=1e-12)
        others = [other for other in range(3) if other != layer]
        np.testing.assert_array_equal(after["weight"][others], before["weight"][others])
        np.testing.assert_array_equal(after["bias"][others], before["bias"][others])


def test_layers_are_blank_before_their_turn_and_frozen_after_it():
    found = by_step(training())
    assert found[0]["weight"][0].any()
    for step, layer in ((5, 1), (10, 2)):
        assert not found[step]["weight"][layer:].any()
        assert found[step + 1]["weight"][layer].any()


@pytest.mark.slow
def test_coordinates_are_chosen_uniformly_among_the_edges_and_the_bias():
    of = training(protocol=CoordinateDescent(steps_per_layer=600, draw=Exact(), lr=1e-3), model=replace(DAG, layers=1))
    found = by_step(of)
    degree = np.asarray(replace(DAG, layers=1).init(streams(0).init, TASK).edges)[0].sum(axis=1)
    moved = np.stack([np.append(b["weight"][0] != a["weight"][0], (b["bias"] != a["bias"]).T, axis=1)
                      for a, b in itertools.pairwise(found)])  # fmt: skip
    for w in range(4):
        counts = moved[:, w].sum(axis=0)
        assert np.all((counts > 0).sum() == degree[w] + 1)
        expected = 600 / (degree[w] + 1)
        assert np.all(np.abs(counts[counts > 0] - expected) < 5 * expected**0.5)


def test_one_neuron_finds_a_product_of_its_parents_up_to_the_penalty():
    # parents 1 and x_0 with weights of size a: t = 2 a^2 and b make (1 - t)^2 + (t + b)^2 + lam (t + b^2) / 2 least
    x, lam = bits(1), 0.2
    of = training(
        task=Labelled(Hypercube(1), x[0]),
        model=QuadraticDag(layers=1, width=1, from_hidden=0.0, from_input=1.0),
        loss=SquaredLoss() + L2(lam),
        protocol=CoordinateDescent(steps_per_layer=2000, draw=Exact(), lr=0.1),
        measure=(Coefficients((x[0],), Exact()) @ at_end(),),
    )
    expected = (1 - lam / 4) / (1 + lam / (2 + lam))
    with jax.enable_x64(True):
        assert float(run(of)["Coefficients"][2000][0]) == pytest.approx(expected, abs=1e-6)


@pytest.mark.slow
def test_the_sampled_version_has_a_new_sample_for_each_layer_and_comes_near_the_exact_one():
    protocol = CoordinateDescent(steps_per_layer=300, draw=Exact(), lr=0.1)
    exact = training(protocol=protocol, measure=(TestLoss(Exact()) @ every(300),))
    sampled = replace(exact, protocol=replace(protocol, draw=Fresh(20_000)))
    a, b = (np.array(list(run(of)["TestLoss"].values())) for of in (exact, sampled))
    np.testing.assert_allclose(a, b, atol=0.1)
    assert not np.array_equal(a, b)


def test_it_trains_regular_networks_only_and_counts_its_steps_by_their_layers():
    assert training().last == 15
    with pytest.raises(SpecError, match=re.escape("CoordinateDescent trains a QuadraticDag, got Mlp")):
        training(model=Mlp((2,), Relu()))
    with pytest.raises(SpecError, match="16"):
        training(measure=(TestLoss(Exact()) @ at(16),))


@pytest.mark.slow
def test_a_regular_network_learns_a_staircase_and_no_parity():
    x = bits(8)
    model = QuadraticDag(layers=40, width=12, from_hidden=0.06, from_input=0.2, scale=0.02)
    end = lambda target: training(
        task=Labelled(Hypercube(8), target), model=model, loss=SquaredLoss() + L2(0.02),
        protocol=CoordinateDescent(steps_per_layer=1600, draw=Exact(), lr=0.1),
        measure=(TestLoss(Exact()) @ at_end(),), precision="float32")  # fmt: skip
    (learned,), (not_learned,) = (
        run(end(target))["TestLoss"].values() for target in (total(prefixes(x, 3)), prod(x[:3]))
    )
    assert float(learned) < 0.1
    assert float(not_learned) == pytest.approx(1.0, abs=0.01)
