import json

import pytest

import dsl
from dsl import (
    Bits,
    Character,
    Descent,
    Fresh,
    Gaussian,
    Hypercube,
    Labelled,
    Mlp,
    Monomial,
    Real,
    Sample,
    Scaled,
    Seeded,
    Sgd,
    SquaredLoss,
    Sum,
    Target,
    TestLoss,
    Training,
    at_end,
    bits,
    feature_rules,
    he,
    prod,
    reals,
    total,
    transport_rules,
)
from dsl.explain import RULES, explain
from dsl.polynomials import FourierPolynomial, Polynomial


class Sign(Target[Bits, Real]):
    """A target that is no polynomial."""

    d: int

    def __call__(self, x):
        return x.sum(-1)


def training(task):
    return Training(
        task=task,
        model=Mlp((4,), dsl.Relu()),
        loss=SquaredLoss(),
        protocol=Descent(steps=3, draw=Fresh(2), by=Sgd(0.1)),
        measure=(TestLoss(Fresh(8)) @ at_end(),),
        seed=0,
    )


def on_bits(target, d=6):
    return {p.name: p for p in explain(training(Labelled(Hypercube(d), target)))}


def on_gauss(target, d=6, scale=1.0):
    return {p.name: p for p in explain(training(Labelled(Gaussian(d, scale), target)))}


x, z = bits(6), reals(6)


def test_a_staircase_on_bits():
    found = on_bits(total(prod(x[:k]) for k in (1, 2, 3)))
    assert found["support"].value == ((0,), (0, 1), (0, 1, 2))
    assert [found[name].value for name in ("staircase", "merged staircase", "leap")] == [True, True, 1]
    for name in ("staircase", "merged staircase", "leap"):
        assert "found in the order x0 (+1) then x0*x1 (+1) then x0*x1*x2 (+1)" in found[name].why
    assert all(p.applies and "uniform bits" in p.conditions for name, p in found.items() if name != "isoleap")


def test_a_merged_staircase_that_is_no_staircase():
    found = on_bits(x[0] + x[1] + x[2] + x[0] * x[1] * x[2])
    assert not found["staircase"].value
    assert "x0*x1*x2" in found["staircase"].why
    assert found["merged staircase"].value
    assert found["leap"].value == 1


def test_a_parity_leaps():
    found = on_bits(x[3] + x[0] * x[1] * x[2])
    assert found["leap"].value == 3
    assert "x3 (+1) then x0*x1*x2 (+3)" in found["leap"].why
    assert not found["merged staircase"].value
    assert "x0*x1*x2 brings 3" in found["merged staircase"].why


def test_a_polynomial_of_reals_on_bits_is_reduced():
    assert on_bits(z[0] * z[0] * z[1] + z[0] * z[0])["support"].value == ((1,),)


def test_hermite_terms_on_gaussian_inputs():
    found = on_gauss(z[0] + he(2, z[1]) * z[0] + z[2] * z[2] * z[2])
    assert found["support"].value == (((0, 1),), ((2, 1),), ((0, 1), (1, 2)), ((2, 3),))
    assert found["leap"].value == 2
    assert "x0*he2(x1) (+2)" in found["leap"].why
    assert "Hermite" in found["leap"].conditions
    assert not found["staircase"].applies
    assert "functions of bits" in found["staircase"].why


def test_rounding_leaves_no_terms():
    assert on_gauss(z[0] * z[0] * z[0] - 3.0 * z[0])["support"].value == (((0, 3),),)
    assert on_bits(0.1 * x[0] + 0.2 * x[0] - 0.3 * x[0] + x[1])["support"].value == ((1,),)


def test_terms_that_vanish_are_left_out_and_those_of_a_sum_are_merged():
    vanishing = FourierPolynomial((Character((1,), 0.0), Character((2,))))
    assert on_bits(vanishing)["support"].value == ((2,),)
    parts = Sum((Scaled(2.0, x[0]), Polynomial((Monomial((1,), (1,)),))))
    assert on_bits(parts)["support"].value == ((0,), (1,))


def test_a_constant_has_no_leap():
    found = on_bits(x[0] * x[0])
    assert found["support"].value == ()
    assert found["leap"].value == 0
    assert found["staircase"].value
    assert found["merged staircase"].why == found["leap"].why == "it is constant"
    assert on_bits(FourierPolynomial(()))["leap"].value == 0


def test_combinators_are_looked_through():
    plain = Labelled(Hypercube(6), x[0] * x[1])
    sampled = Sample(Labelled(Sample(Hypercube(6), 9), x[0] * x[1]), 5)
    assert explain(training(Seeded(sampled, 1))) == explain(training(plain))


def test_a_target_that_is_no_polynomial():
    found = on_bits(Sign(6) + x[0])
    others = 1 + len(feature_rules.RULES) + len(transport_rules.RULES)  # the first is of kernel machines
    assert len(found) == len(RULES) - others
    assert not any(p.applies for p in found.values())
    assert found["leap"].why == "no sparse expansion of Sign is known"
    assert found["leap"].value is None


def test_other_laws_and_specs_say_why_not():
    assert "scale=2.0" in on_gauss(z[0], scale=2.0)["leap"].why
    assert all("Training" in p.why and not p.applies for p in explain(Hypercube(3)))


def test_sources_that_were_not_read_are_marked():
    assert {name for name, p in on_bits(x[0]).items() if p.verified} == {
        "support",
        "merged staircase",
        "beyond the activation",
    }


@pytest.mark.parametrize("target", [x[0] + x[0] * x[1], he(2, z[0])])
def test_predictions_are_plain_values(target):
    law = Hypercube(6) if isinstance(target, FourierPolynomial) else Gaussian(6)
    found = explain(training(Labelled(law, target)))
    assert hash(found) == hash(explain(training(Labelled(law, target))))
    json.dumps([p.value for p in found])


def test_many_terms_are_told_briefly():
    wide = bits(40)
    found = {p.name: p for p in explain(training(Labelled(Hypercube(40), total(wide))))}
    assert "28 more" in found["support"].why
    assert len(found["support"].value) == 40
