"""The directory of one point: a record that is written whole, and whose files are known to be what was written.

spec.json, metrics.parquet, arrays.safetensors, STATUS     each with its hash in
environment.json                                            which holds the digest and the format, too
"""

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from runs import parquet
from runs.files import content_hash, flush
from runs.reading import DIGEST, RERUN, RecordsError, check, read_json, reading
from runs.rows import LONG, Rows
from runs.stamps import Found, Stamp, seal

FORMAT = 1
STATUS = re.compile(r"finished|diverged at step \d+|blocked by [0-9a-f]{64}|failed: .+", re.DOTALL)
TYPES = {"record": str, "numerics": dict, "accepted": list, "files": dict, "rows": int}


@dataclass(frozen=True, eq=False)
class PointRecord:
    """The result of one point.

    Attributes:
        digest: the identity of its spec, 64 hexadecimal characters.
        spec: its JSON.
        environment: what the digest does not hold (`numerics`, host, times); what tells the record is added to it.
        rows: what it measured.
        arrays: large results (weights, plans), by name.
        status: "finished", "diverged at step N", "blocked by <digest>" or "failed: ...".
    """

    digest: str
    spec: Mapping[str, Any]
    environment: Mapping[str, Any]
    rows: Rows
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    status: str = "finished"

    def __post_init__(self) -> None:
        check("digest", DIGEST, self.digest)
        check("status", STATUS, self.status)


def write_point(folder: Path, record: PointRecord) -> None:
    """Write all files of a record into a folder, and wait until the disk has them."""
    write_json(folder / "spec.json", record.spec)
    parquet.write(folder / "metrics.parquet", {column: getattr(record.rows, column) for column in LONG})
    if record.arrays:
        _write_arrays(folder / "arrays.safetensors", record.arrays)
    (folder / "STATUS").write_text(record.status, "utf-8")
    about = {
        "format": FORMAT,
        "digest": record.digest,
        "record": secrets.token_hex(16),
        "shapes": record.rows.shapes,
        "rows": len(record.rows),
        "files": {path.name: content_hash(path) for path in sorted(folder.iterdir())},
    }
    write_json(folder / "environment.json", {**record.environment, **about})
    for path in (*folder.iterdir(), folder):
        flush(path)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON file that people can read."""
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False), "utf-8")


def _write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    try:  # in C order, because safetensors saves the memory of a transposed array as it lies
        save_file({name: np.asarray(array, order="C") for name, array in arrays.items()}, path)
    except SafetensorError as reason:
        raise OSError(str(reason)) from reason


def read_environment(folder: Path) -> dict[str, Any]:
    """The environment of the record in a folder that has the name of its point.

    Raises:
        RecordsError: it is damaged, of another format, or of another point.
    """
    path = folder / "environment.json"
    value = read_json(path)
    if value.get("format") != FORMAT:
        raise RecordsError(
            f"cannot read {path}: its format is {value.get('format')!r}, and this version of stepwell reads format "
            f"{FORMAT}; use the version that wrote it, or run its points again with --rerun"
        )
    if value.get("digest") != folder.name:
        raise RecordsError(f"cannot read {path}: it is of the point {value.get('digest')!r}; {RERUN}")
    with reading(path):
        return _checked(value)


def _checked(value: dict[str, Any]) -> dict[str, Any]:
    """The parts of an environment that are read again are of the types in which they were written."""
    sizes = [size for shape in value["shapes"].values() for size in shape]
    if not all(type(size) is int and size >= 0 for size in sizes):
        raise ValueError(f"the shapes are {value['shapes']!r}, expected lists of sizes")
    for name, kind in TYPES.items():
        if not isinstance(value.get(name, [] if name == "accepted" else None), kind):
            raise ValueError(f"{name} is {value.get(name)!r}, expected a {kind.__name__}")
    return value


def read_status(folder: Path) -> str:
    """How the run ended."""
    with reading(folder / "STATUS"):
        return check("status", STATUS, (folder / "STATUS").read_text("utf-8"))


def read_spec(folder: Path) -> dict[str, Any]:
    """The spec, as JSON."""
    return read_json(verified(folder, "spec.json"))


def read_rows(folder: Path) -> Rows:
    """What was measured."""
    environment, path = read_environment(folder), folder / "metrics.parquet"
    with reading(path):
        _verify(path, environment)
        return Rows(
            **parquet.read(f"select {parquet.typed(LONG)} from them", [path]), shapes=shapes_of(environment["shapes"])
        )


def read_arrays(folder: Path) -> dict[str, np.ndarray]:
    """All arrays by name; none is an empty dict."""
    from safetensors.numpy import load_file

    path = folder / "arrays.safetensors"
    if path.name not in read_environment(folder)["files"]:
        return {}
    with reading(path):
        return load_file(verified(folder, path.name))


def read_stamp(folder: Path) -> Found | None:
    """What a table needs of a record beside its rows; None where there is no such folder.

    A record that is replaced in the meantime is read again.
    """
    while (before := seal(folder)) is not None:
        try:
            found = _stamp(folder)
        except RecordsError:
            if seal(folder) == before:
                raise
            continue
        if seal(folder) == before:
            return Found(before, *found)
    return None


def _stamp(folder: Path) -> tuple[Stamp, str]:
    environment = read_environment(folder)
    status = read_status(verified(folder, "STATUS", environment).parent)
    shapes = json.dumps(environment["shapes"], ensure_ascii=False)
    return Stamp(environment["record"], status, shapes, environment["rows"]), json.dumps(environment)


def verified(folder: Path, name: str, environment: Mapping[str, Any] | None = None) -> Path:
    """The path of a file whose content is that which was written.

    Raises:
        RecordsError: it is gone, or has another content.
    """
    path = folder / name
    environment = read_environment(folder) if environment is None else environment
    with reading(path):
        _verify(path, environment)
    return path


def _verify(path: Path, environment: Mapping[str, Any]) -> None:
    if content_hash(path) != environment["files"][path.name]:
        raise ValueError("its content is not what was written")


def shapes_of(shapes: Mapping[str, list[int]]) -> dict[str, tuple[int, ...]]:
    """The shapes of measurements from their JSON."""
    return {name: tuple(shape) for name, shape in shapes.items()}
