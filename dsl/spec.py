"""The base class of every noun.

One class statement gives a frozen value that is checked when built and when loaded, written as tagged JSON, identified
by a digest, typed by domain, and a JAX pytree whose leaves are its knobs.
"""

import abc
import dataclasses
import functools
import inspect
import sys
import typing
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, TypeVar, dataclass_transform, get_origin

import jax
import pydantic
from pydantic import Field
from pydantic_core import ArgsKwargs, ValidationError

from dsl import faults
from dsl.domains import domain_faults, inner, stands_for_noun
from dsl.faults import Fault, SpecError
from dsl.fields import STRICT, checked_type, shown, traced

KINDS: dict[str, type["Spec"]] = {}
"""Every final noun by its kind, and by the kinds it once had; open: defining a class adds it."""

_OWN = ("dsl",)  # packages whose kinds bear no module name


@dataclass_transform(frozen_default=True, field_specifiers=(Field,))
class Spec(abc.ABC):  # noqa: B024 # the interfaces below it declare the abstract methods
    """Base of every noun.

    A subclass is either an interface (`class Target(Spec, abstract=True)`: no fields) or final data, which writes its
    fields and its meaning and is never inherited from. `version` is raised when the numbers of a noun change and is
    part of its digest; `was` names the kinds under which earlier files know it. `packages` are distributions, beside
    those that every experiment is computed by, whose versions decide its numbers: records name them.
    """

    __spec_kind__: ClassVar[str] = "Spec"
    __spec_version__: ClassVar[int] = 1
    __spec_hints__: ClassVar[dict[str, Any] | None] = None  # of an interface: None
    packages: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(
        cls, *, abstract: bool = False, version: int = 1, was: tuple[str, ...] = (), **kwargs: Any
    ) -> None:
        """Register the noun: fields, checks, JSON kind and pytree."""
        super().__init_subclass__(**kwargs)
        _refuse_inheritance(cls, abstract)
        cls.__spec_version__, cls.__spec_hints__ = version, None
        if not abstract:
            cls.__spec_hints__ = _declared(cls)
            knobs = [n for n, h in cls.__spec_hints__.items() if traced(h, f"{cls.__name__}.{n}") == "knob"]
            _make_dataclass(cls)
            _register_kind(cls, was)
            _register_pytree(cls, knobs)

    def __new__(cls, *args: Any, **kwargs: Any) -> typing.Self:
        """Refuse interfaces."""
        if cls.__spec_hints__ is None:
            raise TypeError(f"{cls.__name__} is an interface; build one of: {', '.join(kinds(cls)) or 'none is known'}")
        return super().__new__(cls)

    def __post_init__(self) -> None:
        found = [*domain_faults(self, hints(type(self))), *self.check()]
        if found:
            raise faults.as_validation_error(type(self).__name__, found)

    def check(self) -> Iterable[Fault]:
        """Rules across fields, beyond their types; a noun that has some overrides it."""
        return ()

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in hints(type(self))}


def kind(noun: Spec | type[Spec]) -> str:
    """The name of a noun in JSON: its class, with the module's name before it where the class is not ours."""
    return noun.__spec_kind__


def kinds(base: type = Spec) -> dict[str, type[Spec]]:
    """The registered nouns that implement an interface, by kind."""
    return {name: KINDS[name] for name in sorted(KINDS) if issubclass(KINDS[name], base) and kind(KINDS[name]) == name}


def hints(noun: type[Spec]) -> dict[str, Any]:
    """The declared type of each field of a final noun, in order."""
    return noun.__spec_hints__ or {}


def structure_fields(noun: type[Spec]) -> tuple[str, ...]:
    """The fields of a noun that are static: integers, text, `Static` floats."""
    return tuple(name for name, hint in hints(noun).items() if traced(hint, name) != "knob")


def children(spec: Spec) -> Iterator[tuple[faults.Path, Spec]]:
    """The nouns directly inside a spec, each with its path from it."""
    for name in hints(type(spec)):
        yield from _within((name,), getattr(spec, name))


def _within(path: faults.Path, value: Any) -> Iterator[tuple[faults.Path, Spec]]:
    if isinstance(value, Spec):
        yield path, value
    elif isinstance(value, tuple):
        for i, item in enumerate(value):
            yield from _within((*path, i), item)


S = TypeVar("S", bound=Spec)


def rebuilt(spec: S, **changes: Any) -> S:
    """A copy with other field values and no validation: for traced code and for nouns replaced by arrays."""
    new = object.__new__(type(spec))
    for name in hints(type(spec)):
        object.__setattr__(new, name, changes[name] if name in changes else getattr(spec, name))
    return new


# ---------------------------------------------------------------- building from values and from JSON


def build(bases: tuple[type, ...], value: Any) -> Any:
    """A noun of one of these interfaces, from an instance or from its tagged JSON object."""
    if isinstance(value, dict) and isinstance(value.get("kind"), str):
        value = _from_json(bases, value)
    if isinstance(value, bases) or isinstance(inner(value), bases):
        return value
    expected = " or ".join(base.__name__ for base in bases)
    raise faults.as_validation_error(expected, [Fault((), f"expected {_article(expected)}, got {faults.short(value)}")])


def _article(name: str) -> str:
    return f"an {name}" if name[0] in "AEIOU" else f"a {name}"


