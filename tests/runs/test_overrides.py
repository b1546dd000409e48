import pytest

from dsl import (
    Adam,
    Descent,
    Fresh,
    Hypercube,
    Labelled,
    Mlp,
    Piecewise,
    Relu,
    Sample,
    Sgd,
    SquaredLoss,
    Study,
    TestLoss,
    Trained,
    Training,
    Weights,
    at_end,
    bits,
    every,
    grid,
)
from runs.overrides import OverrideError, override, override_study, parse


def training(lr: float | Piecewise = 0.1, seed: int = 0, model=None) -> Training:
    return Training(
        task=Sample(Labelled(Hypercube(6), bits(6)[0]), 50),
        model=model or Mlp((4,), Relu()),
        loss=SquaredLoss(),
        protocol=Descent(steps=20, draw=Fresh(2), by=Sgd(lr)),
        measure=(TestLoss(Fresh(8)) @ every(5), Weights() @ at_end()),
        seed=seed,
    )


def test_fields_are_set_by_path():
    texts = ["protocol.steps=1000", "task.n=500", "measure[0].measurement.draw.n=100", "precision=float64"]
    found = override(training(), texts)
    assert found.protocol.steps == 1000
    assert found.task.n == 500
    assert found.measure[0].measurement.draw.n == 100
    assert found.precision == "float64"
    assert training() == override(training(), [])


def test_fields_inside_a_rate_and_whole_nouns():
    rate = Piecewise(0.01, every=5, factors=(1.0, 0.5))
    assert override(training(rate), ["protocol.by.lr.base=0.02"]).protocol.by.lr.base == 0.02
    assert override(training(), ['protocol.by={"kind": "Adam", "lr": 0.001}']).protocol.by == Adam(0.001)
    bare = '{"kind": "Mlp", "widths": [3], "activation": {"kind": "Relu"}}'
    assert override(training(), [f"model={bare}", "model.bias=false"]).model == Mlp((3,), Relu(), bias=False)


def test_lists_items_and_text():
    assert override(training(), ["task.noun.y.terms[0].on=[1, 2]"]).task.noun.y.terms[0].on == (1, 2)
    assert parse("a.b[0]=x=y").value == "x=y"
    assert parse("a[1].b=true") == parse("a[1].b= true")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("protocol.stepz=3", "protocol.stepz: no such field (did you mean 'steps'?)"),
        ("protocl.steps=3", "protocl: no such field (did you mean 'protocol'?)"),
        ("protocol.by.lr.base=3", "protocol.by.lr.base: there are no fields in 0.1"),
        ("measure[2].when.n=3", "measure[2]: this is a list of 2"),
        ("measure.when=3", "measure.when: this is a list of 2"),
        ("protocol[0]=3", "protocol[0]: this has fields"),
        ("protocol.by.lr=1e-3x", "protocol.by.lr: expected float or Rate, got '1e-3x'"),
        ("protocol.steps=1e3", "protocol.steps: expected"),
        ("protocol.steps=0", "protocol.steps: expected"),
        ("protocol.by.lr=NaN", "protocol.by.lr: expected"),
        ("protocol.steps=3", "measure[0].when.n: expected at most 3, the last step, got 5"),
        ("protocol.by.kind=Adem", "unknown kind 'Adem'"),
        ("protocol.by={}", "protocol.by: expected an Optimizer"),
        ("protocol.steps", "expected PATH=VALUE"),
        ("=3", "expected PATH=VALUE"),
        ("a..b=3", "expected PATH=VALUE"),
        ("loss=" + "[" * 100_000, "nested too deep"),
        ("loss=" + "[" * 500 + "]" * 500, "nested deeper"),
        ("seed=" + "1" * 5000, "seed: expected"),
    ],
)
def test_what_cannot_be_set_says_where(text, message):
    with pytest.raises(OverrideError) as error:
        override(training(), [text])
    assert message in str(error.value)


def test_inner_experiments_are_not_entered():
    outer = training(model=Trained(training(seed=3)))
    with pytest.raises(OverrideError, match=r"model\.run\.seed: this is inside another experiment"):
        override(outer, ["model.run.seed=4"])
    assert override(outer, ["seed=7"]).model == outer.model


def test_a_study_is_set_where_it_has_the_field():
    rates = (0.1, Piecewise(0.01, every=5, factors=(1.0,)))
    study = Study("s", grid(training, lr=rates, seed=(0, 1)))
    found = override_study(study, ["protocol.by.lr.every=3"])
    assert found.points[0] is study.points[0]
    assert [p.spec.protocol.by.lr.every for p in found.points[2:]] == [3, 3]
    columns = [{}, {}, {"protocol.by.lr.every": 3}, {"protocol.by.lr.every": 3}]
    assert [p.axes for p in found.points] == [{**p.axes, **c} for p, c in zip(study.points, columns, strict=True)]
    with pytest.raises(OverrideError, match="did you mean 'every'"):
        override_study(study, ["protocol.by.lr.evry=3"])


def test_faults_name_the_point():
    study = Study("s", grid(training, lr=(0.1, 0.2), seed=(0,)))
    with pytest.raises(OverrideError, match=r"point 0 \(lr=0.1, seed=0\): Training: protocol.steps"):
        override_study(study, ["protocol.steps=-1"])


def test_an_axis_cannot_be_set_away():
    study = Study("s", grid(training, lr=(0.1, 0.2), seed=(0, 1)))
    with pytest.raises(OverrideError, match="points 0 and 1 would be the same experiment"):
        override_study(study, ["seed=5"])


def test_an_axis_that_is_no_field_names_the_fields_that_hold_it():
    study = Study("s", grid(training, lr=(0.1, 0.2), seed=(0, 1)))
    with pytest.raises(OverrideError) as error:
        override_study(study, ["lr=0.3"])
    assert str(error.value) == "lr: this is an axis of the study, not a field; its values stand in protocol.by.lr"
    twice = Study("s", grid(lambda rate: training(2 * rate), rate=(0.1, 0.2)))
    with pytest.raises(OverrideError, match=r"rate: this is an axis of the study, not a field$"):
        override_study(twice, ["rate=0.3"])


def test_a_count_written_as_a_float_says_how_to_write_it():
    with pytest.raises(OverrideError, match=r"got 1000\.0; write 1000$"):
        override(training(), ["protocol.steps=1e3"])
    with pytest.raises(OverrideError) as error:
        override(training(), ["protocol.steps=1.5"])
    assert "write" not in str(error.value)
