import copy
import json
import random
from typing import Any

import jax
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsl import (
    L2,
    Adam,
    Analysis,
    Cosine,
    Descent,
    Exact,
    Experiment,
    Fresh,
    Gaussian,
    Hypercube,
    Labelled,
    Mlp,
    Piecewise,
    Relu,
    Result,
    Sample,
    Seeded,
    Sgd,
    Sigmoid,
    Spec,
    SpecError,
    SquaredLoss,
    Target,
    TestLoss,
    Trained,
    Training,
    Weights,
    at,
    at_end,
    bits,
    digest,
    dump,
    load,
    loads,
    reals,
)
from dsl.identity import walk
from dsl.polynomials import constant
from dsl.spec import kinds
from tests.dsl.nouns import Kitchen, Majority, Nest, Size


def first(model: Any = None, seed: int = 0) -> Training:
    x = bits(3)
    return Training(
        task=Sample(Labelled(Hypercube(3), x[0] + 0.5 * x[1] * x[2]), n=6),
        model=model or Mlp((4,), Sigmoid(gain=2.0)),
        loss=0.5 * SquaredLoss() + L2(1e-3),
        protocol=Descent(4, Fresh(2), by=Sgd(Piecewise(0.1, every=2, factors=(1.0, 0.5)))),
        measure=(Weights() @ at(0, 4), TestLoss(Exact(), on=Labelled(Hypercube(3), Majority(3))) @ at_end()),
        seed=seed,
    )


# ---------------------------------------------------------------- generated specs

floats = st.floats(allow_nan=False, allow_infinity=False)
counts = st.integers(1, 40)
activations = st.one_of(st.just(Relu()), st.builds(Sigmoid, floats, floats, floats))
rates = st.one_of(
    st.builds(Piecewise, floats, counts, st.lists(floats, min_size=1, max_size=3).map(tuple)),
    st.builds(Cosine, floats, st.floats(0, 0.99)),
)
kitchens = st.builds(
    Kitchen,
    counts,
    st.text("abc"),
    flag=st.booleans(),
    size=st.integers(-(2**63), 2**63 - 1),
    rate=floats,
    choice=st.sampled_from(["left", "right"]),
    fixed=floats,
    shift=st.integers(-(2**31), 2**31 - 1),
    seed=st.integers(0, 2**31 - 1),
    rates=st.lists(floats, max_size=3).map(tuple),
    pair=st.tuples(st.integers(-5, 5), st.text(max_size=5)),
    maybe=st.none() | floats,
    noun=st.none() | activations,
    either=floats | activations,
    nouns=st.lists(activations, max_size=2).map(tuple),
    any_noun=activations | st.lists(activations, max_size=2).map(tuple),
)
characters = st.builds(
    lambda on, w: w * _monomial(on), st.sets(st.integers(0, 5), max_size=3), st.floats(-4, 4, allow_subnormal=False)
)


def _monomial(on: set[int]) -> Target[Any, Any]:
    found: Any = constant(1.0)
    for i in sorted(on):
        found = found * bits(6)[i]
    return found


tasks = st.builds(Labelled, st.builds(Hypercube, st.integers(6, 9)), characters)
nested = st.recursive(
    kitchens | tasks | st.builds(Adam, rates),
    lambda inner: st.builds(Kitchen, counts, st.just(""), any_noun=st.lists(inner, max_size=2).map(tuple)),
    max_leaves=4,
)


@given(nested)
def test_load_inverts_dump(spec: Spec) -> None:
    again = loads(json.dumps(dump(spec), allow_nan=False))
    assert again == spec
    assert digest(again) == digest(spec)
    assert repr(again) == repr(spec)
    assert jax.tree.structure(again) == jax.tree.structure(spec)


@given(nested, nested)
def test_digests_are_equal_exactly_for_equal_values(a: Spec, b: Spec) -> None:
    assert (digest(a) == digest(b)) == (a == b)


@given(kitchens)
def test_a_file_may_leave_out_defaults(spec: Kitchen) -> None:
    plain = dump(Kitchen(spec.count, spec.text))
    short = {name: value for name, value in dump(spec).items() if name == "kind" or value != plain[name]}
    assert load({"kind": plain["kind"], "count": spec.count, "text": spec.text} | short) == spec


# ---------------------------------------------------------------- experiments inside experiments


