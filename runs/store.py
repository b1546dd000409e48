"""Where the results of a run go, and where experiments find what they require."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from runs.checkpoint import Checkpoints
from runs.locks import Locks
from runs.numerics import differences
from runs.options import RunError
from runs.records import PointRecord, Records, RecordsError
from runs.table import Entry, Rows

TOGETHER = 500
"""So many points go into a file at once: a file for each wave of two would be thousands of files."""


class Store(Protocol):
    """What the engine needs of a place for results."""

    @property
    def locks(self) -> Locks | None:
        """On blocks of work; None where no other process sees the place."""
        ...

    @property
    def checkpoints(self) -> Checkpoints | None:
        """Of blocks that are not finished; None where nothing can be kept."""
        ...

    def finished(self, digest: str, numerics: Mapping[str, Any]) -> bool:
        """Whether this point need not be computed again.

        Raises:
            Conflict: if it was computed with other numerics.
        """
        ...

    def status(self, digest: str) -> str | None:
        """The status of a point; None where it has no record."""
        ...

    def commit(self, record: PointRecord) -> None:
        """Keep the result of a point."""
        ...

    def compact(self, digests: list[str]) -> None:
        """The points of a wave are all there: make them quick to read."""
        ...

    def stamp(self, digest: str) -> str:
        """What decided the bits of a finished point: a hash of its numerics."""
        ...

    def arrays(self, digest: str, name: str, step: int) -> dict[str, np.ndarray]:
        """What a measurement of a finished point was at a step: its arrays by name, or one array, `value`."""
        ...


class Conflict(RunError):
    """A record of a point that was made with other numerics."""


@dataclass(frozen=True)
class OnDisk:
    """Results in a records directory."""

    records: Records
    locks: Locks
    checkpoints: Checkpoints
    rerun: bool = False
    accept: bool = False
    waiting: list[str] = field(default_factory=list)

    @classmethod
    def at(cls, root: Path, rerun: bool, accept: bool) -> "OnDisk":
        """Results under this directory."""
        return cls(Records(root), Locks(root / "locks"), Checkpoints(root / "checkpoints"), rerun, accept)

    def finished(self, digest: str, numerics: Mapping[str, Any]) -> bool:
        """Skip what is done; what was done otherwise, or is damaged, is rerun, accepted, or told."""
        try:
            return self._stands(digest, numerics)
        except RecordsError:
            if not self.rerun:
                raise
            return False

    def _stands(self, digest: str, numerics: Mapping[str, Any]) -> bool:
        if not done(self.records.status(digest)):
            return False
        kept = self.records.environment(digest)
        if self.rerun and kept["numerics"] != dict(numerics):
            return False  # also what was accepted before: a rerun takes an acceptance back
        if dict(numerics) in [kept["numerics"], *kept.get("accepted", ())]:
            if self.rerun:
                self.records.rows(digest)  # a rerun repairs what cannot be read
            return True
        if self.accept:
            self.records.accept(digest, numerics)
            return True
        raise Conflict("; ".join(differences(kept["numerics"], dict(numerics))))

    def status(self, digest: str) -> str | None:
        """The status in the directory; that of a damaged record is none."""
        try:
            return self.records.status(digest)
        except RecordsError:
            return None

    def commit(self, record: PointRecord) -> None:
        """Write the record; what stood in its place and did not stand is kept aside, and the first commit wins."""
        if self._falls(record):
            self.records.supersede(record.digest)
        self.records.commit(record)

    def _falls(self, record: PointRecord) -> bool:
        try:
            status = self.records.status(record.digest)
            return status is not None and not self._stands(record.digest, record.environment["numerics"])
        except (RecordsError, Conflict):
            return True

    def compact(self, digests: list[str]) -> None:
        """Compact these points with those of other waves; what is left at the end, `run_study` compacts."""
        self.waiting.extend(digests)
        if len(self.waiting) >= TOGETHER:
            self.records.compact(self.waiting)
            self.waiting.clear()

    def stamp(self, digest: str) -> str:
        """Of the numerics in the point's file."""
        return _stamp(self.records.environment(digest)["numerics"])

    def arrays(self, digest: str, name: str, step: int) -> dict[str, np.ndarray]:
        """Read from the point's files."""
        return _selected(self.records.arrays(digest), self.records.rows(digest), name, step)


@dataclass(frozen=True)
class InMemory:
    """Results of one process, for notebooks and tests."""

    records: dict[str, PointRecord] = field(default_factory=dict)
    locks: None = None
    checkpoints: None = None

    def finished(self, digest: str, numerics: Mapping[str, Any]) -> bool:
        """Whether it was computed before."""
        return digest in self.records

    def status(self, digest: str) -> str | None:
        """The status in memory."""
        return self.records[digest].status if digest in self.records else None

    def commit(self, record: PointRecord) -> None:
        """Keep the record."""
        self.records[record.digest] = record

    def compact(self, digests: list[str]) -> None:
        """Nothing to do."""

    def stamp(self, digest: str) -> str:
        """Of the numerics in the record."""
        return _stamp(self.records[digest].environment["numerics"])

    def entry(self, entry: Entry) -> Entry:
        """A point of a study's table, with its status."""
        return replace(entry, status=self.status(entry.digest) or entry.status)

    def arrays(self, digest: str, name: str, step: int) -> dict[str, np.ndarray]:
        """Read from the record."""
        record = self.records[digest]
        return _selected(dict(record.arrays), record.rows, name, step)


def _stamp(numerics: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(numerics, sort_keys=True).encode()).hexdigest()[:16]


def done(status: str | None) -> bool:
    """Whether a point with this status is not computed again: a divergence is a result."""
    return status is not None and (status == "finished" or status.startswith("diverged"))


def array_name(name: str, step: int, part: str) -> str:
    """The name of an array in a point's file."""
    return f"{name}@{step}/{part}"


def _selected(arrays: dict[str, np.ndarray], rows: Rows, name: str, step: int) -> dict[str, np.ndarray]:
    prefix = array_name(name, step, "")
    found = {key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)}
    if found:
        return found
    here = (rows.name == name) & (rows.step == step)
    if not here.any():
        raise RecordsError(f"the record has no {name} at step {step}: run its point again with --rerun")
    values = rows.value[here][np.argsort(rows.index[here])]
    return {"value": values.reshape(rows.shapes.get(name, ()))}
