"""Faults of a spec: where, what was got, what was expected, the nearest name; all of them at once."""

import difflib
import reprlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError

Path = tuple[str | int, ...]

WORDS = {
    "bool_type": "True or False",
    "float_type": "a number",
    "int_from_float": "an integer",
    "int_type": "an integer",
    "string_type": "text",
    "tuple_type": "a tuple",
}
"""What pydantic's types of errors expect."""
TEXTS: dict[str, str] = {}
"""What patterns of text mean, in words: `fields.text` adds to it."""


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong in a spec.

    Attributes:
        path: field names and indices from the spec that was built down to the wrong value.
        problem: what was got and what was expected, in one line.
    """

    path: Path
    problem: str

    def __str__(self) -> str:
        return f"{written(self.path)}: {self.problem}" if self.path else self.problem

    def under(self, *prefix: str | int) -> "Fault":
        """The same fault seen from further up."""
        return Fault((*prefix, *self.path), self.problem)


class SpecError(ValueError):
    """A spec that cannot be built or loaded, with every fault that was found.

    Attributes:
        kind: the noun that was being built.
        faults: all faults, each with its path.
    """

    def __init__(self, kind: str, faults: Iterable[Fault]) -> None:
        self.kind, self.faults = kind, tuple(faults)
        super().__init__(kind, self.faults)

    def __str__(self) -> str:
        if len(self.faults) == 1:
            return f"{self.kind}: {self.faults[0]}"
        return "\n".join([f"{self.kind}: {len(self.faults)} faults", *(f"  {fault}" for fault in self.faults)])


def written(path: Sequence[str | int]) -> str:
    """A path as a reader writes it: `task.y.terms[1].on[0]`."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return "".join(steps).removeprefix(".")


def nearest(name: str, names: Iterable[str]) -> str:
    """A hint that ends a message: the nearest name, or else all names when they are few."""
    known = sorted(names)
    near = difflib.get_close_matches(name, known, 1)
    if near:
        return f" (did you mean {near[0]!r}?)"
    return f" (known: {', '.join(known)})" if 0 < len(known) <= 12 else ""


def short(value: Any) -> str:
    """A value and its type, cut to what fits in a message."""
    try:
        text = reprlib.repr(value)
    except ValueError:  # Python refuses to write an integer of thousands of digits
        text = "a number too long to write"
    return text if value is None or isinstance(value, (bool, float, str)) else f"{text} of type {type(value).__name__}"


def folded(noun: Any, most: int = 200) -> str:
    """The repr of a noun, of which the middle is left out where it is longer than a message should be."""
    text = repr(noun)
    return text if len(text) <= most else f"{text[: most - 23]}...{text[-20:]}"


def as_validation_error(kind: str, faults: Iterable[Fault]) -> ValidationError:
    """The error that pydantic nests under the path of the spec that holds this one."""
    details = [
        InitErrorDetails(type=PydanticCustomError("fault", "{text}", {"text": f.problem}), loc=f.path, input=None)
        for f in faults
    ]
    return ValidationError.from_exception_data(kind, details)


def read(error: ValidationError, fields: dict[str, str]) -> list[Fault]:
    """The faults in an error of pydantic about a noun with these fields (name -> declared type)."""
    found = []
    for e in error.errors(include_url=False):
        path = _named(tuple(e["loc"]), list(fields))
        found.append(Fault(path, _problem(e, str(path[0]) if path else "", fields)))
    return found


def _named(path: Path, fields: list[str]) -> Path:
    """A path whose first step is the field's name although the value was given by position."""
    if path and isinstance(path[0], int) and path[0] < len(fields):
        return (fields[path[0]], *path[1:])
    return path


def _problem(error: Any, name: str, fields: dict[str, str]) -> str:
    match error["type"]:
        case "fault":
            return error["msg"]
        case "missing" | "missing_argument" | "missing_positional_only_argument":
            return f"missing, expected {fields.get(name, 'a value')}"
        case "unexpected_positional_argument":
            return f"one value too many, got {short(error['input'])}"
        case "unexpected_keyword_argument":
            return f"no such field{nearest(name, fields)}"
        case "multiple_argument_values":
            return "given twice, by position and by name"
    return f"expected {_expected(error)}, got {short(error['input'])}{_one_of(error)}"


def _expected(error: Any) -> str:
    """What a type or a bound asks for, in plain words."""
    about = error.get("ctx", {})
    match error["type"]:
        case "less_than" | "greater_than_equal" if abs(about.get("lt", about.get("ge"))) == 2**63:
            return "an integer of 64 bits"
        case "too_long" | "too_short":
            most = "at most" if error["type"] == "too_long" else "at least"
            return f"{most} {about.get('max_length', about.get('min_length'))} values"
        case "string_pattern_mismatch":
            return TEXTS.get(about["pattern"], f"text of the pattern {about['pattern']!r}")
    return WORDS.get(error["type"]) or str(error["msg"]).removeprefix("Input should be ")


def _one_of(error: Any) -> str:
    """How a tuple of a single number is written, which one forgets."""
    single = error["type"] == "tuple_type" and type(error["input"]) in (int, float)
    return f"; a tuple of it alone is ({short(error['input']).partition(' ')[0]},)" if single else ""
