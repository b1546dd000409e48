"""The measurements of many points in a few files, which is what a table reads.

Each row says its record, so that what was superseded drops out by itself. A record whose rows are not all in one file,
or do not fit its shapes, counts as not there: its point has a file of its own.
"""

import functools
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from runs import parquet
from runs.point import read_environment, read_rows, shapes_of, verified
from runs.reading import RERUN, RecordsError, reading
from runs.rows import LONG, NO_ROWS, Long, Shapes
from runs.sealed import Sealed
from runs.stamps import Stamp

Placed = dict[str, np.ndarray]
"""Columns of `Rows`, and `place`, the number of each row's point."""


@dataclass(frozen=True)
class Waves:
    """The measurements of points.

    Attributes:
        files: those of many points.
        points: where the directories of the points are.
    """

    files: Sealed
    points: Path

    def lacking(self, stamps: Mapping[str, Stamp]) -> list[str]:
        """The points of these records of which no wave holds all rows."""
        whole = set[tuple[str, int]]()
        for columns in self.files.read("select record, count(*) as rows from them group by record"):
            whole |= set(zip(columns["record"].tolist(), columns["rows"].tolist(), strict=True))
        return [point for point, stamp in stamps.items() if stamp.rows and (stamp.record, stamp.rows) not in whole]

    def add(self, stamps: Mapping[str, Stamp]) -> None:
        """Copy the rows of points from their own files."""
        columns = self._own(stamps)
        place = columns.pop("place")
        points, records = list(stamps), [stamp.record for stamp in stamps.values()]
        self.files.add(columns | {"point": np.array(points, object)[place], "record": np.array(records, object)[place]})

    def gather(self, stamps: Mapping[str, Stamp]) -> Long:
        """The rows of points: from the waves, or else from the points' own files.

        Raises:
            RecordsError: a file of a point is damaged, of which no wave has the rows.
        """
        points, size = list(stamps), np.array([stamp.rows for stamp in stamps.values()], np.int64)
        with reading(self.points.parent / "catalogue", "delete it: the points keep what it says"):
            shapes = [_shapes(stamp.shapes) for stamp in stamps.values()]
        columns = self._held(stamps)
        found = _long(points, shapes, columns)
        lacking = (np.diff(found.first) != size) | found.misfits()
        if not lacking.any():
            return found
        own = self._own({points[place]: stamps[points[place]] for place in np.flatnonzero(lacking)})
        own["place"] = np.flatnonzero(lacking)[own["place"]]
        held = {name: column[~lacking[columns["place"]]] for name, column in columns.items()}
        found = _long(points, shapes, _joined([held, own]))
        for place in np.flatnonzero((np.diff(found.first) != size) | found.misfits()):
            read_rows(self.points / points[place])  # says what is wrong
            raise RecordsError(
                f"cannot read {self.points / points[place]}: its metrics are others than it says; {RERUN}"
            )
        return found

    def _held(self, stamps: Mapping[str, Stamp]) -> Placed:
        """The rows of records in waves, each from one of them."""
        records = np.array([stamp.record for stamp in stamps.values()], object)
        wanted = {"record": records, "place": np.arange(len(records))}
        sql = f"select place, {parquet.typed(LONG)} from them join wanted using (record)"
        source, parts = np.full(len(records), -1), list[Placed]()
        for number, part in enumerate(self.files.read(sql, wanted=wanted) if stamps else ()):
            fresh = source[part["place"]] < 0
            source[part["place"][fresh]] = number
            mine = source[part["place"]] == number
            parts.append({name: column[mine] for name, column in part.items()})
        return _joined(parts)

    def _own(self, stamps: Mapping[str, Stamp]) -> Placed:
        """The rows of the points' own files."""
        import duckdb

        for point, stamp in stamps.items():
            environment = read_environment(self.points / point)
            if environment["record"] != stamp.record:
                raise RecordsError(f"{self.points / point} was replaced while it was read")
            verified(self.points / point, "metrics.parquet", environment)
        own = {"point": np.array(list(stamps), object), "place": np.arange(len(stamps))}
        columns = ", ".join(f'"{name}"' for name in LONG)
        told = "(select *, parse_path(filename)[-2] as point from them)"
        paths = [self.points / point / "metrics.parquet" for point in stamps]
        try:
            return parquet.read(f"select place, {columns} from {told} join own using (point)", paths, own=own)
        except (duckdb.Error, ValueError, TypeError) as reason:
            for point in stamps:
                read_rows(self.points / point)  # names the one that is damaged
            raise RecordsError(f"cannot read the metrics in {self.points}: {reason}; {RERUN}") from reason

    def tidy(self, known: Callable[[Collection[str]], Mapping[str, Stamp]]) -> None:
        """Merge small files, and remove those that are damaged.

        Args:
            known: tells what the present records of points are, where that is known: rows of others are dropped.
        """
        if small := self.files.small():
            told = self.files.read("select distinct point, record from them")
            pairs = {pair for one in told for pair in zip(one["point"].tolist(), one["record"].tolist(), strict=True)}
            standing = known({point for point, _ in pairs})
            fallen = [record for point, record in pairs if point in standing and standing[point].record != record]
            sql = (
                f"select {parquet.typed(LONG)}, point, record from them anti join fallen using (record) "
                "qualify filename = min(filename) over (partition by record)"
            )
            self.files.merge(small, sql, fallen={"record": np.array([*fallen, ""], object)})
        for path in self.files.damaged():
            path.unlink(missing_ok=True)


def _long(points: Sequence[str], shapes: Sequence[Shapes], columns: Placed) -> Long:
    return Long.gathered(points, shapes, columns["place"], {name: columns[name] for name in LONG})


def _joined(parts: Sequence[Placed]) -> Placed:
    none = {"place": np.arange(0), **{name: getattr(NO_ROWS, name) for name in LONG}}
    return {name: np.concatenate([part[name] for part in (none, *parts)]) for name in none}


@functools.cache
def _shapes(text: str) -> Shapes:
    return shapes_of(json.loads(text))  # equal shapes are one object
