"""What is compacted is read quickly, and is never other than what the points' own files say."""

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest

from runs.records import Records, RecordsError, table
from runs.rows import Rows
from runs.stamps import seal
from runs.table import Entry
from tests.runs.test_records import ONE, THREE, TWO, emptied, record, rows, truncated

NAMES = [f"{i:064x}" for i in range(60)]


@pytest.fixture
def records(tmp_path):
    """Three compacted points of a study, of which one has no rows."""
    records = Records(tmp_path / "it's [1] *")
    records.prepare()
    for digest, scale in ((ONE, 1.0), (TWO, 2.0)):
        records.commit(record(digest, rows=rows(scale)))
    records.commit(record(THREE, rows=Rows.of([]), status=f"blocked by {ONE}"))
    records.write_study("s", [Entry(digest, {"n": n}) for n, digest in enumerate((ONE, TWO, THREE))])
    records.compact([ONE, TWO, THREE])
    return records


def seen(records):
    found = table("s", records.root)
    return found.points["status"].tolist(), found.at(1)["loss"].tolist()


GOOD = ["finished", "finished", f"blocked by {ONE}"], [1, 2]


def old_clock(records):
    for name in (ONE, TWO):
        os.utime(records.root / "points" / name, ns=(0, 10**9))


def rerun_that_diverges(records):
    records.supersede(ONE)
    records.commit(record(status="diverged at step 9"))


def copied(records):
    shutil.move(records.root, records.root.with_name("old"))
    shutil.copytree(records.root.with_name("old"), records.root)


@pytest.mark.parametrize(
    ("change", "statuses", "losses"),
    [
        (lambda r: r.supersede(ONE), ["missing", "finished"], [2]),
        (lambda r: (r.supersede(ONE), r.commit(record(rows=rows(5.0)))), ["finished", "finished"], [5, 2]),
        (rerun_that_diverges, ["diverged at step 9", "finished"], [1, 2]),
        (lambda r: shutil.rmtree(r.root / "points" / TWO), ["finished", "missing"], [1]),
        (lambda r: r.accept(ONE, {"jax": "2"}), ["finished", "finished"], [1, 2]),
        (old_clock, ["finished", "finished"], [1, 2]),
        (copied, ["finished", "finished"], [1, 2]),
        (lambda r: shutil.rmtree(r.root / "catalogue"), ["finished", "finished"], [1, 2]),
        (lambda r: shutil.rmtree(r.root / "waves"), ["finished", "finished"], [1, 2]),
    ],
)  # fmt: skip
def test_what_changes_after_the_compaction_is_seen(records, change, statuses, losses):
    change(records)
    for _ in range(2):
        assert seen(records) == ([*statuses, f"blocked by {ONE}"], losses)
        records.compact([ONE, TWO, THREE])


def test_an_acceptance_is_seen_even_where_the_clock_of_the_disk_stands_still(records, monkeypatch):
    place = records.root / "points" / ONE
    before = seal(place)
    keeps = lambda path, value: ((path.write_text('{"a": 1}')), os.utime(place, ns=(before.changed, before.changed)))
    monkeypatch.setattr(Records, "_replace", lambda self, path, value: keeps(path, value))
    records.accept(ONE, {"jax": "2"})
    assert seal(place) != before


@pytest.mark.parametrize("damage", [truncated, emptied, os.unlink, lambda path: flipped(path)])
@pytest.mark.parametrize("folder", ["waves", "catalogue"])
def test_a_damaged_file_of_many_points_is_passed_over_and_mended(records, folder, damage):
    (path,) = (records.root / folder).iterdir()
    content = path.read_bytes()
    damage(path)
    assert seen(records) == GOOD
    assert not path.exists() or path.read_bytes() != content  # reading changes nothing
    records.compact([ONE, TWO, THREE])
    (mended,) = (records.root / folder).iterdir()
    assert len(mended.read_bytes()) > 100
    assert seen(records) == GOOD


def flipped(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content)


