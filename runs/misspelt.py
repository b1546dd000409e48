"""Names in a user's Python file that do not exist: which they are near to."""

import difflib
import re
import sys
import traceback
from collections.abc import Iterable
from types import ModuleType

LANGUAGE = "dsl"


def meant(error: BaseException) -> str:
    """A hint that ends the message of an error about a name; empty for other errors, and where nothing is near.

    A name that is not defined may be near to one of the language or of the file; an attribute, and what is imported,
    to one of the module or noun.
    """
    if isinstance(error, NameError) and not isinstance(error, UnboundLocalError) and error.name:
        return _undefined(error, error.name)
    if isinstance(error, AttributeError) and error.name and _is_ours(error.obj):
        return _near(error.name, _public(error.obj))
    if isinstance(error, ImportError) and (lacking := re.match(r"cannot import name '(\w+)' from", str(error))):
        module = sys.modules.get(error.name or "")
        return "" if module is None else _near(lacking[1], _public(module))
    return ""


def _undefined(error: NameError, name: str) -> str:
    language = _public(sys.modules[LANGUAGE]) if LANGUAGE in sys.modules else []
    if name in language:
        return f" (it is in {LANGUAGE}: `from {LANGUAGE} import {name}`)"
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    here = {*frames[-1].f_locals, *frames[-1].f_globals} if frames else set[str]()
    return _near(name, [*language, *(known for known in here if not known.startswith("__"))])


def _is_ours(value: object) -> bool:
    """A module, or a value of a class of the language or of a study."""
    return isinstance(value, ModuleType) or hasattr(type(value), "__spec_kind__")


def _public(value: object) -> list[str]:
    return list(getattr(value, "__all__", None) or (name for name in dir(value) if not name.startswith("_")))


def _near(name: str, names: Iterable[str]) -> str:
    """The nearest names, at most two; those that differ in capital letters alone come first."""
    known = dict.fromkeys(sorted(names))
    found = [other for other in known if other.lower() == name.lower()]
    found = list(dict.fromkeys([*found, *difflib.get_close_matches(name, known, 2, 0.7)]))[:2]
    return f" (did you mean {' or '.join(map(repr, found))}?)" if found else ""
