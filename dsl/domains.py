"""Domains of inputs and outputs, and the check that laws, targets, models and losses agree on them.

A domain is a marker class, never built. Laws are covariant in their domain, targets and models contravariant in that of
their input: a monomial of reals may be put on bits, a target of bits may not be put on Gaussian inputs. Type checkers
read this from the type variables below; `domain_faults` reads the same annotations where no type checker looks (JSON).
"""

import dataclasses
from collections.abc import Iterator
from typing import Any, Generic, TypeGuard, TypeVar, get_args, get_origin

from dsl.faults import Fault, Path


class Domain:
    """Base of the markers."""


class Reals(Domain):
    """Vectors of real numbers."""


class Bits(Reals):
    """Points of the cube {-1, +1}^d."""


class Sphere(Reals):
    """Points of a sphere."""


class Real(Reals):
    """One real number, as an output."""


class Classes(Domain):
    """Labels 0, 1, ..., as integers."""


class Tokens(Domain):
    """Sequences of token indices."""


class Graphs(Domain):
    """Graphs, as padded arrays."""


class Measures(Domain):
    """Discrete measures, as padded atoms with weights."""


X = TypeVar("X")
Y = TypeVar("Y")
X_co = TypeVar("X_co", covariant=True)
Y_co = TypeVar("Y_co", covariant=True)
X_contra = TypeVar("X_contra", contravariant=True)
Y_contra = TypeVar("Y_contra", contravariant=True)


@dataclasses.dataclass
class _Bound:
    """A noun somewhere in a spec that gives (or takes) a domain."""

    path: Path
    noun: Any
    domain: type


@dataclasses.dataclass
class _Bounds:
    gives: list[_Bound] = dataclasses.field(default_factory=list)
    takes: list[_Bound] = dataclasses.field(default_factory=list)


def domain_faults(spec: Any, hints: dict[str, Any]) -> list[Fault]:
    """Disagreements between the domains of the nouns that a spec holds, by the annotations of its fields."""
    bounds = _collect(spec, hints)
    return [
        _clash(g, t) for b in bounds.values() for g in b.gives for t in b.takes if not issubclass(g.domain, t.domain)
    ]


def _clash(gives: _Bound, takes: _Bound) -> Fault:
    problem = f"{_name(takes.noun)} takes {takes.domain.__name__}"
    if takes.path != gives.path:
        where = ".".join(map(str, gives.path))
        return Fault(takes.path, f"{problem}, but {where}, {_name(gives.noun)}, gives {gives.domain.__name__}")
    return Fault(gives.path, f"{_name(gives.noun)} gives {gives.domain.__name__}, expected {takes.domain.__name__}")


def is_domain(argument: Any) -> TypeGuard[type[Domain]]:
    """Whether a type argument is a domain, and not a variable or `Any`."""
    return isinstance(argument, type) and issubclass(argument, Domain)


def _name(noun: Any) -> str:
    text = repr(noun)
    return text if len(text) <= 60 else f"{type(noun).__name__}(...)"


def _collect(spec: Any, hints: dict[str, Any]) -> dict[Any, _Bounds]:
    bounds: dict[Any, _Bounds] = {}
    for name, hint in hints.items():
        for path, noun, interface, arguments in _nouns((name,), getattr(spec, name), hint):
            given = domains(noun, interface)
            for variable, argument, domain in zip(interface.__parameters__, arguments, given, strict=True):
                _note(bounds, variable, argument, _Bound(path, noun, domain) if domain is not None else None)
    return bounds


def _note(bounds: dict[Any, _Bounds], variable: Any, argument: Any, bound: _Bound | None) -> None:
    if bound is None or argument is Any:
        return
    entry = bounds.setdefault(argument if isinstance(argument, TypeVar) else (argument, *bound.path), _Bounds())
    (entry.takes if variable.__contravariant__ else entry.gives).append(bound)
    if is_domain(argument):
        fixed = _Bound(bound.path, bound.noun, argument)
        (entry.gives if variable.__contravariant__ else entry.takes).append(fixed)


def _nouns(path: Path, value: Any, hint: Any) -> Iterator[tuple[Path, Any, Any, tuple[Any, ...]]]:
    """(path, noun, interface, its arguments) for every noun in a field whose annotation has type arguments."""
    origin, arguments = get_origin(hint), get_args(hint)
    if isinstance(value, tuple):
        for i, item in enumerate(value):
            yield from _nouns((*path, i), item, arguments[0] if len(arguments) == 2 else arguments[i])
    elif isinstance(origin, type) and issubclass(origin, Generic):
        if dataclasses.is_dataclass(value):
            yield path, value, origin, arguments
    else:
        for member in arguments:
            if isinstance(get_origin(member), type) and _is_a(value, get_origin(member)):
                yield from _nouns(path, value, member)


def _is_a(value: Any, interface: Any) -> bool:
    return isinstance(inner(value), interface)


def stands_for_noun(kind: type) -> bool:
    """Whether a class is a combinator (`Seeded`, `Sample`, ...), which stands for the noun in its field `noun`."""
    return getattr(kind, "__stands_for_noun__", False)


def inner(noun: Any) -> Any:
    """The noun inside combinators."""
    while stands_for_noun(type(noun)):
        noun = noun.noun
    return noun


def domains(noun: Any, interface: Any) -> tuple[type | None, ...]:
    """The type arguments with which a noun implements a generic interface; None where it leaves one open."""
    noun = inner(noun)
    arguments = type_arguments(type(noun), interface)
    if not any(isinstance(a, TypeVar) for a in arguments):
        return tuple(a if is_domain(a) else None for a in arguments)
    bounds = _collect(noun, type(noun).__spec_hints__ or {})
    return tuple(_resolved(a, bounds, v) for a, v in zip(arguments, interface.__parameters__, strict=True))


def _resolved(argument: Any, bounds: dict[Any, _Bounds], variable: Any) -> type | None:
    if is_domain(argument):
        return argument
    entry = bounds.get(argument, _Bounds())
    found = [
        b.domain for b in (entry.takes if variable.__contravariant__ else entry.gives) or entry.takes or entry.gives
    ]
    if not found:
        return None
    # what a law may give is the widest of its parts; what a target takes is the narrowest of its parts
    widest = min(found, key=lambda d: len(d.__mro__))
    narrowest = max(found, key=lambda d: len(d.__mro__))
    return narrowest if variable.__contravariant__ else widest


def type_arguments(kind: type, interface: Any) -> tuple[Any, ...]:
    """The arguments of `interface` in the bases of a class, with type variables substituted on the way up."""
    for base in getattr(kind, "__orig_bases__", ()):
        origin = get_origin(base) or base
        if origin is interface:
            return get_args(base) or interface.__parameters__
        if isinstance(origin, type) and issubclass(origin, interface):
            above: dict[Any, Any] = dict(zip(getattr(origin, "__parameters__", ()), get_args(base), strict=False))
            return tuple(above.get(a, a) if isinstance(a, TypeVar) else a for a in type_arguments(origin, interface))
    for base in kind.__bases__:
        if issubclass(base, interface):
            return type_arguments(base, interface)
    return tuple(None for _ in interface.__parameters__)
