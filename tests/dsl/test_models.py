import math
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dsl import (
    L2,
    Hypercube,
    Labelled,
    LogisticLoss,
    MeanField,
    Mlp,
    Model,
    Ntk,
    Relu,
    ResNet,
    Sigmoid,
    SpecError,
    SquaredLoss,
    Standard,
    Tanh,
    TwoLayer,
    bits,
)
from dsl.keys import root
from dsl.losses import LossSum
from dsl.modules import in_part, weights_of

TASK = Labelled(Hypercube(30), bits(30)[0])
INPUTS = Hypercube(30).sample(root(7), 6)


def initial(model: Model[Any, Any], seed: int = 0) -> Any:
    return model.init(root(seed), TASK)


def arrays(module: Any) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(weights_of(module))]


# ---------------------------------------------------------------- networks against loops


def test_the_resnet_of_the_staircase_paper_by_a_loop() -> None:
    net = initial(ResNet(width=40, depth=4, activation=Relu()))
    layers = [(np.asarray(layer.weight, float), np.asarray(layer.bias, float)) for layer in (*net.hidden, net.readout)]
    assert [w.shape for w, _ in layers] == [(40, 30), (40, 40), (40, 40), (40, 40), (1, 40)]  # "5 layers"
    for i, x in enumerate(np.asarray(INPUTS)):
        h = x
        for number, (w, b) in enumerate(layers):
            z = w @ h + b
            if number == 0:
                h = np.maximum(z, 0)
            elif number < 4:
                h = np.maximum(z, 0) + h
        np.testing.assert_allclose(net(INPUTS)[i], z[0], rtol=1e-4)


def test_an_mlp_by_a_loop_and_without_biases() -> None:
    net = initial(Mlp((5, 4), Tanh()))
    w, b = [np.asarray(h.weight) for h in net.hidden], [np.asarray(h.bias) for h in net.hidden]
    hidden = np.tanh(np.tanh(np.asarray(INPUTS) @ w[0].T + b[0]) @ w[1].T + b[1])
    expected = hidden @ np.asarray(net.readout.weight)[0] + np.asarray(net.readout.bias)
    np.testing.assert_allclose(net(INPUTS), expected, rtol=1e-4)
    assert len(arrays(initial(Mlp((5, 4), Tanh(), bias=False)))) == 3


