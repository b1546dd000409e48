"""FACT and the neural feature ansatz of networks in experiments, against their definitions in numpy."""

from typing import ClassVar

import jax
import numpy as np
import pytest

from dsl import *
from dsl.losses import decay
from tests.dsl.running import run
from tests.dsl.test_flows import weights_after

LAW = Labelled(Gaussian(4), reals(4)[0] + 0.5 * reals(4)[1] * reals(4)[2])


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def trained(steps=20, **changes):
    fields = {
        "task": Sample(LAW, n=16),
        "model": Mlp((5, 3), Relu(), bias=False),
        "loss": SquaredLoss() + L2(0.05),
        "protocol": Descent(steps, Exact(), by=Sgd(0.05)),
        "measure": (
            GradientNorm() @ at_end(),
            *(FactAlignment(layer) @ at_end() for layer in range(3)),
            *(NfaAlignment(layer, power=0.5) @ at_end() for layer in range(3)),
        ),
    }
    return Training(seed=4, precision="float64", **(fields | changes))


def root(matrix):
    """Of a positive semidefinite matrix."""
    values, vectors = np.linalg.eigh(matrix)
    return vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T


def cosine(a, b):
    return np.sum(a * b) / np.linalg.norm(a) / np.linalg.norm(b)


def by_definition(model, x, y):
    """W, and for each layer its input and the Jacobians in it, of a network of ReLUs without biases."""
    weights = [np.asarray(layer.weight) for layer in (*model.hidden, model.readout)]
    inputs = [x]
    for w in weights[:-1]:
        inputs.append(np.maximum(inputs[-1] @ w.T, 0))
    out = (inputs[-1] @ weights[-1].T)[:, 0]
    jacobians, above = [None] * 3, np.ones((len(x), 1))
    for i in (2, 1, 0):
        jacobians[i] = above @ weights[i]
        above = jacobians[i] * (inputs[i] > 0)
    return weights, inputs, jacobians, 2 * (out - y)


def test_both_cosines_are_those_of_the_definitions():
    of = trained()
    model, constants = weights_after(of, 20)
    x, y = map(np.asarray, constants["drawn"]["task"].points)
    weights, inputs, jacobians, residual = by_definition(model, x, y)
    found = run(of)
    for layer, (w, h, j) in enumerate(zip(weights, inputs, jacobians, strict=True)):
        fact = -np.einsum("i,id,ie->de", residual, j, h) / (16 * 0.05)
        agop = np.einsum("id,ie->de", j, j) / 16
        assert found[f"FactAlignment(layer={layer})"][20] == pytest.approx(cosine(w.T @ w, fact), rel=1e-9)
        nfa = cosine(w.T @ w, root(agop))
        assert found[f"NfaAlignment(layer={layer})"][20] == pytest.approx(nfa, rel=1e-5)  # a square root of 0 is rough


def test_fact_holds_where_the_gradient_vanishes():
    """Deep linear networks have no kinks: descent ends at a critical point."""
    of = trained(8_000, model=Mlp((4, 4), HermiteSeries((0.0, 1.0)), bias=False))
    found = {name: float(value[8_000]) for name, value in run(of).items()}
    assert found["GradientNorm"] < 1e-6
    assert min(value for name, value in found.items() if "Fact" in name) > 1 - 1e-8


@pytest.mark.parametrize("loss", [SquaredLoss(), CrossEntropy()], ids=repr)
def test_fact_holds_where_a_network_of_tanh_has_converged_and_not_before(loss):
    """In every layer beside the norm of the gradient, which is what the claim depends on."""
    task, by = Sample(ModularAddition(3), n=9, replace=False), Adam(lr=Cosine(2e-2, warmup=0.0))
    measure = (GradientNorm() @ at(20, 2_000), *(FactAlignment(layer) @ at(20, 2_000) for layer in range(3)))
    of = trained(
        task=task, model=Mlp((6, 5), Tanh(), bias=False), loss=loss + L2(3e-3),
        protocol=Descent(2_000, Exact(), by=by), measure=measure)  # fmt: skip
    found = run(of)
    norm = found.pop("GradientNorm")
    assert sorted(found) == [f"FactAlignment(layer={layer})" for layer in range(3)]
    assert norm[2_000] <= 1e-3
    assert min(cosines[2_000] for cosines in found.values()) >= 0.98
    assert norm[20] > 1e-2
    assert min(cosines[20] for cosines in found.values()) < 0.98


@pytest.mark.slow
@pytest.mark.parametrize("loss", [SquaredLoss(), CrossEntropy()], ids=repr)
def test_fact_holds_in_every_layer_of_networks_that_are_not_linear(loss):
    by = Descent(20_000, Exact(), by=Adam(lr=Cosine(1e-2, warmup=0.0)))
    task = Sample(Digits(), n=60, replace=False)
    of = trained(20_000, task=task, model=Mlp((8, 6), Tanh(), bias=False), loss=loss + L2(3e-3), protocol=by)
    found = {name: float(value[20_000]) for name, value in run(of).items()}
    assert found["GradientNorm"] < 1e-3
    assert min(value for name, value in found.items() if "Fact" in name) > 0.98


def test_layers_of_residual_networks_are_probed_through_their_weights():
    of = trained(3, model=ResNet(width=4, depth=2, activation=Tanh()))
    model, constants = weights_after(of, 3)
    x, _ = map(np.asarray, constants["drawn"]["task"].points)
    (w0, b0), (w1, b1), (v, _) = ((np.asarray(p.weight), np.asarray(p.bias)) for p in (*model.hidden, model.readout))
    h = np.tanh(x @ w0.T + b0)
    slope = 1 - np.tanh(h @ w1.T + b1) ** 2
    jacobian = (v * slope) @ w1  # without the skip
    agop = np.einsum("id,ie->de", jacobian, jacobian) / len(x)
    expected = cosine(w1.T @ w1, root(agop))
    assert run(of)["NfaAlignment(layer=1)"][3] == pytest.approx(expected, rel=1e-5)


