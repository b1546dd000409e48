"""What is said of unfit representations and ridges: which argument, which unit, and what was expected."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from theory.representation import (
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
    mean_squared_cca_between,
    procrustes,
    pwcca,
    ridge_cca,
    ridge_predictions,
    spectrum,
    svcca,
    unusable,
)
from theory.representation.spectra import ridge_filter


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def features(seed: int = 0, n: int = 60, d: int = 5, rank: int | None = None) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) if rank is None else rng.normal(size=(n, rank)) @ rng.normal(size=(rank, d))


GOOD, BROKEN = features(1), np.where(np.arange(5) == 3, np.nan, features(0))
SAME = np.full((60, 4), 0.1)
NOISY = SAME * (1 + 1e-16 * np.random.default_rng(2).integers(-2, 3, size=SAME.shape))


@pytest.mark.parametrize(
    ("a", "b", "lam", "message"),
    [
        (features(0, n=50), GOOD, 1.0, "a has 50 inputs and b 60"),
        (GOOD[:, 0], GOOD, 1.0, r"a has shape \(60,\); expected \(n, d\)"),
        (GOOD, GOOD[:, 0], 1.0, r"b has shape \(60,\); expected \(n, d\)"),
        (BROKEN, GOOD, 1.0, r"a is not finite in unit 3 \(1 of 5\)"),
        (GOOD, BROKEN, 1.0, r"b is not finite in unit 3 \(1 of 5\)"),
        (np.ones((60, 4)), GOOD, 1.0, "a is constant in all 4 units"),
        (GOOD, SAME, 1.0, "b is constant in all 4 units"),
        (NOISY, GOOD, 1.0, "a is constant in all 4 units, but for rounding"),
        (GOOD, GOOD, -0.1, "lam is -0.1; expected a ridge of at least 0"),
        (GOOD, GOOD, np.array([1.0, np.nan]), "lam is nan"),
        (GOOD.astype(np.float32), GOOD, 1e-9, "features are float32; expected float64 below 1e-06"),
        (GOOD.astype(np.float32), GOOD, 1e-9, r'in float64, after jax\.config\.update\("jax_enable_x64", True\)$'),
    ],
)
def test_bad_input_is_told(a, b, lam, message):
    with pytest.raises(ValueError, match=message):
        gulp(a, b, lam)


def test_unusable_is_none_for_what_has_distances():
    assert unusable(GOOD) is None
    assert unusable(GOOD + 1e6) is None
    assert unusable(np.where(np.arange(4) == 2, features(0, d=4), SAME)) is None
    assert unusable(SAME, centre=False) is None
    assert unusable(np.zeros((3, 2)), centre=False) == "is zero in all 2 units: there is no scale to divide by"
    assert unusable(SAME, normalise=False) is None
    assert "has shape (0, 2)" in str(unusable(np.zeros((0, 2))))


def test_only_what_the_numbers_cannot_hold_is_too_large_or_too_small():
    assert unusable(GOOD * 1e200) is None
    assert unusable(GOOD * 1e200, normalise=False) == "is too large: its norm is not finite in float64"
    assert "is too small: no number is as large" in str(unusable(GOOD * 1e-310))
    with jax.enable_x64(False):
        assert unusable(GOOD * 1e60) == "is too large: its norm is not finite in float32"
        assert "smallest normal one in float32" in str(unusable(GOOD * 1e-60))


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.bool_, np.float16, jnp.bfloat16])
def test_integers_booleans_and_halves_are_converted(dtype):
    a = (np.random.default_rng(0).integers(0, 4, size=(60, 3)) > 1).astype(dtype)
    b, kind = features(1), np.float32 if jnp.issubdtype(dtype, jnp.floating) else np.float64
    for given in (a, jnp.asarray(a)):
        assert spectrum(given).values.dtype == kind
        np.testing.assert_array_equal(gulp(given, b, 0.1), gulp(a.astype(kind), b, 0.1))


def test_integers_are_converted_inside_a_program_and_in_probes():
    a, labels = np.random.default_rng(0).integers(0, 9, size=(60, 3)), jnp.arange(60.0)
    np.testing.assert_allclose(jax.jit(linear_cka)(a, GOOD), linear_cka(a.astype(float), GOOD), rtol=1e-12)
    expected = ridge_predictions(a.astype(float), labels, a.astype(float), 0.1)
    np.testing.assert_array_equal(ridge_predictions(a, labels, a, 0.1), expected)


def test_integers_beyond_32_bits_keep_their_size():
    a = np.array([[2**40, 0], [0, 2**40], [2**40, 2**40]])
    with jax.enable_x64(False):
        np.testing.assert_array_equal(spectrum(a).values, spectrum(a.astype(np.float32)).values)


def test_inside_a_program_bad_features_are_nan():
    every = lambda a, b: (gulp(a, b, np.array([0.1, 1.0])), linear_cka(a, b), cca(a, b), pwcca(a, b), procrustes(a, b))
    found, good = jax.jit(every), jnp.asarray(features(1, d=4))
    for bad in map(jnp.asarray, (NOISY, BROKEN[:, :4])):
        for pair in ((bad, good), (good, bad), (bad, bad)):
            assert all(np.isnan(value).all() for value in found(*pair))
        assert np.isnan(jax.jit(lambda x: ridge_filter(spectrum(x), 0.0))(bad)).all()
    assert all(np.isfinite(value).all() for value in found(good, good))


def test_without_normalisation_constant_features_are_zero():
    found = spectrum(NOISY, normalise=False)
    assert not np.asarray(found.present).any()
    assert not np.asarray(found.directions).any()


def test_negative_ridges_are_told_of_spectra_and_nan_inside_a_program():
    x, y = spectrum(features(0)), spectrum(GOOD)
    for call in (lambda: gulp_between(x, y, -0.1), lambda: gulp_operator(GOOD, GOOD, -0.1)):
        with pytest.raises(ValueError, match=r"lam is -0\.1"):
            call()
    with pytest.raises(ValueError, match=r"lam is -0\.1"):
        distance_matrix([GOOD, GOOD], lambda s, t: gulp_between(s, t, -0.1))
    found = jax.jit(gulp_between)(x, y, jnp.array([0.1, -0.1]))
    np.testing.assert_array_equal(np.isnan(found), [False, True])


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (BROKEN, r"representation 1 is not finite in unit 3 \(1 of 5\)"),
        (NOISY, "representation 1 is constant in all 4 units"),
        (GOOD[:, 0], r"representation 1 has shape \(60,\)"),
        (GOOD[:50], "representation 1 has 50 inputs and the first 60"),
    ],
)
def test_a_distance_matrix_names_the_representation(bad, message):
    with pytest.raises(ValueError, match=message):
        distance_matrix([GOOD, bad], linear_cka_between)


def matrix(metric):
    return lambda a, b: distance_matrix([a, b], metric)


AT_RANK = {
    "gulp": lambda a, b: gulp(a, b, np.array([1.0, 0.0])),
    "operator": lambda a, b: gulp_operator(a, b, 0.0),
    "ridge cca": lambda a, b: ridge_cca(a, b, 0.0),
    "cca": cca,
    "squared cca": mean_squared_cca,
    "pwcca": pwcca,
    "svcca": lambda a, b: svcca(a, b, keep=1.0),
    "gulp matrix": matrix(lambda s, t: gulp_between(s, t, 0.0)),
    "cca matrix": matrix(mean_squared_cca_between),
}


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", AT_RANK)
def test_where_the_rank_decides_full_rank_is_a_warning(name):
    with pytest.warns(UserWarning, match="4 inputs of rank 3: every such representation looks alike"):
        AT_RANK[name](features(0, n=4), features(1, n=4))


@pytest.mark.parametrize("name", [*AT_RANK, "ridge", "ridge matrix", "cka matrix"])
def test_below_full_rank_and_with_a_ridge_there_is_none(name):
    others = {
        "ridge": lambda a, b: gulp(a, b, 1e-3),
        "ridge matrix": matrix(lambda s, t: gulp_between(s, t, 1e-3)),
        "cka matrix": matrix(linear_cka_between),
    }
    low = (features(i, n=12, d=12, rank=3) for i in range(2))
    (others[name](features(0, n=4), features(1, n=4)) if name in others else AT_RANK[name](*low))


@pytest.mark.parametrize(
    ("train", "test", "lam", "message"),
    [
        (GOOD, GOOD, -1.0, "lam is -1.0; expected a ridge of at least 0"),
        (GOOD, GOOD, 0.0, "lam is 0.0; expected a positive ridge"),
        (SAME, GOOD[:, :4], 1.0, "train is constant in all 4 units"),
        (GOOD[:, :4], NOISY, 1.0, "test is constant in all 4 units"),
        (BROKEN, GOOD, 1.0, "train is not finite in unit 3"),
    ],
)
def test_probes_tell_bad_input_and_are_nan_inside_a_program(train, test, lam, message):
    labels = jnp.arange(60.0)
    with pytest.raises(ValueError, match=message):
        ridge_predictions(train, labels, test, lam)
    assert np.isnan(jax.jit(ridge_predictions)(train, labels, test, lam)).all()


def test_probes_tell_labels_and_units_that_do_not_belong():
    with pytest.raises(ValueError, match=r"labels have shape \(50,\); expected \(60,\), one for each input"):
        ridge_predictions(GOOD, jnp.arange(50.0), GOOD, 1.0)
    with pytest.raises(ValueError, match="test has 4 units and train 5"):
        ridge_predictions(GOOD, jnp.arange(60.0), GOOD[:, :4], 1.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: distance_matrix([], linear_cka_between), "no representations"),
        (lambda: svcca(GOOD, GOOD, keep=0.0), r"keep is 0.0; expected a share in \(0, 1\]"),
        (lambda: estimate_gulp(GOOD, GOOD, 1.0, groups=1), "groups is 1; expected at least 2"),
        (lambda: classical_mds(np.zeros((2, 3))), r"distances have shape \(2, 3\)"),
        (lambda: classical_mds(np.array([[0.0, 1.0], [2.0, 0.0]])), "not finite and symmetric"),
        (lambda: classical_mds(np.array([[0.0, 0.5], [0.5, 1.0]])), "the distance of point 1 to itself is 1; expected"),
    ],
)
def test_other_bad_input_is_told(call, message):
    with pytest.raises(ValueError, match=message):
        call()
