import itertools
import math
import time
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from theory.boolean import cube, level_weights, walsh_transform
from theory.leap import closure, leap
from theory.levels import (
    krawtchouk_functions,
    level_alignment,
    linear_method_bound,
    majority_level_weights,
    monomial_level_weights,
    sparse_alignment,
    staircase_level_weights,
    symmetric_level_weights,
)
from theory.sphere import gegenbauer, harmonic_dimension, sphere_alignment, sphere_law, sphere_level_weights
from theory.symmetry import Group, alignment, csq_bound, gram_alignment, orbit

GROUPS: tuple[Group, ...] = ("sign flips", "permutations", "signed permutations")


def majority(d: int) -> np.ndarray:
    return np.sign(np.asarray(cube(d), np.float64).sum(axis=1))


def sum_values(d: int) -> list[int]:
    return [d - 2 * minus for minus in range(d + 1)]


def centred(values: list[int]) -> list[Fraction]:
    d = len(values) - 1
    mean = Fraction(sum(math.comb(d, j) * value for j, value in enumerate(values)), 2**d)
    return [value - mean for value in values]


# ---------------------------------------------------------------- dense tables


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("d", [1, 2, 3, 4])
def test_alignment_is_the_top_eigenvalue_over_the_whole_group(group: Group, d: int) -> None:
    rng = np.random.default_rng(d)
    for known in itertools.chain.from_iterable(itertools.combinations(range(d), r) for r in range(d + 1)):
        values = rng.normal(size=2**d) * (rng.random(2**d) < rng.choice([0.3, 1.0]))
        expected = gram_alignment(orbit(values, group, known))
        assert alignment(walsh_transform(values), group, known) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("group", GROUPS)
def test_alignment_in_six_dimensions(group: Group) -> None:
    values = np.random.default_rng(0).normal(size=64)
    fixed = (1, 4) if group == "signed permutations" else ()
    expected = gram_alignment(orbit(values, group, fixed))
    assert alignment(walsh_transform(values), group, fixed) == pytest.approx(expected, abs=1e-9)


def test_an_orbit_has_every_function_once_for_each_element() -> None:
    values = np.arange(8.0)
    points = np.asarray(cube(3))
    index = {tuple(point): i for i, point in enumerate(points.tolist())}
    functions = {
        tuple(values[[index[tuple(sign * point[list(order)])] for point in points]])
        for order in itertools.permutations(range(3))
        for sign in itertools.product((1, -1), repeat=3)
    }
    found = orbit(values, "signed permutations")
    assert found.shape == (48, 8)
    assert {tuple(row) for row in found.tolist()} == functions
    assert len(orbit(values, "permutations")) == 6
    assert len(orbit(values, "sign flips")) == 8
    assert len(orbit(values, "signed permutations", known=[1])) == 16


def test_majority_of_three_depends_on_the_sign_flips() -> None:
    coefficients = walsh_transform(majority(3))
    assert alignment(coefficients, "permutations") == pytest.approx(1)
    assert alignment(coefficients, "signed permutations") == 0.25
    assert alignment(coefficients, "sign flips") == 0.25


@pytest.mark.parametrize("d", [2, 5, 8])
def test_symmetric_functions_are_known_up_to_permutations(d: int) -> None:
    values = np.random.default_rng(d).normal(size=d + 1)[np.bitwise_count(np.arange(2**d))]
    coefficients = walsh_transform(values)
    assert alignment(coefficients, "permutations") == pytest.approx(np.mean(values**2))
    assert alignment(coefficients, "signed permutations") < np.mean(values**2)


def test_larger_groups_know_less_and_known_coordinates_know_more() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        coefficients = rng.normal(size=64)
        signed = alignment(coefficients, "signed permutations")
        known = alignment(coefficients, "signed permutations", known=[0, 3])
        flips = alignment(coefficients, "sign flips")
        assert signed <= known <= flips <= np.sum(coefficients**2)
        permuted = alignment(coefficients, "permutations")
        assert signed <= permuted <= alignment(coefficients, "permutations", known=[0, 3])


