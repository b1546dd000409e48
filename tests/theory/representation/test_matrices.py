"""Matrices of distances against their pairs, on two devices, and their embedding."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

from theory.representation import (
    classical_mds,
    distance_matrix,
    gulp_between,
    linear_cka_between,
    matrices,
    procrustes_between,
    spectrum,
    stacked_spectra,
)

LAMS = np.array([0.0, 1e-4, 1e-2, 1.0, 10.0])


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def features(seed: int = 0, n: int = 60, d: int = 5) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) * rng.uniform(0.2, 2.0, size=d) + rng.normal(size=d)


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


def test_pairs_are_spread_over_the_devices(monkeypatch):
    """Each of the two host devices has half of the pairs, of which there are 6."""
    assert len(jax.devices()) == 2
    found, spread = [], matrices._spread
    monkeypatch.setattr(matrices, "_spread", lambda *args: found.append(spread(*args)) or found[-1])
    distance_matrix([features(i) for i in range(4)], linear_cka_between)
    parts = found[0].addressable_shards
    assert {part.device for part in parts} == set(jax.devices())
    assert [part.data.shape for part in parts] == [(3,), (3,)]


def test_a_metric_is_compiled_once():
    every, traces = [features(i) for i in range(3)], []

    def metric(s, t, lam):
        traces.append(lam)
        return gulp_between(s, t, lam, squared=True)

    first, second = (distance_matrix(every, Partial(metric, lam=lams)) for lams in (LAMS[1:3], LAMS[3:]))
    assert len(traces) == 1
    np.testing.assert_allclose(jnp.concatenate([first, second]), distance_matrix(every, Partial(metric, lam=LAMS[1:])))


def test_gulp_matrices_embed_in_a_euclidean_space_at_every_ridge():
    every = [features(i, d=3 + i % 4) for i in range(8)]
    square = np.asarray(distance_matrix(every, Partial(gulp_between, lam=LAMS, squared=True)))
    centring = np.eye(8) - 1 / 8
    for one in square:
        assert np.linalg.eigvalsh(-centring @ one @ centring).min() > -1e-9
        assert np.linalg.eigvalsh(-centring @ np.sqrt(one) @ centring).max() > 1e-6  # the check sees a scale


@pytest.mark.parametrize("bad", [np.full((60, 5), 0.1), np.full((60, 5), np.inf)], ids=["constant", "not finite"])
def test_inside_a_program_a_bad_representation_is_nan_in_its_row_and_column(bad):
    every = [jnp.asarray(x) for x in (features(0), bad, features(1))]
    found = jax.jit(lambda *xs: distance_matrix(xs, lambda s, t: gulp_between(s, t, LAMS)))(*every)
    expected = np.zeros((3, 3), bool)
    expected[1, :] = expected[:, 1] = True
    np.testing.assert_array_equal(np.isnan(found), np.broadcast_to(expected, found.shape))


def test_stacked_spectra_are_filled_up_with_zeros():
    found = stacked_spectra([features(0, d=3), features(1, d=5)])
    assert found.directions.shape == (2, 60, 5)
    assert found.units.shape == (2, 5, 5)
    np.testing.assert_array_equal(found.values > 0, [[True] * 3 + [False] * 2, [True] * 5])


def test_classical_mds_finds_points_from_their_distances():
    points = np.random.default_rng(7).normal(size=(9, 2))
    apart = lambda p: np.linalg.norm(p[:, None] - p[None], axis=-1)
    found = classical_mds(apart(points))
    np.testing.assert_allclose(apart(np.asarray(found)), apart(points), atol=1e-10)
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-12)


@pytest.mark.slow
def test_classical_mds_takes_a_matrix_of_distances_with_its_rounding():
    found = distance_matrix([features(i) for i in range(4)], lambda s, t: gulp_between(s, t, 0.1))
    assert np.isfinite(classical_mds(found)).all()
