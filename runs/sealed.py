"""Folders of Parquet files that are never changed, and named by the hash of their content: whole, or known not to be.

Such files are only ever merged: a new one holds what several held, and then these are removed. Who meets one that has
just gone lists the folder again. What a damaged file held is kept elsewhere: it is passed over, and in the end removed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from runs import parquet
from runs.files import content_hash, named_by_content
from runs.parquet import Columns
from runs.reading import DIGEST

MANY = 32


@dataclass(frozen=True)
class Sealed:
    """The files in one folder."""

    folder: Path

    def files(self) -> list[Path]:
        """All files, whole or not."""
        return sorted(path for path in self.folder.glob("*.parquet") if DIGEST.fullmatch(path.stem))

    def damaged(self) -> list[Path]:
        """The files that are there and not whole."""
        return [path for path in self.files() if not _whole(path) and path.exists()]

    def add(self, columns: Columns) -> Path:
        """Write a file; returns where it is."""
        return named_by_content(self.folder, ".parquet", lambda draft: parquet.write(draft, columns))

    def read(self, sql: str, **tables: Columns) -> Iterator[dict[str, np.ndarray]]:
        """The answer of each whole file (`them` in the question), with those that come while the others are read."""
        import duckdb

        seen = set[Path]()
        while fresh := [path for path in self.files() if path not in seen]:
            for path in fresh:
                seen.add(path)
                try:
                    if _whole(path):
                        yield parquet.read(sql, [path], **tables)
                except (duckdb.Error, ValueError, TypeError):  # gone since, or a Parquet of something else
                    continue

    def small(self, many: int = MANY) -> list[Path]:
        """The files to merge into one; none unless there are too many.

        They are the small ones, with each larger one that is not larger than all before it together, so that a row is
        copied no more often than the number of rows can be doubled.
        """
        files = [path for path in self.files() if _whole(path)]
        if len(files) <= many:
            return []
        sizes = sorted((_size(path), path) for path in files)
        total, chosen = 0, list[Path]()
        for size, path in sizes:
            if len(chosen) > many // 2 and size > total:
                break
            total += size
            chosen.append(path)
        return chosen

    def merge(self, files: Sequence[Path], sql: str, **tables: Columns) -> None:
        """Write the answer of some files as one, and remove them.

        Raises:
            OSError: it cannot be written, or a file is gone: then nothing has changed.
        """
        merged = named_by_content(self.folder, ".parquet", lambda draft: parquet.copy(draft, sql, files, **tables))
        for path in files:
            if path != merged:
                path.unlink(missing_ok=True)


def _whole(path: Path) -> bool:
    try:
        return content_hash(path) == path.stem
    except OSError:
        return False


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