def test_a_damaged_wave_whose_point_is_damaged_too_is_told(records):
    truncated(next((records.root / "waves").iterdir()))
    truncated(records.root / "points" / TWO / "metrics.parquet")
    for act in (lambda: seen(records), lambda: records.compact([ONE, TWO])):
        with pytest.raises(RecordsError, match=rf"cannot read .*{TWO}/metrics\.parquet: .*--rerun"):
            act()


def test_a_wave_spares_a_table_the_damaged_file_of_a_point(records):
    truncated(records.root / "points" / TWO / "metrics.parquet")
    assert seen(records) == GOOD
    with pytest.raises(RecordsError, match=r"metrics\.parquet"):
        records.rows(TWO)


def many(records, names):
    for number, name in enumerate(names):
        records.commit(record(name, rows=rows(float(number), steps=2)))
        records.compact([name])
    records.write_study("many", [Entry(name, {"n": n}) for n, name in enumerate(names)])


@pytest.mark.slow
def test_many_small_files_become_few_with_the_rows_that_stand(records):
    records.supersede(ONE)
    many(records, NAMES[:34])
    for folder in ("waves", "catalogue"):
        assert len(list((records.root / folder).iterdir())) <= 32
    found = table("many", records.root).at(1)
    assert found["loss"].tolist() == list(range(34))
    held = [set(columns["point"]) for columns in records._waves.files.read("select point from them")]
    assert sorted(name for names in held for name in names) == sorted(
        [*NAMES[:34], ONE, TWO]
    )  # unknown whether ONE stands
    records.commit(record(rows=rows(7.0)))
    many(records, [f"{i:064x}" for i in range(100, 134)])
    held = [columns["record"] for columns in records._waves.files.read("select distinct record from them")]
    assert len(np.concatenate(held)) == len(set(np.concatenate(held)))


def test_a_reader_that_meets_a_file_which_has_just_been_merged_away_reads_the_new_one(records, monkeypatch):
    many(records, NAMES[:4])
    waves = records._waves.files
    listed, left = type(waves).files, waves.files()

    def merging(self):
        found = listed(self)
        if self.folder == waves.folder and left:
            small = [*left]
            left.clear()
            waves.merge(small, "select * exclude (filename) from them")
        return found

    monkeypatch.setattr(type(waves), "files", merging)
    monkeypatch.setattr("runs.waves.read_environment", lambda *_: pytest.fail("the new file has these rows"))
    assert table("many", records.root).at(1)["loss"].tolist() == [0, 1, 2, 3]


def test_one_record_in_two_files_is_read_once(records):
    stamps = records.stamps([ONE, TWO])
    records._waves.add(stamps)
    records._waves.add({TWO: stamps[TWO]})
    assert seen(records) == GOOD


def committing(root: str, start: int) -> None:
    """One process that commits and compacts points, of which others do some too."""
    records = Records(root)
    for i in range(start, start + 30):
        records.commit(record(NAMES[i % len(NAMES)], rows=rows(float(i % len(NAMES)), steps=2)))
        records.compact(NAMES[i % len(NAMES)] for i in range(start, i + 1))


@pytest.mark.slow
def test_processes_that_commit_and_compact_at_once(records):
    records.write_study("many", [Entry(name, {"n": n}) for n, name in enumerate(NAMES)])
    workers = [get_context("spawn").Process(target=committing, args=(str(records.root), s)) for s in (0, 15, 40)]
    for worker in workers:
        worker.start()
    while any(worker.is_alive() for worker in workers):
        found = table("many", records.root).at(1)
        assert not len(found) or found["loss"].tolist() == found["n"].tolist()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    found = table("many", records.root).at(1)
    wanted = sorted({(s + i) % len(NAMES) for s in (0, 15, 40) for i in range(30)})
    assert found["n"].tolist() == wanted
    assert os.listdir(records.root / "locks") == []


def test_threads_that_compact_at_once_leave_each_row_once(records):
    for number, name in enumerate(NAMES[:8]):
        records.commit(record(name, rows=rows(float(number), steps=2)))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: Records(records.root).compact(NAMES[:8]), range(8)))
    records.write_study("many", [Entry(name, {"n": n}) for n, name in enumerate(NAMES[:8])])
    assert table("many", records.root).at(1)["loss"].tolist() == list(range(8))
