"""Gaussians: distances against the closed form, barycenters of commuting covariances, and the dual bound."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import sqrtm

from theory.transport import gaussians, ott_barycenters


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def drawn(seed: int, k: int, d: int, commuting: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    frame = np.linalg.qr(rng.normal(size=(d, d)))[0]
    diagonal = np.stack([frame * v @ frame.T for v in rng.uniform(0.5, 3, size=(k, d))])
    factors = rng.normal(size=(k, d, d))
    some = factors @ factors.swapaxes(1, 2) + 0.3 * np.eye(d)
    return rng.normal(size=(k, d)), diagonal if commuting else some, rng.dirichlet(np.ones(k))


def bures(s: np.ndarray, t: np.ndarray) -> float:
    r = sqrtm(s)
    return float(np.trace(s + t - 2 * np.real(sqrtm(r @ t @ r))))


certified = jax.jit(gaussians.centre, static_argnums=5)


def test_the_distance_is_that_of_matrix_square_roots() -> None:
    _, (s, t), _ = drawn(0, 2, 3, commuting=False)
    assert float(gaussians.bures_squared(jnp.asarray(s), jnp.asarray(t))) == pytest.approx(bures(s, t), abs=1e-12)


def test_commuting_covariances_average_their_roots_and_the_dual_bound_closes() -> None:
    means, covariances, weights = drawn(1, 4, 3, commuting=True)
    mean = weights @ means
    covariance = np.linalg.matrix_power(np.tensordot(weights, [np.real(sqrtm(s)) for s in covariances], 1), 2)
    found = certified(means, covariances, weights, mean, covariance, 0)
    away = np.sum((means - mean) ** 2, axis=1)
    expected = weights @ [a + bures(s, covariance) for a, s in zip(away, covariances, strict=True)]
    assert float(found.value) == pytest.approx(expected, abs=1e-12)
    assert found.upper - found.lower < 1e-12
    assert found.marginal_error < 1e-12


def test_the_dual_bound_is_below_every_value() -> None:
    means, covariances, weights = drawn(2, 4, 3, commuting=False)
    candidates = [certified(means, covariances, weights, weights @ means, s, 0) for s in (*covariances, np.eye(3))]
    assert max(float(c.lower) for c in candidates) <= min(float(c.value) for c in candidates)
    assert all(c.lower > 0 for c in candidates)


@pytest.mark.slow
@pytest.mark.parametrize("commuting", [False, True])
def test_the_fixed_point_is_the_barycenter(commuting: bool) -> None:
    means, covariances, weights = (jnp.asarray(a) for a in drawn(3, 3, 3, commuting))
    mean, covariance = ott_barycenters.gaussian(means, covariances, weights, 1e-24, 400)
    found = certified(means, covariances, weights, mean, covariance, 400)
    np.testing.assert_allclose(mean, weights @ means)
    assert found.upper - found.lower < 1e-7
    if commuting:
        roots = jnp.tensordot(weights, gaussians.root(covariances), 1)
        np.testing.assert_allclose(covariance, roots @ roots, atol=1e-5)


@pytest.mark.slow
def test_on_a_line_deviations_are_averaged() -> None:
    means, covariances, weights = (jnp.asarray(a) for a in drawn(4, 3, 1, commuting=True))
    mean, covariance = ott_barycenters.gaussian(means, covariances, weights, 1e-12, 10)
    assert certified(means, covariances, weights, mean, covariance, 0).marginal_error < 1e-12
