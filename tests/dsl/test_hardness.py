"""What `explain` says of how hard a target is, against closed forms and brute force."""

from dataclasses import replace

import numpy as np
import pytest

from dsl import *
from theory import boolean, symmetry


def told(law, target):
    run = Training(
        task=Labelled(law, target), model=TwoLayer(4, Tanh(), Standard()), loss=SquaredLoss(),
        protocol=Descent(1, Fresh(1), by=Sgd(0.1)), measure=(TestLoss(Fresh(2)) @ at_end(),), seed=0)  # fmt: skip
    return {p.name: p for p in explain(run)}


X, Z = bits(4), reals(40)


@pytest.mark.parametrize(
    ("target", "leap", "isoleap", "exponent"),
    [
        (Z[0], 1, 1, 1),
        (Z[0] + Z[1] + Z[0] * Z[1], 1, 2, 1),
        (Z[30] + Z[31] + Z[32] + Z[30] * Z[31] * Z[32], 1, 2, 1),
        (Z[0] + he(3, Z[1]), 3, 3, 2),
        (he(2, Z[1]) * Z[0] + Z[0], 2, 2, 1),
    ],
)
def test_isoleap_is_that_of_the_worst_basis(target, leap, isoleap, exponent):
    found = told(Gaussian(40), target)
    assert (found["leap"].value, found["isoleap"].value, found["SGD exponent in d"].value) == (leap, isoleap, exponent)


@pytest.mark.parametrize("target", [X[0], X[0] * X[1] * X[2], X[0] + 0.5 * X[1] * X[2], X[0] * X[1] + X[2] * X[3]])
def test_alignment_is_the_top_eigenvalue_of_the_orbit(target):
    found = told(Hypercube(4), target)
    values = np.asarray(target(boolean.cube(4)), float)
    gram = symmetry.gram_alignment(symmetry.orbit(values, "signed permutations"))
    assert found["alignment"].value == pytest.approx(gram, abs=1e-9)
    assert found["CSQ bound"].value == pytest.approx(0.5 / gram)


def test_a_full_parity_is_left_whole_by_few_features():
    found = told(Hypercube(12), prod(bits(12)[:6]))
    assert found["linear-method bound"].value == pytest.approx(1 - 12 / 924)
    assert "144 leave 0.844" in found["linear-method bound"].why


def test_what_does_not_apply_says_why():
    on_bits, on_gauss = told(Hypercube(4), X[0]), told(Gaussian(40), Z[0])
    assert "rotations" in on_bits["isoleap"].why
    assert "signed permutations act on bits" in on_gauss["alignment"].why
    constant = told(Hypercube(4), X[0] * X[0])
    assert not constant["alignment"].applies
    assert not constant["SGD exponent in d"].applies


def test_a_tensor_that_would_not_fit_is_refused_in_words():
    found = told(Gaussian(40), total(prod(Z[i : i + 5]) for i in range(30)))
    assert not found["isoleap"].applies
    assert "a lower bound" in found["isoleap"].why


def test_a_kernel_machine_has_as_many_features_as_examples():
    target, n = total(prefixes(bits(12), 3)), 40
    run = Training(
        task=Sample(Labelled(Hypercube(12), target), n=n), model=KernelMachine(Rbf(3.0)), loss=SquaredLoss(),
        protocol=Ridge(1e-3, Exact()), measure=(TestLoss(Exact()) @ at_end(),), seed=0)  # fmt: skip
    found = {p.name: p for p in explain(run)}["kernel bound"]
    # levels 1, 2, 3 have eigenvalues 1/12, 1/66, 1/220: 12 features for the first, 28 of the second
    assert found.value == pytest.approx((3 - 1 - 28 / 66) / 3)
    assert "40 examples" in found.why
    assert "kernel bound" not in told(Hypercube(4), X[0])
    whole = replace(run, task=Labelled(Hypercube(12), target))
    assert not {p.name: p for p in explain(whole)}["kernel bound"].applies
