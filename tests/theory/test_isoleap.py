import itertools
import math
import time

import numpy as np
import pytest
from numpy.polynomial import hermite_e
from scipy import stats

from theory.hermite import gauss_hermite
from theory.isoleap import hermite_tensors, iso_leap, rotated, subspace_flow
from theory.leap import leap

Terms = dict[tuple[tuple[int, int], ...], float]


def product(*degrees: int) -> tuple[tuple[int, int], ...]:
    return tuple((i, k) for i, k in enumerate(degrees) if k)


def linear_and(*degrees: int) -> Terms:
    """The sum of all coordinates and one product."""
    return {((i, 1),): 1.0 for i in range(len(degrees))} | {product(*degrees): 1.0}


def random_terms(rng: np.random.Generator, dimension: int, most: int = 4) -> Terms:
    count = rng.integers(1, most + 1)
    degrees = [rng.multinomial(rng.integers(1, 5), np.ones(dimension) / dimension) for _ in range(count)]
    return {product(*map(int, row)): float(rng.choice([-2, -1, 1, 3])) for row in degrees}


def rotation(angle: float) -> np.ndarray:
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])


def random_rotation(dimension: int, seed: int) -> np.ndarray:
    return stats.ortho_group.rvs(dimension, random_state=seed) if dimension > 1 else np.eye(1)


def he(x: np.ndarray, degree: int) -> np.ndarray:
    return hermite_e.hermeval(x, np.eye(degree + 1)[degree])


def hermite_tensor(x: np.ndarray, degree: int) -> np.ndarray:
    """He_k(x), by its entries: products of He over the multiplicities of the index."""
    tensor = np.empty((x.size,) * degree)
    for index in np.ndindex(tensor.shape):
        tensor[index] = math.prod(float(he(x[i], index.count(i))) for i in set(index))
    return tensor


def value(terms: Terms, x: np.ndarray) -> float:
    factors = ([he(x[i], k) / math.sqrt(math.factorial(k)) for i, k in term] for term in terms)
    return sum(c * math.prod(map(float, row)) for c, row in zip(terms.values(), factors, strict=True))


def coordinate_leap(tensors: dict[int, np.ndarray]) -> int:
    """The leap in the coordinates of the tensors, with an explicit relative threshold."""
    scale = max(np.abs(tensor).max() for tensor in tensors.values())
    entries = {
        tuple(sorted(index))
        for tensor in tensors.values()
        for index in np.argwhere(np.abs(tensor) > 1e-6 * scale).tolist()
    }
    return leap([{i: index.count(i) for i in index} for index in entries])


def critical_angles(tensors: dict[int, np.ndarray]) -> np.ndarray:
    """The angles where some Hermite coefficient of a rotated two-dimensional target vanishes.

    Each coefficient of degree k is a trigonometric polynomial of degree k in the angle.
    """
    found = [0.0]
    for degree, tensor in tensors.items():
        angles = 2 * np.pi * np.arange(2 * degree + 1) / (2 * degree + 1)
        turned = np.stack([rotated({degree: tensor}, rotation(a))[degree] for a in angles])
        for ones in range(degree + 1):
            samples = turned[(slice(None),) + (1,) * ones + (0,) * (degree - ones)]
            spectrum = np.fft.fftshift(np.fft.fft(samples))
            spectrum[np.abs(spectrum) < 1e-9] = 0
            roots = np.roots(np.trim_zeros(spectrum[::-1]))
            found.extend(np.angle(roots[np.abs(np.abs(roots) - 1) < 1e-4]))
    return np.array(found)


@pytest.mark.parametrize(
    ("terms", "in_coordinates", "expected"),
    [
        (linear_and(1, 1), 1, 2),
        (linear_and(1, 1, 1), 1, 2),
        ({product(1): 1.0, product(0, 3): 1.0}, 3, 3),
        ({product(3): 1.0}, 3, 3),
        ({product(1): 1.0, product(1, 1): 1.0, product(1, 1, 1): 1.0}, 1, 1),
        ({product(1): 1.0, product(1, 2): 1.0}, 2, 2),
        ({product(1, 1): 1.0}, 2, 2),
        ({(): 5.0, product(2): 1.0}, 2, 2),
        ({(): 5.0}, 0, 0),
        ({}, 0, 0),
    ],
)
def test_known_targets(terms: Terms, in_coordinates: int, expected: int) -> None:
    dimension = max((i + 1 for term in terms for i, _ in term), default=1)
    assert leap([dict(term) for term in terms]) == in_coordinates
    assert iso_leap(hermite_tensors(terms, dimension)) == expected


