"""Nouns in the frame of a group element, and the equivariance of training: exact up to rounding."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dsl import *
from dsl.realise import realised
from dsl.support import target_support
from tests.dsl.running import run
from theory import boolean

X = bits(5)
TARGET = prod(X[:2]) + 0.5 * prod(X[1:4]) - 0.25 * X[4]
ELEMENTS = (SignFlip((0, 3)), Permutation((3, 1, 0, 4, 2)), SignedPermutation((3, 1, 0, 4, 2), (1, -1, 1, -1, -1)))
ATOL = 1e-11
"""Both runs have one arithmetic up to the order of sums of five terms: 1e-16 a step, which a stable run keeps."""


NETWORK, SGD, WHOLE = Mlp((8,), Relu()), Sgd(0.05), Exact()


def training(model=NETWORK, by=SGD, draw=WHOLE, steps=40):
    return Training(
        task=Labelled(Hypercube(5), TARGET), model=model, loss=SquaredLoss(), protocol=Descent(steps, draw, by=by),
        measure=(TestLoss(Fresh(32)) @ every(5), Weights() @ at_end()), seed=3, precision="float64")  # fmt: skip


def turned(run_, g):
    law, target, step = run_.task.x, run_.task.y, run_.protocol.by
    if isinstance(step, NoisyGd):
        step = replace(step, noise=Moved(step.noise, g))
    return replace(run_, task=Labelled(Moved(law, g), Moved(target, g)), model=Moved(run_.model, g),
                   protocol=replace(run_.protocol, by=step))  # fmt: skip


NOISY = NoisyGd(0.05, radius=1.0, noise=Isotropic(0.2))


@pytest.mark.parametrize(
    ("model", "by", "draw", "g"),
    [
        pytest.param(Mlp((8,), Relu()), Sgd(0.05), Fresh(16), ELEMENTS[2], marks=pytest.mark.slow),
        pytest.param(Mlp((8,), Relu()), NOISY, Exact(), ELEMENTS[0], marks=pytest.mark.slow),
        pytest.param(Mlp((8, 8), Relu()), NOISY, Exact(), ELEMENTS[1], marks=pytest.mark.slow),
        pytest.param(Mlp((8, 8, 8), Relu()), NOISY, Exact(), ELEMENTS[2], marks=pytest.mark.slow),
        pytest.param(ResNet(8, 3, Tanh()), Sgd(0.02), Exact(), ELEMENTS[2], marks=pytest.mark.slow),
        (ResNet(8, 3, Relu()), NOISY, Fresh(16), ELEMENTS[1]),
    ],
    ids=["sgd", "1 layer", "2 layers", "3 layers", "resnet sgd", "resnet"],
)
def test_training_commutes_with_group_elements(model, by, draw, g):
    with jax.enable_x64(True):
        plain, moved = (run(each) for each in (training(model, by, draw), turned(training(model, by, draw), g)))
        losses = [np.array(list(found["TestLoss"].values())) for found in (plain, moved)]
        weights = dict(plain["Weights"][40])
        weights["hidden[0].weight"] = g(weights["hidden[0].weight"])
    assert np.ptp(losses[0]) > 0.01  # it trains
    np.testing.assert_allclose(losses[1], losses[0], atol=ATOL, rtol=0)
    for name, weight in moved["Weights"][40].items():
        np.testing.assert_allclose(weight, weights[name], atol=ATOL, rtol=0)


@pytest.fixture(scope="module")
def at_home() -> float:
    with jax.enable_x64(True):
        return float(run(training(by=NOISY, draw=Fresh(16)))["TestLoss"][40])


@pytest.mark.parametrize(
    "part", ["law", "target", *(pytest.param(part, marks=pytest.mark.slow) for part in ("model", "noise"))]
)
def test_training_feels_each_part_that_is_not_moved(part, at_home):
    whole = training(by=NOISY, draw=Fresh(16))
    moved, law, y = turned(whole, ELEMENTS[1]), Labelled(whole.task.x, whole.task.y), whole.protocol
    back = {
        "law": {"task": Labelled(law.x, moved.task.y)},
        "target": {"task": Labelled(moved.task.x, law.y)},
        "model": {"model": whole.model},
        "noise": {"protocol": y},
    }[part]
    with jax.enable_x64(True):
        found = float(run(replace(moved, **back))["TestLoss"][40])
    assert abs(found - at_home) > 1e-3


# ---------------------------------------------------------------- elements


@pytest.mark.parametrize("g", ELEMENTS, ids=repr)
def test_elements_act_as_their_matrix_and_are_undone(g):
    x = np.random.default_rng(0).normal(size=(3, 5))
    order, signs = g.parts(5)
    matrix = np.diag(signs) @ np.eye(5)[order]
    np.testing.assert_allclose(g(jnp.asarray(x)), x @ matrix.T, rtol=1e-6)
    np.testing.assert_allclose(g.undone(jnp.asarray(x)), x @ matrix, rtol=1e-6)


@pytest.mark.parametrize("g", ELEMENTS, ids=repr)
def test_what_is_moved_is_at_gx_what_it_was_at_x(g):
    x = boolean.cube(5)
    moved = realised(Labelled(Moved(Hypercube(5), g), Moved(TARGET, g)), None)
    np.testing.assert_allclose(moved.y(g(x)), TARGET(x), atol=1e-6)
    np.testing.assert_array_equal(moved.nodes()[0][0], g(x))
    key = jax.random.key(0)
    np.testing.assert_array_equal(moved.sample(key, 4)[0], g(Hypercube(5).sample(key, 4)))
    networks = [realised(m, None).init(key, moved) for m in (Mlp((4, 4), Tanh()), Moved(Mlp((4, 4), Tanh()), g))]
    np.testing.assert_allclose(networks[1](g(x)), networks[0](x), atol=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SignFlip((1, 1)), "on: expected distinct coordinates"),
        (lambda: Permutation((0, 2)), "order: expected each of 0..1 once"),
        (lambda: SignedPermutation((0, 1), (1, 2)), "signs: expected 2 signs, each 1 or -1"),
        (lambda: Moved(Hypercube(3), SignFlip((3,))), "by.on\\[0\\]: 3 is not a coordinate of 3"),
        (lambda: Moved(Relu(), SignFlip((0,))), "noun: expected a Distribution or Target or Model or Noise"),
        (lambda: Labelled(Hypercube(5), Moved(TARGET, Permutation((1, 0)))), "y.by.order: expected an order of 5"),
        (lambda: replace(training(), model=Moved(Mlp((8,), Relu()), SignFlip((9,)))), "model.by.on\\[0\\]: 9"),
        (lambda: Labelled(Moved(Gaussian(5), SignFlip((0,))), TARGET), "takes Bits"),
    ],
)
def test_elements_that_do_not_fit_are_faults(make, message):
    with pytest.raises(SpecError, match=message):
        make()


def test_noise_of_the_wrong_length_is_an_error_where_it_is_drawn():
    by = replace(NOISY, noise=Moved(Isotropic(0.1), Permutation((1, 0))))
    with pytest.raises(ValueError, match="expected an order of 5 coordinates, got one of 2"):
        run(replace(training(by=by), precision="float32"))


# ---------------------------------------------------------------- with other combinators, and explain


def test_a_seeded_model_may_be_moved_and_a_moved_one_seeded():
    g, task = ELEMENTS[1], Labelled(Hypercube(5), TARGET)
    key, other = jax.random.key(1), jax.random.key(2)
    seeded = realised(Moved(Seeded(Mlp((4,), Relu()), seed=7), g), None)
    moved = realised(Seeded(Moved(Mlp((4,), Relu()), g), seed=7), None)
    for a, b in zip(*(jax.tree.leaves(m.init(k, task)) for m, k in ((seeded, key), (moved, other))), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(SpecError, match="nothing in Moved is drawn once per run"):
        Seeded(Moved(Hypercube(5), g), seed=0)


@pytest.mark.parametrize("g", ELEMENTS, ids=repr)
def test_explain_sees_the_moved_polynomial(g):
    support = target_support(turned(training(), g))
    x = boolean.cube(5)
    chi = [jnp.prod(x[:, jnp.array(sorted(term))], axis=1) for term in support.terms]
    values = sum(c * each for c, each in zip(support.coefficients, chi, strict=True))
    np.testing.assert_allclose(values, TARGET(g.undone(x)), atol=1e-6)
    found, before = ({p.name: p.value for p in explain(r)} for r in (turned(training(), g), training()))
    assert found["leap"] == before["leap"]
    assert found["alignment"] == before["alignment"]


def test_explain_sees_a_moved_hermite_polynomial():
    z, g = reals(3), SignedPermutation((2, 0, 1), (-1, 1, 1))
    target = he(3, z[0]) * z[1] + he(2, z[2])
    task = Labelled(Gaussian(3), Moved(target, g))
    support = target_support(replace(training(), task=task, precision="float32"))
    # y_0 = -x_2, y_1 = x_0, y_2 = x_1
    assert dict(zip([tuple(t.items()) for t in support.terms], support.coefficients, strict=True)) == {
        ((0, 2),): pytest.approx(1.0),
        ((1, 3), (2, 1)): pytest.approx(1.0),
    }