def test_alignment_of_permutations_stays_accurate_in_many_dimensions() -> None:
    d = 14
    coefficients = np.zeros(2**d)
    # (x_0 - x_3)(x_1 - x_2): the sum over the partners of each coordinate is 0, so it is pure in the shape (d - 2, 2)
    for i, j, sign in [(0, 1, 1.0), (0, 2, -1.0), (1, 3, -1.0), (2, 3, 1.0)]:
        coefficients[1 << i | 1 << j] = sign
    expected = 4 / (math.comb(d, 2) - d)
    assert alignment(coefficients, "permutations") == pytest.approx(expected, rel=1e-9)


def test_gram_alignment_of_a_sample_is_no_less_than_its_share() -> None:
    functions = orbit(np.random.default_rng(2).normal(size=8), "signed permutations")
    exact = gram_alignment(functions)
    assert gram_alignment(functions[:4]) >= np.mean(functions**2) / 4 > exact / 2
    assert gram_alignment(np.concatenate((functions, functions))) == pytest.approx(exact)


@pytest.mark.parametrize("group", GROUPS)
def test_alignment_of_a_traced_table_is_that_of_numpy(group: Group) -> None:
    coefficients = np.random.default_rng(3).normal(size=16)
    known = (2,) if group == "signed permutations" else ()
    with jax.enable_x64(True):
        found = jax.jit(lambda c: alignment(c, group, known))(jnp.asarray(coefficients))
    assert float(found) == pytest.approx(float(alignment(coefficients, group, known)), rel=1e-12)


# ---------------------------------------------------------------- level weights


@pytest.mark.parametrize("d", [0, 1, 6, 60])
def test_krawtchouk_functions_are_orthonormal_and_give_exact_level_weights(d: int) -> None:
    q = krawtchouk_functions(d)
    law = np.array([math.comb(d, j) / 2**d for j in range(d + 1)])
    np.testing.assert_allclose((q / law) @ q.T, np.eye(d + 1), atol=1e-12)
    values = np.random.default_rng(d).normal(size=d + 1)
    exact = [float(weight) for weight in symmetric_level_weights(values)]
    np.testing.assert_allclose(np.square(q @ values), exact, atol=1e-14)


@pytest.mark.parametrize("d", [1, 3, 4, 7])
def test_level_weights_and_sparse_terms_give_the_alignment_of_the_table(d: int) -> None:
    coefficients = np.random.default_rng(d).normal(size=2**d)
    terms = {tuple(i for i in range(d) if s >> i & 1): c for s, c in enumerate(coefficients)}
    expected = alignment(coefficients, "signed permutations")
    assert float(level_alignment(level_weights(coefficients), d)) == pytest.approx(expected)
    assert float(sparse_alignment(terms, d)) == pytest.approx(expected)
    for known in ([0], [d - 1], list(range(d))):
        dense = alignment(coefficients, "signed permutations", known)
        assert float(sparse_alignment(terms, d, known)) == pytest.approx(dense)


@pytest.mark.parametrize("d", [1, 3, 5, 9])
def test_majority_has_the_weights_of_its_table(d: int) -> None:
    weights = majority_level_weights(d)
    np.testing.assert_allclose(np.array(weights, float), level_weights(walsh_transform(majority(d))), atol=1e-12)
    assert weights == symmetric_level_weights([1 if total > 0 else -1 for total in sum_values(d)])


@pytest.mark.parametrize("d", [0, 1, 4, 7])
def test_symmetric_functions_have_the_weights_of_their_table(d: int) -> None:
    values = np.random.default_rng(d).normal(size=d + 1)
    table = values[np.bitwise_count(np.arange(2**d))]
    found = np.array(symmetric_level_weights(values), float)
    np.testing.assert_allclose(found, level_weights(walsh_transform(table)), atol=1e-12)


