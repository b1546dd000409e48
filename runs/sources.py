"""What a user names on the command line: a shipped study, a Python file, or the JSON of an experiment."""

import hashlib
import importlib
import inspect
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from dsl import Experiment, SpecError, Study, loads
from dsl.faults import nearest, short
from runs.overrides import OverrideError, override_study
from runs.records import STUDY_NAME
from runs.shipped import module, shipped
from runs.table import RESERVED
from runs.userfile import SourceError as SourceError
from runs.userfile import run_file, users_code

SCALES = ("smoke", "small", "paper")
DEFAULT_SCALE = "small"


@dataclass(frozen=True)
class Opened:
    """A study as it was asked for.

    Attributes:
        study: with the overrides applied.
        name: the study's name, which is that of its index in the records.
        source: what the user named; with `scale` and `overrides`, what another process opens it by.
        scale: the scale asked for, or None.
        overrides: the fields set, as written.
        file: the absolute path of a user's file; None for a shipped study.
        sha256: of that file.
    """

    study: Study
    name: str
    source: str
    scale: str | None = None
    overrides: tuple[str, ...] = ()
    file: Path | None = None
    sha256: str | None = None

    @property
    def index(self) -> str:
        """The name of its index and of its page: a scale or overrides that were asked for have their own."""
        changed = hashlib.sha256("\n".join(self.overrides).encode()).hexdigest()[:8] if self.overrides else None
        return "-".join(part for part in (self.name, self.scale, changed) if part)


def open_source(
    source: str, scale: str | None = None, overrides: Sequence[str] = (), sha256: str | None = None
) -> Opened:
    """Open a study by the name of a shipped one, or by a file ending in .py or .json.

    A user's Python file is executed: configure the process (JAX above all) before.

    Args:
        source: the name or the path.
        scale: smoke, small or paper; None is small for studies that have scales.
        overrides: fields to set in every point that has them, as `path=value`.
        sha256: of the file, where it must be the one that was meant.

    Raises:
        SourceError: it cannot be opened; the message says why.
    """
    if scale is not None and scale not in SCALES:
        raise SourceError(f"scale {scale!r}: expected one of {', '.join(SCALES)}")
    file = Path(source).absolute() if Path(source).suffix in (".py", ".json") else None
    content = b"" if file is None else _content(source, file)
    found = None if file is None else hashlib.sha256(content).hexdigest()
    if sha256 is not None and found != sha256:
        raise SourceError(f"{source}: the file has changed: its sha256 is {found}, expected {sha256}; submit it again")
    study = _shipped(source, scale) if file is None else _in_file(file, content, scale)
    _check(source, study)
    return Opened(_overridden(study, overrides), study.name, source, scale, tuple(overrides), file, found)


def _in_file(file: Path, content: bytes, scale: str | None) -> Any:
    return (_from_python if file.suffix == ".py" else _from_json)(file, content, scale)


def _overridden(study: Study, overrides: Sequence[str]) -> Study:
    try:
        return override_study(study, overrides) if overrides else study
    except OverrideError as error:
        raise SourceError(f"--set: {error}") from None


def _check(where: str, study: Any) -> None:
    if not isinstance(study, Study):
        raise SourceError(f"{where}: study is {short(study)}; expected a Study or a function study(scale) of one")
    if not isinstance(study.name, str) or not STUDY_NAME.fullmatch(study.name):
        raise SourceError(f"{where}: the study's name is {study.name!r}; expected letters, digits, '.', '_' and '-'")
    if not study.points:
        raise SourceError(f"{where}: the study {study.name!r} has no points")
    for point in study.points:
        taken = point.axes.keys() & {*RESERVED, *point.spec.observed()}
        if taken:
            raise SourceError(f"{where}: the axis {min(taken)!r} has the name of a column of every table; rename it")


def _content(source: str, file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        raise SourceError(f"{source}: there is no such file") from None
    except OSError as reason:
        raise SourceError(f"{source}: cannot be read: {reason.strerror}") from None


# ---------------------------------------------------------------- the three kinds


def _shipped(name: str, scale: str | None) -> Study:
    if name not in (known := shipped()):
        near = nearest(name, known) if len(known) > 12 else nearest(name, known).partition(" (known")[0]
        listed = ", ".join(known) or "none"
        advice = "or name a file that ends in .py or .json"
        raise SourceError(f"no shipped study is called {name!r}{near}; shipped: {listed}; {advice}")
    return importlib.import_module(module(name)).study(scale or DEFAULT_SCALE)


def _from_python(file: Path, content: bytes, scale: str | None) -> Any:
    found = vars(run_file(file, content))
    if isinstance(found.get("study"), ModuleType | None):  # a star import may leave a module of that name
        near = nearest("study", [n for n in found if "stud" in n.lower() and n != "study"])
        raise SourceError(f"{file.name}: no `study` in it{near}; expected a Study or a function study(scale)")
    study = found["study"]
    if not isinstance(study, Study) and callable(study):
        return _called(file, study, scale or DEFAULT_SCALE)
    if scale is not None:
        raise SourceError(f"{file.name}: `study` is a value and has no scales; leave --scale out or write study(scale)")
    return study


def _called(file: Path, study: Callable[[str], Any], scale: str) -> Any:
    try:
        inspect.signature(study).bind(scale)
    except (TypeError, ValueError) as error:
        raise SourceError(f"{file.name}: study must take one argument, the scale: {error}") from None
    with users_code(file):
        return study(scale)


def _from_json(file: Path, content: bytes, scale: str | None) -> Study:
    if scale is not None:
        raise SourceError(f"{file.name}: an experiment in JSON has no scales; leave --scale out")
    if not content.strip():
        raise SourceError(f"{file.name}: the file is empty; expected the JSON of an experiment")
    try:
        experiment = loads(content, Experiment)
    except SpecError as error:
        raise SourceError(f"{file.name}: {error}{_foreign(error)}") from None
    return Study(re.sub(r"[^A-Za-z0-9._-]+", "-", file.stem).lstrip(".") or "experiment", [experiment])


def _foreign(error: SpecError) -> str:
    """A hint on nouns of a user's own, whose kind bears the name of their module."""
    found = [m[1] for fault in error.faults if (m := re.search(r"unknown kind '([^']+)\.\w+'", fault.problem))]
    lacking = [module for module in dict.fromkeys(found) if module not in sys.modules]
    return "".join(f"\n  its module {m} is not imported: name the Python file that defines it" for m in lacking)
