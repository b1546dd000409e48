import jax.numpy as jnp
import numpy as np
import pytest

from theory.spherical import clipped_to_sphere, spherical_step


def unit(seed, n=5, d=8):
    w = np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)
    return w / np.linalg.norm(w, axis=-1, keepdims=True)


@pytest.mark.parametrize("seed", range(5))
def test_without_a_clip_it_is_the_projected_step(seed):
    w, g = unit(seed), np.random.default_rng(seed + 100).normal(size=(5, 8)).astype(np.float32)
    expected = np.empty_like(w)
    for i in range(len(w)):
        moved = w[i] - 0.1 * (np.eye(8) - np.outer(w[i], w[i])) @ g[i]
        expected[i] = moved / np.linalg.norm(moved)
    np.testing.assert_allclose(spherical_step(jnp.array(w), jnp.array(g), 0.1, 1.0), expected, atol=1e-6)


@pytest.mark.parametrize("clip", [0.4, 0.5, 0.7])
def test_clipped_coordinates_stay_at_the_clip_and_the_norm_is_one(clip):
    w = np.asarray(clipped_to_sphere(jnp.array(unit(3, n=50)), clip))
    np.testing.assert_allclose(np.linalg.norm(w, axis=-1), 1.0, atol=1e-5)
    before = unit(3, n=50)
    np.testing.assert_allclose(np.abs(w[np.abs(before) >= clip]), clip, atol=1e-6)


def test_plain_renormalisation_would_undo_the_clip():
    w = np.array([[0.9, 0.3, 0.3, 0.1]], np.float32)
    w /= np.linalg.norm(w)
    plain = np.clip(w, -0.5, 0.5) / np.linalg.norm(np.clip(w, -0.5, 0.5))
    assert plain[0, 0] > 0.6
    assert np.asarray(clipped_to_sphere(jnp.array(w), 0.5))[0, 0] == 0.5


def test_a_vector_that_is_wholly_clipped_is_left_finite():
    assert np.isfinite(clipped_to_sphere(jnp.array([[1.0, 0.0, 0.0]]), 0.5)).all()