def chain(length: int) -> Training:
    """Each run starts from the one before it and measures on labels of the same one: every run is used twice."""
    run = first()
    for seed in range(1, length):
        on = Labelled(Hypercube(3), Majority(3))
        run = first(model=Trained(run, at=4), seed=seed)
        kept = (Weights() @ at(0, 4), TestLoss(Exact(), on=on) @ at_end())
        run = Training(run.task, run.model, run.loss, run.protocol, kept, seed)
    return run


def twice(length: int) -> Analysis:
    """Each analysis reads the one before it twice: a tree of size 2^length, written once each."""
    run: Experiment = first()
    for name in ["Weights"] + ["Size"] * (length - 1):
        run = Analysis(of=(Result(run, name), Result(run, name, at=at_end())), measure=(Size(),))
    return run


@pytest.mark.parametrize("make", [chain, twice])
def test_experiments_inside_experiments_load_again(make: Any) -> None:
    spec = make(6)
    again = loads(json.dumps(dump(spec)))
    assert again == spec
    assert digest(again) == digest(spec)


@pytest.mark.parametrize("make", [chain, twice])
def test_the_dump_of_a_chain_is_linear_in_its_length(make: Any) -> None:
    five, six, twenty = (len(json.dumps(dump(make(length)))) for length in (5, 6, 20))
    assert twenty - six == pytest.approx(14 * (six - five), rel=0.05)


def test_an_inner_experiment_is_written_once_under_its_digest() -> None:
    data = dump(twice(3))
    assert set(data) == {"spec", "experiments"}
    assert len(data["experiments"]) == 3
    assert data["spec"]["of"][0]["run"] == data["spec"]["of"][1]["run"]
    assert set(data["spec"]["of"][0]["run"]) == {"ref"}
    assert digest(first()) in data["experiments"]
    assert "experiments" not in dump(first())


def test_the_digest_of_the_outer_changes_with_the_inner() -> None:
    assert digest(first(model=Trained(first(seed=1)))) != digest(first(model=Trained(first(seed=2))))


def test_walk_meets_inner_experiments_and_does_not_enter_them() -> None:
    found = [noun for _, noun in walk(first(model=Trained(first())))]
    assert sum(isinstance(noun, Training) for noun in found) == 2
    assert sum(isinstance(noun, Descent) for noun in found) == 1


REFS = dump(first(model=Trained(first())))
NAME = next(iter(REFS["experiments"]))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda d: d["experiments"].clear(), "no experiment '"),
        (lambda d: d.pop("experiments"), "no experiment '"),
        (lambda d: d["experiments"].update({NAME: {"ref": NAME}}), "refers to itself, or nested too deep"),
        (lambda d: d["experiments"].update({NAME: {"kind": "Relu"}}), "expected a Composed, got Relu()"),
        (lambda d: d["experiments"].update({NAME: 3}), "expected a Composed, got 3"),
        (lambda d: d.update(experiments=[]), "expected an object with 'spec' and 'experiments'"),
        (lambda d: d.update(more=1), "expected an object with 'spec' and 'experiments'"),
        (lambda d: d["spec"]["model"].update(run={"ref": 3}), "no experiment 3"),
        (lambda d: d["spec"]["model"].update(run={"ref": []}), "no experiment ()"),
        (lambda d: d["experiments"][NAME].update(seed=-1), f"experiments.{NAME[:8]}.seed: expected greater than"),
    ],
)
def test_a_wrong_reference_is_a_fault(change: Any, text: str) -> None:
    data = copy.deepcopy(REFS)
    change(data)
    with pytest.raises(SpecError) as caught:
        load(data)
    assert text in str(caught.value)


def test_two_experiments_that_refer_to_each_other_are_a_fault() -> None:
    data = copy.deepcopy(REFS)
    body = copy.deepcopy(data["spec"])
    body["model"]["run"] = {"ref": "b"}
    data["experiments"] = {NAME: body, "b": data["spec"]}
    with pytest.raises(SpecError, match="refers to itself"):
        load(data)