@pytest.mark.parametrize(("d", "expected"), [(8, 0.0747681), (12, 0.050889), (16, 0.0385653)])
def test_majority_with_ties_has_its_known_alignment(d: int, expected: float) -> None:
    weights = symmetric_level_weights([1 if total > 0 else -1 for total in sum_values(d)])
    assert float(level_alignment(weights, d)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("d", "expected"), [(8, 1.265625), (12, 1.06348), (16, 1.01569)])
def test_the_sum_modulo_eight_has_its_known_alignment(d: int, expected: float) -> None:
    weights = symmetric_level_weights(centred([total % 8 for total in sum_values(d)]))
    assert float(level_alignment(weights, d)) == pytest.approx(expected, rel=1e-5)
    assert level_alignment(weights, d) == weights[d]


def test_weights_are_exact_where_floats_end() -> None:
    start = time.process_time()
    d = 2001
    assert level_alignment(monomial_level_weights(d, 1000), d) == Fraction(1, math.comb(d, 1000))
    assert level_alignment(monomial_level_weights(d, d), d) == 1
    assert level_alignment(staircase_level_weights(d, 1000), d) == Fraction(1, d)
    assert sparse_alignment({tuple(range(1000)): 2.0}, d) == Fraction(4, math.comb(d, 1000))
    assert csq_bound(level_alignment(monomial_level_weights(d, 1000), d)) == Fraction(math.comb(d, 1000), 2)
    assert sum(majority_level_weights(d)) == 1
    d = 301
    assert symmetric_level_weights([1 if total > 0 else -1 for total in sum_values(d)]) == majority_level_weights(d)
    assert time.process_time() - start < 3


def test_the_linear_bound_has_the_values_of_the_reference() -> None:
    weights, d = staircase_level_weights(100, 4), 100
    bounds = [float(linear_method_bound(weights, d, 10**power)) for power in range(2, 7)]
    np.testing.assert_allclose(bounds, [3.0, 2.818, 1.969, 1.413, 0.7875], atol=6e-4)
    assert linear_method_bound(weights, d, 0) == 4
    assert linear_method_bound(weights, d, sum(math.comb(d, k) for k in range(1, 5))) == 0


@pytest.mark.parametrize("features", [0, 1, 3, 6, 16])
def test_the_linear_bound_is_the_tail_of_the_spectrum(features: int) -> None:
    values = np.random.default_rng(4).normal(size=16)
    functions = orbit(values, "signed permutations")
    spectrum = np.linalg.eigvalsh(functions.T @ functions / functions.size)
    expected = np.sum(spectrum[: 16 - features])
    bound = linear_method_bound(level_weights(walsh_transform(values)), 4, features)
    assert float(bound) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("support", "expected"),
    [
        ([(0,), (0, 1), (0, 2, 3)], 2),
        ([(0,), (1, 2), (1, 2, 3), (0, 3, 4, 5)], 2),
        ([(0,), (1, 2, 3)], 3),
        ([(0,), (0, 1, 2, 3), (4, 5, 6), (3, 4, 5, 6, 7, 8)], 3),
    ],
)
def test_the_csq_bound_of_the_residual_grows_like_d_to_the_leap(support: list[tuple[int, ...]], expected: int) -> None:
    terms = [dict.fromkeys(term, 1) for term in support]
    assert leap(terms) == expected
    known = closure(terms, expected - 1)
    residual = {term: 1.0 for term in support if not known.issuperset(term)}
    dimensions = np.geomspace(100, 3000, 6).astype(int).tolist()
    bounds = [float(csq_bound(sparse_alignment(residual, d, known))) for d in dimensions]
    slope = np.polyfit(np.log(dimensions), np.log(bounds), 1)[0]
    assert abs(slope - expected) < 0.08


