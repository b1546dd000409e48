import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.polynomial import hermite_e

from dsl import (
    Character,
    Descent,
    FourierPolynomial,
    Fresh,
    Gaussian,
    Hypercube,
    Labelled,
    Mlp,
    Monomial,
    Polynomial,
    Product,
    Real,
    Reals,
    Relu,
    Scaled,
    Sgd,
    SpecError,
    SquaredLoss,
    Sum,
    Target,
    Training,
    bits,
    digest,
    dump,
    he,
    load,
    prefixes,
    prod,
    reals,
    total,
)
from dsl.polynomials import constant, fourier
from tests.dsl.nouns import Majority

D = 5
X, Z = bits(D), reals(D)
CUBE = np.array([[1.0 - 2.0 * (b >> i & 1) for i in range(D)] for b in range(2**D)], np.float32)
POINTS = np.random.default_rng(0).normal(size=(7, D)).astype(np.float32)
WEIGHTS = st.sampled_from([-2.0, -1.0, -0.5, 0.25, 1.0, 3.0])  # sums and products of few of them are exact

on_bits = st.lists(st.tuples(WEIGHTS, st.frozensets(st.integers(0, D - 1), max_size=3)), max_size=4)
on_reals = st.lists(
    st.tuples(WEIGHTS, st.dictionaries(st.integers(0, D - 1), st.integers(1, 3), max_size=2), st.booleans()), max_size=3
)


def of_bits(terms: list[tuple[float, frozenset[int]]]) -> Any:
    return total([constant(0.0), *(w * prod([constant(1.0), *(X[i] for i in on)]) for w, on in terms)])


def of_reals(terms: list[tuple[float, dict[int, int], bool]], powers: bool = False) -> Any:
    factor = lambda i, k, hermite: he(k, Z[i]) if hermite and not powers else prod([Z[i]] * k)
    found = [w * prod([constant(1.0), *(factor(i, k, h) for i, k in on.items())]) for w, on, h in terms]
    return total([constant(0.0), *found])


class Cubic(Target[Reals, Real]):
    """The sum of cubes: no polynomial of the language."""

    def __call__(self, x: Any) -> Any:
        return jnp.sum(x**3, axis=-1)


bit_targets = on_bits.map(of_bits)
real_targets = on_reals.map(lambda terms: of_reals(terms, powers=True))
generic = st.recursive(
    bit_targets | st.just(Majority(D)) | st.just(Cubic()),
    lambda inner: (
        st.builds(lambda a, b, w: w * (a + b), inner, inner, WEIGHTS) | st.builds(lambda a, b: a * b, inner, inner)
    ),
    max_leaves=3,
)


def same(a: Target[Any, Any], b: Target[Any, Any]) -> None:
    assert a == b
    assert digest(a) == digest(b)


# ---------------------------------------------------------------- laws


@pytest.mark.parametrize("targets", [bit_targets, real_targets, generic], ids=["bits", "reals", "generic"])
@settings(max_examples=40)
@given(data=st.data())
def test_sums_commute_and_associate_and_cancel(targets: Any, data: Any) -> None:
    a, b, c = (data.draw(targets) for _ in range(3))
    same(a + b, b + a)
    same((a + b) + c, a + (b + c))
    same(a + b - b, a + 0.0)
    same(a + a, 2.0 * a)
    same(-a, -1 * a)
    same(a - b, a + (-b))
    same(load(dump(a + b)), a + b)


@pytest.mark.parametrize("targets", [bit_targets, real_targets, generic], ids=["bits", "reals", "generic"])
@settings(max_examples=40)
@given(data=st.data(), weight=WEIGHTS)
def test_products_commute_and_associate_and_scale(targets: Any, data: Any, weight: float) -> None:
    a, b, c = (data.draw(targets) for _ in range(3))
    same(a * b, b * a)
    same((a * b) * c, a * (b * c))
    same(a * 1.0, 1.0 * a)
    same(weight * (a + b), weight * a + weight * b)
    same((weight * a) * b, weight * (a * b))
    same(a * (b + c), a * b + a * c)
    same((0.0 * a) * b, constant(0.0))


@given(generic, generic, WEIGHTS)
@settings(max_examples=25)
def test_the_algebra_is_that_of_the_values(a: Any, b: Any, weight: float) -> None:
    x = jnp.asarray(CUBE)
    np.testing.assert_allclose((a + b)(x), a(x) + b(x), rtol=1e-4, atol=1e-2)
    np.testing.assert_allclose((a * b)(x), a(x) * b(x), rtol=1e-4, atol=1e-2)
    np.testing.assert_allclose((weight * a - 1)(x), weight * a(x) - 1, rtol=1e-4, atol=1e-2)