# ---------------------------------------------------------------- strangers' files


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"kind": "Hyper', "not JSON: Unterminated string starting at at line 1, column 10"),
        ("", "not JSON: Expecting value at line 1, column 1"),
        (b"\xff{}", "not UTF-8 text: byte 0 is wrong"),
        ("[" * 10_000 + "]" * 10_000, "nested deeper than 100 levels"),
        ('{"kind":"Nest","inside":' * 10_000 + "null" + "}" * 10_000, "nested deeper than 100 levels"),
        ('{"a":' * 101 + "1" + "}" * 101, "nested deeper than 100 levels"),
        ("null", "expected a Spec, got None"),
        ("[]", "expected a Spec, got () of type tuple"),
        ("3", "expected a Spec, got 3 of type int"),
        ('"Hypercube"', "expected a Spec, got 'Hypercube'"),
        ("{}", "expected a Spec, got {} of type dict"),
        ('{"kind": 3}', "expected a Spec, got {'kind': 3} of type dict"),
        ('{"kind": null, "d": 3}', "expected a Spec"),
        ('{"kind": "Hypercube", "d": NaN}', "d: expected an integer, got nan"),
        ('{"kind": "Gaussian", "d": 3, "scale": NaN}', "scale: expected a finite number, got nan"),
        ('{"kind": "Gaussian", "d": 3, "scale": 1e999}', "scale: expected a finite number, got inf"),
        ('{"kind": "Hypercube", "d": ' + "1" * 5000 + "}", "a number has too many digits"),
        ('{"kind": "Hypercube", "d": 3, "self": 1}', "self: no such field"),
        ('{"kind": "Hypercube", "d": 3, "__class__": "Relu"}', "__class__: no such field"),
        ('{"kind": "Hypercube", "d": 3, "\\ud800": 1}', "unicode"),
        ('{"kind": "\\ud800"}', "unknown kind"),
        ('{"kind": "Hyperkube", "d": 3}', "unknown kind 'Hyperkube', expected a Spec (did you mean 'Hypercube'?)"),
        ('{"kind": "Spec"}', "unknown kind 'Spec'"),
        ('{"kind": "Activation"}', "unknown kind 'Activation'"),
    ],
)
def test_a_strangers_file_is_a_fault_and_nothing_else(text: str | bytes, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        loads(text)
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["os.system", "builtins.eval", "dsl.laws.Hypercube", "subprocess.Popen", "__import__"])
def test_a_file_cannot_name_code(name: str) -> None:
    with pytest.raises(SpecError, match="unknown kind"):
        load({"kind": name, "command": "true"})


def test_the_expected_interface_is_checked() -> None:
    assert load(dump(Relu()), Relu) == Relu()
    with pytest.raises(SpecError, match="expected a Target, got Relu"):
        load(dump(Relu()), Target)
    with pytest.raises(SpecError, match="unknown kind 'Rellu', expected an Activation"):
        load({"kind": "Mlp", "widths": [3], "activation": {"kind": "Rellu"}})


def test_domains_are_checked_when_a_file_is_read() -> None:
    data = dump(Labelled(Hypercube(3), bits(3)[0]))
    data["x"] = dump(Gaussian(3))
    with pytest.raises(SpecError, match="takes Bits, but x"):
        load(data)


def test_the_deepest_file_loads_and_its_text_is_not_changed() -> None:
    spec = Nest()
    for _ in range(95):
        spec = Nest(spec)
    assert load(dump(spec)) == spec


def mutated(value: Any, rng: random.Random) -> Any:
    """Parsed JSON with one random change somewhere in it."""
    junk = [None, True, -1, 0, 1, 2**70, 0.5, float("nan"), "", "Relu", "\ud800", [], {}, [[]], {"kind": "Relu"}]
    junk += [{"kind": name} for name in rng.sample([k for k in kinds() if "." not in k], 3)] + [
        {"ref": NAME},
        {"ref": None},
    ]
    if rng.random() < 0.25 or not isinstance(value, (dict, list)) or not value:
        return rng.choice(junk)
    if isinstance(value, list):
        i = rng.randrange(len(value))
        return [*value[:i], mutated(value[i], rng), *value[i + 1 :]]
    name = rng.choice(sorted(value))
    match rng.randrange(8):
        case 0:
            return {n: v for n, v in value.items() if n != name}
        case 1:
            return value | {rng.choice(["d", "kind", "noun", "x", "spec", "experiments"]): rng.choice(junk)}
        case _:
            return value | {name: mutated(value[name], rng)}


@pytest.mark.parametrize("spec", [first(model=Trained(first())), Seeded(Sample(Hypercube(3), 3), 1), 2 * reals(2)[0]])
def test_a_mutated_file_gives_a_spec_or_a_spec_error(spec: Spec) -> None:
    rng = random.Random(0)
    outcomes = set()
    for _ in range(250):
        data = mutated(dump(spec), rng)
        try:
            found = load(data)
        except SpecError as error:
            outcomes.add(SpecError)
            str(error)
            continue
        outcomes.add(Spec)
        assert load(dump(found)) == found
    assert outcomes == {SpecError, Spec}
