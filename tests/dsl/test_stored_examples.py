"""A user's arrays as a task, against the arrays."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dsl import *
from dsl.results import Given
from dsl.spec import rebuilt

RNG = np.random.default_rng(0)
ARRAYS = {
    "x": RNG.normal(size=(6, 2, 2)),
    "y": np.array([2, 0, 1, 2, 2, 0]),
    "z": RNG.normal(size=6),
    "v": RNG.normal(size=(6, 3)),
}
DATA = Stored("a.npz", "0" * 64)


def supplied(**fields):
    """The task with its arrays, as a program sees it."""
    noun = StoredExamples(**({"data": DATA, "n": 6, "x_shape": (2, 2), "y": "z"} | fields))
    assert not list(noun.misfits(ARRAYS))
    return rebuilt(noun, data=Given({name: jnp.asarray(array) for name, array in ARRAYS.items()}))


def test_the_examples_are_those_of_the_file_in_its_order():
    (x, y), weights = supplied().nodes()
    np.testing.assert_allclose(x, ARRAYS["x"], rtol=1e-6)
    np.testing.assert_allclose(y, ARRAYS["z"], rtol=1e-6)
    np.testing.assert_allclose(weights, 1 / 6, rtol=1e-6)
    x, y = supplied().take(jnp.array([4, 1]))
    np.testing.assert_allclose(x, ARRAYS["x"][[4, 1]], rtol=1e-6)
    np.testing.assert_allclose(y, ARRAYS["z"][[4, 1]], rtol=1e-6)
    x, y = supplied().sample(jax.random.key(0), 5)
    rows = [int(np.argmin(np.abs(ARRAYS["z"] - label))) for label in y]
    np.testing.assert_allclose(x, ARRAYS["x"][rows], rtol=1e-6)


def test_inputs_are_scaled_and_have_the_shape_that_is_asked_for():
    flat = supplied(x_shape=(4,), scale=0.5)
    np.testing.assert_allclose(flat.nodes()[0][0], ARRAYS["x"].reshape(6, 4) / 2, rtol=1e-6)
    assert (flat.shape, flat.outputs, flat.size, flat.exact) == ((4,), None, 6, True)


def test_columns_are_coordinates():
    x, y = supplied(x=("z", "y"), x_shape=(2,)).take(jnp.array([5, 0]))
    np.testing.assert_allclose(x, np.stack([ARRAYS["z"], ARRAYS["y"]], axis=1)[[5, 0]], rtol=1e-6)
    np.testing.assert_allclose(y, ARRAYS["z"][[5, 0]], rtol=1e-6)


def test_classes_are_one_hot_and_vectors_stay():
    np.testing.assert_array_equal(supplied(y="y", y_length=4).nodes()[0][1], np.eye(4)[ARRAYS["y"]])
    np.testing.assert_allclose(supplied(y="v", y_length=3).nodes()[0][1], ARRAYS["v"], rtol=1e-6)
    np.testing.assert_array_equal(supplied(y="y").nodes()[0][1], ARRAYS["y"])


def test_experiments_are_built_and_written_without_the_file():
    task = StoredExamples(DATA, 10, (4,))
    of = Training(
        task=Split(Sample(task, n=10, replace=False), "train"), model=Mlp((2,), Tanh()), loss=SquaredLoss(),
        protocol=Descent(3, Shuffled(4), by=Sgd(0.1)), measure=(TrainLoss() @ at_end(),), seed=0)  # fmt: skip
    assert load(dump(of)) == of
    with pytest.raises(ValueError, match="are known only when the experiment runs"):
        task.nodes()
    with pytest.raises(SpecError, match="expected at most 10, the size of the law's support, got 11"):
        Sample(task, n=11, replace=False)


def test_a_model_of_vectors_refuses_images():
    of = {"task": StoredExamples(DATA, 10, (3, 5)), "loss": SquaredLoss(), "measure": (), "seed": 0}
    for model in (Mlp((2,), Tanh()), TwoLayer(2, Tanh(), Standard()), ResNet(2, 1, Tanh())):
        with pytest.raises(SpecError, match=r"model: reads vectors, and an x .* has shape \(3, 5\); expected \(15,\)"):
            Training(model=model, protocol=Descent(3, Exact(), by=Sgd(0.1)), **of)
