"""The directory of results: one directory per point, one Parquet per wave of points, one index per study.

    root/points/<digest>/{spec.json, environment.json, metrics.parquet, arrays.safetensors, STATUS}
    root/waves/<hash>.parquet      the metrics of many points, which is what a table reads
    root/studies/<name>.json       the points of a study, which studies share
    root/superseded/<digest>-<n>/  records that a rerun replaced

Every record has a random name of its own, kept in `environment.json` and beside each of its rows in a wave. A table
takes from the waves only the rows of the records that are in `points/` now: what was superseded drops out by itself,
and a point that reached no wave is read from its own file.
"""

import functools
import glob
import hashlib
import json
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, overload

import numpy as np

from runs.files import draft_name, flush, rename_exclusively, replacing
from runs.table import LONG, NO_ROWS, Entry, Rows, Table, plain

if TYPE_CHECKING:
    import duckdb

FOLDERS = ("points", "waves", "studies", "superseded")
DIGEST = re.compile(r"[0-9a-f]{64}")
STUDY_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
STATUS = re.compile(r"finished|diverged at step \d+|blocked by [0-9a-f]{64}|failed: .+", re.DOTALL)
SQL_TYPE = {"step": "bigint", "index": "bigint", "value": "double", "wall_s": "double"}
RERUN = "the record is damaged: run its points again with --rerun"


class RecordsError(RuntimeError):
    """Results cannot be written, found or read."""


@dataclass(frozen=True, eq=False)
class PointRecord:
    """The result of one point.

    Attributes:
        digest: the identity of its spec, 64 hexadecimal characters.
        spec: its JSON.
        environment: what the digest does not hold (`numerics`, host, times); `record` and `shapes` are added to it.
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
        _check("digest", DIGEST, self.digest)
        _check("status", STATUS, self.status)


class Point(Protocol):
    """The parts of a `dsl.Point` that a study's index holds."""

    @property
    def axes(self) -> Mapping[str, Any]:
        """The values of its axes."""
        ...

    @property
    def spec(self) -> Any:
        """Its experiment, which has a `digest`."""
        ...


class Study(Protocol):
    """The parts of a `dsl.Study` that a study's index holds."""

    @property
    def name(self) -> str:
        """The name of the index."""
        ...

    @property
    def points(self) -> Sequence[Point]:
        """Its points."""
        ...


