import copy
import dataclasses
import importlib.util
import math
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dsl import (
    Activation,
    AdamW,
    Analysis,
    Cosine,
    Descent,
    Gaussian,
    Gulp,
    Hypercube,
    Iris,
    Knob,
    Labelled,
    Mlp,
    Moved,
    Piecewise,
    Relu,
    Sample,
    Sgd,
    Sigmoid,
    SignFlip,
    Spec,
    SpecError,
    Tanh,
    Target,
    bits,
    digest,
    dump,
    load,
)
from dsl.spec import KINDS, hints, kind, kinds
from tests.dsl.nouns import Kitchen, Majority, Nest, Ordered, evaluated

FULL = Kitchen(
    3,
    "abc",
    flag=True,
    size=-7,
    rate=1e-30,
    choice="right",
    fixed=2.5,
    shift=-3,
    seed=2**31 - 1,
    rates=(1.0, -2.5),
    pair=(4, "b"),
    maybe=0.1,
    noun=Sigmoid(gain=2.0),
    either=Tanh(),
    nouns=(Relu(), Sigmoid(shift=1.0)),
    any_noun=(Majority(3), Ordered(0.0, 1.0)),
)


def text_of(make: Callable[[], Any]) -> str:
    with pytest.raises(SpecError) as caught:
        make()
    return str(caught.value)


# ---------------------------------------------------------------- a frozen value


def test_it_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        FULL.rate = 2.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        del FULL.rate


@pytest.mark.parametrize(
    "spec",
    [FULL, Kitchen(1, ""), Majority(3), bits(4)[0] * bits(4)[2], Sample(Labelled(Hypercube(3), bits(3)[0]), n=4)],
    ids=lambda spec: type(spec).__name__,
)
@pytest.mark.parametrize(
    "again",
    [
        copy.copy,
        copy.deepcopy,
        lambda s: pickle.loads(pickle.dumps(s)),
        lambda s: evaluated(repr(s)),
        lambda s: load(dump(s)),
        lambda s: dataclasses.replace(s),
        lambda s: jax.tree.unflatten(jax.tree.structure(s), jax.tree.leaves(s)),
    ],
    ids=["copy", "deepcopy", "pickle", "repr", "json", "replace", "pytree"],
)
def test_a_copy_is_the_same_value(spec: Spec, again: Callable[[Spec], Spec]) -> None:
    other = again(spec)
    assert other == spec
    assert type(other) is type(spec)
    assert hash(other) == hash(spec)
    assert digest(other) == digest(spec)
    assert repr(other) == repr(spec)


def test_values_that_differ_are_unequal() -> None:
    assert Hypercube(3) != Hypercube(4)
    assert Relu() != Tanh()
    assert len({Hypercube(3), Hypercube(3), Hypercube(4), Relu()}) == 3


def test_replace_checks_and_has_a_digest_of_its_own() -> None:
    digest(FULL)
    assert digest(dataclasses.replace(FULL, rate=3.0)) != digest(FULL)
    assert "count: expected greater than or equal to 1" in text_of(lambda: dataclasses.replace(FULL, count=0))


# ---------------------------------------------------------------- checked when built


@pytest.mark.parametrize("integer", [np.int64(3), np.int32(3), np.uint8(3), jnp.int32(3), np.array(3)])
def test_integers_of_numpy_and_jax_are_welcome(integer: Any) -> None:
    spec = Hypercube(integer)
    assert spec == Hypercube(3)
    assert type(spec.d) is int


@pytest.mark.parametrize("number", [np.float64(0.5), np.float32(0.5), np.float16(0.5), jnp.float32(0.5)])
def test_numbers_of_numpy_and_jax_are_welcome(number: Any) -> None:
    assert type(Gaussian(3, scale=number).scale) is float
    assert Sgd(lr=number) == Sgd(lr=0.5)  # in a union as well
    assert Piecewise(1.0, 3, factors=(number,)) == Piecewise(1.0, 3, factors=(0.5,))