@pytest.mark.parametrize(("scaling", "factor"), [(MeanField(), 1 / 64), (Ntk(), 1 / 8), (Standard(), 1.0)])
def test_two_layers_have_the_factors_of_their_scaling(scaling: Any, factor: float) -> None:
    net = initial(TwoLayer(width=64, activation=Tanh(), scaling=scaling))
    assert net.readout.bias is None
    (layer,), readout = net.hidden, np.asarray(net.readout.weight)[0]
    expected = factor * np.tanh(np.asarray(INPUTS) @ np.asarray(layer.weight).T + np.asarray(layer.bias)) @ readout
    np.testing.assert_allclose(net(INPUTS), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_initial_weights_have_their_laws() -> None:
    net = initial(Mlp((300,), Relu()))
    for layer, fan_in in zip((*net.hidden, net.readout), (30, 300), strict=True):
        for values in (layer.weight, layer.bias):
            assert np.abs(values).max() <= 1 / math.sqrt(fan_in)
    assert np.abs(net.hidden[0].weight).max() > 0.99 / math.sqrt(30)
    field = initial(TwoLayer(200, Relu(), MeanField()))
    assert set(np.unique(np.abs(field.hidden[0].weight))) == {np.float32(1 / math.sqrt(30))}
    assert 0.9 < np.abs(field.readout.weight).max() <= 1.0
    assert 0.9 < np.abs(field.hidden[0].bias).max() <= 1.0
    tangent = initial(TwoLayer(200, Relu(), Ntk()))
    assert np.std(tangent.hidden[0].weight) == pytest.approx(1.0, abs=0.05)
    assert not np.any(tangent.hidden[0].bias)


def test_time_runs_n_fold_in_mean_field_scaling_alone() -> None:
    scales = [TwoLayer(64, Relu(), s).time_scale for s in (MeanField(), Ntk(), Standard())]
    assert scales == [64.0, 1.0, 1.0]
    assert ResNet(8, 2, Relu()).time_scale == Mlp((3,), Relu()).time_scale == 1.0


@pytest.mark.slow
def test_initial_weights_depend_on_the_seed_and_not_on_the_precision() -> None:
    model = TwoLayer(16, Relu(), MeanField())
    with jax.enable_x64(True):
        double = arrays(initial(model))
    chex.assert_trees_all_equal(arrays(initial(model)), [a.astype(np.float32) for a in double])
    assert all(a.dtype == np.float64 for a in double)
    assert not np.array_equal(arrays(initial(model))[0], arrays(initial(model, seed=1))[0])


def test_a_module_reads_batches_of_any_shape() -> None:
    net = initial(ResNet(4, 2, Relu()))
    x = INPUTS.reshape(2, 3, 30)
    np.testing.assert_allclose(net(x), net(INPUTS).reshape(2, 3), rtol=1e-4)
    assert net(INPUTS[0]).shape == ()


def test_activations_by_definition_and_their_knobs_are_not_trained() -> None:
    z = jnp.linspace(-3, 3, 7)
    np.testing.assert_allclose(Relu()(z), np.maximum(z, 0))
    np.testing.assert_allclose(Sigmoid(3.0, 2.0, -1.0)(z), 3 / (1 + np.exp(-(2 * np.asarray(z) - 1))), rtol=1e-5)
    net = initial(Mlp((4,), Sigmoid(gain=2.0)))
    assert len(arrays(jax.tree.map(jnp.asarray, net))) == 4  # as traced knobs as well


def test_the_parts_of_a_network() -> None:
    net = initial(Mlp((4, 3), Relu()))
    for part, count in (("all", 6), ("hidden", 4), ("readout", 2)):
        assert sum(map(bool, jax.tree.leaves(in_part(net, part)))) == count


# ---------------------------------------------------------------- losses and penalties

F, Y = np.array([0.5, -2.0, 3.0], np.float32), np.array([1.0, 1.0, -1.0], np.float32)


def test_losses_by_definition() -> None:
    np.testing.assert_allclose(SquaredLoss()(F, Y), (F - Y) ** 2)
    np.testing.assert_allclose(LogisticLoss()(F, Y), np.log1p(np.exp(-Y * F)), rtol=1e-5)
    np.testing.assert_allclose(LogisticLoss()(jnp.array([-200.0]), jnp.ones(1)), [200.0])
    vectors = np.stack([F, 2 * F], axis=1), np.stack([Y, Y], axis=1)
    np.testing.assert_allclose(SquaredLoss()(*vectors), ((vectors[0] - vectors[1]) ** 2).sum(axis=1))


def test_l2_is_half_the_squared_norm_of_all_weights_with_biases() -> None:
    net = initial(Mlp((4, 3), Sigmoid()))
    assert len(arrays(net)) == 6
    np.testing.assert_allclose(L2(0.3)(net), 0.15 * sum((a**2).sum() for a in arrays(net)), rtol=1e-5)


def test_losses_and_penalties_add_and_scale() -> None:
    net = initial(Mlp((4,), Relu()))
    size = float(L2(1.0)(net))
    loss = 0.5 * (SquaredLoss() + 2.0 * L2(0.1) + LogisticLoss()) + L2(1.0)
    expected = 0.5 * ((F - Y) ** 2 + np.log1p(np.exp(-Y * F)))
    np.testing.assert_allclose(loss(F, Y), expected, rtol=1e-5)
    np.testing.assert_allclose(loss.penalty(net), 0.5 * 2.0 * 0.1 * size + size, rtol=1e-5)
    assert SquaredLoss().penalty(net) == 0.0
    assert SquaredLoss() + L2(1.0) + L2(2.0) == LossSum((SquaredLoss(),), (L2(1.0), L2(2.0)))
    assert (SquaredLoss() + L2(1.0)) + (LogisticLoss() + L2(2.0)) == LossSum(
        (SquaredLoss(), LogisticLoss()), (L2(1.0), L2(2.0))
    )
    with pytest.raises(SpecError, match="losses: expected at least one loss, got none"):
        LossSum((), (L2(1.0),))
