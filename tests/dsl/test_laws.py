import itertools
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dsl import (
    Biased,
    Cyclic,
    Exact,
    Fresh,
    Gaussian,
    Hypercube,
    Labelled,
    Relu,
    Sample,
    Seeded,
    Shuffled,
    SpecError,
    bits,
    he,
    reals,
)
from dsl.draws import Batch, Draw
from dsl.keys import Streams, fold, root, streams
from dsl.realise import draws, placed, realised
from dsl.sample import Drawn, law_of

KEY = root(0)
X = bits(3)
TASK = Labelled(Hypercube(3), X[0] + X[1] * X[2])


def numbered(size: int) -> Drawn:
    """A sample whose examples are their own numbers."""
    return Drawn(jnp.arange(size), Hypercube(1))


def visited(draw: Draw, size: int, steps: Any) -> list[list[int]]:
    return jax.jit(jax.vmap(lambda step: draw.batch(numbered(size), KEY, step).points))(jnp.array(steps)).tolist()


# ---------------------------------------------------------------- laws


def test_the_nodes_of_the_cube_are_all_points_with_equal_weights() -> None:
    points, weights = Hypercube(4).nodes()
    assert {tuple(p) for p in np.asarray(points).tolist()} == set(itertools.product((-1.0, 1.0), repeat=4))
    np.testing.assert_allclose(weights, np.full(16, 1 / 16))


@pytest.mark.parametrize("d", [1, 2, 3])
def test_the_nodes_of_a_gaussian_give_its_moments(d: int) -> None:
    points, weights = Gaussian(d, scale=1.5).nodes()
    assert points.shape == (32**d, d)
    np.testing.assert_allclose(weights.sum(), 1.0, rtol=1e-5)
    np.testing.assert_allclose(jnp.einsum("q,qi,qj", weights, points, points), 2.25 * np.eye(d), atol=1e-4)
    np.testing.assert_allclose(weights @ points**4, np.full(d, 3 * 1.5**4), rtol=1e-4)


def test_exactness_ends_where_the_nodes_are_too_many() -> None:
    assert [Hypercube(20).exact, Hypercube(21).exact, Gaussian(3).exact, Gaussian(4).exact] == [
        True,
        False,
        True,
        False,
    ]


@pytest.mark.parametrize("law", [Hypercube(3), Gaussian(3, scale=2.0)])
def test_samples_have_the_moments_of_their_law(law: Any) -> None:
    x = law.sample(KEY, 20_000)
    chex.assert_shape(x, (20_000, *law.shape))
    np.testing.assert_allclose(x.mean(axis=0), 0.0, atol=0.1)
    np.testing.assert_allclose(np.cov(x.T), getattr(law, "scale", 1.0) ** 2 * np.eye(3), atol=0.15)


@pytest.mark.parametrize(
    "law",
    [
        Gaussian(3),
        Sample(TASK, n=5),
        *(pytest.param(law, marks=pytest.mark.slow) for law in (Hypercube(3), Sample(TASK, n=5, replace=False))),
    ],
    ids=repr,
)
def test_one_seed_is_one_data_set_at_every_precision(law: Any) -> None:
    def sampled() -> list[Any]:
        drawn = realised(law, streams(3))
        return [np.asarray(leaf, np.float32) for leaf in jax.tree.leaves(drawn.sample(KEY, 6)) + _points(drawn)]

    with jax.enable_x64(True):
        double = sampled()
    for a, b in zip(sampled(), double, strict=True):
        np.testing.assert_array_equal(a, b)


def _points(law: Any) -> list[Any]:
    return jax.tree.leaves(law.points) if isinstance(law, Drawn) else []


def test_a_task_labels_its_inputs() -> None:
    x, y = TASK.sample(KEY, 50)
    np.testing.assert_array_equal(y, x[:, 0] + x[:, 1] * x[:, 2])
    (x, y), weights = TASK.nodes()
    np.testing.assert_array_equal(y, x[:, 0] + x[:, 1] * x[:, 2])
    assert float(weights @ y**2) == pytest.approx(2.0)


# ---------------------------------------------------------------- draws


