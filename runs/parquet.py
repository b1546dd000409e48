"""Parquet files, written and read by DuckDB.

DuckDB stores NaN from NumPy as NULL, which is NaN again in what is read.
"""

import functools
import glob
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import duckdb

NUMBERS = {"step": "bigint", "index": "bigint", "value": "double", "wall_s": "double"}
NUMBERS |= {"changed": "bigint", "inode": "ubigint", "rows": "bigint"}
Columns = Mapping[str, np.ndarray]


@functools.cache
def database() -> "duckdb.DuckDBPyConnection":
    """The one of this process: opening it takes longer than a query."""
    import duckdb

    return duckdb.connect()


def write(path: Path, columns: Columns) -> None:
    """Write columns; those that are not known to be numbers are text.

    Raises:
        OSError: the file cannot be written.
    """
    copy(path, f"select {typed(columns)} from draft", [], draft=columns)


def typed(names: Iterable[str]) -> str:
    """The columns of a SELECT, each of the type that it has in our files."""
    return ", ".join(f'"{name}"::{NUMBERS.get(name, "varchar")} as "{name}"' for name in names)


def copy(path: Path, sql: str, sources: Sequence[Path], **tables: Columns) -> None:
    """Write the answer to a query on Parquet files, which are `them` in it.

    Raises:
        OSError: a file cannot be read or written.
    """
    import duckdb

    target = str(path).replace("'", "''")
    with database().cursor() as cursor:
        try:
            _register(cursor, tables)
            given = [_escaped(sources)] if sources else []
            cursor.execute(f"copy ({_named(sql)}) to '{target}' (format parquet, compression zstd)", given)
        except duckdb.Error as reason:
            raise OSError(str(reason).partition("\n")[0]) from reason


def read(sql: str, sources: Sequence[Path], **tables: Columns) -> dict[str, np.ndarray]:
    """The columns of a query on Parquet files, which are `them` in it; `filename` is that of a row."""
    with database().cursor() as cursor:
        _register(cursor, tables)
        columns: Any = cursor.execute(_named(sql), [_escaped(sources)]).fetchnumpy()
    return {name: c.filled(np.nan) if isinstance(c, np.ma.MaskedArray) else c for name, c in columns.items()}


def columns(path: Path) -> dict[str, np.ndarray]:
    """All columns of a stranger's file, by a connection of its own, which fetches no extension for what is in it."""
    import duckdb

    with duckdb.connect() as connection:
        connection.execute("set autoinstall_known_extensions = false; set autoload_known_extensions = false")
        found: Any = connection.execute("select * from read_parquet(?)", [_escaped([path])]).fetchnumpy()
    return found


def _named(sql: str) -> str:
    return sql.replace("from them", "from read_parquet(?, filename=true) them")


def _escaped(sources: Sequence[Path]) -> list[str]:
    return [glob.escape(str(path)) for path in sources]


def _register(cursor: "duckdb.DuckDBPyConnection", tables: Mapping[str, Columns]) -> None:
    for name, columns in tables.items():
        cursor.register(name, dict(columns))
