"""Representations of trained networks and the distances between them, against numpy on the weights."""

import jax
import numpy as np
import pytest

from dsl import *
from dsl.keys import streams
from dsl.realise import realised
from tests.conformance.harness import inputs
from tests.dsl.running import run, weights

LAW = Labelled(Gaussian(4), reals(4)[0] * reals(4)[1])
INPUTS = Sample(LAW, n=30)
LAMS = (0.0, 1e-3, 0.1, 10.0)
MADE = Representation(Mlp((3,), Tanh()), INPUTS, 0)


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def net(width, depth, seed=0):
    return Training(
        task=Sample(LAW, n=12), model=Mlp((width,) * depth, Tanh()), loss=SquaredLoss(),
        protocol=Descent(5, Exact(), by=Sgd(0.1)), measure=(Weights() @ at(0, 5),), seed=seed,
        precision="float64")  # fmt: skip


NETS = (net(5, 1), net(6, 2), net(7, 2, seed=3))


def compared(*measure, layer=-2, nets=NETS, on=INPUTS, **changes):
    of = tuple(Representation(Trained(one), on=on, layer=layer) for one in nets)
    return Analysis(of=of, measure=measure, precision="float64", **changes)


def inputs_of_the_sample(seed=0):
    return realised(INPUTS, streams(seed)).points[0]


def by_hand(one, x):
    """The last hidden layer of a trained network."""
    found = {name: np.asarray(value) for name, value in weights(one)[-1].items()}
    h = x
    for i in range(len(one.model.widths)):
        h = np.tanh(h @ found[f"hidden[{i}].weight"].T + found[f"hidden[{i}].bias"])
    return h


def features_of(of):
    program = compile(of)
    drawn = program.constants(program.knobs(of), inputs(of))["drawn"]
    return [np.asarray(drawn[f"of[{i}]"].values) for i in range(len(of.of))]


def normalised(a):
    a = a - a.mean(axis=0)
    return a / np.linalg.norm(a) * np.sqrt(len(a))


def gulp(a, b, lam):
    """The closed form on covariance matrices."""
    a, b = normalised(a), normalised(b)
    sa, sb, sab = a.T @ a / len(a), b.T @ b / len(a), a.T @ b / len(a)
    pa, pb = np.linalg.inv(sa + lam * np.eye(len(sa))), np.linalg.inv(sb + lam * np.eye(len(sb)))
    square = np.trace(pa @ sa @ pa @ sa) + np.trace(pb @ sb @ pb @ sb) - 2 * np.trace(pa @ sab @ pb @ sab.T)
    return np.sqrt(max(square, 0.0))


def pairs(f, features):
    return np.array([[f(a, b) for b in features] for a in features])


def test_a_representation_is_the_layer_of_the_trained_network():
    of = compared(nets=NETS[:2])
    x = np.asarray(inputs_of_the_sample())
    for found, one in zip(features_of(of), NETS[:2], strict=True):
        np.testing.assert_allclose(found, by_hand(one, x), rtol=1e-12)


@pytest.mark.parametrize("layer", [0, -3, "hidden[0]"])
def test_layers_have_numbers_and_names(layer):
    of = compared(layer=layer, nets=NETS[1:])
    x = np.asarray(inputs_of_the_sample())
    w = {name: np.asarray(value) for name, value in weights(NETS[1])[-1].items()}
    np.testing.assert_allclose(
        features_of(of)[0], np.tanh(x @ w["hidden[0].weight"].T + w["hidden[0].bias"]), rtol=1e-12
    )


def test_one_output_is_one_unit():
    assert features_of(compared(layer=-1))[0].shape == (30, 1)
    assert features_of(compared(layer="readout"))[2].shape == (30, 1)


def test_distance_matrices_are_those_of_the_definitions():
    of = compared(*map(DistanceMatrix, (Gulp(LAMS), Cca(), Cka(), Procrustes())))
    features = [by_hand(one, np.asarray(inputs_of_the_sample())) for one in NETS]
    found = {name: np.asarray(value[0]) for name, value in run(of, inputs(of)).items()}
    assert found["DistanceMatrix"].shape == (4, 3, 3)
    for i, lam in enumerate(LAMS):
        np.testing.assert_allclose(found["DistanceMatrix"][i], pairs(lambda a, b, s=lam: gulp(a, b, s), features), atol=1e-6)  # fmt: skip

    def whitened(a):
        return np.linalg.svd(normalised(a), full_matrices=False)[0]

    def cca(a, b):
        rho = np.linalg.svd(whitened(a).T @ whitened(b), compute_uv=False)
        return 1 - np.sum(rho**2) / min(a.shape[1], b.shape[1])

    def cka(a, b):
        a, b = normalised(a), normalised(b)
        return 1 - np.sum((a.T @ b) ** 2) / np.linalg.norm(a.T @ a) / np.linalg.norm(b.T @ b)

    def procrustes(a, b):
        nuclear = np.linalg.norm(normalised(a).T @ normalised(b) / len(a), "nuc")
        return np.sqrt(max(2 - 2 * nuclear, 0.0))

    for name, f in {"Cca": cca, "Cka": cka, "Procrustes": procrustes}.items():
        np.testing.assert_allclose(found[f"DistanceMatrix(distance={name}())"], pairs(f, features), atol=1e-6)


