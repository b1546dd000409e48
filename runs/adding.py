"""Adding a user's file to the data directory: checked, copied whole, and named by a noun that knows its content."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dsl import Stored, StoredExamples, StoredMeasures
from runs.arrays import read_arrays
from runs.files import content_hash, replacing
from runs.images import read_images
from runs.inputs import data_directory
from runs.options import RunError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Added:
    """A file in the data directory.

    Attributes:
        noun: by which experiments read it.
        path: where it is.
        arrays: its arrays by name.
        classes: the names of the classes of an image folder.
    """

    noun: Stored
    path: Path
    arrays: Mapping[str, np.ndarray]
    classes: tuple[str, ...] = ()


def add(source: Path, name: str | None = None, data: Path | None = None) -> Added:
    """Put a file of arrays, or a folder of images, into the data directory.

    A file is copied byte for byte; images become one safetensors file with their pixels `x` and their classes `y`.

    Args:
        source: the file or folder.
        name: in the data directory; that of the source if not given.
        data: the data directory; that of every run if not given.

    Raises:
        RunError: if it cannot be read, holds no numbers, or another file has the name.
    """
    if source.is_dir():
        arrays, classes = read_images(source)
        content, proposed = _packed(arrays, classes), f"{source.resolve().name}.safetensors"
    else:
        content, classes, proposed = _content(source), (), source.name
        arrays = read_arrays(source, content)
    path = data_directory(data) / _checked(name or proposed, Path(proposed).suffix)
    sha256 = hashlib.sha256(content).hexdigest()
    _place(path, content, sha256)
    return Added(Stored(path.name, sha256), path, arrays, classes)


def told(added: Added) -> Iterator[str]:
    """Lines on what was added: its noun first, then its arrays, and the measures and the task that they make."""
    yield repr(added.noun)
    for name, array in added.arrays.items():
        bad = array.size - np.count_nonzero(np.isfinite(array))
        shown = name if name.isprintable() else repr(name)  # a stranger's text may hold what a terminal obeys
        yield f"  {shown}: {array.dtype}, shape {array.shape}" + (f"; {bad} are NaN or infinite" if bad else "")
    if added.classes:
        yield f"  classes: {', '.join(f'{i} {name}' for i, name in enumerate(added.classes))}"
    yield from _told_measures(added)
    task = _examples(added)
    if isinstance(task, StoredExamples):
        yield f"as a task: {task!r}"
    if isinstance(task, StoredExamples) or (task is None and measures_of(added) is not None):
        return
    if task is not None:
        yield f"x and y make no task: {task}"
    columns = len(added.arrays) > 1 and all(array.ndim == 1 for array in added.arrays.values())
    shape, x, what = ("(k,)", "('...', '...')", "k + 1 columns") if columns else ("...", "'...'", "two arrays")
    yield f"StoredExamples({added.noun!r}, n=..., x_shape={shape}, x={x}, y='...') makes a task of {what}"


def measures_of(added: Added) -> StoredMeasures | None:
    """The measures that an array `points`, with `masses` or without, makes; None where it is not there or not fit."""
    noun = StoredMeasures(added.noun)
    return noun if "points" in added.arrays and not list(noun.misfits(added.arrays)) else None


def _told_measures(added: Added) -> Iterator[str]:
    """A line on the measures that an array `points` makes, or why it makes none."""
    if "points" not in added.arrays:
        return
    if (found := measures_of(added)) is not None:
        equal = "" if "masses" in added.arrays else ", of equal masses, because there is no array 'masses'"
        yield f"as measures{equal}: {found!r}"
        return
    misfits = StoredMeasures(added.noun).misfits(added.arrays)
    yield f"points make no measures: {'; '.join(fault.problem for fault in misfits)}"


def task_of(added: Added) -> StoredExamples | None:
    """The task that arrays `x` and `y` make; None where they are not there, or do not fit."""
    found = _examples(added)
    return found if isinstance(found, StoredExamples) else None


def _examples(added: Added) -> StoredExamples | str | None:
    """The task that arrays `x` and `y` make, or why they make none; None where they are not there."""
    x, y = (added.arrays.get(name) for name in ("x", "y"))
    if x is None or y is None:
        return None
    if not (x.ndim and y.ndim and x.size and y.size):
        lacking = "numbers" if x.ndim and y.ndim else "examples"
        return f"x has shape {x.shape} and y {y.shape}: there are no {lacking}"
    if y.ndim > 2:
        return f"y has shape {y.shape}; expected ({len(x)},) or ({len(x)}, k)"
    scale = 1 / 255 if x.dtype == np.uint8 else 1.0
    found = StoredExamples(added.noun, len(x), x.shape[1:] or (1,), _length(y), scale=scale)
    return "; ".join(map(str, found.misfits(added.arrays))) or found


def _length(y: np.ndarray) -> int | None:
    """Of the labels: the number of classes, or of the numbers in each vector; None for one real number each."""
    if y.ndim == 2:
        return y.shape[1]
    if y.dtype.kind == "b":
        return 2
    classes = y.dtype.kind in "iu" and 0 <= y.min() and 0 < y.max() < len(y)
    return int(y.max()) + 1 if classes else None


def _content(source: Path) -> bytes:
    try:
        return source.read_bytes()
    except FileNotFoundError:
        raise RunError(f"{source}: there is no such file or folder") from None
    except OSError as reason:
        raise RunError(f"{source}: cannot be read: {reason.strerror}") from None


def _packed(arrays: Mapping[str, np.ndarray], classes: tuple[str, ...]) -> bytes:
    from safetensors.numpy import save

    return save(dict(arrays), metadata={"classes": json.dumps(classes)})


def _checked(name: str, suffix: str) -> str:
    """A name that `Stored` accepts, with the suffix by which the format is known."""
    if not NAME.fullmatch(name):
        fit = re.sub(r"[^A-Za-z0-9._-]+", "-", name).lstrip("._-") or f"data{suffix}"
        raise RunError(f"the name {name!r}: expected letters, digits, '.', '_' and '-'; choose one: --name {fit}")
    if Path(name).suffix != suffix:
        raise RunError(f"the name {name!r}: expected one that ends in {suffix}, the format of the file")
    return name


def _place(path: Path, content: bytes, sha256: str) -> None:
    def write(draft: Path) -> None:
        draft.write_bytes(content)

    try:
        if not path.exists():
            replacing(path, write)
        elif (found := content_hash(path)) != sha256:
            raise RunError(f"{path} is another file, of sha256 {found}; choose another name with --name")
    except OSError as reason:
        raise RunError(f"{path}: cannot be written: {reason.strerror}") from None
