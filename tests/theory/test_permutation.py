import collections
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from theory import permutation

permuted_index = jax.jit(permutation.permuted_index, static_argnums=2)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 16, 17, 64, 60_000])
def test_every_index_has_one_image(n: int) -> None:
    for seed in range(2):
        image = permuted_index(jax.random.key(seed), jnp.arange(n), n)
        np.testing.assert_array_equal(np.sort(image), np.arange(n))


def test_large_sets_stay_in_range_without_collisions() -> None:
    n = 2**31 - 1
    image = np.asarray(permuted_index(jax.random.key(0), jnp.arange(n - 5000, n), n))
    assert image.min() >= 0
    assert image.max() < n
    assert np.unique(image).size == 5000


@pytest.mark.parametrize("n", [3, 4])
def test_all_orders_of_a_small_set_are_about_equally_likely(n: int) -> None:
    draws, orders = 6000, list(itertools.permutations(range(n)))
    keys = jax.random.split(jax.random.key(1), draws)
    images = jax.vmap(lambda key: permuted_index(key, jnp.arange(n), n))(keys)
    counts = collections.Counter(map(tuple, images.tolist()))
    expected, freedom = draws / len(orders), len(orders) - 1
    chi_square = sum((counts[order] - expected) ** 2 / expected for order in orders)
    assert chi_square < freedom + 5 * np.sqrt(2 * freedom)


def test_the_image_of_an_index_is_about_uniform() -> None:
    n, draws = 100, 20_000
    keys = jax.random.split(jax.random.key(2), draws)
    images = jax.vmap(lambda key: permuted_index(key, jnp.array([0, 37]), n))(keys)
    for column in np.asarray(images).T:
        counts = np.bincount(column, minlength=n)
        chi_square = np.sum((counts - draws / n) ** 2) / (draws / n)
        assert abs(chi_square - (n - 1)) < 5 * np.sqrt(2 * (n - 1))


def test_an_order_has_no_trend_and_neighbours_are_unrelated() -> None:
    n = 10_000
    image = np.asarray(permuted_index(jax.random.key(3), jnp.arange(n), n)) / n - 0.5
    five_sigma = 5 / np.sqrt(n)
    assert abs(np.corrcoef(image, np.arange(n))[0, 1]) < five_sigma
    assert abs(np.corrcoef(image[1:], image[:-1])[0, 1]) < five_sigma


def test_keys_give_different_orders_that_agree_in_about_one_place() -> None:
    n = 1000
    orders = [np.asarray(permuted_index(jax.random.key(seed), jnp.arange(n), n)) for seed in range(8)]
    for a, b in itertools.combinations(orders, 2):
        assert (a == b).sum() < 10


def test_any_shape_jit_and_vmap_give_the_same_images() -> None:
    key, n = jax.random.key(5), 50
    whole = permutation.permuted_index(key, jnp.arange(n), n)
    table = permuted_index(key, jnp.arange(n).reshape(5, 10), n)
    assert table.shape == (5, 10)
    assert table.dtype == whole.dtype == jnp.int32
    np.testing.assert_array_equal(table.reshape(-1), whole)
    np.testing.assert_array_equal(permuted_index(key, np.arange(n, dtype=np.int32), n), whole)
    one_by_one = jax.vmap(lambda index: permuted_index(key, index, n))(jnp.arange(n))
    np.testing.assert_array_equal(one_by_one, whole)


@pytest.mark.parametrize("n", [0, -3, 2**31])
def test_sizes_out_of_range_are_refused(n: int) -> None:
    with pytest.raises(ValueError, match=f"n is {n}"):
        permuted_index(jax.random.key(0), jnp.arange(1), n)