# ---------------------------------------------------------------- values against numpy


@given(on_bits)
@settings(max_examples=30)
def test_polynomials_of_bits_by_definition(terms: list[tuple[float, frozenset[int]]]) -> None:
    expected = sum((w * np.prod(CUBE[:, sorted(on)], axis=-1) for w, on in terms), np.zeros(len(CUBE)))
    np.testing.assert_allclose(of_bits(terms)(jnp.asarray(CUBE)), expected, atol=1e-5)


def he_by_numpy(k: int, z: Any) -> Any:
    return hermite_e.hermeval(z, [0.0] * k + [1.0]) / math.sqrt(math.factorial(k))


@given(on_reals)
@settings(max_examples=30)
def test_polynomials_of_reals_by_definition(terms: list[tuple[float, dict[int, int], bool]]) -> None:
    factor = lambda i, k, h: he_by_numpy(k, POINTS[:, i]) if h else POINTS[:, i] ** k
    expected = np.zeros(len(POINTS))
    for w, on, h in terms:
        expected = expected + w * math.prod((factor(i, k, h) for i, k in on.items()), start=np.ones(len(POINTS)))
    np.testing.assert_allclose(of_reals(terms)(jnp.asarray(POINTS)), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("j", "k"), [(1, 1), (2, 1), (2, 2), (3, 2), (4, 3)])
def test_products_of_hermite_polynomials_are_linearized(j: int, k: int) -> None:
    target: Any = he(j, Z[0]) * he(k, Z[0])
    expected = hermite_e.hermemul([0.0] * j + [1.0], [0.0] * k + [1.0])  # in He_l = sqrt(l!) he_l
    scale = math.sqrt(math.factorial(j) * math.factorial(k))
    found = {sum(level for _, level in key): weight for key, weight in target.hermite_terms().items()}
    for level, weight in enumerate(expected):
        normal = weight * math.sqrt(math.factorial(level)) / scale
        assert found.get(level, 0.0) == pytest.approx(normal, abs=1e-12)


def test_powers_and_hermite_polynomials_are_one_function() -> None:
    mixed: Any = he(2, Z[0]) * Z[0] * Z[1] * Z[1] + 2 * Z[0]
    x, y = POINTS[:, 0], POINTS[:, 1]
    np.testing.assert_allclose(mixed(jnp.asarray(POINTS)), he_by_numpy(2, x) * x * y**2 + 2 * x, rtol=1e-4, atol=1e-4)
    norm = sum(weight**2 for weight in mixed.hermite_terms().values())
    nodes, weights = Gaussian(2).nodes()
    assert norm == pytest.approx(float(weights @ mixed(nodes) ** 2), rel=1e-4)