def test_prediction_gaps_are_those_of_ridge_regressions():
    of = compared(PredictionGap(RandomLabels(), lam=0.05), seed=4)
    features = [by_hand(one, np.asarray(inputs_of_the_sample(4))) for one in NETS]
    program = compile(of)
    y = np.asarray(program.constants(program.knobs(of), inputs(of))["measure"]["PredictionGap"])
    predictions = []
    for a in features:
        train, test = normalised(a[::2]), normalised(a[1::2])
        beta = np.linalg.solve(train.T @ train / 15 + 0.05 * np.eye(train.shape[1]), train.T @ y / 15)
        predictions.append(test @ beta)
    found = np.asarray(run(of, inputs(of))["PredictionGap"][0])
    np.testing.assert_allclose(found, pairs(lambda a, b: np.mean((a - b) ** 2), predictions), atol=1e-12)
    assert y.std() == pytest.approx(1, abs=0.5)


def test_steps_of_one_training_are_its_representations_in_time():
    moved = tuple(Representation(Trained(NETS[0], at=step), INPUTS, -2) for step in (0, 5))
    of = Analysis(of=moved, measure=(DistanceMatrix(Gulp((0.1,))),), precision="float64")
    assert run(of, inputs(of))["DistanceMatrix"][0][0, 0, 1] > 1e-3


def test_an_untrained_model_is_represented_as_it_is_initialised():
    of = Analysis(of=(MADE, MADE), measure=(DistanceMatrix(Cka()),), precision="float64")
    np.testing.assert_allclose(run(of)["DistanceMatrix"][0], 0.0, atol=1e-12)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("hiden[1]", r"no layer 'hiden\[1\]' \(did you mean 'hidden\[1\]'\?\)"),
        (3, r"expected -3 to 2, got 3 \(nearest: 2\)"),
        (-4, r"expected -3 to 2, got -4 \(nearest: -3\)"),
    ],
)
def test_a_layer_that_does_not_exist_names_the_nearest(layer, message):
    with pytest.raises(SpecError, match=message):
        Representation(Mlp((2, 2), Tanh()), INPUTS, layer)


def test_what_cannot_be_represented_or_compared_is_refused():
    with pytest.raises(SpecError, match="expected a finite sample"):
        Representation(Mlp((2,), Tanh()), LAW, 0)
    with pytest.raises(SpecError, match="expected a model of layers"):
        Representation(KernelMachine(Rbf(1.0)), INPUTS, 0)
    with pytest.raises(SpecError, match="its weights were trained to read x of shape"):
        Representation(Trained(NETS[0]), Sample(Labelled(Gaussian(5), reals(5)[0]), n=9), 0)
    with pytest.raises(SpecError, match="two or more Representations, got 1"):
        Analysis(of=(MADE,), measure=(DistanceMatrix(Cka()),))
    with pytest.raises(SpecError, match="two or more Representations, got Gaussian"):
        Analysis(of=(MADE, Gaussian(2)), measure=(PredictionGap(RandomLabels(), lam=0.1),))
    with pytest.raises(SpecError, match="representation 1 has 7 inputs and the first 30"):
        other = Representation(Mlp((3,), Tanh()), Sample(LAW, n=7), 0)
        Analysis(of=(MADE, other), measure=(DistanceMatrix(Cka()),))
    with pytest.raises(SpecError, match=r"distance.lams\[0\]: 1e-08 needs an Analysis with precision='float64'"):
        Analysis(of=(MADE, MADE), measure=(DistanceMatrix(Gulp((1e-8,))),))
    with pytest.raises(SpecError, match="greater than or equal to 0"):
        Gulp((-0.1,))
    with pytest.raises(SpecError, match="at least one ridge"):
        Gulp(())