def _from_json(bases: tuple[type, ...], value: dict[str, Any]) -> Spec:
    name = value["kind"]
    if name not in KINDS or inspect.isabstract(KINDS[name]):
        known = {k for base in bases for k in kinds(base)} | {k for k in KINDS if stands_for_noun(KINDS[k])}
        expected = " or ".join(base.__name__ for base in bases)
        problem = f"unknown kind {name!r}, expected {_article(expected)}{faults.nearest(name, known)}"
        raise faults.as_validation_error(expected, [Fault((), problem)])
    spec = KINDS[name].__new__(KINDS[name])
    _fill(spec, (), {n: v for n, v in value.items() if n != "kind"})
    return spec


def _fill(spec: Spec, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Check the fields of a new noun and set them; faults come as one pydantic error whose texts are final."""
    cls = type(spec)
    try:
        validator = cls.__pydantic_validator__  # type: ignore[attr-defined]  # set by pydantic's decorator
        validator.validate_python(ArgsKwargs(args, kwargs), self_instance=spec)
    except ValidationError as error:
        fields = {name: shown(hint) for name, hint in hints(cls).items()}
        raise faults.as_validation_error(cls.__name__, faults.read(error, fields)) from None


def _init(self: Spec, *args: Any, **kwargs: Any) -> None:
    try:
        _fill(self, args, kwargs)
    except ValidationError as error:
        raise SpecError(type(self).__name__, faults.read(error, {})) from None


def _hash(self: Spec) -> int:
    from dsl.identity import digest  # identity is written in terms of this module

    return hash(digest(self))


# ---------------------------------------------------------------- defining a noun


def _refuse_inheritance(cls: type[Spec], abstract: bool) -> None:
    final = [b.__name__ for b in cls.__mro__[1:] if issubclass(b, Spec) and b.__spec_hints__ is not None]
    if final:
        raise TypeError(f"{cls.__name__}: {final[0]} is a final noun; inherit from an interface")
    own = inspect.get_annotations(cls)
    fields = [n for n, h in own.items() if get_origin(h) is not ClassVar and "ClassVar" not in str(h)]
    if abstract and fields:
        raise TypeError(f"{cls.__name__} is an interface and has a field, {fields[0]!r}; fields belong to final nouns")


def _declared(cls: type[Spec]) -> dict[str, Any]:
    try:
        found = typing.get_type_hints(cls, localns={cls.__name__: cls}, include_extras=True)
    except NameError as error:
        raise TypeError(f"{cls.__name__}: {error}; define a field's type before the noun, at module level") from None
    own = inspect.get_annotations(cls)
    return {n: found[n] for n in own if get_origin(found[n]) is not ClassVar}


def _make_dataclass(cls: type[Spec]) -> None:
    declared = inspect.get_annotations(cls)
    cls.__annotations__ = {**declared, **{name: checked_type(hint, build) for name, hint in hints(cls).items()}}
    pydantic.dataclasses.dataclass(frozen=True, config=STRICT)(cls)
    cls.__annotations__ = declared  # what a reader, and help(), should see
    setattr(cls, "__signature__", _signature(cls))  # noqa: B010 # the same
    setattr(cls, "__init__", functools.wraps(cls.__init__)(_init))  # noqa: B010 # our errors, not pydantic's
    setattr(cls, "__hash__", _hash)  # noqa: B010 # one identity, the digest


def _signature(cls: type[Spec]) -> inspect.Signature:
    of_fields = {f.name: f.default for f in dataclasses.fields(cls)}  # type: ignore[arg-type]  # a dataclass by now
    empty, kind = inspect.Parameter.empty, inspect.Parameter.POSITIONAL_OR_KEYWORD
    defaults = {name: empty if default is dataclasses.MISSING else default for name, default in of_fields.items()}
    declared = {name: shown(hint) for name, hint in hints(cls).items()}
    return inspect.Signature(
        [inspect.Parameter(n, kind, default=defaults[n], annotation=declared[n]) for n in declared]
    )


def _register_kind(cls: type[Spec], was: tuple[str, ...]) -> None:
    own = cls.__module__.split(".")[0] in _OWN
    cls.__spec_kind__ = cls.__qualname__ if own else f"{cls.__module__}.{cls.__qualname__}"
    for name in (cls.__spec_kind__, *was):
        old = KINDS.get(name)
        if old is not None and _source(old) != _source(cls):
            raise TypeError(f"kind {name!r} is taken by {old.__module__}.{old.__qualname__}; rename one of them")
        KINDS[name] = cls


def _source(cls: type) -> tuple[str, str, str | None]:
    """Where a class was defined: running a cell or a module again may define it again."""
    return cls.__module__, cls.__qualname__, getattr(sys.modules.get(cls.__module__), "__file__", None)


def _register_pytree(cls: type[Spec], knobs: list[str]) -> None:
    rest = [name for name in hints(cls) if name not in knobs]

    def flatten(spec: Spec) -> tuple[list[tuple[Any, Any]], tuple[Any, ...]]:
        return [(jax.tree_util.GetAttrKey(n), getattr(spec, n)) for n in knobs], tuple(getattr(spec, n) for n in rest)

    def unflatten(structure: tuple[Any, ...], values: Iterable[Any]) -> Spec:
        spec = object.__new__(cls)  # no validation: the leaves may be tracers
        for name, value in [*zip(knobs, values, strict=True), *zip(rest, structure, strict=True)]:
            object.__setattr__(spec, name, value)
        return spec

    jax.tree_util.register_pytree_with_keys(cls, flatten, unflatten)