def test_an_integer_is_a_float_and_truth_and_text_of_numpy_are_plain() -> None:
    assert type(Gaussian(3, scale=2).scale) is float
    spec = Kitchen(1, np.str_("a"), flag=np.bool_(True))
    assert type(spec.text) is str
    assert spec.flag is True


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Hypercube(True), "Hypercube: d: expected an integer, got True"),
        (lambda: Hypercube(np.True_), "Hypercube: d: expected an integer, got True"),
        (lambda: Hypercube(3.0), "Hypercube: d: expected an integer, got 3.0"),
        (lambda: Hypercube("3"), "Hypercube: d: expected an integer, got '3'"),
        (lambda: Hypercube(0), "Hypercube: d: expected greater than or equal to 1, got 0 of type int"),
        (lambda: Hypercube(), "Hypercube: d: missing, expected int"),
        (lambda: Hypercube(3, d=3), "Hypercube: d: given twice, by position and by name"),
        (lambda: Gaussian(3, True), "Gaussian: scale: expected a number, got True"),
        (lambda: Gaussian(3, math.nan), "Gaussian: scale: expected a finite number, got nan"),
        (lambda: Gaussian(3, -math.inf), "Gaussian: scale: expected a finite number, got -inf"),
        (lambda: Gaussian(3, np.float32(np.inf)), "Gaussian: scale: expected a finite number, got inf"),
        (lambda: Sgd(lr=True), "Sgd: lr: expected float or Rate, got True"),
        (lambda: Sgd(lr=math.nan), "Sgd: lr: expected float or Rate, got nan"),
        (lambda: Sgd(lr=Relu()), "Sgd: lr: expected a Rate, got Relu() of type Relu"),
        (lambda: Kitchen(1, "A"), "Kitchen: text: expected text of the pattern '^[a-z]*$', got 'A'"),
        (lambda: Kitchen(1, "", choice="up"), "Kitchen: choice: expected 'left' or 'right', got 'up'"),
        (
            lambda: Kitchen(1, "", seed=2**31),
            "Kitchen: seed: expected less than 2147483648, got 2147483648 of type int",
        ),
        (lambda: Kitchen(1, "", seed=-1), "Kitchen: seed: expected greater than or equal to 0, got -1 of type int"),
        (lambda: Mlp((3, 0), Relu()), "Mlp: widths[1]: expected greater than or equal to 1, got 0 of type int"),
        (lambda: Mlp([3], Relu()), "Mlp: widths: expected a tuple, got [3] of type list"),
        (lambda: Mlp(3, Relu()), "Mlp: widths: expected a tuple, got 3 of type int; a tuple of it alone is (3,)"),
        (lambda: Gulp(0.5), "Gulp: lams: expected a tuple, got 0.5; a tuple of it alone is (0.5,)"),
        (lambda: Hypercube(2**63), "Hypercube: d: expected an integer of 64 bits, got 9223372036854775808 of type int"),
        (lambda: Kitchen(1, 3), "Kitchen: text: expected text, got 3 of type int"),
        (lambda: Sample(Iris(), n=5, replace=1), "Sample: replace: expected True or False, got 1 of type int"),
        (lambda: Analysis(of=3, measure=()), "Analysis: of: expected tuple[Spec, ...] or Spec, got 3 of type int"),
        (lambda: Moved(by=SignFlip((0,))), "Moved: noun: missing, expected Spec"),
        (lambda: Mlp((3,), activation="relu"), "Mlp: activation: expected an Activation, got 'relu'"),
        (lambda: Mlp((3,), actvation=Relu()), "no such field (did you mean 'activation'?)"),
        (lambda: Hypercube(3, foo=1), "Hypercube: foo: no such field (known: d)"),
        (lambda: Ordered(2.0, 1.0), "Ordered: low: expected at most 1.0, got 2.0"),
    ],
)
def test_a_fault_says_where_what_was_got_and_what_was_expected(make: Callable[[], Any], text: str) -> None:
    assert text in text_of(make)


