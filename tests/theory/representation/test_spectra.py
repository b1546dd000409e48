"""Spectral factors, against representations that are made from singular values."""

import jax
import numpy as np
import pytest

from theory.representation import gulp, spectrum

LAMS = np.array([0.0, 1e-14, 1e-12, 1e-10, 1e-8, 1e-6, 1e-4, 1e-2, 1.0])


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def made(n: int, singular: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Centred features with these singular values, and their left singular vectors."""
    rng, d = np.random.default_rng(seed), len(singular)
    u = np.linalg.qr(np.concatenate([np.ones((n, 1)), rng.normal(size=(n, d))], axis=1))[0][:, 1:]
    return (u * singular) @ np.linalg.qr(rng.normal(size=(d, d)))[0].T, u


def filters(singular: np.ndarray) -> np.ndarray:
    """mu / (mu + lam) at each ridge, 0 for what is absent."""
    mu = singular**2 / np.sum(singular**2)
    return np.where(mu > 0, mu / (np.where(mu > 0, mu, 1.0) + LAMS[:, None]), 0.0)


SPECTRA = {
    "decaying": (200, np.geomspace(1, 1.2e-6, 30)),
    "a tail near the cutoff": (500, np.array([1.0] + [2e-6] * 20)),
    "a tail where one decomposition ends": (500, np.array([1.0] + [8e-4] * 10 + [9e-7] * 3)),
    "levels and dead units": (200, np.repeat([1.0, 1e-2, 1e-4, 3e-6, 0.0], 4)),
    "few inputs": (8, np.geomspace(1, 1e-6, 5)),
    "hardly more inputs than needed": (32, np.geomspace(1, 1e-5, 30)),
    "more units than inputs": (12, np.array([1.0, 0.1, 1e-4] + [0.0] * 8)),
}


QUICK = ("a tail near the cutoff", "levels and dead units")


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in SPECTRA]
)
def test_small_singular_values_are_resolved_at_every_ridge(name):
    n, singular = SPECTRA[name]
    other = np.geomspace(1, 1e-2, 5)
    (a, u), (b, v) = made(n, singular, 0), made(n, other, 1)
    f, g, overlaps = filters(singular), filters(other), (u.T @ v) ** 2
    truth = np.sum(f**2, axis=1) + np.sum(g**2, axis=1) - 2 * np.einsum("lr,rs,ls->l", f, overlaps, g)
    a = np.concatenate([a, np.zeros((n, 3))], axis=1) if name.startswith("more units") else a
    np.testing.assert_allclose(gulp(a, b, LAMS, squared=True), truth, rtol=1e-10)
    found = spectrum(a)
    rank = int(np.sum(np.asarray(found.present)))
    assert rank == np.sum(singular > 0)
    directions = np.asarray(found.directions)[:, :rank]
    np.testing.assert_allclose(directions.T @ directions, np.eye(rank), atol=2e-9)
    np.testing.assert_allclose(found.directions @ found.units, a / np.linalg.norm(singular), atol=1e-12)
    assert np.all(np.diff(found.values) <= 1e-9 * found.values[0])


def test_a_unit_that_repeats_others_to_single_precision_is_not_resolved_away():
    """Its own direction has a singular value of 1e-7 of the largest times the number of inputs: above the cutoff."""
    a, u = made(100, np.array([1.0, 0.5, 1e-6]), 0)
    found = spectrum(np.concatenate([a, a], axis=1))
    assert int(np.sum(np.asarray(found.present))) == 3
    np.testing.assert_allclose(np.abs(u[:, 2] @ np.asarray(found.directions)[:, 2]), 1.0, rtol=1e-9)


def test_single_precision_keeps_its_digits():
    with jax.enable_x64(False):
        a, _ = made(100, np.geomspace(1, 0.02, 12), 0)
        found = spectrum(a.astype(np.float32))
        directions = np.asarray(found.directions)
    np.testing.assert_allclose(directions.T @ directions, np.eye(12), atol=2e-4)
    expected = np.geomspace(1, 0.02, 12) ** 2
    np.testing.assert_allclose(found.values, expected / expected.sum(), rtol=1e-4)
