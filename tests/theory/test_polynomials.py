import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from theory.boolean import cube, walsh_transform
from theory.hermite import gauss_hermite
from theory.polynomials import characters, hermite_products, monomials, nested_characters, pad_exponents, pad_supports

D = 5
# Few shapes, so that few programs are compiled.
supports = st.lists(st.sets(st.integers(0, D - 1)), min_size=4, max_size=4)
terms = st.lists(st.dictionaries(st.integers(0, D - 1), st.integers(1, 4), max_size=2), min_size=4, max_size=4)


def points(*batch: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(*batch, D)).astype(np.float32)


@settings(max_examples=40, deadline=None)
@given(supports)
def test_characters_are_products_over_their_sets(sets: list[set[int]]) -> None:
    x = points(2, 3)
    values = characters(jnp.asarray(x), pad_supports(sets))
    expected = [np.prod(x[..., sorted(s)], axis=-1) for s in sets]
    assert values.shape == (2, 3, len(sets))
    for t, column in enumerate(expected):
        np.testing.assert_allclose(values[..., t], column, rtol=1e-5)


@pytest.mark.parametrize("product", [monomials, hermite_products])
def test_no_terms_and_constant_terms_have_their_shapes(product) -> None:
    x = jnp.asarray(points(2))
    assert characters(x, pad_supports([])).shape == product(x, *pad_exponents([])).shape == (2, 0)
    np.testing.assert_array_equal(characters(x, pad_supports([(), ()])), np.ones((2, 2)))
    np.testing.assert_array_equal(product(x, *pad_exponents([{}, {}])), np.ones((2, 2)))


def test_characters_of_all_sets_are_the_walsh_basis() -> None:
    n = 4
    index = pad_supports([[i for i in range(n) if s >> i & 1] for s in range(2**n)])
    table = characters(cube(n), index)
    coefficients = jax.vmap(walsh_transform, in_axes=1)(table)
    np.testing.assert_array_equal(coefficients, np.eye(2**n))


def test_traced_and_static_indices_agree_and_single_points_are_a_batch_of_none() -> None:
    x, index = jnp.asarray(points()), pad_supports([{0, 3}, set(), {1, 2, 4}])
    static = characters(x, index)
    assert static.shape == (3,)
    np.testing.assert_array_equal(static, jax.jit(characters)(x, jnp.asarray(index)))


def test_the_constant_column_is_named_by_minus_one_and_by_d() -> None:
    x = jnp.asarray(points(3))
    np.testing.assert_array_equal(characters(x, np.array([[2, D]])), characters(x, np.array([[2, -1]])))


def test_a_coordinate_out_of_range_gives_nan_and_never_another_coordinate() -> None:
    values = characters(jnp.asarray(points(3)), np.array([[D + 1], [0]]))
    assert np.isnan(values[:, 0]).all()
    assert np.isfinite(values[:, 1]).all()


def test_pad_supports_lays_out_sets_in_rows() -> None:
    index = pad_supports([(3, 1), (), (2,)])
    assert index.dtype == np.int32
    np.testing.assert_array_equal(index, [[3, 1], [-1, -1], [2, -1]])
    assert pad_supports([]).shape == (0, 0)


def test_pad_exponents_lays_out_coordinates_and_degrees() -> None:
    on, degrees = pad_exponents([{3: 2, 1: 1}, {}, {2: 5}])
    np.testing.assert_array_equal(on, [[3, 1], [-1, -1], [2, -1]])
    np.testing.assert_array_equal(degrees, [[2, 1], [0, 0], [5, 0]])


def test_faulty_terms_are_refused_with_their_place() -> None:
    with pytest.raises(ValueError, match="support 1: coordinate -2 is negative"):
        pad_supports([[0], [1, -2]])
    with pytest.raises(ValueError, match=r"support 0: .* twice in \(1, 1\)"):
        pad_supports([[1, 1]])
    with pytest.raises(ValueError, match="term 1: degree 0"):
        pad_exponents([{0: 1}, {2: 0}])
    with pytest.raises(ValueError, match="-1 is negative"):
        monomials(jnp.ones(2), np.array([[0]]), np.array([[-1]]))
    with pytest.raises((ValueError, TypeError), match=r"must be equal|parameter 'degrees'"):
        hermite_products(jnp.ones(2), np.array([[0]]), np.array([[1, 1]]))


