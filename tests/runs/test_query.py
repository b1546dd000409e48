"""Questions in SQL: the answers are those of the table, and nothing but the records can be read."""

import os

import numpy as np
import pytest

from runs.query import query
from runs.records import Records, RecordsError
from runs.table import Entry, Rows
from tests.runs.test_records import ONE, THREE, TWO, emptied, record, rows, truncated


@pytest.fixture
def root(tmp_path):
    """Three records: one in two waves, one rerun after its wave was made, one in none, without rows."""
    records = Records(tmp_path / "it's [1] *")
    records.prepare()
    records.commit(record())
    records.commit(record(TWO))
    records.compact([ONE, TWO])
    records.compact([ONE])
    records.supersede(TWO)
    records.commit(record(TWO, rows=rows(5.0, steps=2), status="diverged at step 1"))
    records.commit(record(THREE, rows=Rows.of([]), status=f"blocked by {ONE}"))
    records.write_study("s", [Entry(ONE, {"lr": 0.1, "name": "a"}), Entry(TWO, {"lr": 0.2, "name": "b"})])
    return records.root


def test_metrics_are_the_rows_of_the_records_that_stand(root):
    found = query(root, 'select * from metrics order by point, step, name, "index"')
    assert found.columns == ("point", "step", "name", "index", "value", "wall_s")
    expected = []
    for digest in (ONE, TWO):
        of = Records(root).rows(digest)
        cells = zip(of.step, of.name, of.index, of.value, of.wall_s, strict=True)
        expected += sorted((digest, *row) for row in cells)
    assert [row[:4] for row in found.rows] == [row[:4] for row in expected]
    values = [np.array([row[4] for row in some]) for some in (found.rows, expected)]
    np.testing.assert_array_equal(*values)
    assert np.isnan(values[0]).any()  # NaN is a value, not NULL
    assert np.isinf(values[0]).any()


def test_points_specs_and_studies(root):
    points = query(root, "select point, status, environment->'numerics'->>'jax' from points").rows
    assert points == [(ONE, "finished", "1"), (TWO, "diverged at step 1", "1"), (THREE, f"blocked by {ONE}", "1")]
    assert query(root, "select distinct spec->>'kind' from specs").rows == [("Training",)]
    studies = query(root, "select study, point, (axes->>'lr')::double, axes->>'name' from studies order by point").rows
    assert studies == [("s", ONE, 0.1, "a"), ("s", TWO, 0.2, "b")]
    joined = "select max(value) from metrics join studies using (point) where axes->>'lr' = '0.2' and name = 'loss'"
    assert query(root, joined).rows == [(5.0,)]


def test_the_tables_can_be_listed(root):
    names = [row[0] for row in query(root, "show tables").rows]
    assert names == ["metrics", "points", "specs", "studies"]
    assert [row[0] for row in query(root, "describe points").rows] == ["point", "status", "environment"]


def test_no_records_are_no_rows(tmp_path):
    Records(tmp_path).prepare()
    for name in ("metrics", "points", "specs", "studies"):
        assert query(tmp_path, f"select count(*) from {name}").rows == [(0,)]
    with pytest.raises(RecordsError, match="has no records; `stepwell run` makes them"):
        query(tmp_path / "gone", "select 1")


def content(root):
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("", "expected one statement, got 0"),
        ("select 1; select 2", "expected one statement, got 2"),
        ("selec", "syntax error"),
        ("select foo from metrics", "column \"foo\" not found"),
        ("select * from measurements", "the tables are metrics, points, specs, studies"),
        ("copy metrics to 'stolen.csv'", "expected a SELECT, got COPY"),
        ("create table t as select 1", "expected a SELECT, got CREATE"),
        ("delete from metrics", "expected a SELECT, got DELETE"),
        ("set enable_external_access=true", "expected a SELECT, got SET"),
        ("attach 'other.db'", "expected a SELECT, got ATTACH"),
        ("install httpfs", "expected a SELECT, got LOAD"),
        ("pragma database_list", "expected a SELECT, got PRAGMA"),
        ("select * from read_text('secret.txt')", "file system operations are disabled"),
        ("select * from read_csv('secret.txt')", "file system operations are disabled"),
        ("select * from 'secret.csv'", "file system operations are disabled"),
        ("select * from glob('*')", "file system operations are disabled"),
        ("select * from content", "does not exist"),  # no variable of this process
        ("select \0", "sql: "),
        ("\ud800", "sql: "),
    ],
)  # fmt: skip
def test_what_is_no_question_about_the_records_is_refused(root, tmp_path, monkeypatch, sql, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "secret.csv").write_text("a\n1\n")
    before = content(tmp_path)
    with pytest.raises(RecordsError, match=message):
        query(root, sql)
    assert content(tmp_path) == before


@pytest.mark.parametrize("damage", [truncated, emptied, os.unlink])
@pytest.mark.parametrize(
    ("name", "table"),
    [("STATUS", "points"), ("environment.json", "metrics"), ("metrics.parquet", "metrics"), ("spec.json", "specs")],
)
def test_damaged_records_are_named(root, name, table, damage):
    path = root / "points" / TWO / name
    damage(path)
    with pytest.raises(RecordsError, match=rf"{TWO}/{name}.*--rerun|cannot read .*{TWO}.*--rerun"):
        query(root, f"select * from {table}")


def test_a_damaged_index_is_named_and_a_damaged_wave_is_not_needed(root):
    (root / "studies" / "t.json").write_text('{"name": "t"}')
    with pytest.raises(RecordsError, match=r"t\.json; the index is damaged: run the study again"):
        query(root, "from studies")
    before = query(root, "select * exclude (value) from metrics order by all").rows
    for path in (root / "waves").iterdir():
        truncated(path)
    assert query(root, "select * exclude (value) from metrics order by all").rows == before


def test_drafts_are_not_read(root):
    for folder in ("points", "waves", "studies"):
        (root / folder / ".tmp-left").mkdir()
        for name in ("STATUS", "environment.json", "spec.json"):
            (root / folder / ".tmp-left" / name).write_text("half")
    (root / "waves" / ".tmp-a.parquet").write_text("half")
    (root / "studies" / ".tmp-a.json").write_text("half")
    assert query(root, "select count(*) from points").rows == [(3,)]
    assert query(root, "show tables").rows


def test_the_connection_of_the_records_is_not_shut(root):
    query(root, "from metrics")
    assert len(Records(root).rows(ONE)) == len(rows())
    assert len(query(root, "from metrics").rows) > len(rows())
