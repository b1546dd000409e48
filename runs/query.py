"""Questions in SQL about a directory of results, answered by DuckDB, which reads its files and nothing else.

    metrics  point, step, name, index, value, wall_s: one row for each number that was measured
    points   point, status, environment (JSON): one row for each record
    specs    point, spec (JSON)
    studies  study, point, axes (JSON): one row for each point of each study's index

What a question names is copied into a database in memory; then the file system is closed to it, and the question runs.
"""

import glob
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from runs.records import DIGEST, RERUN, Records, RecordsError

if TYPE_CHECKING:
    import duckdb

INDEX = "the index is damaged: run the study again, which writes it"
HELPERS = ("written", "indices")
SHUT = ("enable_external_access=false", "python_enable_replacements=false", "lock_configuration=true")


@dataclass(frozen=True)
class Answer:
    """The columns of a query's result, and its rows."""

    columns: tuple[str, ...]
    rows: Sequence[tuple[Any, ...]]


def query(root: Path, sql: str) -> Answer:
    """The answer to one SELECT.

    Args:
        root: the directory of results.
        sql: the question, on the tables above.

    Raises:
        RecordsError: there are no records, one of them is damaged, or the question is none that can be answered.
    """
    import duckdb

    if not (root / "points").is_dir():
        raise RecordsError(f"{root} has no records; `stepwell run` makes them")
    with closing(duckdb.connect()) as database:
        with _asking():
            _refuse_all_but_select(database.extract_statements(_text(sql)))
        for name, fill in TABLES.items():
            if name in sql.lower() or not any(table in sql.lower() for table in TABLES):  # as in `show tables`
                with _reading(root):
                    fill(database, root)
        for helper in HELPERS:
            database.execute(f"drop table if exists {helper}")
        for setting in SHUT:
            database.execute(f"set {setting}")
        with _asking():
            found = database.execute(sql)
            return Answer(tuple(column[0] for column in found.description or ()), found.fetchall())


def _text(sql: str) -> str:
    if any("\ud800" <= letter <= "\udfff" for letter in sql):  # bytes of a command line that are no text
        raise RecordsError("sql: the question is not UTF-8 text")
    return sql


def _refuse_all_but_select(statements: Sequence[Any]) -> None:
    if len(statements) != 1:
        raise RecordsError(f"sql: expected one statement, got {len(statements)}")
    kind = statements[0].type.name
    if kind != "SELECT":
        raise RecordsError(f"sql: expected a SELECT, got {kind}; records are only read here")


@contextmanager
def _asking() -> Iterator[None]:
    import duckdb

    try:
        yield
    except duckdb.Error as reason:
        raise RecordsError(f"sql: {reason}\nthe tables are {', '.join(TABLES)}") from None


@contextmanager
def _reading(root: Path) -> Iterator[None]:
    import duckdb

    try:
        yield
    except duckdb.Error as reason:
        raise RecordsError(f"cannot read records in {root}: {str(reason).partition(chr(10))[0]}; {RERUN}") from None


# ---------------------------------------------------------------- the tables


def _points(database: "duckdb.DuckDBPyConnection", root: Path) -> None:
    found = Records(root).environments(_names(root))
    cells = [(point, *about) for point, about in sorted(found.items())] or [("", "", "{}")]
    columns = zip(("point", "status", "environment"), zip(*cells, strict=True), strict=True)
    database.register("known", {name: np.array(column, object) for name, column in columns})
    database.execute(
        "create table points as select point, status, environment::json as environment from known where point != ''"
    )
    database.unregister("known")


def _specs(database: "duckdb.DuckDBPyConnection", root: Path) -> None:
    _of_points(database, "written", root, "spec.json")
    _refuse(database, "written", "not json_valid(content)", RERUN)
    database.execute("create table specs as select point, content::json as spec from written order by point")


def _studies(database: "duckdb.DuckDBPyConnection", root: Path) -> None:
    _texts(database, "indices", root, "studies/[0-9A-Za-z_-]*.json")
    _refuse(database, "indices", "not json_valid(content) or (content::json->'points') is null", INDEX)
    database.execute(
        "create table studies as select study, point->>'digest' as point, point->'axes' as axes from "
        "(select content::json->>'name' as study, unnest(json_extract(content, '$.points[*]')) as point from indices)"
    )


def _metrics(database: "duckdb.DuckDBPyConnection", root: Path) -> None:
    """The rows of the records that stand."""
    stamps, long = Records(root).gather(_names(root))
    rows = {"place": long.owner(), "code": long.code, **long.columns}
    texts = {"places": [*stamps], "codes": long.names}
    database.register("found", rows)
    for name, cells in texts.items():
        database.register(
            name, {"number": np.arange(len(cells)), "content": np.array(cells or [""], object)[: len(cells)]}
        )
    database.execute(
        "create table metrics as select p.content::varchar as point, step, n.content::varchar as name, "
        "\"index\", coalesce(value, 'nan'::double) as value, wall_s "  # NULL is NaN in our files
        "from found join places p on place = p.number join codes n on code = n.number"
    )
    for name in ("found", *texts):
        database.unregister(name)


TABLES: Mapping[str, Callable[["duckdb.DuckDBPyConnection", Path], None]] = {
    "metrics": _metrics,
    "points": _points,
    "specs": _specs,
    "studies": _studies,
}
"""The tables that a question may name, and what fills them."""


def _names(root: Path) -> list[str]:
    return sorted(name for name in os.listdir(root / "points") if DIGEST.fullmatch(name))


def _of_points(database: "duckdb.DuckDBPyConnection", name: str, root: Path, file: str) -> None:
    """A table of one text file of every record."""
    _texts(database, name, root, f"points/[0-9a-f]*/{file}")  # no draft, whose name begins with a point
    found = {point for (point,) in database.execute(f"select point from {name}").fetchall()}
    lacking = sorted(point for point in os.listdir(root / "points") if DIGEST.fullmatch(point) and point not in found)
    if lacking:
        raise RecordsError(f"cannot read {root / 'points' / lacking[0] / file}: there is no such file; {RERUN}")


def _texts(database: "duckdb.DuckDBPyConnection", name: str, root: Path, pattern: str) -> None:
    """A table of text files, by the folder in which they are."""
    database.execute(f"create table if not exists {name} (point varchar, filename varchar, content varchar)")
    where = f"{glob.escape(str(root))}/{pattern}"
    if any(glob.iglob(where)) and not database.execute(f"select 1 from {name} limit 1").fetchall():
        sql = f"insert into {name} select parse_path(filename)[-2], filename, content from read_text(?)"
        database.execute(sql, [where])


def _refuse(database: "duckdb.DuckDBPyConnection", table: str, bad: str, advice: str) -> None:
    """Name a file that is damaged."""
    found = database.execute(f"select filename from {table} where {bad} order by filename limit 1").fetchone()
    if found is not None:
        raise RecordsError(f"cannot read {found[0]}; {advice}")
