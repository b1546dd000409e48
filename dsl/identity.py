"""A spec as tagged JSON, and its digest.

Identity is content: defaults are left out, -0.0 is 0.0, every kind bears its version, and an experiment inside another
one enters by its own digest. Nothing but what changes the numbers is in a spec, so the digest says what a point means.
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from typing import Any, TypeVar

from pydantic_core import ValidationError

from dsl import faults
from dsl.faults import Fault, SpecError
from dsl.spec import Spec, build, children, hints, kind

DEPTH = 100
"""Deepest JSON that is read: a stranger's file must not end in a RecursionError."""

S = TypeVar("S", bound=Spec)


class Composed(Spec, abstract=True):
    """Interface of nouns that enter another spec by their digest: experiments."""


def digest(spec: Spec) -> str:
    """The sha256 of a spec's canonical JSON, in hexadecimal; equal specs have equal digests in every process."""
    cached = spec.__dict__.get("_digest")
    if cached is None:
        text = json.dumps(_canonical(spec, root=True), sort_keys=True, separators=(",", ":"), allow_nan=False)
        cached = hashlib.sha256(text.encode()).hexdigest()
        object.__setattr__(spec, "_digest", cached)
    return cached


def _canonical(value: Any, root: bool = False) -> Any:
    if isinstance(value, Composed) and not root:
        return {"ref": digest(value)}
    if isinstance(value, Spec):
        kept = {f.name: _canonical(getattr(value, f.name)) for f in _told(value)}
        return {"kind": kind(value), "version": value.__spec_version__} | kept
    if isinstance(value, tuple):
        return [_canonical(item) for item in value]
    return value + 0.0 if isinstance(value, float) else value


def _told(spec: Spec) -> Iterator[dataclasses.Field[Any]]:
    """The fields that differ from their defaults: a new field with a default keeps every older digest.

    A default that holds a noun of a later version is told too, because its numbers have changed.
    """
    for f in dataclasses.fields(spec):  # type: ignore[arg-type]  # every final noun is a dataclass
        value = getattr(spec, f.name)
        if f.default is dataclasses.MISSING or value != f.default or _changed(value):
            yield f


def _changed(value: Any) -> bool:
    if isinstance(value, tuple):
        return any(map(_changed, value))
    return isinstance(value, Spec) and any(noun.__spec_version__ > 1 for _, noun in walk(value))


def dump(spec: Spec) -> dict[str, Any]:
    """A spec as parsed JSON; with experiments inside it, `{"spec": ..., "experiments": {digest: ...}}`."""
    found: dict[str, Any] = {}
    body = _dumped(spec, found, root=True)
    return {"spec": body, "experiments": found} if found else body


def _dumped(value: Any, found: dict[str, Any], root: bool = False) -> Any:
    if isinstance(value, Composed) and not root:
        name = digest(value)
        if name not in found:
            found[name] = _dumped(value, found, root=True)
        return {"ref": name}
    if isinstance(value, Spec):
        return {"kind": kind(value)} | {name: _dumped(getattr(value, name), found) for name in hints(type(value))}
    return [_dumped(item, found) for item in value] if isinstance(value, tuple) else value


def load(data: Any, base: type[S] = Spec) -> S:
    """The spec that `dump` wrote, checked by the code that checks constructors.

    Args:
        data: parsed JSON.
        base: the interface or noun that is expected.

    Raises:
        SpecError: with every fault at once, each with its path.
    """
    try:
        return build((base,), _resolved(_frozen(data)))
    except ValidationError as error:
        raise SpecError(base.__name__, faults.read(error, {})) from None


def loads(text: str | bytes, base: type[S] = Spec) -> S:
    """`load` for the text of a JSON file; text that is no JSON is a `SpecError` as well."""
    try:
        data = json.loads(text, object_pairs_hook=_distinct)
    except SpecError:
        raise
    except (RecursionError, ValueError) as error:
        raise SpecError(base.__name__, [Fault((), _unread(error))]) from None
    return load(data, base)


def _unread(error: Exception) -> str:
    match error:
        case RecursionError():
            return f"nested deeper than {DEPTH} levels"
        case UnicodeDecodeError():
            return f"not UTF-8 text: byte {error.start} is wrong"
        case json.JSONDecodeError():
            return f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
    return "a number has too many digits"  # Python refuses to read an integer of thousands of digits


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; JSON itself would let the last of two equal names win in silence."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for i, (name, _) in enumerate(pairs) if name in [n for n, _ in pairs[:i]])
        raise SpecError("Spec", [Fault((), f"the name {twice!r} is given twice in one object")])
    return found


def _frozen(value: Any, depth: int = 0) -> Any:
    """Parsed JSON with tuples for lists, which is what fields hold."""
    if depth > DEPTH:
        raise SpecError("Spec", [Fault((), f"nested deeper than {DEPTH} levels")])
    if isinstance(value, list):
        return tuple(_frozen(item, depth + 1) for item in value)
    return {k: _frozen(v, depth + 1) for k, v in value.items()} if isinstance(value, dict) else value


def _resolved(data: Any) -> Any:
    """Put the inner experiments of a dumped spec where they are referred to."""
    if not (isinstance(data, dict) and "spec" in data and "kind" not in data):
        return data
    written = data.get("experiments", {})
    unknown = set(data) - {"spec", "experiments"}
    if unknown or not isinstance(written, dict):
        raise SpecError("Spec", [Fault((), "expected an object with 'spec' and 'experiments'")])
    return _Resolver(written).put(data["spec"], ())


class _Resolver:
    """Builds each inner experiment once, in the order in which they need each other."""

    def __init__(self, written: dict[str, Any]) -> None:
        self.written, self.built = written, dict[str, Spec]()

    def put(self, value: Any, above: tuple[str, ...]) -> Any:
        if isinstance(value, tuple):
            return tuple(self.put(item, above) for item in value)
        if not isinstance(value, dict):
            return value
        if set(value) == {"ref"}:
            return self.experiment(value["ref"], above)
        return {name: self.put(item, above) for name, item in value.items()}

    def experiment(self, name: Any, above: tuple[str, ...]) -> Spec:
        if name in above or len(above) > DEPTH:
            raise SpecError("Spec", [Fault(("experiments", str(name)), "refers to itself, or nested too deep")])
        if not isinstance(name, str) or name not in self.written:
            raise SpecError("Spec", [Fault(("experiments",), f"no experiment {faults.short(name)} in this file")])
        if name not in self.built:
            body = self.put(self.written[name], (*above, name))
            try:
                self.built[name] = build((Composed,), body)
            except ValidationError as error:
                found = [f.under("experiments", name[:8]) for f in faults.read(error, {})]
                raise SpecError("Spec", found) from None
        return self.built[name]


def walk(spec: Spec, path: faults.Path = ()) -> Iterator[tuple[faults.Path, Spec]]:
    """Every noun of a spec with its path, itself first; inner experiments are met but not entered."""
    yield path, spec
    for step, child in children(spec):
        if isinstance(child, Composed):
            yield (*path, *step), child
        else:
            yield from walk(child, (*path, *step))
