"""JSON Schema (draft 2020-12) of spec files, from the declared fields of the nouns, so that editors complete them.

A schema says which fields a kind has, of which types, and which kinds are accepted where. What concerns two fields at
once (domains that have to agree, rules of `check`) is beyond it: a file that fits may still be refused by `load`, but
what `load` takes fits. (Inner experiments to which nothing refers are checked here, and not by `load`.)
"""

import inspect
import types
import typing
from typing import Annotated, Any, TypeVar, get_args, get_origin
from urllib.parse import quote

import pydantic
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined as UNDEFINED

from dsl.domains import is_domain, stands_for_noun, type_arguments
from dsl.fields import Mark, is_noun
from dsl.identity import Composed, dump
from dsl.references import Slot
from dsl.spec import KINDS, Spec, hints, kind, kinds

DIALECT = "https://json-schema.org/draft/2020-12/schema"
Schema = dict[str, Any]
INNER: Schema = {
    "type": "object",
    "description": "An experiment that is written in `experiments` of this file, by its key there.",
    "properties": {"ref": {"type": "string"}},
    "required": ["ref"],
    "additionalProperties": False,
}


def schema(base: type[Spec]) -> Schema:
    """The schema of the files in which `dump` writes nouns of one interface, or of one kind.

    Every registered noun is an entry of `$defs` under its kind, and every interface is one that lists the kinds which
    implement it. (Slots, which nobody writes, are left out.)
    """
    nouns = {name: noun for name, noun in kinds().items() if not issubclass(noun, Slot)}
    interfaces = {b.__name__: b for noun in (*nouns.values(), base) for b in _interfaces(noun)}
    defined = {name: _of_noun(noun) for name, noun in nouns.items()}
    listed = {name: _of_interface(interface) for name, interface in interfaces.items() if name not in defined}
    return {
        "$schema": DIALECT,
        "title": f"{base.__name__} of Stepwell",
        "anyOf": roots(base),
        "$defs": defined | listed | {"ref": INNER},
    }


def roots(base: type[Spec]) -> list[Schema]:
    """What a file of one interface or kind may be: such a noun, or one with the experiments that are in it."""
    return [_reference(base), _with_inner(base)]


def _interfaces(noun: type[Spec]) -> list[type[Spec]]:
    return [base for base in noun.__mro__ if issubclass(base, Spec) and base.__spec_hints__ is None]


def _reference(noun: type[Spec]) -> Schema:
    name = noun.__name__ if noun.__spec_hints__ is None else kind(noun)
    return {"$ref": f"#/$defs/{quote(name)}"}  # a fragment of a URI: a class inside a function has < and > in its kind


def _with_inner(base: type[Spec]) -> Schema:
    """A file with experiments inside its spec, which are written once, under their digests."""
    experiments = {"type": "object", "additionalProperties": _reference(Composed)}
    return {
        "type": "object",
        "properties": {"spec": _reference(base), "experiments": experiments},
        "required": ["spec"],
        "additionalProperties": False,
    }


# ---------------------------------------------------------------- nouns and interfaces


def _of_noun(noun: type[Spec]) -> Schema:
    defaults = _defaults(noun)
    fields = {name: _of(hint) for name, hint in hints(noun).items()}
    told = {name: field | {"default": defaults[name]} if name in defaults else field for name, field in fields.items()}
    return {
        "type": "object",
        "description": inspect.getdoc(noun) or "",
        "properties": {"kind": _names(noun)} | told,
        "required": ["kind", *(name for name in fields if name not in defaults)],
        "additionalProperties": False,
    }


def _defaults(noun: type[Spec]) -> Schema:
    """The defaults of the fields that have one, as JSON."""
    signature = inspect.signature(noun).parameters.values()
    found = {p.name: p.default.default if isinstance(p.default, FieldInfo) else p.default for p in signature}
    return {n: _plain(default) for n, default in found.items() if default not in (inspect.Parameter.empty, UNDEFINED)}


def _plain(default: Any) -> Any:
    if isinstance(default, Spec):
        return dump(default)
    return [_plain(item) for item in default] if isinstance(default, tuple) else default


def _names(noun: type[Spec]) -> Schema:
    """The kind, or the kinds under which earlier files know it as well."""
    earlier = [name for name, known in KINDS.items() if known is noun and name != kind(noun)]
    return {"enum": [kind(noun), *earlier]} if earlier else {"const": kind(noun)}


def _of_interface(interface: type[Spec]) -> Schema:
    return {"description": inspect.getdoc(interface) or ""} | _kinds_of(interface)


def _kinds_of(interface: type[Spec], arguments: tuple[Any, ...] = ()) -> Schema:
    """The kinds that implement an interface and do not clash with its domains, and combinators around them."""
    written = [noun for noun in kinds().values() if not issubclass(noun, Slot)]
    fits = [noun for noun in written if issubclass(noun, interface) and _fits(noun, interface, arguments)]
    inside = {"properties": {"noun": _reference(interface)}}
    around = [{"allOf": [_reference(n), inside]} for n in written if stands_for_noun(n) and n not in fits]
    inner = [{"$ref": "#/$defs/ref"}] if issubclass(Composed, interface) and interface is not Composed else []
    return {"anyOf": [*map(_reference, fits), *around, *inner]}


def _fits(noun: type[Spec], interface: Any, wanted: tuple[Any, ...]) -> bool:
    """Whether the domains that a kind declares are among those of the annotation; an open one may be anything."""
    parameters = getattr(interface, "__parameters__", ())
    given = type_arguments(noun, interface) if parameters else ()
    for variable, theirs, ours in zip(parameters, wanted, given, strict=False):
        if is_domain(theirs) and is_domain(ours):
            narrow, wide = (theirs, ours) if variable.__contravariant__ else (ours, theirs)
            if not issubclass(narrow, wide):
                return False
    return True


# ---------------------------------------------------------------- types of fields


def _of(hint: Any) -> Schema:
    """The schema of a declared type."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated and any(isinstance(mark, Mark) for mark in hint.__metadata__):
        marks = tuple(mark for mark in hint.__metadata__ if not isinstance(mark, Mark))
        return _of(Annotated[(arguments[0], *marks)] if marks else arguments[0])
    if isinstance(hint, TypeVar):
        return _of(hint.__bound__)
    if is_noun(hint):
        return _of_nouns(origin or hint, arguments)
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [_of(member) for member in arguments]}
    if origin is tuple:
        return _of_tuple(arguments)
    return pydantic.TypeAdapter(hint).json_schema()


def _of_nouns(noun: Any, arguments: tuple[Any, ...]) -> Schema:
    if issubclass(noun, Composed):
        return {"anyOf": [{"$ref": "#/$defs/ref"}, _reference(noun)]}
    if noun.__spec_hints__ is not None:
        return _reference(noun)
    narrowed = _kinds_of(noun, arguments)
    return _reference(noun) if narrowed == _kinds_of(noun) else narrowed


def _of_tuple(members: tuple[Any, ...]) -> Schema:
    if members[-1] is Ellipsis:
        return {"type": "array", "items": _of(members[0])}
    n = len(members)
    return {"type": "array", "prefixItems": [_of(member) for member in members], "minItems": n, "maxItems": n}
