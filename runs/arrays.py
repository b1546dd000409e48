"""Files of arrays from outside, read so that nothing in them is ever run: no pickle, no formats that hold programs."""

import io
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from dsl.faults import nearest
from runs.options import RunError

Arrays = Mapping[str, np.ndarray]
NUMBERS = "biuf"
"""The kinds of NumPy's types that are numbers."""


def read_arrays(path: Path, content: bytes) -> dict[str, np.ndarray]:
    """The arrays of a file by name, in this machine's byte order; the one array of a `.npy` file has the name `value`.

    Args:
        path: of the file, by whose suffix the format is known.
        content: its bytes.

    Raises:
        RunError: if the format is unknown, the file is damaged, or an array does not hold numbers of 64 bits or less.
    """
    check_format(path)
    try:
        found = FORMATS[path.suffix](path, content)
    except RunError:
        raise
    except Exception as reason:  # each format has its own errors, and all of them mean a damaged file
        said = str(reason).partition("\n")[0]
        raise RunError(f"{path} cannot be read as a {path.suffix} file: {said}; it is damaged or cut short") from None
    for name, array in found.items():
        if array.dtype.kind not in NUMBERS:
            raise RunError(f"{path}: the array {name!r} has the type {array.dtype}; expected real numbers")
        if array.dtype.itemsize > 8:
            problem = f"has the type {array.dtype}; expected real numbers of at most 64 bits, such as float64"
            raise RunError(f"{path}: the array {name!r} {problem}")
    if not found:
        raise RunError(f"{path} holds no arrays")
    return {name: array.astype(array.dtype.newbyteorder("="), copy=False) for name, array in found.items()}


def check_format(path: Path) -> None:
    """A suffix that is known.

    Raises:
        RunError: with the nearest one.
    """
    if path.suffix not in FORMATS:
        near = nearest(path.suffix, FORMATS)
        raise RunError(f"{path}: expected a file of arrays, got {path.suffix or 'no suffix'}{near}")


def _npz(path: Path, content: bytes) -> dict[str, np.ndarray]:
    if not zipfile.is_zipfile(io.BytesIO(content)):  # NumPy would take it for a pickle
        raise RunError(
            f"{path} is no .npz file, an archive of arrays: another kind of file, or it is damaged or cut short"
        )
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        return {name: _plain(path, name, lambda name=name: file[name]) for name in file.files}


def _npy(path: Path, content: bytes) -> dict[str, np.ndarray]:
    return {"value": _plain(path, "value", lambda: np.load(io.BytesIO(content), allow_pickle=False))}


def _plain(path: Path, name: str, load: Callable[[], np.ndarray]) -> np.ndarray:
    try:
        return load()
    except ValueError as reason:
        if "allow_pickle" not in str(reason):
            raise
        problem = "holds Python objects (a pickle), which could run any code and are never loaded"
        raise RunError(f"{path}: the array {name!r} {problem}; save numbers, such as array.astype(float)") from None


def _safetensors(path: Path, content: bytes) -> dict[str, np.ndarray]:
    from safetensors import deserialize
    from safetensors.numpy import load

    try:
        return load(content)
    except KeyError as reason:  # a type of the format without a name in NumPy: bfloat16, float8
        kind = reason.args[0]
    name = next(name for name, tensor in deserialize(content) if tensor["dtype"] == kind)
    problem = f"has the type {kind}, which NumPy lacks; save it as float32, such as tensor.float() of torch"
    raise RunError(f"{path}: the array {name!r} {problem}")


def _parquet(path: Path, content: bytes) -> dict[str, np.ndarray]:
    """The columns; one of lists of equal length is a matrix."""
    from runs.parquet import columns

    if content[:4] != b"PAR1" or content[-4:] != b"PAR1":
        raise ValueError("it does not begin and end with PAR1")
    return {name: _column(path, name, column) for name, column in columns(path).items()}


def _column(path: Path, name: str, column: np.ndarray) -> np.ndarray:
    """A column, its lists stacked."""
    if missing := np.ma.count_masked(column):
        raise RunError(f"{path}: {missing} of {len(column)} numbers of {name!r} are missing; expected all of them")
    column = np.ma.getdata(column)
    if column.dtype != object:
        return column
    rows = [row if isinstance(row, str) else _column(path, name, row) for row in column]
    shapes = sorted({np.shape(row) for row in rows})
    if len(shapes) > 1:
        raise RunError(f"{path}: the lists of {name!r} have different lengths, {shapes[0]} and {shapes[1]} for example")
    return np.stack(rows)


FORMATS: dict[str, Callable[[Path, bytes], dict[str, np.ndarray]]] = {
    ".npz": _npz,
    ".npy": _npy,
    ".safetensors": _safetensors,
    ".parquet": _parquet,
}
"""The formats by suffix."""
