import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from theory.boolean import cube, inverse_walsh_transform, level_weights, sample_bits, walsh_transform

tables = st.integers(0, 6).flatmap(lambda n: arrays(np.float64, 2**n, elements=st.floats(-10, 10)))


def points_by_definition(n: int) -> np.ndarray:
    return np.array([[-1.0 if b >> i & 1 else 1.0 for i in range(n)] for b in range(2**n)]).reshape(2**n, n)


def characters_by_definition(n: int) -> np.ndarray:
    points = points_by_definition(n)
    rows = [np.prod(points[:, [i for i in range(n) if s >> i & 1]], axis=1) for s in range(2**n)]
    return np.array(rows)


@given(tables)
def test_walsh_transform_is_the_expectation_against_each_character(values: np.ndarray) -> None:
    n = values.size.bit_length() - 1
    expected = characters_by_definition(n) @ values / values.size
    np.testing.assert_allclose(walsh_transform(values), expected, atol=1e-12)


@given(tables)
def test_inverse_undoes_the_transform(values: np.ndarray) -> None:
    np.testing.assert_allclose(inverse_walsh_transform(walsh_transform(values)), values, atol=1e-12)
    np.testing.assert_allclose(walsh_transform(inverse_walsh_transform(values)), values, atol=1e-12)


@given(tables)
def test_parseval(values: np.ndarray) -> None:
    weights = level_weights(walsh_transform(values))
    np.testing.assert_allclose(weights.sum(), np.mean(values**2), atol=1e-9)


@given(tables)
def test_level_weights_sum_squares_by_popcount(coefficients: np.ndarray) -> None:
    n = coefficients.size.bit_length() - 1
    level = np.bitwise_count(np.arange(coefficients.size))
    expected = np.bincount(level, coefficients**2, minlength=n + 1)
    np.testing.assert_allclose(level_weights(coefficients), expected, atol=1e-10)


def test_majority_of_three_has_its_known_spectrum() -> None:
    values = np.sign(np.sum(np.asarray(cube(3)), axis=1))
    np.testing.assert_array_equal(walsh_transform(values), [0, 0.5, 0.5, 0, 0.5, 0, 0, -0.5])
    np.testing.assert_array_equal(level_weights(walsh_transform(values)), [0, 0.75, 0, 0.25])


@pytest.mark.parametrize("transform", [walsh_transform, inverse_walsh_transform, level_weights])
def test_jitted_jax_agrees_with_numpy_and_each_keeps_its_dtype(transform) -> None:
    values = np.random.default_rng(0).normal(size=64)
    expected = transform(values)
    assert isinstance(expected, np.ndarray)
    assert expected.dtype == np.float64
    assert transform(values.astype(np.float32)).dtype == np.float32
    single = jax.jit(transform)(jnp.asarray(values, jnp.float32))
    assert single.dtype == jnp.float32
    np.testing.assert_allclose(single, expected, rtol=1e-4, atol=1e-5)
    with jax.enable_x64(True):
        double = jax.jit(transform)(jnp.asarray(values))
        assert double.dtype == jnp.float64
        np.testing.assert_allclose(double, expected, rtol=1e-12, atol=1e-14)


def test_level_weights_of_a_large_table_are_accurate_in_float32() -> None:
    weights = level_weights(np.full(2**18, 2.0**-9, np.float32))
    np.testing.assert_allclose(weights.sum(), 1, rtol=1e-6)


@pytest.mark.parametrize("size", [0, 3, 6, 12])
@pytest.mark.parametrize("transform", [walsh_transform, inverse_walsh_transform, level_weights])
def test_a_length_that_is_no_power_of_two_is_refused(transform, size: int) -> None:
    with pytest.raises(ValueError, match=rf"got {size}: not a power of two"):
        transform(np.zeros(size))


@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_cube_lists_all_points_in_order(n: int) -> None:
    points = cube(n)
    chex.assert_shape(points, (2**n, n))
    chex.assert_type(points, jnp.float32)
    np.testing.assert_array_equal(points, points_by_definition(n))


@pytest.mark.parametrize("n", [-1, 21, 100])
def test_cube_refuses_dimensions_out_of_range_and_names_the_sparse_route(n: int) -> None:
    with pytest.raises(ValueError, match=rf"n is {n}.*theory\.polynomials\.characters"):
        cube(n)


@pytest.mark.parametrize("d", [0, 32, 33])
def test_sampled_bits_are_signs(d: int) -> None:
    x = sample_bits(jax.random.key(0), 50, d)
    chex.assert_shape(x, (50, d))
    chex.assert_type(x, jnp.float32)
    assert np.isin(x, (-1, 1)).all()


@pytest.mark.parametrize("d", [5, 70])
def test_sampled_bits_have_mean_zero_and_identity_covariance(d: int) -> None:
    n = 20_000
    x = np.asarray(sample_bits(jax.random.key(1), n, d), np.float64)
    five_sigma = 5 / np.sqrt(n)
    assert np.abs(x.mean(axis=0)).max() < five_sigma
    assert np.abs(x.T @ x / n - np.eye(d)).max() < five_sigma
    assert np.abs(np.mean(x[1:] * x[:-1], axis=0)).max() < five_sigma


def test_sampled_bits_are_uniform_on_the_cube() -> None:
    n, d = 32_000, 5
    x = np.asarray(sample_bits(jax.random.key(2), n, d))
    counts = np.bincount((x < 0) @ 2 ** np.arange(d), minlength=2**d)
    chi_square = np.sum((counts - n / 2**d) ** 2) / (n / 2**d)
    assert chi_square < 31 + 5 * np.sqrt(2 * 31)


def test_dimensions_with_as_many_words_share_their_coordinates() -> None:
    key = jax.random.key(3)
    wide = sample_bits(key, 10, 64)
    np.testing.assert_array_equal(sample_bits(key, 10, 33), wide[:, :33])


def test_sampled_bits_depend_on_the_key_and_not_on_jit_or_vmap() -> None:
    keys = jax.random.split(jax.random.key(4), 3)
    alone = jnp.stack([sample_bits(key, 4, 40) for key in keys])
    together = jax.jit(jax.vmap(lambda key: sample_bits(key, 4, 40)))(keys)
    np.testing.assert_array_equal(alone, together)
    assert all((a != b).any() for a, b in itertools.combinations(alone, 2))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 4), st.data())
def test_transform_of_a_character_is_one_coefficient(n: int, data: st.DataObject) -> None:
    mask = data.draw(st.integers(0, 2**n - 1))
    chosen = [i for i in range(n) if mask >> i & 1]
    coefficients = walsh_transform(np.prod(np.asarray(cube(n))[:, chosen], axis=1))
    np.testing.assert_array_equal(coefficients, np.eye(2**n, dtype=np.float32)[mask])