def test_laws_with_weights_weigh_their_gradients():
    law = Labelled(Biased(4, p=0.2), reals(4)[0] * reals(4)[1])
    of = trained(3, task=law, measure=(NfaAlignment(0, power=1.0) @ at_end(),))
    model, _ = weights_after(of, 3)
    (x, y), weights = (jax.tree.map(np.asarray, part) for part in law.nodes())
    maps, _, jacobians, _ = by_definition(model, x, y)
    agop = np.einsum("i,id,ie->de", weights, jacobians[0], jacobians[0])
    assert run(of)["NfaAlignment"][3] == pytest.approx(cosine(maps[0].T @ maps[0], agop), rel=1e-9)


def test_the_penalty_is_read_from_the_loss():
    assert decay(SquaredLoss()) == 0.0
    assert decay(2.0 * (SquaredLoss() + 0.5 * L2(0.2)) + L2(0.1)) == pytest.approx(0.3)
    assert decay(CrossEntropy() + (L2(0.1) + L2(0.3))) == pytest.approx(0.4)


def test_layers_have_names_too():
    measure = (
        GradientNorm(),
        FactAlignment(1),
        FactAlignment("hidden[1]"),
        NfaAlignment(2, 0.5),
        NfaAlignment("readout", 0.5),
    )
    found = run(trained(3, measure=tuple(noun @ at_end() for noun in measure)))
    _, number, name, last, readout = (float(value[3]) for value in found.values())
    assert number == name != last == readout


class Decoupled(Optimizer):
    """An optimizer of a user's, with a decay of its own."""

    no_critical_point: ClassVar[str | None] = "shrinks weights"

    def transformation(self, steps): ...


class Lasso(Penalty):
    lam: float

    def __call__(self, model): ...


FACT = (GradientNorm() @ at_end(), FactAlignment(0) @ at_end())
READOUT = (GradientNorm() @ at_end(), FactAlignment(2) @ at_end())
NOISY = NoisyGd(0.1, radius=1.0, noise=Isotropic(0.1))


def descent(by=Sgd(0.05), only="all"):  # noqa: B008 # a spec is a frozen value
    return Descent(20, Exact(), by=by, only=only)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"protocol": descent(AdamW(0.1, decay=0.1)), "measure": FACT}, "AdamW decays weights apart"),
        ({"protocol": descent(SphericalSgd(0.1)), "measure": FACT}, "SphericalSgd keeps rows on the sphere"),
        ({"protocol": descent(NOISY), "measure": FACT}, "NoisyGd adds noise in every step"),
        ({"protocol": descent(Decoupled()), "measure": FACT}, r"Decoupled shrinks weights; put L2\(lam\) in the loss"),
        ({"protocol": descent(only="hidden"), "measure": READOUT}, "'readout' is not trained, with only='hidden'"),
        ({"protocol": descent(only="readout"), "measure": FACT}, r"'hidden\[0\]' is not trained, with only='readout'"),
        ({"protocol": Flow(1.0, 9, Exact(), "hidden"), "measure": READOUT}, "'readout' is not trained"),
        ({"protocol": Ridge(0.1, Exact(), "readout"), "measure": READOUT}, "Ridge solves a regression of its own"),
        ({"measure": FACT[1:]}, r"measure GradientNorm\(\) beside it"),
        ({"measure": (FACT[0], FactAlignment(0) @ every(5))}, "at each of its steps; step 0 lacks it"),
        ({"measure": (GradientNorm() @ every(10), FactAlignment(0) @ at(0, 15, 20))}, "step 15 lacks it"),
        ({"measure": (FACT[0], FactAlignment("hiden[0]") @ at_end())}, r"no layer 'hiden\[0\]' \(did you mean 'hidden"),
        ({"loss": SquaredLoss(), "measure": FACT}, "needs a positive penalty"),
        ({"loss": SquaredLoss() + L2(0.1) + Lasso(0.1), "measure": FACT}, r"needs the penalty L2\(lam\) alone"),
        ({"measure": (GradientNorm() @ at_end(), FactAlignment(3) @ at_end())}, "expected 0 to 2, the layers"),
        ({"measure": (NfaAlignment(7, power=1.0) @ at_end(),)}, "expected 0 to 2, the layers"),
        ({"model": KernelMachine(Rbf(1.0)), "measure": FACT}, "expected a stack of layers W h"),
    ],
)
def test_what_has_no_critical_point_or_no_such_layer_is_refused(changes, message):
    with pytest.raises(SpecError, match=message):
        trained(**changes)


def test_layers_are_counted_from_the_first():
    for noun in (lambda: FactAlignment(-1), lambda: NfaAlignment(-1, power=0.5)):
        with pytest.raises(SpecError, match="layer: expected a name or a number from 0, the first layer, got -1"):
            noun()


def test_what_has_a_critical_point_of_its_own_is_accepted():
    trained(protocol=descent(only="hidden"), measure=(FACT[0], FactAlignment(1) @ at_end()))
    trained(protocol=descent(only="readout"), measure=READOUT)
    trained(measure=(GradientNorm() @ every(2), FactAlignment(0) @ every(4), FactAlignment(1) @ at(6, 20)))
