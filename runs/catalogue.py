"""What many records are, in a few files: a table of a study then touches no file of a point.

An entry is a copy of what a point's own files say, and it counts as long as the point's directory has the seal that it
had when they were read: a record that was superseded, rerun, accepted or copied has another. Without an entry the files
are read, so nothing is lost with the catalogue but time.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from runs.sealed import Sealed
from runs.stamps import Found, Seal, Stamp, seal

KEYS = ("point", *Seal._fields)
FIELDS = (*KEYS, *Stamp._fields)
KEY = ", ".join(KEYS)
KINDS = {"changed": np.int64, "inode": np.uint64, "rows": np.int64}


@dataclass(frozen=True)
class Catalogue:
    """The entries in one folder, on the directories in another.

    Attributes:
        files: the entries.
        points: where the directories of the points are.
    """

    files: Sealed
    points: Path

    def known(self, points: Collection[str]) -> dict[str, Stamp]:
        """The stamps of those of the points that have a valid entry."""
        return {point: Stamp(*stamp) for point, *stamp in self._valid(points, Stamp._fields)}

    def environments(self, points: Collection[str]) -> dict[str, tuple[str, str]]:
        """The status and the environment (JSON) of those of the points that have a valid entry."""
        return {point: (status, text) for point, status, text in self._valid(points, ("status", "environment"))}

    def _valid(self, points: Collection[str], fields: Iterable[str]) -> Iterator[tuple[Any, ...]]:
        """Each point that has a valid entry, with some fields of it."""
        wanted, seals = {"point": np.array(list(points), object)}, _Seals(self.points)
        sql = f"select {', '.join((*KEYS, *fields))} from them semi join wanted using (point)"
        for columns in self.files.read(sql, wanted=wanted) if points else ():
            for point, changed, inode, *others in _tuples(columns):
                if seals[point] == (changed, inode):
                    yield point, *others

    def add(self, found: Mapping[str, Found]) -> None:
        """Enter what was read of points."""
        entries = [(point, *one.seal, *one.stamp, one.environment) for point, one in found.items()]
        self.files.add(_columns((*FIELDS, "environment"), entries))

    def tidy(self) -> None:
        """Merge small files, without the entries that are no longer valid, and remove those that are damaged."""
        if small := self.files.small():
            seals = _Seals(self.points)
            told = [entry for columns in self.files.read(f"select {KEY} from them") for entry in _tuples(columns)]
            valid = _columns(KEYS, {entry for entry in told if seals[entry[0]] == entry[1:]})
            whole = ", ".join((*FIELDS, "environment"))
            sql = f"select distinct on (point) {whole} from them semi join valid using ({KEY})"
            self.files.merge(small, sql, valid=valid)
        for path in self.files.damaged():
            path.unlink(missing_ok=True)


class _Seals(dict[str, Seal | None]):
    """The present seals of directories, each looked up once."""

    def __init__(self, points: Path) -> None:
        self._points = str(points)

    def __missing__(self, point: str) -> Seal | None:
        self[point] = seal(f"{self._points}/{point}")
        return self[point]


def _columns(names: Sequence[str], entries: Collection[tuple[Any, ...]]) -> dict[str, np.ndarray]:
    cells = zip(*entries, strict=True) if entries else ([] for _ in names)
    return {name: np.array(column, KINDS.get(name, object)) for name, column in zip(names, cells, strict=True)}


def _tuples(columns: Mapping[str, np.ndarray]) -> Iterable[tuple[Any, ...]]:
    return zip(*(column.tolist() for column in columns.values()), strict=True)