def test_all_faults_come_at_once_with_their_paths() -> None:
    text = text_of(lambda: Descent(steps=0, draw=Relu(), by="sgd", only="hiden", lr=0.1))
    assert text.splitlines() == [
        "Descent: 5 faults",
        "  steps: expected greater than or equal to 1, got 0 of type int",
        "  draw: expected a Draw, got Relu() of type Relu",
        "  by: expected an Optimizer, got 'sgd'",
        "  only: expected 'all', 'hidden' or 'readout', got 'hiden'",
        "  lr: no such field (known: by, draw, only, steps, stop)",
    ]


def test_a_loaded_spec_has_its_faults_at_once_with_their_paths() -> None:
    rate = {"kind": "Piecewise", "base": "x", "every": 0, "factors": [1.0, None]}
    data = {"kind": "AdamW", "lr": rate, "dekay": 0.1}
    with pytest.raises(SpecError) as caught:
        load(data)
    assert [str(fault) for fault in caught.value.faults] == [
        "lr.base: expected a number, got 'x'",
        "lr.every: expected greater than or equal to 1, got 0 of type int",
        "lr.factors[1]: expected a number, got None",
        "decay: missing, expected float",
        "dekay: no such field (did you mean 'decay'?)",
    ]


def test_a_spec_error_survives_a_pickle() -> None:
    with pytest.raises(SpecError) as caught:
        Hypercube(0)
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)


def test_a_number_of_thousands_of_digits_is_a_fault() -> None:
    assert "too long to write" in text_of(lambda: Hypercube(10**5000))
    assert "scale" in text_of(lambda: Gaussian(3, 10**400))


# ---------------------------------------------------------------- classes


def test_an_interface_is_not_built_and_says_what_is() -> None:
    with pytest.raises(TypeError, match=r"Activation is an interface; build one of: .*Relu, Sigmoid, Tanh"):
        Activation()


def test_an_interface_has_no_fields() -> None:
    with pytest.raises(TypeError, match="Field is an interface and has a field, 'd'"):

        class Field(Spec, abstract=True):
            d: int


def test_a_noun_is_final() -> None:
    with pytest.raises(TypeError, match="Relu is a final noun; inherit from an interface"):

        class Leaky(Relu):
            pass


def test_a_noun_without_its_meaning_is_not_built() -> None:
    class Meaningless(Activation):
        pass

    with pytest.raises(TypeError, match="abstract"):
        Meaningless()
    assert "unknown kind" in text_of(lambda: load({"kind": kind(Meaningless)}))


@pytest.mark.parametrize(
    "hint", [dict[str, int], list[int], np.ndarray, jax.Array, Callable[[int], int], complex, bytes, Any, tuple[Any]]
)
def test_foreign_types_are_refused_when_a_noun_is_defined(hint: Any) -> None:
    with pytest.raises(TypeError, match=r"Foreign\.held: .* is no type of the language"):
        type("Foreign", (Spec,), {"__annotations__": {"held": hint}, "__module__": __name__})


@pytest.mark.parametrize("hint", [tuple[int, float], tuple[int, Activation], int | Activation, Knob[int] | str])
def test_a_field_is_wholly_knob_or_wholly_structure(hint: Any) -> None:
    with pytest.raises(TypeError, match=r"Mixed\.held: .* mixes knobs and structure"):
        type("Mixed", (Spec,), {"__annotations__": {"held": hint}, "__module__": __name__})


def test_an_unknown_name_in_an_annotation_is_said_when_a_noun_is_defined() -> None:
    with pytest.raises(TypeError, match="Hopeful: name 'Unheard' is not defined; define a field's type before"):

        class Hopeful(Spec):
            held: "Unheard"


