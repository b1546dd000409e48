import json
import os
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest

from runs import parquet
from runs.records import PointRecord, Records, RecordsError, entries, table
from runs.table import LONG, Entry, Rows

ONE, TWO, THREE = "1" * 64, "2" * 64, "3" * 64


def rows(scale=1.0, steps=4):
    return Rows.of([(s, 0.5 * s, {"loss": scale * s, "coef": [scale, np.nan, np.inf, -0.0]}) for s in range(steps)])


def record(digest=ONE, status="finished", **changes):
    fields = {"spec": {"kind": "Training"}, "environment": {"numerics": {"jax": "1"}}, "rows": rows()} | changes
    return PointRecord(digest, status=status, **fields)


@pytest.fixture
def records(tmp_path):
    records = Records(tmp_path / "it's [1] *")
    records.prepare()
    return records


def same(one, two):
    for column in LONG:
        np.testing.assert_array_equal(getattr(one, column), getattr(two, column))
    assert one.shapes == two.shapes


def files(root):
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_a_record_comes_back_as_it_was(records):
    arrays = {"weights": np.arange(6.0).reshape(2, 3).T, "bias": np.float32(3), "step": np.array([1, 2])}
    assert records.commit(record(arrays=arrays, status="diverged at step 3"))
    assert records.status(ONE) == "diverged at step 3"
    assert records.spec(ONE) == {"kind": "Training"}
    assert records.environment(ONE)["numerics"] == {"jax": "1"}
    same(records.rows(ONE), rows())
    assert np.signbit(records.rows(ONE).value[4])
    back = records.arrays(ONE)
    assert {name: (array.dtype, array.shape) for name, array in back.items()} == {
        "weights": (np.float64, (3, 2)),
        "bias": (np.float32, ()),
        "step": (np.int64, (2,)),
    }
    np.testing.assert_array_equal(records.arrays(ONE, "weights"), arrays["weights"])


def test_files_of_a_point(records):
    records.commit(record(arrays={"a": np.ones(2)}))
    records.commit(record(TWO))
    common = ["STATUS", "environment.json", "metrics.parquet", "spec.json"]
    assert sorted(os.listdir(records.root / "points" / TWO)) == common
    assert sorted(os.listdir(records.root / "points" / ONE)) == sorted([*common, "arrays.safetensors"])
    assert records.arrays(TWO) == {}


def test_a_point_without_measurements(records):
    records.commit(record(rows=Rows.of(()), status=f"blocked by {TWO}"))
    assert len(records.rows(ONE)) == 0
    records.compact([ONE])
    records.compact([])
    found = table(SimpleNamespace(name="s", points=[point(ONE)]), records.root)
    assert len(found) == 0
    assert found.points["status"].tolist() == [f"blocked by {TWO}"]


def test_the_first_commit_wins(records):
    assert records.commit(record())
    assert not records.commit(record(rows=rows(2.0), status="failed: later"))
    same(records.rows(ONE), rows())
    assert records.status(ONE) == "finished"
    assert os.listdir(records.root / "points") == [ONE]


def test_of_many_commits_at_once_one_wins(records):
    with ThreadPoolExecutor(4) as pool:
        won = list(pool.map(lambda scale: records.commit(record(rows=rows(scale))), range(1, 9)))
    assert sum(won) == 1
    same(records.rows(ONE), rows(1 + won.index(True)))


@pytest.mark.parametrize(
    "stage",
    ["point.write_json", "parquet.write", "point._write_arrays", "point.flush", "records.rename_exclusively"],
)
@pytest.mark.parametrize("fault", [OSError("No space left on device"), KeyboardInterrupt()])
def test_a_failure_in_the_middle_leaves_nothing(records, monkeypatch, stage, fault):
    def fail(*_):
        raise fault

    monkeypatch.setattr(f"runs.{stage}", fail)
    with pytest.raises(RecordsError if isinstance(fault, OSError) else KeyboardInterrupt):
        records.commit(record(arrays={"a": np.ones(2)}))
    assert os.listdir(records.root / "points") == []
    assert records.status(ONE) is None


def test_a_spec_that_is_no_json_leaves_nothing(records):
    with pytest.raises(TypeError):
        records.commit(record(spec={"f": print}))
    assert os.listdir(records.root / "points") == []


