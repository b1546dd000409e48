"""What the engine asks of a place for results."""

import os

import pytest

from runs import store as places
from runs.records import RecordsError
from runs.store import Conflict, OnDisk
from runs.table import Entry
from tests.runs.test_records import ONE, THREE, TWO, record, rows, truncated

NUMERICS = {"jax": "1"}


@pytest.fixture
def store(tmp_path):
    store = OnDisk.at(tmp_path / "records", rerun=False, accept=False)
    store.records.prepare()
    return store


def waves(store):
    return os.listdir(store.records.root / "waves")


def test_waves_are_compacted_together(store, monkeypatch):
    monkeypatch.setattr(places, "TOGETHER", 3)
    for digest in (ONE, TWO, THREE):
        store.commit(record(digest))
        assert waves(store) == []
        store.compact([digest])
    assert len(waves(store)) == 1
    assert store.waiting == []
    assert store.records._waves.lacking(store.records.stamps([ONE, TWO, THREE])) == []


def test_what_waits_for_compaction_is_in_the_table_and_compacted_by_who_comes_next(store):
    store.commit(record())
    store.compact([ONE])  # and its process is killed
    store.records.write_study("s", [Entry(ONE)])
    assert waves(store) == []
    assert store.records.gather([ONE])[1].columns["value"].size == len(rows())
    OnDisk.at(store.records.root, rerun=False, accept=False).records.compact([ONE])
    assert len(waves(store)) == 1


def test_a_finished_point_stands_with_its_numerics_and_with_those_accepted(store):
    assert not store.finished(ONE, NUMERICS)
    store.commit(record())
    store.records.compact([ONE])
    assert store.finished(ONE, NUMERICS)
    with pytest.raises(Conflict, match="jax: 1 then, 2 now"):
        store.finished(ONE, {"jax": "2"})
    assert OnDisk.at(store.records.root, rerun=False, accept=True).finished(ONE, {"jax": "2"})
    assert store.finished(ONE, {"jax": "2"})
    assert not OnDisk.at(store.records.root, rerun=True, accept=False).finished(ONE, {"jax": "2"})


def test_a_damaged_record_is_told_and_a_rerun_takes_its_place(store):
    store.commit(record())
    truncated(store.records.root / "points" / ONE / "environment.json")
    with pytest.raises(RecordsError, match=r"environment\.json: .*--rerun"):
        store.finished(ONE, NUMERICS)
    again = OnDisk.at(store.records.root, rerun=True, accept=False)
    assert not again.finished(ONE, NUMERICS)
    again.commit(record(rows=rows(2.0)))
    assert store.finished(ONE, NUMERICS)
    assert len(os.listdir(store.records.root / "superseded")) == 1
