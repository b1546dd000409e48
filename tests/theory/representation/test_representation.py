"""Distances between representations, against the formulas of the definition written out in NumPy."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from theory.representation import (
    canonical_correlations,
    cca,
    estimate_gulp,
    gulp,
    gulp_between,
    gulp_operator,
    linear_cka,
    mean_squared_cca,
    procrustes,
    pwcca,
    ridge_cca,
    spectrum,
    svcca,
)

LAMS = np.array([0.0, 1e-4, 1e-2, 1.0, 10.0])


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def features(seed: int = 0, n: int = 60, d: int = 5, rank: int | None = None) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d)) if rank is None else rng.normal(size=(n, rank)) @ rng.normal(size=(rank, d))
    return x * rng.uniform(0.2, 2.0, size=d) + rng.normal(size=d)


def prepared(x: np.ndarray) -> np.ndarray:
    x = x - x.mean(axis=0)
    return x * np.sqrt(len(x)) / np.linalg.norm(x)


def gulp_by_definition(a: np.ndarray, b: np.ndarray, lam: float) -> float:
    """E over pairs of inputs of the squared difference of the two kernels; lam = 0 by the pseudo-inverse."""
    kernels = []
    for x in map(prepared, (a, b)):
        sigma = x.T @ x / len(x)
        inverse = np.linalg.pinv(sigma, hermitian=True) if lam == 0 else np.linalg.inv(sigma + lam * np.eye(len(sigma)))
        kernels.append(x @ inverse @ x.T)
    return float(np.mean((kernels[0] - kernels[1]) ** 2))


@pytest.mark.parametrize("lam", LAMS)
@pytest.mark.parametrize("rank", [None, 3])
def test_gulp_is_the_mean_squared_difference_of_kernels(lam, rank):
    a, b = features(0, rank=rank), features(1, d=7)
    np.testing.assert_allclose(gulp(a, b, lam, squared=True), gulp_by_definition(a, b, lam), rtol=1e-9)


def test_many_ridges_are_one_call():
    a, b = features(0), features(1)
    np.testing.assert_allclose(gulp(a, b, LAMS), [gulp(a, b, lam) for lam in LAMS], rtol=1e-12)
    operators = [gulp_operator(a, b, lam) for lam in LAMS]
    np.testing.assert_allclose(gulp_operator(a, b, LAMS), operators, rtol=1e-12)
    np.testing.assert_allclose(gulp_operator(a, b, LAMS[None, :]), [operators], rtol=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(LAMS.tolist()))
def test_triangle_inequality_and_identity(seed, lam):
    a, b, c = (features(seed + i, n=40, d=3 + i) for i in range(3))
    assert gulp(a, b, lam) <= gulp(a, c, lam) + gulp(c, b, lam) + 1e-9
    assert gulp(a, a, lam) < 1e-6
    assert gulp(a, b, lam) == pytest.approx(gulp(b, a, lam))


@pytest.mark.parametrize("lam", LAMS)
def test_orthogonal_maps_change_nothing_and_others_only_at_zero(lam):
    a, b, rng = features(0), features(1), np.random.default_rng(2)
    q = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    m = rng.normal(size=(5, 5))
    np.testing.assert_allclose(gulp(a @ q, b, lam), gulp(a, b, lam), rtol=1e-9)
    changed = abs(float(gulp(a @ m, b, lam, squared=True) - gulp(a, b, lam, squared=True)))
    assert (changed < 1e-9) == (lam == 0)


def test_scale_and_shift_change_nothing():
    a, b = features(0), features(1)
    np.testing.assert_allclose(gulp(3 * a + 7, b, LAMS), gulp(a, b, LAMS), rtol=1e-8)


def test_scaling_without_normalisation_scales_the_ridge():
    a, b = (spectrum(features(i), normalise=False) for i in range(2))
    c, d = (spectrum(2.0 * features(i), normalise=False) for i in range(2))
    np.testing.assert_allclose(gulp_between(c, d, 0.1), gulp_between(a, b, 0.1 / 4), rtol=1e-10)


def test_at_zero_it_is_ranks_and_canonical_correlations():
    a, b = features(0, rank=3), features(1, d=7, rank=4)
    rho = canonical_correlations(spectrum(a), spectrum(b))
    np.testing.assert_allclose(gulp(a, b, 0.0, squared=True), 3 + 4 - 2 * np.sum(rho**2), rtol=1e-9)
    np.testing.assert_allclose(mean_squared_cca(a, b), 1 - np.sum(rho**2) / 3, rtol=1e-9)


def test_duplicated_and_dead_units_change_nothing_at_zero():
    a, b = features(0), features(1)
    more = np.concatenate([a, a[:, :2], np.full((60, 1), 4.0), np.zeros((60, 2))], axis=1)
    np.testing.assert_allclose(gulp(more, b, 0.0), gulp(a, b, 0.0), rtol=1e-9)
    np.testing.assert_allclose(cca(more, b), cca(a, b), rtol=1e-9)


def test_for_large_ridges_it_is_unnormalised_cka():
    a, b, lam = features(0), features(1), 1e5
    x, y = prepared(a), prepared(b)
    moments = [m.T @ k / 60 for m, k in ((x, x), (y, y), (x, y))]
    limit = sum(np.sum(m**2) * w for m, w in zip(moments, (1, 1, -2), strict=True))
    np.testing.assert_allclose(lam**2 * gulp(a, b, lam, squared=True), limit, rtol=1e-4)
    similar = ridge_cca(a, b, lam) / np.sqrt(ridge_cca(a, a, lam) * ridge_cca(b, b, lam))
    np.testing.assert_allclose(similar, linear_cka(a, b), rtol=1e-4)


def test_it_is_the_distance_of_the_inner_product_ridge_cca():
    a, b = features(0), features(1)
    square = ridge_cca(a, a, LAMS) + ridge_cca(b, b, LAMS) - 2 * ridge_cca(a, b, LAMS)
    np.testing.assert_allclose(gulp(a, b, LAMS, squared=True), square, rtol=1e-9)


@pytest.mark.parametrize("lam", [0.0, 1e-2, 1.0])
def test_the_operator_norm_is_the_worst_task_and_below_gulp(lam):
    a, b = features(0), features(1, d=7)
    operators = []
    for x in map(prepared, (a, b)):
        operators.append(x @ np.linalg.pinv(x.T @ x + 60 * lam * np.eye(x.shape[1])) @ x.T)
    worst = np.abs(np.linalg.eigvalsh(operators[0] - operators[1])).max()
    np.testing.assert_allclose(gulp_operator(a, b, lam), worst, rtol=1e-9)
    assert worst <= gulp(a, b, lam) + 1e-12


def test_linear_cka_is_the_normalised_product_of_moments():
    a, b = features(0), features(1)
    x, y = prepared(a), prepared(b)
    expected = np.sum((x.T @ y) ** 2) / (np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y))
    np.testing.assert_allclose(linear_cka(a, b), expected, rtol=1e-10)
    np.testing.assert_allclose(linear_cka(a, 2 * a + 1), 1.0, rtol=1e-10)


def test_procrustes_is_the_best_rotation():
    a, b = features(0), features(1)
    x, y = (prepared(m) / np.sqrt(60) for m in (a, b))
    u, _, vt = np.linalg.svd(y.T @ x)
    np.testing.assert_allclose(procrustes(a, b), np.linalg.norm(x - y @ u @ vt), rtol=1e-9)
    np.testing.assert_allclose(procrustes(a, b, squared=True), procrustes(a, b) ** 2, rtol=1e-12)
    wider = np.concatenate([b, np.zeros((60, 3))], axis=1)
    np.testing.assert_allclose(procrustes(a, wider), procrustes(a, b), rtol=1e-9)


def test_cca_finds_what_is_linearly_equal():
    a, rng = features(0), np.random.default_rng(3)
    np.testing.assert_allclose(cca(a, a @ rng.normal(size=(5, 5))), 0.0, atol=1e-10)
    apart = np.linalg.qr(np.concatenate([np.ones((60, 1)), rng.normal(size=(60, 6))], axis=1))[0][:, 1:]
    np.testing.assert_allclose(cca(apart[:, :3], apart[:, 3:]), 1.0, atol=1e-10)


@pytest.mark.slow
def test_svcca_keeps_the_leading_directions():
    a, b, rng = features(0), features(1), np.random.default_rng(4)
    noisy = np.concatenate([a, 1e-4 * rng.normal(size=(60, 4))], axis=1)
    np.testing.assert_allclose(svcca(noisy, b, keep=0.9999), svcca(a, b, keep=1.0), atol=1e-3)
    np.testing.assert_allclose(svcca(a, b, keep=1.0), cca(a, b), rtol=1e-12)


def test_pwcca_weighs_correlations_by_the_units_on_them():
    a, b = features(0), features(1, d=7)
    x, y = (np.linalg.qr(m - m.mean(axis=0))[0] for m in (a, b))
    u, rho, _ = np.linalg.svd(x.T @ y, full_matrices=False)
    weights = np.abs((x @ u).T @ (a - a.mean(axis=0))).sum(axis=1)
    np.testing.assert_allclose(pwcca(a, b), 1 - weights @ rho / weights.sum(), rtol=1e-9)


def test_the_error_bar_is_that_of_the_jackknife():
    a, b, groups = features(0, n=12), features(1, n=12), 4
    inside = [np.arange(12) % groups != g for g in range(groups)]
    parts = np.array([gulp_by_definition(a[k], b[k], 0.1) for k in inside])
    found = estimate_gulp(a, b, 0.1, groups=groups)
    whole = gulp_by_definition(a, b, 0.1)
    np.testing.assert_allclose(found.value, whole, rtol=1e-9)
    np.testing.assert_allclose(found.corrected, whole - (groups - 1) * (parts.mean() - whole), rtol=1e-9)
    squares = sum((part - parts.mean()) ** 2 for part in parts)
    np.testing.assert_allclose(found.error, np.sqrt((groups - 1) / groups * squares), rtol=1e-9)


@pytest.mark.slow
def test_the_error_bar_is_that_of_repeated_samples():
    """Over 60 samples, the jackknife's error is near their spread, and its correction takes most of the bias."""
    rng, mix = np.random.default_rng(5), np.random.default_rng(6).normal(size=(4, 3))

    def draw(n: int) -> tuple[np.ndarray, np.ndarray]:
        x = rng.normal(size=(n, 4))
        return x, x @ mix + rng.normal(size=(n, 3))

    truth = gulp(*draw(200_000), 0.1, squared=True)
    found = [estimate_gulp(*draw(200), 0.1, groups=10) for _ in range(60)]
    values, corrected, errors = (np.array([getattr(f, name) for f in found]) for name in Estimate_fields)
    assert abs(corrected.mean() - truth) < 0.5 * abs(values.mean() - truth)
    assert 0.7 < errors.mean() / values.std() < 1.4


Estimate_fields = ("value", "corrected", "error")