def test_a_failed_wave_or_index_leaves_the_old_one(records, monkeypatch):
    records.commit(record())
    records.write_study("s", [Entry(ONE)])
    before = {name: (records.root / name).read_bytes() for name in files(records.root)}
    monkeypatch.setattr("runs.files.flush", lambda path: 1 / 0)
    for write in (
        lambda: records.compact([ONE]),
        lambda: records.write_study("s", []),
        lambda: records.accept(ONE, {}),
    ):
        with pytest.raises(ZeroDivisionError):
            write()
    assert {name: (records.root / name).read_bytes() for name in files(records.root)} == before


def test_a_root_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("x")
    for root in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(RecordsError, match=r"cannot write records in .*file.*; choose a directory"):
            Records(root).prepare()
        with pytest.raises(RecordsError, match="cannot write records"):
            Records(root).commit(record())
    assert files(tmp_path) == ["file"]


def test_prepare_leaves_folders_only(records):
    records.prepare()
    assert files(records.root) == []
    assert sorted(os.listdir(records.root)) == ["catalogue", "points", "studies", "superseded", "waves"]


def point(digest, **axes):
    return SimpleNamespace(axes=axes, spec=SimpleNamespace(digest=digest))


STUDY = SimpleNamespace(name="my-study", points=[point(ONE, lr=0.1, act=max), point(TWO, lr=0.2), point(THREE, lr=0.3)])


def test_table_from_points_from_waves_and_from_both(records):
    records.commit(record())
    records.commit(record(TWO, rows=rows(2.0, steps=2), status="diverged at step 2"))
    own = table(STUDY, records.root)
    assert own["loss"].tolist() == [0, 1, 2, 3, 0, 2]
    assert own["lr"].tolist() == [0.1] * 4 + [0.2] * 2
    assert own["coef"].shape == (6, 4)
    assert own.points["status"].tolist() == ["finished", "diverged at step 2", "missing"]
    assert own.points["act"].tolist() == [repr(max), None, None]
    for wave in ([ONE], [TWO], [ONE, TWO]):  # overlapping waves hold the same record twice
        records.compact(wave)
        again = table(STUDY, records.root)
        assert again.columns == own.columns
        for name in own.columns:
            np.testing.assert_array_equal(again[name], own[name])


def test_a_table_of_compacted_points_reads_no_file_of_a_point(records, monkeypatch):
    records.commit(record())
    records.commit(record(TWO, rows=Rows.of([]), status=f"blocked by {ONE}"))
    records.compact([ONE, TWO, THREE])
    assert len(list((records.root / "waves").iterdir())) == len(list((records.root / "catalogue").iterdir())) == 1
    for name in ("point._stamp", "waves.read_environment"):
        monkeypatch.setattr(f"runs.{name}", lambda *_: pytest.fail("the catalogue knows this"))
    found = table(STUDY, records.root)
    assert found["loss"].tolist() == [0, 1, 2, 3]
    assert found.points["status"].tolist() == ["finished", f"blocked by {ONE}", "missing"]


def test_superseded_points_leave_the_table(records):
    for n, scale in enumerate((1.0, 2.0, 3.0), start=1):
        records.commit(record(rows=rows(scale)))
        records.compact([ONE])
        assert table(STUDY, records.root).at(1)["loss"].tolist() == [scale]
        moved = records.supersede(ONE)
        assert moved == records.root / "superseded" / f"{ONE}-{n}"
        assert len(table(STUDY, records.root)) == 0
    records.commit(record(rows=rows(9.0)))  # finished, and killed before it was compacted again
    assert table(STUDY, records.root).at(1)["loss"].tolist() == [9.0]
    assert sorted(os.listdir(records.root / "superseded")) == [f"{ONE}-{n}" for n in (1, 2, 3)]


def test_stale_rows_in_a_wave_with_other_points(records):
    records.commit(record())
    records.commit(record(TWO))
    records.compact([ONE, TWO])
    records.supersede(ONE)
    records.commit(record(rows=rows(5.0)))
    found = table(STUDY, records.root).at(1)
    assert found["loss"].tolist() == [5, 1]


def test_accept_appends_and_keeps_the_rest(records):
    records.commit(record())
    before = records.environment(ONE)
    records.accept(ONE, {"jax": "2"})
    records.accept(ONE, {"jax": "3"})
    assert records.environment(ONE) == before | {"accepted": [{"jax": "2"}, {"jax": "3"}]}
    assert len(records.rows(ONE)) == len(rows())


