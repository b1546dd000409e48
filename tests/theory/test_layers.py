import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from theory.layers import dense, normal, uniform_fan_in


@pytest.mark.parametrize("batch", [(), (0,), (7,), (2, 3), (2, 0, 3)])
@pytest.mark.parametrize("biased", [True, False])
def test_dense_is_the_affine_map_at_each_point(batch: tuple[int, ...], biased: bool) -> None:
    rng = np.random.default_rng(0)
    weight, bias, x = rng.normal(size=(4, 5)), rng.normal(size=4), rng.normal(size=(*batch, 5))
    expected = np.einsum("oi,...i->...o", weight, x) + (bias if biased else 0)
    with jax.enable_x64(True):
        y = dense(jnp.asarray(weight), jnp.asarray(bias) if biased else None, jnp.asarray(x))
        assert y.shape == (*batch, 4)
        assert y.dtype == jnp.float64
        np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-13)


def test_dense_needs_no_rank_promotion_and_keeps_float32() -> None:
    with jax.numpy_rank_promotion("raise"):
        y = jax.jit(dense)(jnp.ones((2, 3)), jnp.ones(2), jnp.ones((4, 5, 3)))
    assert y.dtype == jnp.float32
    np.testing.assert_array_equal(y, np.full((4, 5, 2), 4.0))


def test_dense_accepts_no_inputs() -> None:
    np.testing.assert_array_equal(dense(jnp.ones((2, 0)), jnp.ones(2), jnp.ones((3, 0))), np.ones((3, 2)))


def test_fan_in_draws_are_uniform_between_their_bounds() -> None:
    draws = uniform_fan_in(jax.random.key(0), (100, 200), 25)
    assert draws.shape == (100, 200)
    assert draws.dtype == jnp.float32
    assert stats.kstest(np.asarray(draws).reshape(-1), stats.uniform(-0.2, 0.4).cdf).pvalue > 1e-4


def test_normal_draws_have_their_scale() -> None:
    draws = normal(jax.random.key(1), (20_000,), 3.0)
    assert draws.dtype == jnp.float32
    assert stats.kstest(np.asarray(draws), stats.norm(0, 3).cdf).pvalue > 1e-4


def test_draws_are_the_same_at_every_precision() -> None:
    key = jax.random.key(2)
    single = uniform_fan_in(key, (3,), 4), normal(key, (3,), 0.1)
    with jax.enable_x64(True):
        double = uniform_fan_in(key, (3,), 4), normal(key, (3,), jnp.float64(0.1))
    for a, b in zip(single, double, strict=True):
        assert b.dtype == jnp.float32
        np.testing.assert_array_equal(a, b)


def test_the_scale_of_a_normal_draw_may_be_traced() -> None:
    key = jax.random.key(3)
    traced = jax.jit(lambda scale: normal(key, (3,), scale))(0.1)
    np.testing.assert_allclose(traced, normal(key, (3,), 0.1), rtol=1e-6)


@pytest.mark.parametrize("fan_in", [0, -1])
def test_a_layer_without_inputs_has_no_fan_in_law(fan_in: int) -> None:
    with pytest.raises(ValueError, match=f"fan_in is {fan_in}"):
        uniform_fan_in(jax.random.key(0), (2,), fan_in)
