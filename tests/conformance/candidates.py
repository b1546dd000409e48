"""Instances of any noun, from the declared types of its fields alone.

Every field has a list of candidates. A noun is built from the first of each, and every fault moves the field that it
names to its next candidate, until the noun builds; later all of them at random, by a fixed seed.
"""

import dataclasses
import functools
import random
import types
import typing
from collections.abc import Iterator
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

from pydantic.fields import FieldInfo

from dsl import Distribution, Measurement, Model, Spec, SpecError, Target, Task
from dsl.fields import is_noun
from dsl.references import Reference, Slot
from dsl.spec import hints, kinds
from tests.conformance import stand_ins

TRIES = 800
DEPTH = 6
COUNTS = (3, 2, 1, 0, 4)  # integers with bounds come first as what is large enough for the others
PLAIN: dict[Any, tuple[Any, ...]] = {
    int: (1, 2, 3, 0, 4),
    float: (0.5, 0.25, 1.5, 0.75, 1.0),
    bool: (False, True),
    type(None): (None,),
}


def ours(interface: type[Spec] = Spec) -> list[type[Spec]]:
    """The nouns of the language that implement an interface; the stand-ins where it has none of its own."""
    found = kinds(interface)
    own = [noun for name, noun in found.items() if "." not in name]
    others = [noun for noun in found.values() if noun.__module__ == stand_ins.__name__]
    return sorted(own or others, key=lambda n: (issubclass(n, Reference), len(hints(n)), n.__name__))


def texts() -> tuple[str, ...]:
    """Text of every kind that a field may ask for: a name, a hash, the names of measurements and of a network."""
    return ("a", "0" * 64, *(noun.__name__ for noun in ours(Measurement)), f"{stand_ins.__name__}:Net")


def candidates(hint: Any, depth: int) -> list[Any]:
    """Values of a declared type, the plainest first."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return list(COUNTS) if arguments[0] is int else candidates(arguments[0], depth)
    if isinstance(hint, TypeVar):
        return candidates(hint.__bound__, depth)
    if is_noun(hint):
        return list(nouns(origin or hint, depth))
    if origin in (typing.Union, types.UnionType):
        return [value for member in arguments for value in candidates(member, depth)]
    if origin is Literal:
        return list(arguments)
    if origin is tuple and arguments[-1] is not Ellipsis:
        return [tuple(candidates(a, depth)[0] for a in arguments)]
    if origin is tuple:
        inside = candidates(arguments[0], depth)
        return [*((value,) for value in inside), tuple(inside[:2]), ()]
    return list(texts() if hint is str else PLAIN[hint])


def nouns(interface: type[Spec], depth: int) -> Iterator[Spec]:
    """An instance of each noun of an interface; of a final noun, its variants."""
    if depth == 0:
        return
    if interface.__spec_hints__ is not None:
        yield from variants(interface, depth)
        return
    usual = [interface] if interface is not Spec else [Distribution, Task, Target, Model]
    for noun in (noun for base in usual for noun in ours(base) if not issubclass(noun, Slot)):
        first = next(variants(noun, depth), None)
        if first is not None:
            yield first


@functools.cache
def fields(noun: type[Spec], depth: int) -> dict[str, list[Any]]:
    """The candidates of every field; a default comes first."""
    found = {}
    for name, hint in hints(noun).items():
        default = noun.__dataclass_fields__[name].default
        first = [] if default is dataclasses.MISSING or isinstance(default, FieldInfo) else [default]
        found[name] = first + [value for value in candidates(hint, depth - 1) if value not in first]
    return found


@functools.cache
def first(noun: type[Spec], depth: int) -> Spec | None:
    """The first instance that the search finds."""
    values = fields(noun, depth)
    if not all(values.values()):
        return None
    at, rng = dict.fromkeys(values, 0), random.Random(0)
    for i in range(TRIES):
        try:
            return noun(**{name: values[name][at[name] % len(values[name])] for name in values})
        except SpecError as error:
            wrong = {fault.path[0] for fault in error.faults if fault.path} & set(values)
            for name in wrong or set(values):
                at[name] += 1
        if i > TRIES // 4:  # the fault is not in the field that it names, but in what that must fit
            at = {name: rng.randrange(len(values[name])) for name in values}
    return None


def variants(noun: type[Spec], depth: int = DEPTH) -> Iterator[Spec]:
    """The first instance, and those in which one field takes another of its candidates."""
    start = first(noun, depth)
    if start is None:
        return
    yield start
    chosen = {name: getattr(start, name) for name in hints(noun)}
    for name, values in fields(noun, depth).items():
        for value in values:
            try:
                yield noun(**(chosen | {name: value}))
            except SpecError:
                continue


def instance(noun: type[Spec]) -> Spec:
    """An instance of a noun.

    Raises:
        AssertionError: with the noun's name, if no candidates build it.
    """
    found = first(noun, DEPTH)
    assert found is not None, f"no candidates build {noun.__name__}; extend tests/conformance/candidates.py"
    return found
