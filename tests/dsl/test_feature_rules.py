"""What `explain` says of features at convergence, and that trained networks have them."""

from dataclasses import replace

import pytest

from dsl import *
from tests.dsl.running import run

LINEAR = Training(
    task=Sample(Labelled(Gaussian(3), reals(3)[0] + 0.5 * reals(3)[1]), n=20),
    model=Mlp((3,), activation=HermiteSeries((0.0, 1.0)), bias=False),
    loss=SquaredLoss() + L2(0.1),
    protocol=Descent(1500, Exact(), by=Adam(lr=Cosine(1e-2, warmup=0.0))),
    measure=(
        *(FactAlignment(layer) @ at_end() for layer in range(2)),
        *(NfaAlignment(layer, power=1 / (2 - layer)) @ at_end() for layer in range(2)),
        GradientNorm() @ at_end(),
    ),
    seed=0,
    precision="float64",
)


def told(spec):
    return {p.name: p for p in explain(spec)}


def test_a_trained_linear_network_has_the_cosines_that_are_told():
    found = told(LINEAR)
    assert found["FACT"].value == 1.0
    assert found["powers of the ansatz"].value == (1 / 2, 1)
    last = {name: float(list(steps.values())[-1]) for name, steps in run(LINEAR).items()}
    assert last["GradientNorm"] < 1e-3
    for name in ("FactAlignment", "NfaAlignment"):
        for layer in range(2):
            assert last[f"{name}(layer={layer})"] == pytest.approx(1.0, abs=1e-3)


def test_decoupled_decay_has_no_such_point_and_no_penalty_says_nothing():
    by = AdamW(lr=1e-2, decay=0.1)
    decoupled = replace(LINEAR, protocol=replace(LINEAR.protocol, by=by), measure=(GradientNorm() @ at_end(),))
    assert not told(decoupled)["FACT"].applies
    assert "apart from its gradient" in told(decoupled)["FACT"].why
    plain = replace(LINEAR, loss=SquaredLoss(), measure=(GradientNorm() @ at_end(),))
    assert not {"FACT", "powers of the ansatz"} & set(told(plain))


def test_other_networks_have_no_powers():
    bent = replace(LINEAR, model=Mlp((3,), activation=Tanh(), bias=False))
    assert "powers of the ansatz" not in told(bent)
    assert told(bent)["FACT"].applies
    shifted = replace(LINEAR, model=Mlp((3,), activation=HermiteSeries((0.0, 1.0))))
    assert "powers of the ansatz" not in told(shifted)


def test_gulp_is_told_of_its_ridges():
    networks = tuple(Seeded(Mlp((n,), activation=Relu()), seed=0) for n in (2, 3))
    on = Sample(Labelled(Gaussian(3), reals(3)[0]), n=20)
    of = tuple(Representation(network, on=on, layer=0) for network in networks)
    both = Analysis(of=of, measure=(DistanceMatrix(Cka()), DistanceMatrix(Gulp((1.0, 0.01)))), precision="float64")
    assert told(both)["GULP bounds gaps"].value == (0.01, 1.0)
    assert told(replace(both, measure=(DistanceMatrix(Cka()),))) == {}
