"""Whatever `load` takes fits the schema; what is misspelt does not."""

import copy
import json
import random
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from dsl import *
from dsl.domains import stands_for_noun
from dsl.identity import walk
from dsl.references import Slot
from dsl.schema import roots, schema
from dsl.spec import KINDS, hints, kind, kinds
from tests.conformance.candidates import instance
from tests.dsl.nouns import Kitchen
from tests.dsl.test_identity import first, mutated

WHOLE = schema(Spec)
ANY, FILES = Draft202012Validator(WHOLE), Draft202012Validator(schema(Experiment))
NOUNS = [noun for noun in kinds().values() if not issubclass(noun, Slot)]
GOLDEN = sorted(Path(__file__).parents[1].glob("golden/*.json"))
OURS = [noun for noun in NOUNS if "." not in kind(noun)]


def test_it_is_a_schema_with_an_entry_for_every_noun() -> None:
    Draft202012Validator.check_schema(WHOLE)
    for noun in NOUNS:
        entry = WHOLE["$defs"][kind(noun)]
        assert entry["properties"]["kind"] == {"const": kind(noun)}
        assert set(entry["properties"]) == {"kind", *hints(noun)}
        assert entry["description"]
    assert json.loads(json.dumps(WHOLE, allow_nan=False)) == WHOLE
    references = {ref for ref in json.dumps(WHOLE).split('"') if ref.startswith("#/$defs/")}
    assert references <= {f"#/$defs/{name}" for name in WHOLE["$defs"]}


LONG = ("-paper", "gulp-small", "fact-small")
"""Files of thousands of lines."""


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=pytest.mark.slow if path.stem.endswith(LONG) else ()) for path in GOLDEN],
    ids=lambda path: path.stem,
)
def test_the_specs_of_the_studies_fit(path: Path) -> None:
    for entry in json.loads(path.read_text()):
        FILES.validate(entry["spec"])


@pytest.mark.parametrize("noun", OURS, ids=kind)
def test_an_instance_fits_and_a_misspelt_one_does_not(noun: type[Spec]) -> None:
    data = dump(instance(noun))
    of_kind = Draft202012Validator(WHOLE | {"anyOf": roots(noun)})
    assert ANY.is_valid(data)
    assert of_kind.is_valid(data)
    root = data.get("spec", data)
    for name in hints(noun):
        root[f"{name}z"] = root.pop(name)
        assert not of_kind.is_valid(data)
        root[name] = root.pop(f"{name}z")
    root["kind"] += "z"
    assert not of_kind.is_valid(data)
    assert not ANY.is_valid(data)


BASE = first()


def spoiled(path: tuple[Any, ...], value: Any) -> Any:
    data = copy.deepcopy(dump(BASE))
    *above, last = path
    node = data
    for step in above:
        node = node[step]
    node[last] = value
    return data


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("protocol", "steps"), 0),
        (("protocol", "steps"), "many"),
        (("protocol", "by"), {"kind": "Relu"}),
        (("protocol", "by", "lr"), None),
        (("protocol", "only"), "some"),
        (("seed",), -1),
        (("seed",), 2**31),
        (("measure",), {}),
        (("task", "x"), {"kind": "Hypercube"}),
        (("task", "y"), {"kind": "Hypercube", "d": 3}),
        (("model",), {"kind": "Seeded", "noun": {"kind": "Relu"}, "seed": 1}),
    ],
)
def test_wrong_types_and_kinds_do_not_fit(path: tuple[Any, ...], value: Any) -> None:
    assert FILES.is_valid(dump(BASE))
    assert not FILES.is_valid(spoiled(path, value))


def test_kinds_are_those_that_the_domains_of_a_field_admit() -> None:
    entry = WHOLE["$defs"]["Target"]["anyOf"]
    assert {"$ref": "#/$defs/FourierPolynomial"} in entry
    assert {"$ref": "#/$defs/Relu"} not in entry
    around = [option["allOf"][0]["$ref"] for option in entry if "allOf" in option]
    assert around == [f"#/$defs/{name}" for name, noun in kinds().items() if stands_for_noun(noun)]


def test_every_type_of_the_language_has_a_schema() -> None:
    kitchen = Kitchen(1, "a", maybe=0.5, noun=Relu(), either=Tanh(), nouns=(Relu(), Tanh()), any_noun=(Relu(),))
    assert ANY.is_valid(dump(kitchen))
    for change in ({"count": 0}, {"text": "A"}, {"choice": "up"}, {"pair": [1]}, {"nouns": [0.5]}, {"noun": 3}):
        assert not ANY.is_valid(dump(kitchen) | change)
    entry = WHOLE["$defs"][kind(Kitchen)]
    assert entry["required"] == ["kind", "count", "text"]
    assert entry["properties"]["pair"]["default"] == [1, "a"]


def test_files_with_inner_experiments_fit() -> None:
    data = dump(first(model=Trained(first())))
    assert set(data) == {"spec", "experiments"}
    assert FILES.is_valid(data)
    assert not FILES.is_valid({"spec": data["spec"], "experiments": {"a": {"kind": "Relu"}}})
    assert not FILES.is_valid(data["spec"] | {"model": {"kind": "Trained", "run": {"reff": "a"}, "at": -1}})


def test_a_renamed_noun_is_known_by_both_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, "OldRelu", Relu)
    entry = schema(Relu)
    assert entry["$defs"]["Relu"]["properties"]["kind"] == {"enum": ["Relu", "OldRelu"]}
    assert Draft202012Validator(entry).is_valid({"kind": "OldRelu"})


def referred(data: Any) -> Any:
    """A file without the inner experiments to which nothing refers: `load` does not look at them."""
    if not (isinstance(data, dict) and isinstance(data.get("experiments"), dict)):
        return data
    refs = {name for name in data["experiments"] if json.dumps({"ref": name}) in json.dumps(data["spec"])}
    return data | {"experiments": {name: data["experiments"][name] for name in refs}}


@pytest.mark.parametrize("spec", [BASE, first(model=Trained(first())), Seeded(Sample(Hypercube(3), 3), 1)])
def test_what_loads_fits(spec: Spec) -> None:
    rng, loaded = random.Random(1), 0
    for _ in range(150):
        data = mutated(dump(spec), rng)
        try:
            found = load(data)
        except SpecError:
            continue
        if any(isinstance(noun, Slot) for _, noun in walk(found)):
            continue  # nobody writes them, and no experiment takes them
        loaded += 1
        assert ANY.is_valid(referred(data)), data
    assert loaded > 5