def test_cyclic_visits_in_order_from_its_start_and_wraps_around() -> None:
    assert visited(Cyclic(3), 5, range(4)) == [[0, 1, 2], [3, 4, 0], [1, 2, 3], [4, 0, 1]]
    assert visited(Cyclic(2, start=1), 5, range(3)) == [[1, 2], [3, 4], [0, 1]]
    assert visited(Cyclic(2, start=-1), 5, range(2)) == [[4, 0], [1, 2]]
    assert visited(Cyclic(7), 5, range(2)) == [[0, 1, 2, 3, 4, 0, 1], [2, 3, 4, 0, 1, 2, 3]]


@pytest.mark.parametrize(("n", "size"), [(20, 60_000), (50_000, 60_000), (99_991, 100_003), (1, 65_537)])
def test_cyclic_does_not_overflow(n: int, size: int) -> None:
    steps = [0, 1, 59_999, 107_375, 2**31 - 1]
    first = jax.jit(jax.vmap(lambda step: Cyclic(n, start=1).batch(numbered(size), KEY, step).points[0]))
    assert first(jnp.array(steps)).tolist() == [(step * n + 1) % size for step in steps]


@pytest.mark.parametrize(("n", "size"), [(2, 6), (2, 7), (5, 5), (1, 4)])
def test_shuffled_visits_each_example_at_most_once_in_a_pass(n: int, size: int) -> None:
    in_pass = size // n
    passes = np.reshape(visited(Shuffled(n), size, range(6 * in_pass)), (6, in_pass * n)).tolist()
    assert all(len(p) == in_pass * n == len(set(p)) for p in passes)
    assert all(0 <= i < size for p in passes for i in p)
    assert len({tuple(p) for p in passes}) > 1  # each pass has an order of its own


def test_fresh_draws_anew_at_each_step() -> None:
    a, b, again = (Fresh(9).batch(TASK, KEY, step).points[0] for step in (0, 1, 0))
    np.testing.assert_array_equal(a, again)
    assert not np.array_equal(a, b)


def test_exact_is_the_whole_law() -> None:
    batch = Exact().batch(TASK, KEY)
    np.testing.assert_allclose(batch.mean(batch.points[1] ** 2), 2.0)
    whole: Any = Exact().prepared(TASK)
    chex.assert_trees_all_equal(whole.batch(TASK, KEY), batch)
    np.testing.assert_allclose(Exact().batch(numbered(4), KEY).weights, np.full(4, 0.25))


def test_the_mean_of_a_batch_is_weighted() -> None:
    values = jnp.arange(6.0).reshape(3, 2)
    np.testing.assert_allclose(Batch(None).mean(values), [2.0, 3.0])
    np.testing.assert_allclose(Batch(None, jnp.array([0.5, 0.5, 0.0])).mean(values), [1.0, 2.0])


@pytest.mark.parametrize(
    ("draw", "law", "text"),
    [
        (Cyclic(2), TASK, "passes over a sample; wrap the task: Sample(..., n=...), or draw with Fresh(n)"),
        (Shuffled(2), TASK, "passes over a sample"),
        (Shuffled(9), Sample(TASK, n=4), "expected at most 4, the size of the sample, got 9"),
        (Exact(), Hypercube(21), "has no exact expectations; draw with Fresh(n), or from a Sample"),
    ],
)
def test_a_draw_that_does_not_fit_says_why(draw: Draw, law: Any, text: str) -> None:
    assert text in "".join(map(str, draw.unfit(law)))


# ---------------------------------------------------------------- samples and seeds


def test_a_sample_without_replacement_is_distinct() -> None:
    drawn = realised(Sample(TASK, n=8, replace=False), streams(0))
    assert len({tuple(x) for x in np.asarray(drawn.points[0]).tolist()}) == 8
    with pytest.raises(SpecError, match="expected at most 8, the size of the law's support, got 9"):
        Sample(TASK, n=9, replace=False)
    with pytest.raises(SpecError, match="without replacement needs a finite law"):
        Sample(Hypercube(30), n=9, replace=False)
    with pytest.raises(SpecError, match="expected a Distribution or a Task to draw from, got Relu"):
        Sample(Relu(), n=9)


def test_a_sample_depends_on_the_seed_and_a_seeded_one_does_not() -> None:
    sample = Sample(Gaussian(3), n=4)
    points = lambda noun, seed: np.asarray(realised(noun, streams(seed)).points)
    assert not np.array_equal(points(sample, 0), points(sample, 1))
    np.testing.assert_array_equal(points(Seeded(sample, seed=5), 0), points(Seeded(sample, seed=5), 1))
    np.testing.assert_array_equal(points(Seeded(sample, seed=5), 0), points(sample, 5))
    assert not np.array_equal(points(Seeded(sample, seed=5), 0), points(Seeded(sample, seed=6), 0))


