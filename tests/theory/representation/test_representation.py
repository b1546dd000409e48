"""Distances between representations, against the formulas of the definition written out in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from theory.representation import (
    canonical_correlations,
    cca,
    classical_mds,
    distance_matrix,
    estimate_gulp,
    gulp,
    gulp_between,
    gulp_operator,
    linear_cka,
    linear_cka_between,
    mean_squared_cca,
    procrustes,
    procrustes_between,
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


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(LAMS))
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


@pytest.mark.slow
def test_distance_matrices_embed_in_a_euclidean_space():
    every = [features(i, d=3 + i % 4) for i in range(8)]
    square = np.asarray(distance_matrix(every, lambda s, t: gulp_between(s, t, LAMS[1:], squared=True)))
    centring = np.eye(8) - 1 / 8
    for one in square:
        assert np.linalg.eigvalsh(-centring @ one @ centring).min() > -1e-9


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


@pytest.mark.parametrize(
    "metric",
    [
        lambda s, t: gulp_between(s, t, LAMS),
        *(pytest.param(metric, marks=pytest.mark.slow) for metric in (linear_cka_between, procrustes_between)),
    ],
    ids=["gulp", "cka", "procrustes"],
)
def test_a_distance_matrix_is_its_pairs_whatever_their_widths(metric):
    every = [features(i, d=3 + 2 * (i % 3)) for i in range(5)]
    whole = np.asarray(distance_matrix(every, metric))
    assert whole.shape[-2:] == (5, 5)
    for i in range(5):
        for j in range(5):
            expected = metric(spectrum(every[i]), spectrum(every[j]))
            np.testing.assert_allclose(whole[..., i, j], expected, atol=2e-7)
    inside = jax.jit(lambda *xs: distance_matrix(xs, metric))(*map(jnp.asarray, every))
    np.testing.assert_allclose(inside, whole, atol=2e-7)


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


def test_classical_mds_finds_points_from_their_distances():
    points = np.random.default_rng(7).normal(size=(9, 2))
    apart = lambda p: np.linalg.norm(p[:, None] - p[None], axis=-1)
    found = classical_mds(apart(points))
    np.testing.assert_allclose(apart(np.asarray(found)), apart(points), atol=1e-10)
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-12)


@pytest.mark.parametrize(
    ("a", "b", "lam", "message"),
    [
        (features(0, n=50), features(1), 1.0, "a has 50 inputs and b 60"),
        (features(0)[:, 0], features(1), 1.0, r"a has shape \(60,\); expected \(n, d\)"),
        (np.where(np.arange(5) == 3, np.nan, features(0)), features(1), 1.0, "unit 3 of the features is not finite"),
        (np.ones((60, 4)), features(1), 1.0, "all 4 units are constant"),
        (features(0), features(1), -0.1, "lam is -0.1; expected a ridge of at least 0"),
        (features(0), features(1), np.array([1.0, np.nan]), "lam is nan"),
        (features(0).astype(np.float32), features(1), 1e-9, "features are float32; expected float64 below 1e-06"),
    ],
)
def test_bad_input_is_told(a, b, lam, message):
    with pytest.raises(ValueError, match=message):
        gulp(a, b, lam)


def test_fewer_inputs_than_units_at_zero_are_a_warning_with_the_rank():
    with pytest.warns(UserWarning, match="4 inputs of 5 units have rank 3"):
        gulp(features(0, n=4), features(1, n=4), 0.0)


def test_other_bad_input_is_told():
    with pytest.raises(ValueError, match="representation 1 has 50 inputs and the first 60"):
        distance_matrix([features(0), features(1, n=50)], linear_cka_between)
    with pytest.raises(ValueError, match="no representations"):
        distance_matrix([], linear_cka_between)
    with pytest.raises(ValueError, match=r"keep is 0.0; expected a share in \(0, 1\]"):
        svcca(features(0), features(1), keep=0.0)
    with pytest.raises(ValueError, match="groups is 1; expected at least 2"):
        estimate_gulp(features(0), features(1), 1.0, groups=1)
    with pytest.raises(ValueError, match=r"distances have shape \(2, 3\)"):
        classical_mds(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="not finite and symmetric"):
        classical_mds(np.array([[0.0, 1.0], [2.0, 0.0]]))
