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
    assert np.all(np.diff(found.values) <= 0)


@pytest.mark.parametrize("single", [True, False])
def test_the_scale_of_features_changes_no_bit(single):
    """At powers of two, near both ends of the range; at powers of ten, which round, the digits that are there."""
    bits, tens, dtype = (90, 25, np.float32) if single else (1000, 150, np.float64)
    with jax.enable_x64(not single):
        a, b = (x.astype(dtype) for x in (made(50, np.array([1.0, 0.5, 0.2]), 0)[0], made(50, np.ones(4), 1)[0]))
        usual = np.asarray(gulp(a, b, 0.1))
        for c in (-bits, -bits // 2, bits // 2, bits):
            scaled = np.ldexp(a, c)
            np.testing.assert_array_equal(gulp(scaled, b, 0.1), usual)
            np.testing.assert_array_equal(spectrum(scaled, centre=False).units, spectrum(a, centre=False).units)
        for c in (-tens, -tens + 1, -tens // 2, tens // 2, tens):
            np.testing.assert_allclose(gulp(a * dtype(10.0**c), b, 0.1), usual, rtol=1e-5 if single else 1e-13)


@pytest.mark.parametrize("largest", [np.finfo(np.float32).max, np.finfo(np.float32).tiny])
def test_scales_at_the_ends_of_the_range_are_divided_by(largest):
    with jax.enable_x64(False):
        a = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]], np.float32)
        np.testing.assert_allclose(spectrum(a * largest).values, [0.5, 0.5], rtol=1e-6)


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
