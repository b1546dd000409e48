import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.polynomial import hermite_e
from scipy import stats

from theory.hermite import (
    gauss_hermite,
    hermite,
    hermite_all,
    hermite_coefficients,
    hermite_linearization,
    power_to_hermite,
    relu_gaussian_mean,
)

X = np.linspace(-4, 4, 41)
degrees = st.integers(0, 12)


def oracle(degree: int, x: np.ndarray) -> np.ndarray:
    return hermite_e.hermeval(x, np.eye(degree + 1)[degree]) / math.sqrt(math.factorial(degree))


@pytest.mark.parametrize("degree", [0, 1, 2, 5, 12, 30])
def test_hermite_agrees_with_an_independent_implementation(degree: int) -> None:
    np.testing.assert_allclose(hermite(degree, X), oracle(degree, X), rtol=1e-9, atol=1e-9)


def test_hermite_all_stacks_the_degrees() -> None:
    values = hermite_all(6, X.reshape(1, 41))
    assert values.shape == (7, 1, 41)
    for degree in range(7):
        np.testing.assert_array_equal(values[degree, 0], hermite(degree, X))


def test_float32_is_accurate_where_factorials_overflow() -> None:
    single = jax.jit(lambda x: hermite(40, x))(jnp.asarray(X, jnp.float32))
    assert single.dtype == jnp.float32
    np.testing.assert_allclose(single, hermite(40, X), atol=1e-4)


def test_each_library_and_dtype_is_kept() -> None:
    assert hermite(3, X).dtype == np.float64
    assert hermite_all(3, X.astype(np.float32)).dtype == np.float32
    with jax.enable_x64(True):
        x = jnp.asarray(X)
        assert jax.eval_shape(lambda x: hermite(3, x), x).dtype == jnp.float64
        assert jax.eval_shape(lambda x: hermite_all(3, x), x).dtype == jnp.float64
        assert jax.eval_shape(lambda x: relu_gaussian_mean(x, 1.0), x).dtype == jnp.float64


def test_hermite_polynomials_are_orthonormal() -> None:
    points, weights = gauss_hermite(40)
    basis = hermite_all(30, points)
    np.testing.assert_allclose((basis * weights) @ basis.T, np.eye(31), atol=1e-10)


def test_derivative_lowers_the_degree() -> None:
    x = jnp.linspace(-2, 2, 9)
    slope = jax.jit(jax.vmap(jax.grad(lambda x: hermite(5, x))))(x)
    np.testing.assert_allclose(slope, math.sqrt(5) * hermite(4, np.asarray(x)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("n", [1, 2, 20, 500])
def test_quadrature_integrates_gaussian_moments(n: int) -> None:
    points, weights = gauss_hermite(n)
    assert points.shape == weights.shape == (n,)
    assert points.dtype == weights.dtype == np.float64
    assert (np.diff(points) > 0).all()
    for power in range(0, min(2 * n, 12), 2):
        double_factorial = math.prod(range(power - 1, 0, -2))
        np.testing.assert_allclose(weights @ points**power, double_factorial, rtol=1e-10)


def test_coefficients_of_a_power_are_its_expansion() -> None:
    expected = np.zeros(8)
    for j, c in power_to_hermite(5).items():
        expected[j] = c
    np.testing.assert_allclose(hermite_coefficients(lambda g: g**5, 7, nodes=10), expected, atol=1e-11)


def test_coefficients_of_an_exponential_are_known() -> None:
    t = 0.7
    expected = [math.exp(t**2 / 2) * t**k / math.sqrt(math.factorial(k)) for k in range(10)]
    np.testing.assert_allclose(hermite_coefficients(lambda g: np.exp(t * g), 9), expected, atol=1e-13)


def test_coefficients_follow_a_traced_function() -> None:
    slope = jax.grad(lambda t: hermite_coefficients(lambda g: jnp.exp(t * g), 2, nodes=30)[1])(0.5)
    np.testing.assert_allclose(slope, (1 + 0.25) * math.exp(0.125), rtol=1e-5)


@pytest.mark.parametrize(("mean", "scale"), [(0.0, 1.0), (0.7, 2.0), (-1.5, 0.5), (3.0, 0.1)])
def test_relu_mean_is_the_gaussian_integral(mean: float, scale: float) -> None:
    expected = stats.norm.expect(lambda g: max(mean + scale * g, 0), lb=-mean / scale, ub=12)
    np.testing.assert_allclose(relu_gaussian_mean(mean, scale), expected, rtol=1e-5, atol=1e-7)


def test_relu_mean_without_noise_is_relu_and_differentiable() -> None:
    mean = jnp.array([-1.0, 0.0, 2.0])
    np.testing.assert_array_equal(relu_gaussian_mean(mean, 0.0), [0, 0, 2])
    slopes = jax.jit(jax.grad(relu_gaussian_mean, argnums=(0, 1)))
    np.testing.assert_allclose(slopes(2.0, 2.0), (stats.norm.cdf(1.0), stats.norm.pdf(1.0)), rtol=1e-6)
    np.testing.assert_allclose(slopes(2.0, 0.0)[0], 1.0, rtol=1e-6)
    assert np.isfinite(slopes(2.0, 0.0)[1])


def test_relu_mean_broadcasts() -> None:
    assert jax.eval_shape(relu_gaussian_mean, jnp.zeros((3, 1)), jnp.ones((1, 4))).shape == (3, 4)


@given(degrees)
def test_powers_are_their_hermite_expansion(k: int) -> None:
    terms = [c * hermite(j, X) for j, c in power_to_hermite(k).items()]
    np.testing.assert_allclose(sum(terms), X**k, rtol=1e-9, atol=1e-9)


def test_small_powers_have_their_known_coefficients() -> None:
    assert power_to_hermite(0) == {0: 1.0}
    assert power_to_hermite(2) == {0: 1.0, 2: math.sqrt(2)}
    assert power_to_hermite(3) == {1: 3.0, 3: math.sqrt(6)}


@given(degrees, degrees)
def test_products_are_their_linearization(j: int, k: int) -> None:
    terms = [c * hermite(l, X) for l, c in hermite_linearization(j, k).items()]  # noqa: E741 - the degree l of the text
    product = hermite(j, X) * hermite(k, X)
    np.testing.assert_allclose(sum(terms), product, rtol=1e-9, atol=1e-9 * np.abs(product).max())


@given(degrees, degrees)
def test_linearization_lists_its_degrees_and_contains_the_inner_product(j: int, k: int) -> None:
    coefficients = hermite_linearization(j, k)
    assert list(coefficients) == list(range(abs(j - k), j + k + 1, 2))
    assert coefficients.get(0, 0.0) == (1.0 if j == k else 0.0)


def test_wrong_degrees_and_sizes_are_refused() -> None:
    for call in (
        lambda: hermite(-1, X),
        lambda: hermite_all(-1, X),
        lambda: power_to_hermite(-1),
        lambda: hermite_linearization(2, -1),
    ):
        with pytest.raises(ValueError, match="degree is -1"):
            call()
    with pytest.raises(ValueError, match="n is 0"):
        gauss_hermite(0)