@given(on_reals)
@settings(max_examples=30)
def test_polynomials_of_reals_restrict_to_the_cube(terms: list[tuple[float, dict[int, int], bool]]) -> None:
    target = of_reals(terms)
    x = jnp.asarray(CUBE)
    np.testing.assert_allclose(fourier(target)(x), target(x), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose((target * X[0] + X[1])(x), target(x) * x[:, 0] + x[:, 1], rtol=1e-3, atol=1e-3)
    assert isinstance(target + 8 * X[0], FourierPolynomial)
    same(target + X[0], X[0] + target)


def test_values_have_the_shape_of_the_batch_with_and_without_jit() -> None:
    for target in (
        X[0] + 2 * X[1] * X[2],
        he(2, Z[0]) + Z[1],
        constant(2.0),
        FourierPolynomial(()),
        Majority(D) * X[0],
    ):
        for shape in ((D,), (3, D), (2, 3, D)):
            x = jnp.ones(shape)
            assert target(x).shape == shape[:-1]
            np.testing.assert_array_equal(jax.jit(target)(x), target(x))


def test_weights_are_knobs() -> None:
    target = 0.5 * X[0] - 3 * X[1] * X[2]
    assert jax.tree.leaves(target) == [0.5, -3.0]
    slope = jax.grad(lambda t: t(jnp.asarray(CUBE[3])))(target)
    np.testing.assert_allclose(jax.tree.leaves(slope), [CUBE[3, 0], CUBE[3, 1] * CUBE[3, 2]])


# ---------------------------------------------------------------- forms


def test_a_bit_squared_is_one_and_a_real_squared_is_not() -> None:
    same(X[0] * X[0], constant(1.0))
    same(X[0] * X[1] * X[0], X[1])
    same(X[0] * X[0] + X[1], 1 + X[1])
    same(Z[0] * Z[0], Polynomial((Monomial((0,), (2,)),)))


def test_polynomials_are_flat_sorted_merged_and_without_zeros() -> None:
    same(
        X[2] * X[0] + 3 * X[1] + X[0] * X[2] + X[4] - X[4],
        FourierPolynomial((Character((1,), 3.0), Character((0, 2), 2.0))),
    )
    same(he(0, Z[3]), constant(1.0))
    same(he(1, Z[3]), Z[3])
    same(Z[1] * Z[0] * 2 + 1, Polynomial((Monomial((), (), 1.0), Monomial((0, 1), (1, 1), 2.0))))
    same(Z[0] / 4, 0.25 * Z[0])
    same(1 - Z[0], -1.0 * Z[0] + 1)


def test_other_targets_are_flat_sorted_and_merged() -> None:
    m, c = Majority(D), Cubic()
    assert isinstance(m + c, Sum)
    assert isinstance(m * c, Product)
    same(2 * m, Scaled(2.0, m))
    same(2 * (3 * m), Scaled(6.0, m))
    same(m + m - 2 * m, constant(0.0))
    same(1 * m, m)
    same((m + c) + (m + X[0]), total([X[0], c, 2 * m]))
    same(m * X[0] * X[0], m)
    same(m + X[0] - X[0], m)
    same((2 * X[0]) * m, 2 * (X[0] * m))
    same(2 * X[0] * m + m * X[0], 3 * (X[0] * m))
    same(m + X[0] * X[0], 1 + m)
    assert not isinstance((m * c) * (m * X[0]), Scaled)
    assert len(((m * c) * (m * X[0])).factors) == 4
    assert all(not isinstance(term, Sum) for term in (m + c + X[0]).terms)


def test_total_and_prod_and_prefixes() -> None:
    same(total(X[:3]), X[0] + X[1] + X[2])
    same(prod(X[:3]), X[0] * X[1] * X[2])
    assert prefixes(X, 3) == (X[0], X[0] * X[1], X[0] * X[1] * X[2])
    same(total(prefixes(X, 3)), X[0] + X[0] * X[1] + prod(X[:3]))
    for empty in (total, prod):
        with pytest.raises(ValueError, match=r"\(\) of no targets; expected at least one"):
            empty([])


@pytest.mark.parametrize("z", [2 * Z[0], Z[0] * Z[1], Z[0] + Z[1], X[0]])
def test_he_takes_a_bare_coordinate(z: Any) -> None:
    with pytest.raises(ValueError, match="expected a degree >= 0 and a coordinate of reals"):
        he(2, z)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Character((1, 0)), "on: expected sorted coordinates without repetition, got (1, 0)"),
        (lambda: Character((-1,)), "on[0]: expected a coordinate, counted from 0, got -1"),
        (lambda: Monomial((0,), (0,)), "degrees[0]: expected a degree of at least 1, got 0"),
        (lambda: Monomial((0,), (1, 2)), "degrees: expected 1 degrees, one for each coordinate, got (1, 2)"),
        (lambda: Sum(()), "terms: expected at least one term, got none"),
        (lambda: Product(()), "factors: expected at least one factor, got none"),
    ],
)
def test_terms_are_checked(make: Any, text: str) -> None:
    with pytest.raises(SpecError) as caught:
        make()
    assert text in str(caught.value)


def test_a_coordinate_beyond_the_law_is_a_fault_with_its_path() -> None:
    y = bits(40)[0] + bits(40)[37]
    task = {"kind": "Labelled", "x": dump(Hypercube(30)), "y": dump(y)}
    whole = {
        "kind": "Training",
        "task": task,
        "model": dump(Mlp((2,), Relu())),
        "loss": dump(SquaredLoss()),
        "protocol": dump(Descent(1, Fresh(1), Sgd(0.1))),
        "measure": [],
        "seed": 0,
    }
    with pytest.raises(SpecError) as caught:
        load(whole, Training)
    assert str(caught.value) == "Training: task.y.terms[1].on[0]: 37 is not a coordinate of Hypercube(d=30)"


def test_a_coordinate_beyond_the_law_is_found_inside_other_targets() -> None:
    y = 2 * (Majority(3) * reals(9)[7]) + Majority(3)
    with pytest.raises(SpecError) as caught:
        Labelled(Hypercube(3), y)
    assert str(caught.value) == "Labelled: y.factors[0].terms[1].on[0]: 7 is not a coordinate of Hypercube(d=3)"
