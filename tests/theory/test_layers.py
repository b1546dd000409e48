import chex
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


@pytest.mark.parametrize("out", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_derivatives_of_dense_are_those_of_the_plain_product(out: int) -> None:
    rng = np.random.default_rng(1)
    given = rng.normal(size=(out, 5)), rng.normal(size=out), rng.normal(size=(2, 3, 5))
    plain = lambda weight, bias, x: jnp.einsum("oi,bci->bco", weight, x) + bias[None, None, :]
    loss = lambda f: lambda *args: jnp.sum(jnp.tanh(f(*args)) ** 2)
    with jax.enable_x64(True):
        args = tuple(map(jnp.asarray, given))
        moved = tuple(map(jnp.ones_like, args))
        every = (0, 1, 2)
        pushed = lambda f: jax.jit(lambda: jax.jvp(f, args, moved))()
        chex.assert_trees_all_close(pushed(dense), pushed(plain), rtol=1e-12)
        gradient = lambda f: jax.jit(jax.grad(loss(f), every))(*args)
        chex.assert_trees_all_close(gradient(dense), gradient(plain), rtol=1e-12, atol=1e-14)
        hessian = lambda f: jax.jit(jax.jacfwd(jax.grad(loss(f), every), every))(*args)
        chex.assert_trees_all_close(hessian(dense), hessian(plain), rtol=1e-11, atol=1e-13)
        lanes = tuple(jnp.stack([a, 2 * a]) for a in args)
        batched = lambda f: jax.jit(jax.vmap(jax.grad(loss(f))))(*lanes)
        chex.assert_trees_all_close(batched(dense), batched(plain), rtol=1e-12, atol=1e-14)


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