def test_studies_share_points_and_keep_axes(records):
    records.commit(record())
    records.write_study("my-study", entries(STUDY))
    listed = records.read_study("my-study")
    assert [(e.digest, dict(e.axes), e.status) for e in listed] == [
        (ONE, {"lr": 0.1, "act": repr(max)}, "finished"),
        (TWO, {"lr": 0.2}, "missing"),
        (THREE, {"lr": 0.3}, "missing"),
    ]
    by_name, by_value = table("my-study", records.root), table(STUDY, records.root)
    for name in by_value.columns:
        np.testing.assert_array_equal(by_name[name], by_value[name])
    with pytest.raises(RecordsError, match=r"no study 'other' in .*; it has my-study"):
        records.read_study("other")


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a/b", "../a", "a b", "a\n", "é", "a\0", None])
def test_study_names_stay_inside(records, name):
    for act in (records.read_study, lambda n: records.write_study(n, [])):
        with pytest.raises(RecordsError, match="study name: got"):
            act(name)


@pytest.mark.parametrize("digest", ["", "..", "../" + ONE, ONE[:-1], ONE + "\n", ONE[:-1] + "G", ONE[:-1] + "/", None])
def test_digests_stay_inside(records, digest):
    acts = (records.status, records.spec, records.rows, records.arrays, records.supersede, record)
    for act in (*acts, lambda d: records.compact([d]), lambda d: records.write_study("s", [Entry(d)])):
        with pytest.raises(RecordsError, match="digest: got"):
            act(digest)
    assert files(records.root) == []


def test_statuses_are_checked():
    for status in ("", "ok", "diverged at step", "blocked by me", "failed: "):
        with pytest.raises(RecordsError, match="status: got"):
            record(status=status)
    assert record(status="failed: two\nlines").status


def test_points_without_record(records):
    assert records.status(ONE) is None
    for read in (records.spec, records.environment, records.rows, records.arrays, records.supersede):
        with pytest.raises(RecordsError, match=f"no record of point {ONE} in .*; run it first"):
            read(ONE)
    records.compact([ONE])
    assert files(records.root) == []
    records.commit(record(arrays={"w": np.ones(1)}))
    with pytest.raises(RecordsError, match="has no array 'v'; it has w"):
        records.arrays(ONE, "v")


def truncated(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def emptied(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [truncated, emptied, os.unlink])
@pytest.mark.parametrize("name", ["metrics.parquet", "environment.json", "STATUS"])
def test_damaged_points_are_named_and_never_in_a_table(records, name, damage):
    records.commit(record())
    damage(records.root / "points" / ONE / name)
    with pytest.raises(RecordsError, match=rf"cannot read .*{ONE}/{name}: .*--rerun"):
        table(STUDY, records.root)
    records.supersede(ONE)
    assert records.commit(record())
    assert len(table(STUDY, records.root)) == 4


def test_other_damaged_files_are_named(records):
    records.commit(record(arrays={"a": np.ones(9)}))
    records.write_study("s", [Entry(ONE)])
    truncated(records.root / "points" / ONE / "arrays.safetensors")
    truncated(records.root / "points" / ONE / "spec.json")
    truncated(records.root / "studies" / "s.json")
    with pytest.raises(RecordsError, match=r"cannot read .*arrays.safetensors: .*--rerun"):
        records.arrays(ONE)
    with pytest.raises(RecordsError, match=r"cannot read .*spec.json: .*--rerun"):
        records.spec(ONE)
    with pytest.raises(RecordsError, match=r"cannot read .*s.json: .*run the study again"):
        table("s", records.root)


@pytest.mark.parametrize(
    "index", [[], {"points": 3}, {"points": [{"digest": "../x", "axes": {}}]}, {"points": [{"digest": ONE}]}]
)
def test_a_foreign_index_is_refused(records, index):
    (records.root / "studies" / "s.json").write_text(json.dumps(index))
    with pytest.raises(RecordsError, match="the index is damaged"):
        records.read_study("s")


def test_a_parquet_of_something_else_is_refused(records):
    records.commit(record())
    parquet.write(records.root / "points" / ONE / "metrics.parquet", {"step": np.arange(3)})
    with pytest.raises(RecordsError, match=r"metrics\.parquet"):
        table(STUDY, records.root)


def test_leftovers_of_a_killed_process_are_not_read(records):
    records.commit(record())
    records.compact([ONE])
    for folder in ("points", "waves", "studies"):
        (records.root / folder / ".tmp-left").write_bytes(b"half")
    records.write_study("s", [Entry(ONE)])
    assert len(table("s", records.root)) == 4
    with pytest.raises(RecordsError, match=r"it has s$"):
        records.read_study("t")
