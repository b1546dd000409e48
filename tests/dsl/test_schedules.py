from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsl import (
    L2,
    Adam,
    At,
    AtEnd,
    Coefficients,
    Cosine,
    Cyclic,
    Descent,
    Every,
    Exact,
    Fresh,
    Gaussian,
    Hypercube,
    Labelled,
    LogSpaced,
    Mlp,
    Piecewise,
    Relu,
    Sgd,
    SpecError,
    SquaredLoss,
    TestLoss,
    Training,
    TrainLoss,
    at,
    at_end,
    bits,
    every,
    log_spaced,
    prefixes,
)
from dsl.program import compile


def test_steps_of_each_schedule() -> None:
    assert every(3).steps(10) == (0, 3, 6, 9)
    assert every(5).steps(10) == (0, 5, 10)
    assert at(4, 0, 4).steps(10) == (0, 4)
    assert at_end().steps(10) == (10,)
    assert log_spaced(4).steps(1000) == (0, 1, 10, 100, 1000)
    assert log_spaced(1).steps(1000) == (0, 1000)
    assert [when.steps(0) for when in (every(3), log_spaced(4), at_end())] == [(0,)] * 3
    assert (every(3), at(1), at_end(), log_spaced(2)) == (Every(3), At((1,)), AtEnd(), LogSpaced(2))


@given(st.integers(1, 80), st.integers(1, 10**6))
def test_log_spaced_steps_increase_from_0_to_the_last(n: int, last: int) -> None:
    steps = log_spaced(n).steps(last)
    assert steps[0] == 0
    assert steps[-1] == last
    assert list(steps) == sorted(set(steps))
    assert len(steps) <= n + 1
    ratios = np.diff(np.log([t for t in steps if t > 0]))
    assert np.all(ratios <= np.log(max(last, 2)) / max(n - 1, 1) + np.log(2))


@pytest.mark.parametrize("t", [0, 14_999, 15_000, 29_999, 45_000, 89_999, 90_000, 10**6])
def test_piecewise_is_the_rate_of_the_staircase_paper(t: int) -> None:
    rate = Piecewise(0.01, every=15_000, factors=tuple(0.5**k for k in range(7)))
    assert float(rate(np.int32(t), 100_000)) == pytest.approx(0.01 * 2.0 ** -min(t // 15_000, 6), rel=1e-6)


@pytest.mark.parametrize("warmup", [0.0, 0.1])
def test_cosine_by_its_formula(warmup: float) -> None:
    steps, peak = 200, 3e-3
    for t in (0, 1, 19, 20, 100, 199, 200):
        rise = min((t + 1) / max(warmup * steps, 1), 1)
        fall = (1 + np.cos(np.pi * (t / steps - warmup) / (1 - warmup))) / 2
        expected = peak * (rise if t < warmup * steps else fall)
        assert float(Cosine(peak, warmup)(np.int32(t), steps)) == pytest.approx(expected, rel=1e-5, abs=1e-9)


# ---------------------------------------------------------------- faults of an experiment, before anything is compiled


def training(**changes: Any) -> Training:
    fields: dict[str, Any] = {
        "task": Labelled(Hypercube(3), bits(3)[0]),
        "model": Mlp((2,), Relu()),
        "loss": SquaredLoss(),
        "protocol": Descent(4, Fresh(2), by=Sgd(0.1)),
        "measure": (),
        "seed": 0,
    }
    return Training(**(fields | changes))


@pytest.mark.parametrize(
    ("changes", "faults"),
    [
        ({"measure": (TestLoss(Exact()) @ at(1, 9),)}, ["measure[0].when.at[1]: step 9 is beyond the last step, 4"]),
        ({"measure": (TestLoss(Exact()) @ every(5),)}, ["measure[0].when.n: expected at most 4, the last step, got 5"]),
        (
            {"measure": (TestLoss(Exact()) @ every(1), TestLoss(Exact()) @ at_end())},
            ["measure[1]: TestLoss(draw=Exact(), on=None) is measured twice; join its steps in one schedule"],
        ),
        (
            {"protocol": Descent(4, Fresh(2), by=Sgd(1e-64))},
            ["protocol.by.lr: 1e-64 is 0 in float32; set precision='float64' or rescale"],
        ),
        (
            {"protocol": Descent(4, Fresh(2), by=Adam(Piecewise(0.1, 2, (1.0, 1e39))))},
            ["protocol.by.lr.factors[1]: 1e+39 is infinite in float32; set precision='float64' or rescale"],
        ),
        (
            {"measure": (TestLoss(Cyclic(2)) @ at_end(),)},
            ["measure[0].measurement.draw: a test set is drawn by Fresh(n) or Exact(), got Cyclic(n=2, start=0)"],
        ),
        (
            {
                "task": Labelled(Hypercube(21), bits(21)[0]),
                "protocol": Descent(4, Cyclic(2), by=Sgd(1e-64)),
                "loss": SquaredLoss() + L2(1e-50),
                "measure": (
                    TestLoss(Exact()) @ at(9),
                    TrainLoss() @ at_end(),
                    Coefficients(prefixes(bits(30), 22), Fresh(2)) @ at_end(),
                ),
            },
            [
                "loss.penalties[0].lam: 1e-50 is 0 in float32; set precision='float64' or rescale",
                "protocol.by.lr: 1e-64 is 0 in float32; set precision='float64' or rescale",
                "protocol.draw: Cyclic(n=2, start=0) passes over a sample; wrap the task: Sample(..., n=...), "
                "or draw with Fresh(n)",
                "measure[0].when.at[0]: step 9 is beyond the last step, 4",
                "measure[0].measurement.draw: LAW has no exact expectations; draw with Fresh(n), or from a Sample",
                "measure[1].measurement: LAW has no exact expectations; draw with Fresh(n), or from a Sample",
                "measure[2].measurement.basis[21].terms[0].on[21]: 21 is not a coordinate of Hypercube(d=21)",
            ],
        ),
    ],
)
def test_faults_of_an_experiment(changes: dict[str, Any], faults: list[str]) -> None:
    with pytest.raises(SpecError) as caught:
        training(**changes)
    found = [str(fault) for fault in caught.value.faults]
    law = "Labelled(x=Hypercube(d=21), y=FourierPolynomial(terms=(Character(on=(0,), weight=1.0),)))"
    assert [text.replace(law, "LAW") for text in found] == faults


def test_domains_of_an_experiment() -> None:
    with pytest.raises(SpecError, match="takes Bits, but x, Gaussian"):
        training(task=Labelled(Gaussian(3), bits(3)[0]))


def test_a_small_knob_is_accepted_in_double_precision() -> None:
    run = training(protocol=Descent(4, Fresh(2), by=Sgd(1e-64)), precision="float64")
    assert run.precision == "float64"


def test_the_schedule_of_a_program_joins_its_measurements() -> None:
    run = training(measure=(TestLoss(Exact()) @ every(2), TrainLoss() @ at(1, 4)))
    assert compile(run).schedule == (
        (0, ("TestLoss",)),
        (1, ("TrainLoss",)),
        (2, ("TestLoss",)),
        (4, ("TestLoss", "TrainLoss")),
    )
    assert compile(run).last == 4


def test_two_measurements_of_a_kind_are_named_by_their_repr() -> None:
    run = training(measure=(TestLoss(Exact()) @ at_end(), TestLoss(Fresh(3)) @ at_end(), TrainLoss() @ at_end()))
    assert list(run.observed()) == [
        "TestLoss(draw=Exact(), on=None)",
        "TestLoss(draw=Fresh(n=3), on=None)",
        "TrainLoss",
    ]
