"""Tables of scikit-learn as tasks, the parts of what a sample left, and boosted trees, against scikit-learn itself."""

import sys
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from sklearn import datasets
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from dsl import *
from dsl import tabular

TABLES = {"iris": Iris(), "wine": Wine(), "breast_cancer": BreastCancer(), "diabetes": Diabetes()}
LAW = Labelled(Hypercube(4), prod(bits(4)[:2]) + bits(4)[2])


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True), threadpool_limits(1, "openmp"):  # threads that wait for one another are slow
        yield


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_that_of_the_package_in_standard_units(name):
    task, there = TABLES[name], getattr(datasets, f"load_{name}")()
    (x, y), weights = jax.tree.map(np.asarray, task.nodes())
    assert x.shape == there.data.shape == (task.size, *task.shape)
    np.testing.assert_allclose(x * there.data.std(axis=0) + there.data.mean(axis=0), there.data, atol=1e-9)
    if task.outputs is None:
        np.testing.assert_allclose(y * there.target.std() + there.target.mean(), there.target)
    else:
        np.testing.assert_array_equal(y, there.target[:, None] == np.arange(task.outputs))
    np.testing.assert_allclose(weights, 1 / task.size)


def test_examples_of_a_table_are_drawn_from_it():
    (x, y), ((whole, labels), _) = jax.tree.map(np.asarray, (Iris().sample(jax.random.key(0), 40), Iris().nodes()))
    found = np.argmin(np.linalg.norm(x[:, None] - whole[None], axis=2), axis=1)
    np.testing.assert_array_equal(x, whole[found])
    np.testing.assert_array_equal(y, labels[found])
    assert len(set(found)) > 25


def test_without_the_package_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    tabular._loaded.cache_clear()
    with pytest.raises(ImportError, match=r"install stepwell\[data\]"):
        Wine().nodes()
    with pytest.raises(ImportError, match=r"install stepwell\[data\]"):
        BoostedTrees().init(Learn(LAW), jax.random.key(0))


# ---------------------------------------------------------------- parts of the rest


def test_validation_and_test_divide_the_rest():
    x, chosen = np.arange(16.0), np.array([3, 0, 7, 12, 9, 15, 4, 2, 10])
    law = SimpleNamespace(nodes=lambda: (x, np.full(16, 1 / 16)))
    left = np.setdiff1d(x, chosen)
    for part, expected in (("all", left), ("validation", left[::2]), ("test", left[1::2])):
        found = Rest(part=part).beside(SimpleNamespace(law=law, chosen=chosen, size=9))
        np.testing.assert_array_equal(found.points, expected)
        np.testing.assert_allclose(found.shares, 1 / len(expected))


def test_a_rest_of_one_has_no_parts():
    task = Sample(LAW, n=15, replace=False)
    (fault,) = Rest(part="test").unfit(task)
    assert fault.problem == "Rest(part='test') is empty: 15 of the 16 points of the law are drawn"
    assert not list(Rest().unfit(task))


# ---------------------------------------------------------------- boosted trees


def boosted(task, on=None, **fields):
    return Solving(
        Learn(task), BoostedTrees(rounds=5, leaves=4, examples=2, **fields), (PredictionError(Exact(), on=on),), seed=5,
        precision="float64")  # fmt: skip


def fitted(kind, x, y, **fields):
    settings = {"max_iter": 5, "learning_rate": 0.3, "max_leaf_nodes": 4, "min_samples_leaf": 2, "random_state": 0}
    return kind(**settings, early_stopping=False, **fields).fit(x, y)


def learned(of):
    """What a boosted machine learns from, the test set of its measurement, and what that gives."""
    program = compile(of)
    knobs = program.knobs(of)
    constants = program.constants(knobs, {})
    found = program.observe(program.init(knobs, {}, constants), knobs, {}, constants, ("PredictionError",))
    drawn = jax.tree.map(np.asarray, constants["drawn"]["problem.task"].points)
    return drawn, jax.tree.map(np.asarray, constants["measure"]["PredictionError"].points), *found.values()


@pytest.mark.slow
def test_the_share_of_wrong_classes_is_that_of_the_package():
    (x, y), (at, labels), found = learned(boosted(Sample(Iris(), n=100, replace=False), Rest(), rate=0.3))
    expected = fitted(HistGradientBoostingClassifier, x, y.argmax(axis=1)).predict(at) != labels.argmax(axis=1)
    assert len(at) == 50
    assert float(found) == pytest.approx(expected.mean())


@pytest.mark.slow
def test_the_squared_error_of_numbers_is_that_of_the_package():
    (x, y), (at, labels), found = learned(boosted(Sample(LAW, n=8, replace=False), Rest(part="test"), rate=0.3))
    expected = (fitted(HistGradientBoostingRegressor, x, y).predict(at) - labels) ** 2
    assert float(found) == pytest.approx(expected.mean(), rel=1e-9)


def predictor(x, y, outputs):
    task = SimpleNamespace(nodes=lambda: ((x, y), np.full(len(x), 1 / len(x))), outputs=outputs)
    problem, solver = SimpleNamespace(task=task), BoostedTrees(rounds=5, rate=0.3, leaves=4, examples=2)
    return solver.answer(problem, solver.init(problem, jax.random.key(0)))


def test_trees_are_those_of_the_package():
    x, labels = datasets.load_iris(return_X_y=True)
    found = predictor(x, np.eye(3)[labels], 3)(x[::3])
    np.testing.assert_allclose(found, fitted(HistGradientBoostingClassifier, x, labels).predict_proba(x[::3]))
    x, y = datasets.load_diabetes(return_X_y=True)
    np.testing.assert_allclose(
        predictor(x, y, None)(x[::3]), fitted(HistGradientBoostingRegressor, x, y).predict(x[::3])
    )


def test_a_class_that_was_never_seen_has_probability_zero():
    x = np.repeat([[-1.0], [1.0]], 4, axis=0)
    found = predictor(x, np.eye(3)[np.repeat([0, 2], 4)], 3)(np.array([[-1.0], [1.0]]))
    np.testing.assert_array_equal(found[:, 1], 0)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    np.testing.assert_array_equal(found.argmax(axis=1), [0, 2])


@pytest.mark.slow
def test_trees_and_kernel_machines_of_a_seed_see_one_split():
    task = Sample(Wine(), n=100, replace=False)
    machine = FeatureMachine(1, FactUpdate(), ridge=0.1, normalise="trace")
    of = Training(task, KernelMachine(Rbf(1.0)), SquaredLoss(), machine, (TrainLoss() @ at_end(),), seed=5)
    program = compile(of)
    drawn = program.constants(program.knobs(of), {})["drawn"]["task"].points[0]
    np.testing.assert_allclose(drawn, learned(boosted(task))[0][0], rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: boosted(Labelled(Hypercube(40), bits(40)[0])), "has no exact"),
        (lambda: boosted(Sample(LAW, n=16, replace=False), Rest()), "is empty: 16 of the 16"),
        (lambda: boosted(Sample(LAW, n=4), Rest()), r"what a Sample\(..., replace=False\) left"),
        (lambda: Solving(MaxCut(Complete(3)), BoostedTrees(), (Objective(),)), "expected Learn"),
        (lambda: Solving(MaxCut(Complete(3)), BruteForce(), (PredictionError(Exact()),)), "expected Learn"),
        (lambda: BoostedTrees(leaves=1), "greater than or equal to 2"),
        (lambda: BoostedTrees(rate=0.0), "greater than 0"),
    ],
)
def test_what_cannot_be_learned_is_refused(make, message):
    with pytest.raises(SpecError, match=message):
        make()