@settings(max_examples=30, deadline=None)
@given(terms)
def test_monomials_are_products_of_powers(rows: list[dict[int, int]]) -> None:
    x = points(4)
    on, degrees = pad_exponents(rows)
    values = monomials(jnp.asarray(x), on, degrees)
    assert values.shape == (4, len(rows))
    for t, row in enumerate(rows):
        expected = np.prod([x[:, i] ** e for i, e in row.items()], axis=0)
        np.testing.assert_allclose(values[:, t], expected, rtol=1e-5)


@settings(max_examples=20, deadline=None)
@given(terms)
def test_hermite_products_are_products_of_hermite_polynomials(rows: list[dict[int, int]]) -> None:
    closed = {
        1: lambda z: z,
        2: lambda z: (z**2 - 1) / np.sqrt(2),
        3: lambda z: (z**3 - 3 * z) / np.sqrt(6),
        4: lambda z: (z**4 - 6 * z**2 + 3) / np.sqrt(24),
    }
    x = points(4).astype(np.float64)
    values = hermite_products(jnp.asarray(x, jnp.float32), *pad_exponents(rows))
    assert values.shape == (4, len(rows))
    for t, row in enumerate(rows):
        expected = np.prod([closed[e](x[:, i]) for i, e in row.items()], axis=0)
        np.testing.assert_allclose(values[:, t], expected, rtol=1e-4, atol=1e-5)


def test_hermite_products_are_orthonormal() -> None:
    nodes, weights = gauss_hermite(8)
    grid = np.stack(np.meshgrid(nodes, nodes), axis=-1).reshape(-1, 2)
    law = np.outer(weights, weights).reshape(-1)
    on, degrees = pad_exponents([{}, {0: 1}, {1: 3}, {0: 1, 1: 2}, {1: 1, 0: 2}, {0: 4}])
    with jax.enable_x64(True):
        values = np.asarray(hermite_products(jnp.asarray(grid), on, degrees))
    np.testing.assert_allclose((values.T * law) @ values, np.eye(6), atol=1e-10)


@pytest.mark.parametrize("product", [monomials, hermite_products])
def test_traced_coordinates_agree_with_static_ones(product) -> None:
    x = jnp.asarray(points(3))
    on, degrees = pad_exponents([{3: 2, 1: 1}, {}, {2: 3}])
    traced = jax.jit(lambda x, on: product(x, on, degrees))(x, jnp.asarray(on))
    np.testing.assert_allclose(traced, product(x, on, degrees), rtol=1e-6)


def test_nested_characters_are_the_prefixes_of_a_staircase() -> None:
    x, order = jnp.asarray(points(2, 3)), np.array([3, 0, 4])
    prefixes = pad_supports([order[: k + 1].tolist() for k in range(3)])
    values = nested_characters(x, order)
    assert values.shape == (2, 3, 3)
    np.testing.assert_allclose(values, characters(x, prefixes), rtol=1e-6)


@pytest.mark.parametrize(("x64", "dtype"), [(False, jnp.float32), (True, jnp.float64)])
def test_dtypes_are_kept(x64: bool, dtype: jnp.dtype) -> None:
    on, degrees = pad_exponents([{0: 2}, {1: 1, 2: 3}])
    functions = (
        lambda x: characters(x, on),
        lambda x: nested_characters(x, np.array([1, 0])),
        lambda x: monomials(x, on, degrees),
        lambda x: hermite_products(x, on, degrees),
    )
    with jax.enable_x64(x64):
        x = jnp.asarray(points(3), dtype)
        assert all(jax.eval_shape(function, x).dtype == dtype for function in functions)