def module(path: Path, text: str) -> Any:
    """A user's file, imported."""
    path.write_text(text)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = made
    spec.loader.exec_module(made)
    return made


USERS = """
from __future__ import annotations
from typing import ClassVar
from dsl import Count, Knob, Real, Reals, Spec, Static, Target
from dsl.domains import Bits

class Parity(Target[Bits, Real]):
    d: Count
    weight: float = 1.0
    fixed: Static[float] = 1.0
    shift: Knob[int] = 0
    inside: Parity | None = None
    note: ClassVar[str] = "no field"

    def __call__(self, x):
        return self.weight * x.prod(-1)
"""


def test_a_users_file_with_postponed_annotations_works(tmp_path: Path) -> None:
    users = module(tmp_path / "my_postponed.py", USERS)
    spec = users.Parity(3, inside=users.Parity(2, 0.5))
    assert kind(spec) == "my_postponed.Parity"
    assert jax.tree.leaves(spec) == [1.0, 0, 0.5, 0]
    assert load(dump(spec)) == spec
    assert list(hints(users.Parity)) == ["d", "weight", "fixed", "shift", "inside"]
    assert "d: expected greater than or equal to 1" in text_of(lambda: users.Parity(0))
    assert "takes Bits, but x" in text_of(lambda: Labelled(Gaussian(3), spec))


def test_running_a_file_again_defines_its_nouns_again(tmp_path: Path) -> None:
    first = module(tmp_path / "my_again.py", USERS)
    second = module(tmp_path / "my_again.py", USERS)
    assert KINDS["my_again.Parity"] is second.Parity is not first.Parity


def test_two_nouns_of_one_kind_are_an_error() -> None:
    with pytest.raises(TypeError, match=r"kind 'Hypercube' is taken by dsl\.laws\.Hypercube; rename one of them"):
        type("Hypercube", (Spec,), {"__module__": "dsl.elsewhere"})


def test_a_users_kind_bears_its_module() -> None:
    assert kind(Majority) == "tests.dsl.nouns.Majority"
    assert kind(Hypercube) == "Hypercube"
    assert kinds(Target)["tests.dsl.nouns.Majority"] is Majority


def test_an_earlier_kind_loads_for_ever() -> None:
    class Renamed(Spec, was=("tests.Earlier",)):
        d: int

    assert load({"kind": "tests.Earlier", "d": 3}) == Renamed(3)
    assert dump(Renamed(3))["kind"] == kind(Renamed)
    assert "tests.Earlier" not in kinds()


# ---------------------------------------------------------------- identity


def versions(version: int, fields: dict[str, Any], **defaults: Any) -> Any:
    """The class `Versioned` as a module would define it at different times."""
    body = {"__annotations__": fields, "__module__": __name__, **defaults}
    return type("Versioned", (Spec,), body, version=version)


def test_the_version_is_part_of_the_digest() -> None:
    digests = {digest(versions(version, {"d": int})(3)) for version in (1, 2)}
    assert len(digests) == 2


def test_a_new_field_with_a_default_keeps_the_digest() -> None:
    old = digest(versions(1, {"d": int})(3))
    newer = versions(1, {"d": int, "scale": float, "noun": Activation | None}, scale=1.0, noun=None)
    assert digest(newer(3)) == digest(newer(3, scale=1.0)) == old
    assert digest(newer(3, scale=2.0)) != old
    assert load({"kind": f"{__name__}.Versioned", "d": 3}) == newer(3)  # a file of the earlier version


def test_minus_zero_is_zero() -> None:
    assert Ordered(-0.0, 1.0) == Ordered(0.0, 1.0)
    assert digest(Ordered(-0.0, 1.0)) == digest(Ordered(0.0, 1.0))
    assert digest(Kitchen(1, "", rates=(-0.0,))) == digest(Kitchen(1, "", rates=(0.0,)))