@pytest.mark.parametrize("dimension", [1, 2, 3, 4])
def test_the_isoleap_is_invariant_under_rotations(dimension: int) -> None:
    rng = np.random.default_rng(dimension)
    seen = set()
    for seed in range(40):
        tensors = hermite_tensors(random_terms(rng, dimension), dimension)
        expected = iso_leap(tensors)
        assert iso_leap(rotated(tensors, random_rotation(dimension, seed))) == expected
        assert iso_leap({degree: 1e-9 * tensor for degree, tensor in tensors.items()}) == expected
        seen.add(expected)
    assert len(seen) > 2


def test_in_two_dimensions_it_is_the_largest_leap_over_all_angles() -> None:
    # The leap changes only where a coefficient vanishes: those angles and a fine grid are all there is.
    rng = np.random.default_rng(0)
    grid = np.linspace(0, np.pi, 37)
    attained_off_grid = 0
    for target in range(60):
        # every second target is turned, so that the angles that matter are not on the grid
        turn = rotation(float(rng.normal()) * (target % 2))
        tensors = rotated(hermite_tensors(random_terms(rng, 2, most=3), 2), turn)
        on_grid = max(coordinate_leap(rotated(tensors, rotation(angle))) for angle in grid)
        critical = max(coordinate_leap(rotated(tensors, rotation(angle))) for angle in critical_angles(tensors))
        assert iso_leap(tensors) == max(on_grid, critical)
        attained_off_grid += critical > on_grid
    assert attained_off_grid > 3


@pytest.mark.parametrize(("terms", "expected"), [(linear_and(1, 1), 2), (linear_and(1, 1, 1), 2)])
def test_a_generic_rotation_gives_the_least_leap_and_not_the_isoleap(terms: Terms, expected: int) -> None:
    dimension = max(i + 1 for term in terms for i, _ in term)
    tensors = hermite_tensors(terms, dimension)
    assert iso_leap(tensors) == expected
    assert {coordinate_leap(rotated(tensors, random_rotation(dimension, seed))) for seed in range(50)} == {1}


def test_no_rotation_exceeds_the_isoleap_in_three_dimensions() -> None:
    rng = np.random.default_rng(3)
    for seed in range(40):
        tensors = hermite_tensors(random_terms(rng, 3), 3)
        turned = rotated(tensors, random_rotation(3, seed))
        assert max(coordinate_leap(tensors), coordinate_leap(turned)) <= iso_leap(tensors)


def test_the_flow_grows_to_the_span_of_the_target() -> None:
    # z1, then z2 z3 as a pair within it, then he_3 of z4; z5 does not occur
    terms = {product(1): 1.0, product(1, 1, 1): 2.0, product(0, 0, 0, 3): 1.0}
    turn = random_rotation(5, 0)
    stages = subspace_flow(rotated(hermite_tensors(terms, 5), turn))
    assert [(stage.leap, stage.basis.shape) for stage in stages] == [(1, (5, 1)), (2, (5, 3)), (3, (5, 4))]
    for stage, coordinates in zip(stages, ([0], [0, 1, 2], [0, 1, 2, 3]), strict=True):
        directions = turn.T[:, coordinates]
        np.testing.assert_allclose(stage.basis @ stage.basis.T, directions @ directions.T, atol=1e-9)
        np.testing.assert_allclose(stage.basis.T @ stage.basis, np.eye(len(coordinates)), atol=1e-12)