def test_a_query_rarely_correlates_by_more_than_the_alignment_allows() -> None:
    rng = np.random.default_rng(6)
    values = rng.normal(size=16)
    functions = orbit(values, "signed permutations")
    bound = 1 / gram_alignment(functions)
    for _ in range(50):
        query = rng.normal(size=16)
        correlations = np.abs(functions @ query / 16) / np.sqrt(np.mean(query**2))
        for tolerance in np.quantile(correlations, [0.1, 0.5, 0.9]):
            part = np.mean(correlations >= tolerance)
            assert 1 / tolerance**2 >= float(csq_bound(1 / bound, part)) * (1 - 1e-9)


# ---------------------------------------------------------------- the sphere


@pytest.mark.parametrize("d", [2, 3, 5, 50])
def test_gegenbauer_polynomials_are_orthonormal(d: int) -> None:
    points, weights = sphere_law(d)
    basis = gegenbauer(12, d, points)
    np.testing.assert_allclose((basis * weights) @ basis.T, np.eye(13), atol=1e-9)
    if d > 2:
        classical = special.eval_gegenbauer(5, (d - 2) / 2, points)
        np.testing.assert_allclose(basis[5] * np.sqrt(weights @ classical**2), classical, atol=1e-8)


@pytest.mark.parametrize("d", [2, 3, 10, 10_000])
def test_the_law_has_its_moments(d: int) -> None:
    points, weights = sphere_law(d, breaks=(-0.3, 0.0, 1.0))
    assert (np.diff(points) >= 0).all()
    for power, moment in [(0, 1), (1, 0), (2, 1 / d), (4, 3 / (d * (d + 2)))]:
        np.testing.assert_allclose(weights @ points**power, moment, rtol=1e-10, atol=1e-13)


def test_harmonics_are_counted() -> None:
    assert [harmonic_dimension(level, 3) for level in range(5)] == [1, 3, 5, 7, 9]
    assert [harmonic_dimension(level, 2) for level in range(4)] == [1, 2, 2, 2]
    for d in (2, 5):
        # polynomials of degree <= 4 on the sphere: those of degree 4 and 3 in d variables
        total = math.comb(d + 3, 4) + math.comb(d + 2, 3)
        assert sum(harmonic_dimension(level, d) for level in range(5)) == total


def test_on_the_two_sphere_levels_are_the_eigenvalues_of_the_average() -> None:
    def profile(t: np.ndarray) -> np.ndarray:
        return 0.1 * math.sqrt(3) * t + 0.15 * math.sqrt(7) * (5 * t**3 - 3 * t) / 2 + 0.2

    # A product rule on the sphere, exact to degree 11: the operator with the kernel E_g f(g x) f(g y).
    heights, weights = np.polynomial.legendre.leggauss(8)
    angles = 2 * np.pi * np.arange(16) / 16
    ring = np.sqrt(1 - heights**2)
    points = np.stack(
        [np.outer(ring, np.cos(angles)), np.outer(ring, np.sin(angles)), np.outer(heights, np.ones(16))], axis=-1
    ).reshape(-1, 3)
    root = np.sqrt(np.repeat(weights / 32, 16))
    kernel = root[:, None] * profile(points @ points.T) * root
    spectrum = np.sort(np.linalg.eigvalsh(kernel @ kernel))[::-1]
    levels = sphere_level_weights(profile, 3, degree=4)
    np.testing.assert_allclose(levels, [0.04, 0.01, 0, 0.0225, 0], atol=1e-12)
    expected = [0.04, *[0.01 / 3] * 3, *[0.0225 / 7] * 7, 0, 0]
    np.testing.assert_allclose(spectrum[:13], sorted(expected, reverse=True), atol=1e-12)
    assert sphere_alignment(profile, 3) == pytest.approx(spectrum[0])
    assert sphere_alignment(lambda t: profile(t) - 0.2, 3) == pytest.approx(spectrum[1])