class Records:
    """The results below one directory, which may be shared by many studies and processes."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)

    def __repr__(self) -> str:
        return f"Records({str(self.root)!r})"

    def prepare(self) -> None:
        """Make the folders and try to write in each, before anything runs.

        Raises:
            RecordsError: the directory cannot be written.
        """
        with self._writing():
            for folder in FOLDERS:
                (self.root / folder).mkdir(parents=True, exist_ok=True)
                probe = self.root / folder / draft_name("probe")
                probe.touch(exist_ok=False)
                probe.unlink()

    def commit(self, record: PointRecord) -> bool:
        """Write a record, all of it or nothing; False if the point has one already: the first commit wins."""
        place = self._place(record.digest)
        draft = place.with_name(draft_name(record.digest))
        with self._writing():
            try:
                draft.mkdir(parents=True)
                _write_point(draft, record)
                return rename_exclusively(draft, place)
            finally:
                shutil.rmtree(draft, ignore_errors=True)

    def status(self, digest: str) -> str | None:
        """How the run of a point ended; None if it has no record."""
        path = self._place(digest) / "STATUS"
        if not path.parent.exists():
            return None
        with _reading(path):
            return _check("status", STATUS, path.read_text("utf-8"))

    def spec(self, digest: str) -> dict[str, Any]:
        """The spec of a point, as JSON."""
        return _read_json(self._existing(digest) / "spec.json")

    def environment(self, digest: str) -> dict[str, Any]:
        """The environment that a point ran in, with `record` (its random name) and `shapes` (of its measurements)."""
        return _read_json(self._existing(digest) / "environment.json")

    def rows(self, digest: str) -> Rows:
        """What a point measured."""
        path = self._existing(digest) / "metrics.parquet"
        shapes = self._stamp(digest)[1]
        with _reading(path):
            return Rows(**_query("from read_parquet(?)", path), shapes=shapes)

    @overload
    def arrays(self, digest: str, name: None = None) -> dict[str, np.ndarray]: ...
    @overload
    def arrays(self, digest: str, name: str) -> np.ndarray: ...
    def arrays(self, digest: str, name: str | None = None) -> dict[str, np.ndarray] | np.ndarray:
        """All arrays of a point by name (none is an empty dict), or the named one.

        Raises:
            RecordsError: the point has no record, no such array, or a damaged file.
        """
        from safetensors.numpy import load_file

        path = self._existing(digest) / "arrays.safetensors"
        with _reading(path):
            arrays = load_file(path) if path.exists() else {}
        if name is not None and name not in arrays:
            raise RecordsError(f"point {digest} has no array {name!r}; it has {', '.join(arrays) or 'none'}")
        return arrays if name is None else arrays[name]

    def supersede(self, digest: str) -> Path:
        """Move the record of a point out of the way of a rerun; returns where it is now."""
        place, n = self._existing(digest), 1
        with self._writing():
            (self.root / "superseded").mkdir(exist_ok=True)
            while not rename_exclusively(place, self.root / "superseded" / f"{digest}-{n}"):
                n += 1
        return self.root / "superseded" / f"{digest}-{n}"

    def accept(self, digest: str, numerics: Mapping[str, Any]) -> None:
        """Note in the environment of a point, under `accepted`, that its numbers stand for other numerics too."""
        environment = self.environment(digest)
        accepted = [*environment.get("accepted", []), dict(numerics)]
        self._replace(self._place(digest) / "environment.json", environment | {"accepted": accepted})

    def compact(self, digests: Iterable[str]) -> Path:
        """Copy the metrics of points into the file of their wave; the points keep their own."""
        names = sorted({_check("digest", DIGEST, digest) for digest in digests})
        path = self.root / "waves" / f"{hashlib.sha256(' '.join(names).encode()).hexdigest()}.parquet"
        parts = [self.rows(digest) for digest in names]
        sizes = np.array([len(part) for part in parts], np.int64)
        wave = {column: np.concatenate([getattr(part, column) for part in (NO_ROWS, *parts)]) for column in LONG}
        wave["point"] = np.repeat(np.array(names, object), sizes)
        wave["record"] = np.repeat(np.array([self._stamp(digest)[0] for digest in names], object), sizes)
        with self._writing():
            replacing(path, lambda draft: _write_parquet(draft, wave))
        return path

    def write_study(self, name: str, entries: Iterable[Entry]) -> None:
        """Write the index of a study: its points in order, with the values of their axes."""
        index = [
            {"digest": _check("digest", DIGEST, entry.digest), "axes": {k: plain(v) for k, v in entry.axes.items()}}
            for entry in entries
        ]
        self._replace(self._index(name), {"name": name, "points": index})

    def read_study(self, name: str) -> list[Entry]:
        """The points of a study, each with the present status of its record ("missing" without one).

        Raises:
            RecordsError: no such study, or a damaged index.
        """
        path = self._index(name)
        if not path.exists():
            known = sorted(other.stem for other in path.parent.glob("[!.]*.json"))
            raise RecordsError(f"no study {name!r} in {self.root}; it has {', '.join(known) or 'none'}")
        advice = "the index is damaged: run the study again, which writes it"
        index = _read_json(path, advice)
        with _reading(path, advice):
            points = index["points"]
            entries = [Entry(_check("digest", DIGEST, point["digest"]), dict(point["axes"])) for point in points]
        return self.present(entries)

    def present(self, entries: Iterable[Entry]) -> list[Entry]:
        """The entries with the status of their records."""
        return [Entry(e.digest, e.axes, self.status(e.digest) or "missing") for e in entries]

    def gather(self, digests: Iterable[str]) -> dict[str, Rows]:
        """What many points measured, from the waves where they are in one; points without a record are left out."""
        stamps = {d: self._stamp(d) for d in dict.fromkeys(digests) if self._place(d).exists()}
        found: dict[str, Rows] = {}
        for wave in sorted((self.root / "waves").glob("*.parquet")):
            wanted = {digest: stamp for digest, stamp in stamps.items() if digest not in found}
            found |= _rows_in_wave(wave, wanted) if wanted else {}
        return found | {digest: self.rows(digest) for digest in stamps if digest not in found}

    def _place(self, digest: str) -> Path:
        return self.root / "points" / _check("digest", DIGEST, digest)

    def _existing(self, digest: str) -> Path:
        place = self._place(digest)
        if not place.is_dir():
            raise RecordsError(f"no record of point {digest} in {self.root}; run it first")
        return place

    def _index(self, name: str) -> Path:
        return self.root / "studies" / f"{_check('study name', STUDY_NAME, name)}.json"

    def _stamp(self, digest: str) -> tuple[str, dict[str, tuple[int, ...]]]:
        environment = self.environment(digest)
        with _reading(self._place(digest) / "environment.json"):
            return str(environment["record"]), {name: tuple(shape) for name, shape in environment["shapes"].items()}

    def _replace(self, path: Path, value: Mapping[str, Any]) -> None:
        with self._writing():
            replacing(path, lambda draft: _write_json(draft, value))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as reason:
            advice = "choose a directory that can be written and has space"
            raise RecordsError(f"cannot write records in {self.root}: {reason}; {advice}") from reason


def entries(study: Study) -> list[Entry]:
    """The points of a study as its index holds them."""
    return [Entry(str(point.spec.digest), {k: plain(v) for k, v in point.axes.items()}) for point in study.points]


def table(study: Study | str, root: Path | str) -> Table:
    """The table of a study, given as a value or by the name of its index.

    Raises:
        RecordsError: a record is damaged, or there is no index of that name.
    """
    records = Records(root)
    points = records.read_study(study) if isinstance(study, str) else records.present(entries(study))
    return Table.build(points, records.gather(entry.digest for entry in points))


def _check(what: str, pattern: re.Pattern[str], text: Any) -> str:
    if not isinstance(text, str) or not pattern.fullmatch(text):
        raise RecordsError(f"{what}: got {text!r}; expected text of the form {pattern.pattern}")
    return text


def _write_point(folder: Path, record: PointRecord) -> None:
    stamp = {"record": secrets.token_hex(16), "shapes": record.rows.shapes}
    _write_json(folder / "spec.json", record.spec)
    _write_json(folder / "environment.json", {**record.environment, **stamp})
    _write_parquet(folder / "metrics.parquet", {column: getattr(record.rows, column) for column in LONG})
    if record.arrays:
        _write_arrays(folder / "arrays.safetensors", record.arrays)
    (folder / "STATUS").write_text(record.status, "utf-8")
    for path in (*folder.iterdir(), folder):
        flush(path)


def _write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    try:  # in C order, because safetensors saves the memory of a transposed array as it lies
        save_file({name: np.asarray(array, order="C") for name, array in arrays.items()}, path)
    except SafetensorError as reason:
        raise OSError(str(reason)) from reason


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False), "utf-8")


def _read_json(path: Path, advice: str = RERUN) -> dict[str, Any]:
    with _reading(path, advice):
        value = json.loads(path.read_text("utf-8"))
        if not isinstance(value, dict):
            raise ValueError(f"got a JSON {type(value).__name__}, expected an object")
        return value


@contextmanager
def _reading(path: Path, advice: str = RERUN) -> Iterator[None]:
    try:
        yield
    except Exception as reason:  # each format has its own errors, and all of them mean a damaged file
        first = str(reason).partition("\n")[0]
        raise RecordsError(f"cannot read {path}: {type(reason).__name__}: {first}; {advice}") from reason


@functools.cache
def _database() -> "duckdb.DuckDBPyConnection":
    import duckdb

    return duckdb.connect()  # one for the process: opening it takes longer than a query


def _write_parquet(path: Path, columns: Mapping[str, np.ndarray]) -> None:
    import duckdb

    typed = ", ".join(f'"{name}"::{SQL_TYPE.get(name, "varchar")} as "{name}"' for name in columns)
    target = str(path).replace("'", "''")
    with _database().cursor() as cursor:
        cursor.register("draft", dict(columns))
        try:
            cursor.execute(f"copy (select {typed} from draft) to '{target}' (format parquet, compression zstd)")
        except duckdb.Error as reason:
            raise OSError(str(reason).partition("\n")[0]) from reason


def _query(sql: str, path: Path, **tables: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The columns of a query on a Parquet file; DuckDB stores NaN from NumPy as NULL, which is NaN again here."""
    with _database().cursor() as cursor:
        for name, columns in tables.items():
            cursor.register(name, dict(columns))
        columns = cursor.execute(sql, [glob.escape(str(path))]).fetchnumpy()
    return {name: c.filled(np.nan) if isinstance(c, np.ma.MaskedArray) else c for name, c in columns.items()}


def _rows_in_wave(path: Path, wanted: Mapping[str, tuple[str, Mapping[str, tuple[int, ...]]]]) -> dict[str, Rows]:
    """The rows of the wanted records, which a wave holds wholly or not at all."""
    names = {"record": np.array([record for record, _ in wanted.values()], object), "place": np.arange(len(wanted))}
    columns = ", ".join(f'"{column}"' for column in LONG)
    sql = f"select {columns}, place from read_parquet(?) join wanted using (record) order by place"
    with _reading(path, "delete it: its points keep their own metrics"):
        found = _query(sql, path, wanted=names)
        ends = np.searchsorted(found.pop("place"), np.arange(len(wanted) + 1))
        slices = zip(wanted.items(), ends[:-1], ends[1:], strict=True)
        return {d: _slice(found, low, high, stamp[1]) for (d, stamp), low, high in slices if low < high}


def _slice(columns: Mapping[str, np.ndarray], low: int, high: int, shapes: Mapping[str, tuple[int, ...]]) -> Rows:
    return Rows(**{name: column[low:high] for name, column in columns.items()}, shapes=shapes)
