"""Warnings of Python in plain words: one line each, with the line of the user's code that caused it, and once."""

import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from runs.shipped import FOLDER
from runs.userfile import is_known

Say = Callable[[str], None]


@dataclass
class Warned:
    """The warnings that were said, so that equal ones are said once."""

    said: set[str] = field(default_factory=set)

    def say(self, text: str, say: Say) -> None:
        """Say it, unless it was said."""
        if text not in self.said:
            self.said.add(text)
            say(text)


@contextmanager
def warnings_told(say: Say) -> Iterator[None]:
    """Give each different warning to `say` as one line; which warnings there are, Python's filters decide as ever."""
    warned = Warned()

    def show(message: Warning | str, category: type[Warning], filename: str, *_: object) -> None:
        warned.say(_line(message, category, filename), say)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


def complain(text: str) -> None:
    """Print a line among the errors."""
    print(text, file=sys.stderr, flush=True)


def _line(message: Warning | str, category: type[Warning], filename: str) -> str:
    """`warning: my.py:30: divide by zero`, with the kind of warning where it is a special one."""
    kind = "" if category is UserWarning else f"{category.__name__}: "
    return f"warning: {_place() or _library(filename)}{kind}{' '.join(str(message).split())}"


def _place() -> str:
    """`my.py:30: `, the innermost line that is a study's; empty where there is none."""
    frames = ((Path(frame.f_code.co_filename), line) for frame, line in traceback.walk_stack(sys._getframe()))
    return next((f"{file.name}:{line}: " for file, line in frames if _is_of_a_study(file)), "")


def _is_of_a_study(file: Path) -> bool:
    return file.suffix == ".py" and (file.parent == FOLDER or not is_known(file))  # the console script has no suffix


def _library(filename: str) -> str:
    """`matplotlib: `, the installed package that has the file; empty for others."""
    parts = Path(filename).parts
    if "site-packages" not in parts[:-1]:
        return ""
    return f"{parts[parts.index('site-packages') + 1].removesuffix('.py')}: "
