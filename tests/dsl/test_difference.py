"""What two specs differ in: nothing for equal ones, else exactly the fields that were changed."""

from dataclasses import replace
from typing import Any

import pytest

from dsl import *
from dsl.difference import differences
from tests.dsl.nouns import Kitchen, Nest, Size

X = bits(6)
BASE = Training(
    task=Labelled(Hypercube(6), X[0] + X[0] * X[1]),
    model=Mlp((4, 3), Relu()),
    loss=SquaredLoss(),
    protocol=Descent(20, Fresh(2), by=Sgd(0.1)),
    measure=(TestLoss(Fresh(8)) @ at(0, 20), Weights() @ at_end()),
    seed=0,
)


def told(left: Spec, right: Spec) -> list[tuple[str, str, str]]:
    return [(d.where, d.left, d.right) for d in differences(left, right)]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"seed": 3}, [("seed", "0", "3")]),
        ({"precision": "float64"}, [("precision", "'float32'", "'float64'")]),
        ({"model": Mlp((4,), Relu())}, [("model.widths[1]", "3", "-")]),
        ({"model": Mlp((4, 3, 2), Relu())}, [("model.widths[2]", "-", "2")]),
        ({"model": Mlp((4, 3), Tanh())}, [("model.activation", "Relu", "Tanh")]),
        ({"protocol": Descent(30, Fresh(4), by=Sgd(0.1))}, [("protocol.steps", "20", "30"),
                                                           ("protocol.draw.n", "2", "4")]),
        ({"protocol": Descent(20, Fresh(2), by=Adam(0.2))}, [("protocol.by", "Sgd", "Adam"),
                                                            ("protocol.by.lr", "0.1", "0.2")]),
        ({"protocol": Descent(20, Fresh(2), by=AdamW(0.1, 0.5))}, [("protocol.by", "Sgd", "AdamW"),
                                                                  ("protocol.by.decay", "-", "0.5")]),
        ({"protocol": Descent(20, Fresh(2), by=Sgd(0.1), stop=Stop(0.5))}, [("protocol.stop", "None",
                                                                            "Stop(loss_below=0.5)")]),
        ({"task": Labelled(Hypercube(6), X[0] + 2 * X[0] * X[1])}, [("task.y.terms[1].weight", "1.0", "2.0")]),
        ({"measure": BASE.measure[:1]}, [("measure[1]", "Observed(measurement=Weights(), when=AtEnd())", "-")]),
    ],
)  # fmt: skip
def test_the_fields_that_were_changed_are_told(changes: dict[str, Any], expected: list[tuple[str, str, str]]) -> None:
    other = replace(BASE, **changes)
    assert told(BASE, other) == expected
    assert told(other, BASE) == [(where, right, left) for where, left, right in expected]


def test_the_kinds_of_the_specs_themselves() -> None:
    assert told(Relu(), Tanh()) == [("(kind)", "Relu", "Tanh")]


def test_a_float_that_is_minus_zero_is_zero() -> None:
    assert told(Nest(rate=0.0), Nest(rate=-0.0)) == []
    assert told(Kitchen(count=1, text="a", rate=0.0), Kitchen(count=2, text="a", rate=-0.0)) == [("count", "1", "2")]


def test_inner_experiments_are_entered_once() -> None:
    inner, other = BASE, replace(BASE, seed=9)
    outer = lambda run: Analysis(of=(Result(run, "TestLoss", at(20)), Result(run, "TestLoss", at(0))), measure=())
    again = "as in of[0].run"
    assert told(outer(inner), outer(other)) == [("of[0].run.seed", "0", "9"), ("of[1].run", again, again)]


def test_a_tower_of_experiments_is_compared_in_its_own_size() -> None:
    """Without memory, 40 levels of two references each would be 2^40 comparisons."""

    def tower(seed: int) -> Experiment:
        run: Any = replace(BASE, seed=seed)
        for level in range(40):
            name = "Size" if level else "TestLoss"
            run = Analysis(of=(Result(run, name), Result(run, name)), measure=(Size(),))
        return run

    found = told(tower(1), tower(2))
    assert len(found) == 41
    assert found[0] == ("of[0].run." * 40 + "seed", "1", "2")
    assert found[-1] == ("of[1].run", "as in of[0].run", "as in of[0].run")
