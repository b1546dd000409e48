"""Gaussians: distances against the closed form, barycenters of commuting covariances, and the dual bound."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import sqrtm

from theory.transport import gaussians


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


def iterated(covariances, weights, rounds: int) -> gaussians.Iterate:
    covariances, weights = jnp.asarray(covariances), jnp.asarray(weights)
    step = jax.jit(lambda now: gaussians.next_iterate(covariances, weights, now))
    now = gaussians.first_iterate(covariances, weights)
    for _ in range(rounds):
        now = step(now)
    return now


@pytest.mark.parametrize("commuting", [False, True])
@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
def test_the_fixed_point_is_the_barycenter_at_every_scale(commuting: bool, scale: float) -> None:
    _, covariances, weights = drawn(3, 3, 3, commuting)
    covariances = scale * covariances
    found = iterated(covariances, weights, 60)
    assert found.error < 1e-12
    assert found.rounds == 60
    told = certified(np.zeros((3, 3)), covariances, weights, np.zeros(3), found.covariance, 60)
    assert told.upper - told.lower < 1e-10 * scale
    np.testing.assert_allclose(told.marginal_error, found.error, atol=1e-13)
    if commuting:
        roots = jnp.tensordot(weights, gaussians.root(jnp.asarray(covariances)), 1)
        np.testing.assert_allclose(found.covariance, roots @ roots, atol=1e-12 * scale)


def test_every_round_brings_it_closer_until_the_gap_is_of_the_order_of_the_squared_error() -> None:
    """OTT's iteration stops after 5 rounds at any tolerance; what is left then is not rounding."""
    _, covariances, weights = drawn(5, 4, 5, commuting=False)
    every = [iterated(covariances, weights, rounds) for rounds in (1, 3, 5, 10, 20)]
    errors = [float(now.error) for now in every]
    assert (np.diff(errors) < 0).all()
    assert errors[2] > 1e-6 > 1e-12 > errors[4]
    told = [certified(np.zeros((4, 5)), covariances, weights, np.zeros(5), now.covariance, 0) for now in every]
    size = float(np.trace(np.tensordot(weights, covariances, 1)))
    for now, error in zip(told, errors, strict=True):
        assert now.lower <= told[-1].value * (1 + 1e-12)
        assert now.value - told[-1].value <= 10 * size * error**2 + 1e-12 * size


def test_on_a_line_deviations_are_averaged_in_one_round() -> None:
    _, covariances, weights = drawn(4, 3, 1, commuting=True)
    found = iterated(covariances, weights, 1)
    assert found.error < 1e-14
    assert float(found.covariance[0, 0]) == pytest.approx(
        float(weights @ np.sqrt(covariances[:, 0, 0])) ** 2, rel=1e-14
    )
