"""How files of results are read: what is damaged is named, with what to do about it."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

DIGEST = re.compile(r"[0-9a-f]{64}")
RERUN = "the record is damaged: run its points again with --rerun"


class RecordsError(RuntimeError):
    """Results cannot be written, found or read."""


@contextmanager
def reading(path: Path, advice: str = RERUN) -> Iterator[None]:
    """Whatever goes wrong inside is a damaged file.

    Raises:
        RecordsError: it names the file, and gives the advice.
    """
    try:
        yield
    except Exception as reason:  # each format has its own errors, and all of them mean a damaged file
        first = str(reason).partition("\n")[0]
        raise RecordsError(f"cannot read {path}: {type(reason).__name__}: {first}; {advice}") from reason


def read_json(path: Path, advice: str = RERUN) -> dict[str, Any]:
    """A file that holds a JSON object."""
    with reading(path, advice):
        value = json.loads(path.read_text("utf-8"))
        if not isinstance(value, dict):
            raise ValueError(f"got a JSON {type(value).__name__}, expected an object")
        return value


def check(what: str, pattern: re.Pattern[str], text: Any) -> str:
    """Text that must be of a form; what is read from others never becomes a path without it."""
    if not isinstance(text, str) or not pattern.fullmatch(text):
        raise RecordsError(f"{what}: got {text!r}; expected text of the form {pattern.pattern}")
    return text
