"""Kernels and kernel ridge regression against plain NumPy, and against features."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from theory.kernels import gaussian_kernel, kernel_ridge, laplace_kernel, squared_distances

RNG = np.random.default_rng(0)
X, Z = RNG.normal(size=(7, 3)), RNG.normal(size=(5, 3))


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def differences(x, z):
    return np.linalg.norm(x[:, None, :] - z[None, :, :], axis=-1)


def test_squared_distances_are_those_of_the_differences():
    found = squared_distances(jnp.asarray(X), jnp.asarray(Z))
    np.testing.assert_allclose(found, differences(X, Z) ** 2, atol=1e-14)
    itself = squared_distances(jnp.asarray(1e3 * X), jnp.asarray(1e3 * X))
    assert float(itself.min()) >= 0


@pytest.mark.parametrize("bandwidth", [0.5, 2.0])
def test_the_kernels_are_functions_of_the_distance(bandwidth):
    squared, distance = squared_distances(jnp.asarray(X), jnp.asarray(Z)), differences(X, Z)
    np.testing.assert_allclose(gaussian_kernel(squared, bandwidth), np.exp(-(distance**2) / (2 * bandwidth**2)))
    np.testing.assert_allclose(laplace_kernel(squared, bandwidth), np.exp(-distance / bandwidth))


def test_the_laplace_kernel_has_a_derivative_where_points_coincide():
    assert float(jax.grad(lambda q: laplace_kernel(q, 2.0))(0.0)) == 0.0
    q = 0.7
    assert float(jax.grad(lambda q: laplace_kernel(q, 2.0))(q)) == pytest.approx(-np.exp(-(q**0.5) / 2) / (4 * q**0.5))


@pytest.mark.parametrize("outputs", [(), (2,)])
def test_with_equal_weights_it_is_the_textbook_formula(outputs):
    gram, y = np.exp(-differences(X, X)), RNG.normal(size=(7, *outputs))
    found = kernel_ridge(jnp.asarray(gram), jnp.asarray(y), jnp.full(7, 1 / 7), 0.03)
    np.testing.assert_allclose(found, np.linalg.solve(gram + 7 * 0.03 * np.eye(7), y), rtol=1e-10)


def test_with_any_weights_it_is_ridge_regression_on_features_of_the_kernel():
    features, y, p = RNG.normal(size=(7, 4)), RNG.normal(size=7), np.arange(1.0, 8) / 28
    w = np.linalg.solve(features.T @ (p[:, None] * features) + 0.1 * np.eye(4), features.T @ (p * y))
    alpha = kernel_ridge(jnp.asarray(features @ features.T), jnp.asarray(y), jnp.asarray(p), 0.1)
    np.testing.assert_allclose(features.T @ alpha, w, rtol=1e-10)


def test_without_a_penalty_it_interpolates():
    gram, y = np.exp(-differences(X, X)), RNG.normal(size=7)
    alpha = kernel_ridge(jnp.asarray(gram), jnp.asarray(y), jnp.full(7, 1 / 7), 0.0)
    np.testing.assert_allclose(gram @ alpha, y, rtol=1e-9)
