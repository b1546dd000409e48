"""Targets, groups, alignment and noise of the symmetry chapter, against brute force and closed forms."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dsl import *
from dsl.expansions import Dense, OfSum, Sparse, expansion
from theory import boolean, symmetry
from theory.symmetry import noisy_descent_bound

X = bits(4)
RANDOM = np.random.default_rng(0)
POLYNOMIAL = total(
    float(RANDOM.normal()) * prod([X[0] * X[0], *(X[i] for i in range(4) if s >> i & 1)]) for s in range(0, 16, 3)
)
GROUPS = (SignFlips(), Permutations(), SignedPermutations(), Stabiliser((1,)), Stabiliser((0, 3)))


def table(target, d):
    """The values on the cube, float64, by NumPy where the target is a polynomial of a few bits."""
    return np.asarray(target(boolean.cube(d)), np.float64)


def measured(of, *measure):
    program = compile(Analysis(of=of, measure=measure, precision="float64"))
    with jax.enable_x64(True):
        knobs = program.knobs(Analysis(of=of, measure=measure, precision="float64"))
        constants = program.constants(knobs, {})
        found = program.observe({"step": jnp.zeros((), int)}, knobs, {}, constants, tuple(program.measurements))
        return [np.asarray(value) for value in found.values()]


# ---------------------------------------------------------------- targets


@pytest.mark.parametrize("d", [1, 4, 7])
def test_majority_and_sums_are_those_of_every_point(d):
    points = np.asarray(boolean.cube(d)).astype(int)
    assert table(Majority(d), d).tolist() == [1.0 if sum(x) > 0 else -1.0 for x in points.tolist()]
    assert table(SumMod(d, 8), d).tolist() == [sum(x) % 8 for x in points.tolist()]


@pytest.mark.parametrize(
    "target", [Majority(4), SumMod(4, 3), 2.0 * Majority(4) + 0.5 * SumMod(4, 3) + X[0] - 1.0, X[0] * X[1] + 0.25, X[2]]
)
def test_a_centred_target_has_mean_zero_and_the_same_shape(target):
    shift = table(centred(target), 4) - table(target, 4)
    assert np.mean(table(centred(target), 4)) == pytest.approx(0, abs=1e-7)
    assert np.ptp(shift) < 1e-6


def test_the_mean_of_a_symmetric_target_is_exact_in_many_dimensions():
    constant = next(term for term in centred(SumMod(200, 8)).terms if not isinstance(term, SumMod))
    mean = sum(math.comb(200, j) * ((200 - 2 * j) % 8) for j in range(201)) / 2**200
    assert constant.terms[0].weight == -mean


def test_targets_say_what_does_not_fit():
    with pytest.raises(SpecError, match=r"y\.d: expected 5, the dimension of Hypercube"):
        Labelled(Hypercube(5), Majority(4))
    with pytest.raises(ValueError, match=r"the mean of .* is not known"):
        centred(Majority(4) * SumMod(4, 3))


# ---------------------------------------------------------------- alignment


@pytest.mark.parametrize(
    ("d", "of_majority", "of_sum"),
    [(8, 0.0747681, 1.265625), (12, 0.050889, 1.06348), (16, 0.0385653, 1.01569)],
)
def test_alignments_are_those_that_were_computed_apart(d, of_majority, of_sum):
    assert measured(Majority(d), Alignment(SignedPermutations()))[0] == pytest.approx(of_majority, abs=5e-8)
    assert measured(centred(SumMod(d, 8)), Alignment(SignedPermutations()))[0] == pytest.approx(of_sum, abs=5e-6)


def test_majority_of_three_is_known_up_to_permutations_and_not_to_sign_flips():
    found = measured(Majority(3), *(Alignment(g) for g in (Permutations(), SignedPermutations())))
    assert found == [pytest.approx(1.0), pytest.approx(0.25)]


@pytest.mark.parametrize("group", [GROUPS[0], *(pytest.param(g, marks=pytest.mark.slow) for g in GROUPS[1:])], ids=repr)
@pytest.mark.parametrize(
    ("target", "route"),
    [(POLYNOMIAL, Sparse), (Majority(4) + 0.5, OfSum), (Majority(4) * X[0] + 0.25 * X[1], Dense)],
    ids=["polynomial", "of the sum", "product"],
)
def test_every_route_gives_the_top_eigenvalue_of_the_orbit(target, route, group):
    of = Labelled(Hypercube(4), target)
    assert type(expansion(of)) is route
    values = table(target, 4)
    found, levels = measured(of, Alignment(group), LevelWeights())
    assert found == pytest.approx(symmetry.gram_alignment(symmetry.orbit(values, group.action, group.known)), rel=1e-6)
    np.testing.assert_allclose(levels, boolean.level_weights(boolean.walsh_transform(values)), atol=1e-6)


@pytest.mark.slow
def test_a_table_and_level_weights_agree_to_rounding():
    with jax.enable_x64(True):
        table_, sums = Dense(Majority(6), 6), OfSum(Majority(6), 6)
        np.testing.assert_allclose(table_.level_weights(), sums.level_weights(), atol=1e-14)
        for group in (SignFlips(), SignedPermutations(), Stabiliser((1,)), Stabiliser(tuple(range(6)))):
            np.testing.assert_allclose(table_.alignment(group), sums.alignment(group), atol=1e-14)


def test_many_dimensions_take_the_sparse_route():
    x, d = bits(2000), 2000
    of = Labelled(Hypercube(d), prod(x[:3]) + 0.5 * x[1999])
    found = measured(of, Alignment(SignedPermutations()), Alignment(Stabiliser((0, 1))))
    assert found == [pytest.approx(0.25 / d), pytest.approx(1 / (d - 2))]
    # W_1 / d is the largest for the majority, about 2 / (pi d)
    assert measured(Majority(301), Alignment(SignedPermutations()))[0] == pytest.approx(2 / np.pi / 301, rel=3e-3)


@pytest.mark.parametrize(
    ("of", "group", "precision", "message"),
    [
        (Labelled(Hypercube(21), Majority(21) * bits(1)[0]), SignFlips(), "float64", "d = 21 is too large .* nonzero"),
        (Labelled(Hypercube(17), X[0]), Permutations(), "float64", "expected d <= 16"),
        (X[0], SignFlips(), "float64", "expected Labelled\\(Hypercube\\(d\\), target\\)"),
        (Majority(3), SignFlips(), "float32", "precision='float64'"),
        (Majority(3), Stabiliser((3,)), "float64", "3 in .* is not a coordinate of 3 bits"),
        (Majority(3), Rotations(), "float64", "rotations do not keep the cube"),
        (Zonal(Relu(), 3), SignFlips(), "float64", "on the sphere the group is Rotations"),
        (Hypercube(3), SignFlips(), "float64", "expected a target"),
        (Labelled(Gaussian(3), reals(3)[0]), SignFlips(), "float64", "expected Hypercube"),
    ],
)
def test_what_has_no_alignment_says_why(of, group, precision, message):
    with pytest.raises(SpecError, match=message):
        Analysis(of=of, measure=(Alignment(group),), precision=precision)


@pytest.mark.parametrize(
    ("d", "masses"), [(3, (0.1875, 0.25, 0.0586)), (10, (0.1673, 0.25, 0.0747)), (50, (0.1608, 0.25, 0.0787))]
)
def test_levels_of_a_relu_on_the_sphere(d, masses):
    levels, aligned = measured(Zonal(Relu(), d), LevelWeights(), Alignment(Rotations()))
    assert levels[:3] == pytest.approx(masses, abs=5e-5)
    assert aligned == pytest.approx(levels[0])  # the mean has one dimension


# ---------------------------------------------------------------- noise


def test_a_step_is_clipped_in_norm_and_noise_scales_with_the_rate():
    gradient = {"a": jnp.array([3.0, 0.0]), "b": jnp.array([[4.0]]), "frozen": None}
    quiet = NoisyGd(0.5, radius=1.0, noise=Isotropic(0.0)).transformation(1)
    step, _ = quiet.update(gradient, quiet.init(gradient), None, key=jax.random.key(0), step=0)
    assert optax.tree.norm(step) == pytest.approx(0.5)
    np.testing.assert_allclose(step["a"], [-0.3, 0.0], atol=1e-7)
    loud = NoisyGd(0.5, radius=9.0, noise=Isotropic(2.0)).transformation(1)
    flat = {"a": jnp.zeros(20_000), "b": jnp.zeros(20_000)}
    noise, _ = loud.update(flat, loud.init(flat), None, key=jax.random.key(0), step=0)
    assert float(jnp.std(noise["a"])) == pytest.approx(1.0, abs=0.03)
    assert abs(float(jnp.mean(noise["a"] * noise["b"]))) < 0.03


def test_the_bound_by_hand():
    # 0.1 * 2 * sqrt(100) / (2 * 0.5) * sqrt(0.04) + 0.04 / 0.2
    found = noisy_descent_bound(0.04, 0.2, steps=100, lr=0.1, radius=2.0, noise=0.5)
    assert found == pytest.approx(0.6)


@pytest.mark.slow
def test_the_tangent_norm_is_that_of_one_layer():
    """|grad f|^2 = |h|^2 + sum_j a_j^2 1(h_j > 0) (|x|^2 + 1) + 1 for a ReLU layer with biases."""
    model = Mlp((5,), Relu()).init(jax.random.key(0), Labelled(Hypercube(4), X[0]))
    run = Training(Labelled(Hypercube(4), X[0]), Mlp((5,), Relu()), SquaredLoss(), Descent(1, Exact(), Sgd(0.1)),
                   (TangentNorm(Exact()) @ at_end(),), seed=0)  # fmt: skip
    state = type("State", (), {"model": model})
    norm = TangentNorm(Exact())
    found = norm(run, state, norm.constants(run, jax.random.key(1)), jax.random.key(2))
    h = np.maximum(model.hidden[0](boolean.cube(4)), 0)
    squares = np.sum(h**2, axis=1) + np.sum(np.asarray(model.readout.weight[0]) ** 2 * (h > 0), axis=1) * 5 + 1
    assert float(found) == pytest.approx(np.sqrt(squares.mean()), rel=1e-6)