@pytest.mark.slow
def test_the_digest_is_the_same_in_a_fresh_process() -> None:
    spec = Sample(Labelled(Hypercube(3), 0.1 * bits(3)[0] + bits(3)[1] * bits(3)[2]), n=4)
    code = f"from dsl import *; print(digest({spec!r}))"
    root = Path(__file__).parents[2]
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert answer.stdout.strip() == digest(spec)


# ---------------------------------------------------------------- a pytree of knobs


def test_the_leaves_are_the_knobs() -> None:
    names = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(FULL)]
    assert names == [
        ".rate",
        ".shift",
        ".seed",
        ".rates[0]",
        ".rates[1]",
        ".maybe",
        ".noun.gain",
        ".noun.slope",
        ".noun.shift",
        ".nouns[1].gain",
        ".nouns[1].slope",
        ".nouns[1].shift",
        ".any_noun[1].low",
        ".any_noun[1].high",
    ]
    assert jax.tree.structure(FULL) == jax.tree.structure(dataclasses.replace(FULL, rate=5.0, seed=1))
    assert jax.tree.structure(FULL) != jax.tree.structure(dataclasses.replace(FULL, fixed=5.0))
    assert jax.tree.structure(FULL) != jax.tree.structure(dataclasses.replace(FULL, either=1.0))


def test_knobs_of_one_structure_are_traced_once() -> None:
    traces = []

    @jax.jit
    def value(spec: Sigmoid, z: jax.Array) -> jax.Array:
        traces.append(spec)
        return spec(z)

    for gain in (1.0, 2.0, -3.0):
        np.testing.assert_allclose(value(Sigmoid(gain), jnp.zeros(2)), gain / 2)
    assert len(traces) == 1


def test_static_floats_are_compiled_in_and_integer_knobs_are_traced() -> None:
    traces = []

    @jax.jit
    def value(spec: Kitchen) -> jax.Array:
        traces.append(spec.fixed)
        return spec.shift * jnp.ones(())

    assert value(Kitchen(1, "", shift=2)) == 2
    assert value(Kitchen(1, "", shift=-5)) == -5
    assert traces == [0.5]
    value(Kitchen(1, "", fixed=1.5))
    assert traces == [0.5, 1.5]


def test_a_spec_is_changed_in_traced_code_by_tree_at() -> None:
    @jax.jit
    def doubled(spec: Gaussian) -> Gaussian:
        return eqx.tree_at(lambda s: s.scale, spec, replace_fn=lambda scale: 2 * scale)

    assert doubled(Gaussian(3, 1.5)).scale == 3.0
    grown = jax.vmap(lambda scale: eqx.tree_at(lambda s: s.scale, Gaussian(1), scale))
    assert grown(jnp.arange(3.0)).scale.shape == (3,)


def test_no_validation_when_jax_rebuilds() -> None:
    spec = jax.tree.map(lambda _: object(), AdamW(Cosine(1.0), 0.1))
    assert isinstance(spec, AdamW)
    assert isinstance(spec.lr, Cosine)


# ---------------------------------------------------------------- domains, where no type checker looks


def test_a_target_of_bits_on_gaussian_inputs_is_refused() -> None:
    text = text_of(lambda: Labelled(Gaussian(3), Majority(3)))
    assert text == ("Labelled: y: Majority(d=3) takes Bits, but x, Gaussian(d=3, scale=1.0), gives Reals")


def test_the_check_looks_through_combinators_and_through_json() -> None:
    data = dump(Labelled(Sample(Hypercube(3), n=4), Majority(3)))
    data["x"]["noun"] = dump(Gaussian(3))
    assert "y: Majority(d=3) takes Bits, but x" in text_of(lambda: load(data))


def test_recursive_nouns_and_their_depth() -> None:
    spec = Nest()
    for _ in range(30):
        spec = Nest(spec, 0.5)
    assert load(dump(spec)) == spec
    assert len(jax.tree.leaves(spec)) == 31
