"""The nouns of the language, by what they are."""

import inspect

import dsl
from dsl import Spec

OTHER = "Other nouns"


def nouns() -> dict[str, dict[str, str]]:
    """The first line of the docstring of each public noun, by its name, under the widest interface that it has."""
    found: dict[str, dict[str, str]] = {}
    for name in sorted(dsl.__all__, key=str.lower):
        noun = getattr(dsl, name)
        if isinstance(noun, type) and issubclass(noun, Spec) and noun.__spec_hints__ is not None:
            found.setdefault(_what(noun), {})[name] = _line(noun)
    return {what: found[what] for what in sorted(found, key=lambda what: (what == OTHER, what))}


def matching(text: str) -> dict[str, dict[str, str]]:
    """Those whose name, line or interface holds a text, in capital letters or not."""
    told = lambda what, name, line: text.lower() in f"{what}\n{name}\n{line}".lower()
    groups = {what: {n: line for n, line in group.items() if told(what, n, line)} for what, group in nouns().items()}
    return {what: group for what, group in groups.items() if group}


def heading(what: str) -> str:
    """An interface with the first line of its docstring: `Draw: How examples are drawn.`."""
    return what if what == OTHER else f"{what}: {_line(getattr(dsl, what))}"


def _what(noun: type[Spec]) -> str:
    """The public interface of a noun that is nearest to `Spec`: a solver of pairs is a `Solver`."""
    public = (base for base in noun.__mro__[-1:0:-1] if issubclass(base, Spec) and base.__name__ in dsl.__all__)
    return next((base.__name__ for base in public if base is not Spec), OTHER)


def _line(noun: type[Spec]) -> str:
    return (inspect.getdoc(noun) or "").partition("\n")[0]
