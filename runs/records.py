"""The directory of results: one directory per point, a few Parquet files of many points, one index per study.

    root/points/<digest>/            the record of a point: see `runs.point`
    root/waves/<hash>.parquet        the metrics of many points, which is what a table reads
    root/catalogue/<hash>.parquet    what else it reads of many points
    root/studies/<name>.json         the points of a study, which studies share
    root/superseded/<digest>-<n>/    records that a rerun replaced

Every record has a random name of its own, kept in `environment.json` and beside each of its rows in a wave. A table
takes from the waves only the rows of the records that are in `points/` now: what was superseded drops out by itself,
and a point that reached no wave is read from its own file.
"""

import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, overload

import numpy as np

from runs.catalogue import Catalogue
from runs.files import draft_name, rename_exclusively, replacing, sweep
from runs.locks import Locks
from runs.point import STATUS as STATUS
from runs.point import (
    PointRecord,
    read_arrays,
    read_environment,
    read_rows,
    read_spec,
    read_stamp,
    read_status,
    write_json,
    write_point,
)
from runs.reading import DIGEST as DIGEST
from runs.reading import RERUN as RERUN
from runs.reading import RecordsError, check, read_json, reading
from runs.rows import Long, Rows
from runs.sealed import Sealed
from runs.stamps import Found, Stamp, break_seal, seal
from runs.table import Entry, Table, plain
from runs.waves import Waves