def test_the_basis_of_a_stage_begins_with_those_before() -> None:
    stages = subspace_flow(hermite_tensors({product(1): 1.0, product(1, 1): 1.0, product(0, 1, 2): 1.0}, 3))
    assert [stage.leap for stage in stages] == [1, 1, 2]
    for before, after in itertools.pairwise(stages):
        np.testing.assert_array_equal(after.basis[:, : before.basis.shape[1]], before.basis)


def test_the_tensors_represent_the_polynomial_and_its_rotations() -> None:
    rng = np.random.default_rng(5)
    for seed in range(10):
        terms = {**random_terms(rng, 3), (): 0.5}
        turn = random_rotation(3, seed)
        tensors = rotated(hermite_tensors(terms, 3), turn)
        x = rng.normal(size=3)
        total = sum(float(np.sum(c * hermite_tensor(x, k))) for k, c in tensors.items())
        np.testing.assert_allclose(total, value(terms, turn @ x), rtol=1e-9, atol=1e-9)


def test_the_tensors_are_the_projections_on_hermite_tensors() -> None:
    terms = {(): 0.5, product(1): 1.0, product(2, 1): -2.0, product(0, 3): 1.5, product(2, 2): 1.0}
    tensors, (nodes, weights) = hermite_tensors(terms, 2), gauss_hermite(6)
    assert set(tensors) == {0, 1, 3, 4}
    expected = {k: np.zeros(c.shape) for k, c in tensors.items()}
    for i, j in np.ndindex(6, 6):
        x = nodes[[i, j]]
        for k in expected:
            expected[k] += weights[i] * weights[j] * value(terms, x) * hermite_tensor(x, k) / math.factorial(k)
    for k, tensor in tensors.items():
        np.testing.assert_allclose(tensor, expected[k], atol=1e-12)


def test_terms_that_name_one_product_add() -> None:
    tensors = hermite_tensors({((0, 1), (1, 2)): 1.0, ((1, 2), (0, 1)): -1.0}, 2)
    assert np.abs(tensors[3]).max() == 0
    assert subspace_flow(tensors) == []


def test_the_threshold_is_relative_and_can_be_set() -> None:
    terms = {product(1): 1.0, product(0, 3): 1.0, product(1, 1): 1e-5}
    assert iso_leap(hermite_tensors(terms, 2)) == 1
    assert iso_leap(hermite_tensors(terms, 2), tolerance=1e-4) == 3


def test_ten_coordinates_and_degree_six_take_less_than_two_seconds() -> None:
    start = time.process_time()
    assert iso_leap(hermite_tensors({product(*[1] * k): 1.0 for k in (1, 3, 4, 6)}, 10)) == 2
    assert time.process_time() - start < 2


def test_faulty_tensors_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"degree 2 has shape \(2, 3\), expected 2 equal sides"):
        iso_leap({2: np.ones((2, 3))})
    with pytest.raises(ValueError, match=r"degree 1 has shape \(2, 2\)"):
        iso_leap({1: np.ones((2, 2))})
    with pytest.raises(ValueError, match="degree 3 is not symmetric in legs 1 and 2"):
        iso_leap({3: np.einsum("ij,k->ijk", np.eye(2), np.ones(2))})
    with pytest.raises(ValueError, match="differ in dimension"):
        iso_leap({1: np.ones(2), 2: np.eye(3)})
    with pytest.raises(ValueError, match="degree 1 has entries that are not finite"):
        iso_leap({1: np.array([np.nan])})
    with pytest.raises(ValueError, match="not orthonormal"):
        rotated({1: np.ones(2)}, np.ones((2, 2)))
    with pytest.raises(ValueError, match="degree 1 has dimension 2 and the matrix 3"):
        rotated({1: np.ones(2)}, np.eye(3))


def test_faulty_terms_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="2 is not a coordinate of dimension 2"):
        hermite_tensors({((2, 1),): 1.0}, 2)
    with pytest.raises(ValueError, match="degree 0 is not positive"):
        hermite_tensors({((0, 0),): 1.0}, 2)
    with pytest.raises(ValueError, match="occurs twice"):
        hermite_tensors({((0, 1), (0, 2)): 1.0}, 2)
    with pytest.raises(ValueError, match="number those from 0"):
        hermite_tensors({((0, 4),): 1.0}, 1000)
