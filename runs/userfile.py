"""Running a user's Python file: under a module name of its own, and with errors that show the user's lines only."""

import importlib
import importlib.util
import itertools
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType

from runs.misspelt import meant

OURS = tuple(Path(__file__).parents[1] / name for name in ("theory", "dsl", "runs", "scripts"))
STDLIB = tuple(Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib"))


class SourceError(Exception):
    """What a user named cannot be opened; the message says why."""


def run_file(file: Path, code: bytes) -> ModuleType:
    """Execute a file as a module that is registered under its stem, or under a name that shadows no other module.

    Nouns bear the module's name in their kind, so one file has one name in every fresh process. Nothing is written: no
    bytecode beside the user's files.

    Args:
        file: the absolute path.
        code: its content, so that what runs is what was hashed.

    Raises:
        SourceError: the file raises.
    """
    name = module_name(file)
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None  # the suffix is .py
    module = importlib.util.module_from_spec(spec)
    before, sys.modules[name] = sys.modules.get(name), module
    try:
        with users_code(file):
            exec(compile(code, str(file), "exec", dont_inherit=True), module.__dict__)
    except SourceError:
        if before is None:
            del sys.modules[name]
        else:
            sys.modules[name] = before
        raise
    return module


@contextmanager
def users_code(file: Path) -> Iterator[None]:
    """Run code of a user's file: its folder can be imported from, and what it raises becomes a `SourceError`.

    Raises:
        SourceError: with the user's own frames and the exception.
    """
    folder, bytecode = str(file.parent), sys.dont_write_bytecode
    sys.path.append(folder)  # last, so that a user's random.py hides nobody's random
    sys.dont_write_bytecode = True
    importlib.invalidate_caches()
    try:
        yield
    except (Exception, SystemExit) as error:
        raise SourceError(f"{file.name} raised an error\n{_told(error, file.parent)}") from None
    finally:
        sys.dont_write_bytecode = bytecode
        if folder in sys.path:
            sys.path.reverse()
            sys.path.remove(folder)
            sys.path.reverse()


def module_name(file: Path) -> str:
    """The stem if no other module has that name, else the first free one of `user_<stem>`, `user_<stem>_2`, ..."""
    stem = file.stem.replace(".", "_")
    further = (f"user_{stem}_{n}" for n in itertools.count(2))
    return next(name for name in itertools.chain((stem, f"user_{stem}"), further) if _free(name, file))


def _free(name: str, file: Path) -> bool:
    if name in sys.modules:
        return getattr(sys.modules[name], "__file__", None) == str(file)
    # The working directory is on the path of some processes only (`python -m`), and one file needs one name in all.
    elsewhere = [entry for entry in sys.path if Path(entry).absolute() != Path.cwd()]
    found = PathFinder.find_spec(name, elsewhere)
    # a folder of that name is a namespace package without an origin, and no one's module
    return name not in sys.stdlib_module_names and (found is None or found.origin in (None, str(file)))


def told(error: BaseException) -> str:
    """An exception with the frames of a user's code alone; with all of them where none is a user's."""
    theirs = [f for f in traceback.extract_tb(error.__traceback__) if not is_known(Path(f.filename))]
    if not theirs:
        return "".join(traceback.format_exception(error)).rstrip()
    # without the notes that libraries add about frames which are left out here
    return "".join([*traceback.StackSummary.from_list(theirs).format(), _said(error)])


def is_known(path: Path) -> bool:
    """Whether a file is ours, Python's or an installed package's."""
    inside = any(path.is_relative_to(root) for root in (*OURS, *STDLIB))
    return inside or "site-packages" in path.parts or not path.is_absolute()


def _told(error: BaseException, folder: Path) -> str:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_users(Path(frame.filename), folder)]
    lines = traceback.StackSummary.from_list(frames).format()
    if isinstance(error, SyntaxError):
        return "".join([*lines, *traceback.format_exception_only(error)]).rstrip()
    return "".join([*lines, _said(error)]).rstrip(": ")


def _said(error: BaseException) -> str:
    """An exception in a line, with the nearest name where it is about one that does not exist."""
    return f"{type(error).__name__}: {error}{meant(error)}"


def _is_users(path: Path, folder: Path) -> bool:
    return path.is_relative_to(folder) and not is_known(path)