FOLDERS = ("points", "waves", "catalogue", "studies", "superseded")
STUDY_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")
INDEX_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,149}")  # a study's name, its scale and what was overridden
BATCH = 2000


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
        self._waves = Waves(Sealed(self.root / "waves"), self.root / "points")
        self._catalogue = Catalogue(Sealed(self.root / "catalogue"), self.root / "points")

    def __repr__(self) -> str:
        return f"Records({str(self.root)!r})"

    def prepare(self) -> None:
        """Make the folders, try to write in each before anything runs, and remove the drafts of processes that ended.

        Raises:
            RecordsError: the directory cannot be written.
        """
        with self._writing():
            for folder in FOLDERS:
                (self.root / folder).mkdir(parents=True, exist_ok=True)
                probe = self.root / folder / draft_name("probe")
                probe.touch(exist_ok=False)
                probe.unlink()
                sweep(self.root / folder)

    def commit(self, record: PointRecord) -> bool:
        """Write a record, all of it or nothing; False if the point has one already: the first commit wins."""
        place = self._place(record.digest)
        draft = place.with_name(draft_name(record.digest))
        with self._writing():
            try:
                draft.mkdir(parents=True)
                write_point(draft, record)
                return rename_exclusively(draft, place)
            finally:
                shutil.rmtree(draft, ignore_errors=True)

    def status(self, digest: str) -> str | None:
        """How the run of a point ended; None if it has no record."""
        place = self._place(digest)
        return read_status(place) if place.exists() else None

    def spec(self, digest: str) -> dict[str, Any]:
        """The spec of a point, as JSON."""
        return read_spec(self._existing(digest))

    def environment(self, digest: str) -> dict[str, Any]:
        """The environment that a point ran in, with what tells its record: see `runs.point`."""
        return read_environment(self._existing(digest))

    def rows(self, digest: str) -> Rows:
        """What a point measured."""
        return read_rows(self._existing(digest))

    @overload
    def arrays(self, digest: str, name: None = None) -> dict[str, np.ndarray]: ...
    @overload
    def arrays(self, digest: str, name: str) -> np.ndarray: ...
    def arrays(self, digest: str, name: str | None = None) -> dict[str, np.ndarray] | np.ndarray:
        """All arrays of a point by name (none is an empty dict), or the named one.

        Raises:
            RecordsError: the point has no record, no such array, or a damaged file.
        """
        arrays = read_arrays(self._existing(digest))
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
        place, environment = self._existing(digest), self.environment(digest)
        old = seal(place)
        accepted = [*environment.get("accepted", []), dict(numerics)]
        self._replace(place / "environment.json", environment | {"accepted": accepted})
        if old is not None:
            break_seal(place, old)

    def compact(self, digests: Iterable[str]) -> None:
        """Copy the metrics of those points that are in no wave into one, and enter them in the catalogue.

        The points keep their own files. Points without a record are left out; what is damaged and kept elsewhere is
        mended, and where files are many they become few.

        Raises:
            RecordsError: a record is damaged, or nothing can be written.
        """
        names = sorted(_digests(digests))
        for i in range(0, len(names), BATCH):
            self._compact(names[i : i + BATCH])
        with self._writing(), self._alone() as alone:
            if alone:
                self._waves.tidy(self._catalogue.known)
                self._catalogue.tidy()

    def _compact(self, names: Sequence[str]) -> None:
        known = self._catalogue.known(names)
        found = self._found(name for name in names if name not in known)
        stamps = known | {name: one.stamp for name, one in found.items()}
        with self._writing():
            if lacking := self._waves.lacking(stamps):
                self._waves.add({name: stamps[name] for name in lacking})
            if found:
                self._catalogue.add(found)

    def write_study(self, name: str, entries: Iterable[Entry]) -> None:
        """Write the index of a study: its points in order, with the values of their axes."""
        index = [
            {"digest": check("digest", DIGEST, entry.digest), "axes": {k: plain(v) for k, v in entry.axes.items()}}
            for entry in entries
        ]
        self._replace(self._index(name), {"name": name, "points": index})

    def read_study(self, name: str) -> list[Entry]:
        """The points of a study, each with the present status of its record ("missing" without one).

        Raises:
            RecordsError: no such study, or a damaged index.
        """
        entries = self._listed(name)
        return present(entries, self.stamps(entry.digest for entry in entries))

    def _listed(self, name: str) -> list[Entry]:
        path = self._index(name)
        if not path.exists():
            known = sorted(other.stem for other in path.parent.glob("[!.]*.json"))
            raise RecordsError(f"no study {name!r} in {self.root}; it has {', '.join(known) or 'none'}")
        advice = "the index is damaged: run the study again, which writes it"
        index = read_json(path, advice)
        with reading(path, advice):
            _digests(point["digest"] for point in index["points"])
            return [Entry(point["digest"], dict(point["axes"])) for point in index["points"]]

    def stamps(self, digests: Iterable[str]) -> dict[str, Stamp]:
        """What is known of the records of points without their rows; points without a record are left out.

        Raises:
            RecordsError: a record is damaged, and the catalogue does not know it.
        """
        names = _digests(digests)
        known = self._catalogue.known(names)
        known |= {name: one.stamp for name, one in self._found(name for name in names if name not in known).items()}
        return {name: known[name] for name in names if name in known}

    def environments(self, digests: Iterable[str]) -> dict[str, tuple[str, str]]:
        """The status and the environment (JSON) of points; points without a record are left out."""
        names = _digests(digests)
        known = self._catalogue.environments(names)
        found = self._found(name for name in names if name not in known)
        return known | {name: (one.stamp.status, one.environment) for name, one in found.items()}

    def gather(self, digests: Iterable[str]) -> tuple[dict[str, Stamp], Long]:
        """What many points measured, with the stamps of their records; points without a record are left out."""
        names, stamps = list(digests), None
        while True:
            before, stamps = stamps, self.stamps(names)
            try:
                return stamps, self._waves.gather(stamps)
            except RecordsError:
                if stamps == before:  # otherwise a point was replaced while it was read
                    raise

    def _found(self, names: Iterable[str]) -> dict[str, Found]:
        return {name: one for name in names if (one := read_stamp(self.root / "points" / name)) is not None}

    def _place(self, digest: str) -> Path:
        return self.root / "points" / check("digest", DIGEST, digest)

    def _existing(self, digest: str) -> Path:
        place = self._place(digest)
        if not place.is_dir():
            raise RecordsError(f"no record of point {digest} in {self.root}; run it first")
        return place

    def _index(self, name: str) -> Path:
        return self.root / "studies" / f"{check('study name', INDEX_NAME, name)}.json"

    def _replace(self, path: Path, value: Mapping[str, Any]) -> None:
        with self._writing():
            replacing(path, lambda draft: write_json(draft, value))

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        """Whether no other process tidies now; two that do lose time and nothing else."""
        locks = Locks(self.root / "locks")
        try:
            yield locks.take("compaction")
        finally:
            locks.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as reason:
            advice = "choose a directory that can be written and has space"
            raise RecordsError(f"cannot write records in {self.root}: {reason}; {advice}") from reason


def _digests(names: Iterable[Any]) -> list[str]:
    """The distinct ones, after a check of all."""
    distinct = list(dict.fromkeys(names))
    return [
        name if type(name) is str and DIGEST.fullmatch(name) else check("digest", DIGEST, name) for name in distinct
    ]


def entries(study: Study) -> list[Entry]:
    """The points of a study as its index holds them."""
    return [Entry(str(point.spec.digest), {k: plain(v) for k, v in point.axes.items()}) for point in study.points]


def present(entries: Iterable[Entry], stamps: Mapping[str, Stamp]) -> list[Entry]:
    """The entries with the status of their records."""
    return [Entry(e.digest, e.axes, stamps[e.digest].status if e.digest in stamps else "missing") for e in entries]


def table(study: Study | str, root: Path | str) -> Table:
    """The table of a study, given as a value or by the name of its index.

    Raises:
        RecordsError: a record is damaged, or there is no index of that name.
    """
    records = Records(root)
    points = records._listed(study) if isinstance(study, str) else entries(study)
    stamps, rows = records.gather(entry.digest for entry in points)
    return Table.build(present(points, stamps), rows)
