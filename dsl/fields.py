"""What a field of a noun may be: how it is checked, and whether it is a knob or structure.

A `float` field is a knob (traced), everything else is structure (static); `Knob[int]` is an integer that is traced,
`Static[float]` a float that is structure. A field is wholly one of them.
"""

import functools
import types
import typing
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import jax
import numpy as np
import pydantic
from pydantic import BeforeValidator, ConfigDict, Field, PlainValidator
from pydantic_core import ValidationError

from dsl import faults
from dsl.faults import Fault

T = TypeVar("T")
Build = Callable[[tuple[type, ...], Any], Any]
STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Mark(str):
    """What an annotation says about tracing."""


_KNOB, _STATIC = Mark("knob"), Mark("static")
Knob = Annotated[T, _KNOB, Field(ge=-(2**31), lt=2**31)]
"""Traced although not a float: `Knob[int]`, an int32."""
Static = Annotated[T, _STATIC]
"""Structure although a float: `Static[float]`."""
Seed = Annotated[int, _KNOB, Field(ge=0, lt=2**31)]
"""A traced seed, 0 <= seed < 2^31 (larger ones cannot be traced without 64-bit integers)."""
Count = Annotated[int, Field(ge=1)]
"""A positive number of things: structure, because a count fixes a shape."""


_INT64 = Field(ge=-(2**63), lt=2**63)  # what every reader of JSON and every array can hold


def text(pattern: str, words: str) -> Any:
    """What marks a text of this pattern in `Annotated[str, ...]`; the words say in faults what is expected."""
    faults.TEXTS[pattern] = words
    return Field(pattern=pattern)


def is_noun(hint: Any) -> bool:
    """Whether an annotation names a noun or an interface, with or without type arguments."""
    return hasattr(get_origin(hint) or hint, "__spec_kind__")


def checked_type(hint: Any, build: Build) -> Any:
    """The annotation that pydantic checks a field by: nouns through `build`, numbers welcome from NumPy."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        marks = tuple(m for m in hint.__metadata__ if not isinstance(m, Mark))
        return Annotated[(checked_type(arguments[0], build), *marks)] if marks else checked_type(arguments[0], build)
    if isinstance(hint, TypeVar):
        return checked_type(hint.__bound__, build)
    if is_noun(hint):
        return Annotated[Any, PlainValidator(functools.partial(build, (origin or hint,)))]
    if origin in (typing.Union, types.UnionType):
        return _checked_union(arguments, build)
    if origin is tuple:
        return tuple[tuple(a if a is Ellipsis else checked_type(a, build) for a in arguments)]
    if hint is int:
        return Annotated[int, BeforeValidator(_plain), _INT64]
    return Annotated[hint, BeforeValidator(_plain)] if hint in (float, bool, str) else hint


def _plain(value: Any) -> Any:
    """NumPy and JAX scalars are Python numbers."""
    if isinstance(value, (np.generic, np.ndarray, jax.Array)) and np.ndim(value) == 0:
        return value.item()
    return value


def _checked_union(members: tuple[Any, ...], build: Build) -> Any:
    """A union has one fault, not one for each member; an object of JSON can only be a noun."""
    nouns = tuple(get_origin(m) or m for m in members if is_noun(m))
    others = [m for m in members if not is_noun(m)]
    expected = " or ".join([*map(shown, others), *(noun.__name__ for noun in nouns)])
    union = typing.Union[tuple(checked_type(m, build) for m in others) or (None,)]  # noqa: UP007 # members are computed
    plain = pydantic.TypeAdapter(typing.cast(Any, union), config=STRICT)
    tuples = [checked_type(m, build) for m in others if get_origin(m) is tuple]
    sequence = pydantic.TypeAdapter(tuples[0], config=STRICT) if len(tuples) == 1 else None

    def check(value: Any) -> Any:
        if nouns and (isinstance(value, dict) or is_noun(type(value))):
            return build(nouns, value)
        if sequence is not None and isinstance(value, tuple):
            return sequence.validate_python(value)  # its faults have paths into the tuple
        try:
            return plain.validate_python(value)
        except ValidationError:
            problem = f"expected {expected}, got {faults.short(value)}"
            raise faults.as_validation_error(expected, [Fault((), problem)]) from None

    return Annotated[Any, PlainValidator(check)]


def shown(hint: Any) -> str:
    """An annotation as a reader would write it."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return shown(arguments[0])
    if hint is type(None) or hint is Ellipsis:
        return "None" if hint is not Ellipsis else "..."
    if isinstance(hint, TypeVar) and hint.__bound__ is not None:
        return shown(hint.__bound__)
    if origin in (typing.Union, types.UnionType):
        return " | ".join(map(shown, arguments))
    if origin is tuple or is_noun(hint):
        inside = f"[{', '.join(map(shown, arguments))}]" if arguments else ""
        return f"{(origin or hint).__name__}{inside}"
    return hint.__name__ if isinstance(hint, type) and not arguments else str(hint).replace("typing.", "")


def traced(hint: Any, where: str) -> Literal["knob", "structure"] | None:
    """Whether a field is a pytree child (a float, a `Knob`, nouns) or structure.

    Raises:
        TypeError: for a mixture of both, and for a type that is not of the language.
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        if _KNOB in hint.__metadata__:
            return "knob"
        return "structure" if _STATIC in hint.__metadata__ else traced(arguments[0], where)
    if isinstance(hint, TypeVar) and hint.__bound__ is not None:
        return traced(hint.__bound__, where)
    if hint is float or is_noun(hint):
        return "knob"
    if origin in (typing.Union, types.UnionType, tuple):
        return _agreed({traced(a, where) for a in arguments if a not in (Ellipsis, type(None))}, hint, where)
    if origin is Literal or hint in (int, str, bool):
        return "structure"
    raise TypeError(f"{where}: {hint} is no type of the language (numbers, text, nouns, and tuples of them)")


def _agreed(found: set[Any], hint: Any, where: str) -> Any:
    if len(found) > 1:
        raise TypeError(f"{where}: {hint} mixes knobs and structure; a field is wholly one of them")
    return found.pop() if found else None