@pytest.mark.parametrize(
    ("d", "expected"), [(3, [0.1875, 0.25, 0.0586]), (10, [0.1673, 0.25, 0.0747]), (50, [0.1608, 0.25, 0.0787])]
)
def test_relu_has_its_known_levels(d: int, expected: list[float]) -> None:
    levels = sphere_level_weights(lambda t: np.maximum(math.sqrt(d) * t, 0), d, degree=200)
    np.testing.assert_allclose(levels[:3], expected, atol=6e-5)
    mean = math.sqrt(d / math.pi) / 2 * special.poch(d / 2, 0.5) ** -1
    assert levels[0] == pytest.approx(mean**2)
    assert levels.sum() == pytest.approx(0.5, abs=1e-4)


def test_a_sharp_profile_needs_more_levels() -> None:
    with pytest.raises(ValueError, match=r"up to level 1 it is .*, above could be .*: raise degree"):
        sphere_alignment(lambda t: t**2 - 1 / 5, 5, degree=1)
    assert sphere_alignment(lambda t: t**2 - 1 / 5, 5, degree=2) == pytest.approx((3 / 35 - 1 / 25) / 14)


# ---------------------------------------------------------------- faults


def test_tables_that_are_too_large_name_the_sparse_route() -> None:
    with pytest.raises(ValueError, match=r"d is 21, expected d <= 20 .* level_alignment, .* sparse_alignment"):
        alignment(np.zeros(2**21, np.float32), "signed permutations")
    with pytest.raises(ValueError, match="d is 17, expected d <= 16"):
        alignment(np.zeros(2**17), "permutations")
    with pytest.raises(ValueError, match="2048 subsets of known coordinates"):
        alignment(np.zeros(2**12), "permutations", known=range(11))
    with pytest.raises(ValueError, match="sample the group"):
        orbit(np.zeros(2**7), "signed permutations")


def test_faulty_arguments_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="got 6: not a power of two"):
        alignment(np.zeros(6), "sign flips")
    for known in ([0, 0], [3], [-1]):
        with pytest.raises(ValueError, match=r"are not distinct coordinates in 0\.\.2"):
            alignment(np.zeros(8), "signed permutations", known)
        with pytest.raises(ValueError, match=r"are not distinct coordinates in 0\.\.2"):
            sparse_alignment({(0,): 1.0}, 3, known)
    with pytest.raises(ValueError, match=r"\[0, 7\] are not distinct coordinates in 0\.\.2"):
        sparse_alignment({(0, 7): 1.0}, 3)
    with pytest.raises(ValueError, match="3 level weights do not match d = 3"):
        level_alignment([0, 1, 1], 3)
    with pytest.raises(ValueError, match=r"level 1 is -0\.5"):
        linear_method_bound([0, -0.5], 1, 1)
    with pytest.raises(ValueError, match="finite"):
        level_alignment([0, math.nan], 1)
    with pytest.raises(ValueError, match="features is -1"):
        linear_method_bound([0, 1], 1, -1)
    with pytest.raises(ValueError, match="even d has ties"):
        majority_level_weights(4)
    with pytest.raises(ValueError, match="degree is 5"):
        monomial_level_weights(4, 5)
    with pytest.raises(ValueError, match="depth is 5"):
        staircase_level_weights(4, 5)
    with pytest.raises(ValueError, match="got none"):
        symmetric_level_weights([])
    with pytest.raises(ValueError, match="f must not be 0"):
        csq_bound(0.0)
    with pytest.raises(ValueError, match="success is 2"):
        csq_bound(0.5, 2)
    with pytest.raises(ValueError, match="d is 1"):
        harmonic_dimension(1, 1)
    with pytest.raises(ValueError, match="level is -1"):
        gegenbauer(-1, 3, np.zeros(1))
    with pytest.raises(ValueError, match="breaks in"):
        sphere_law(3, breaks=[2.0])