def test_equal_random_nouns_are_one_draw() -> None:
    task = Labelled(Sample(Gaussian(2), n=4), reals(2)[0])
    found = draws(task, streams(0))
    assert list(found) == ["x"]
    other = draws(Labelled(Sample(Gaussian(2), n=4), he(2, reals(2)[1])), streams(0))
    chex.assert_trees_all_equal(found["x"].points, other["x"].points)
    assert isinstance(placed(task, found).x, Drawn)


def test_combinators_answer_for_the_noun_inside() -> None:
    task = Seeded(Sample(TASK, n=4), seed=1)
    assert (task.shape, task.size, task.exact, task.outputs, task.x) == ((3,), 4, True, None, Hypercube(3))
    with pytest.raises(AttributeError):
        _ = task.colour


def test_the_law_behind_a_sample() -> None:
    assert law_of(realised(Sample(TASK, n=4), streams(0))) == TASK
    assert law_of(TASK) == TASK


def test_keys_are_folded_by_purpose_and_step_and_other_keys_are_refused() -> None:
    raw = lambda key: tuple(jax.random.key_data(key).tolist())
    assert len({raw(fold(KEY, p)) for p in ("init", "data", "target", "noise", "measure", 0, 1)}) == 7
    assert [raw(key) for key in streams(0)] == [raw(fold(KEY, purpose)) for purpose in Streams._fields]
    jax.config.update("jax_default_prng_impl", "rbg")
    try:
        with pytest.raises(ValueError, match="jax_default_prng_impl='rbg' are refused"):
            root(0)
    finally:
        jax.config.update("jax_default_prng_impl", "threefry2x32")


# ---------------------------------------------------------------- biased bits


@pytest.mark.parametrize("p", [0.1, 0.5, 0.75])
def test_products_of_biased_bits_are_an_orthonormal_basis(p: float) -> None:
    with jax.enable_x64(True):
        x, weights = Biased(4, p).nodes()
        products = np.stack([np.prod(x[:, [i for i in range(4) if s >> i & 1]], axis=1) for s in range(16)])
        np.testing.assert_allclose((products * np.asarray(weights)) @ products.T, np.eye(16), atol=1e-12)
        skewness = (1 - 2 * p) / np.sqrt(p * (1 - p))
        np.testing.assert_allclose(weights @ x**3, np.full(4, skewness), atol=1e-12)
        np.testing.assert_allclose(weights @ x**4, np.full(4, skewness**2 + 1), atol=1e-12)


def test_samples_of_biased_bits_have_their_two_values_with_their_probabilities() -> None:
    x = np.asarray(Biased(3, 0.75).sample(KEY, 20_000))
    high, low = np.sqrt(0.25 / 0.75), -np.sqrt(0.75 / 0.25)
    assert np.isclose(x, high).mean() == pytest.approx(0.75, abs=0.01)
    np.testing.assert_allclose(np.unique(x.round(5)), [low, high], atol=1e-4)
    np.testing.assert_allclose(np.cov(x.T), np.eye(3), atol=0.05)


def test_half_biased_bits_are_the_uniform_cube() -> None:
    for given, expected in zip(Biased(3, 0.5).nodes(), Hypercube(3).nodes(), strict=True):
        np.testing.assert_array_equal(given, expected)


def test_biased_bits_are_one_data_set_at_every_precision_and_take_no_target_of_bits() -> None:
    single = np.asarray(Biased(5, 0.3).sample(KEY, 50))
    with jax.enable_x64(True):
        np.testing.assert_allclose(Biased(5, 0.3).sample(KEY, 50), single, rtol=1e-6)
    assert [Biased(20, 0.5).exact, Biased(21, 0.5).exact] == [True, False]
    with pytest.raises(SpecError, match="takes Bits"):
        Labelled(Biased(3, 0.5), X[0])  # type: ignore[arg-type]  # what the check is for
    for p in (0.0, 1.0):
        with pytest.raises(SpecError, match=r"p.*(greater|less) than"):
            Biased(3, p)
