"""What goes wrong with a directory of results ends in a clear message, or in recovery, never in a wrong table."""

import errno
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from runs import files, processes
from runs.files import draft_name, sweep
from runs.processes import gone, me
from runs.records import Records, RecordsError, table
from runs.store import OnDisk
from runs.table import Entry
from tests.runs.test_compaction import flipped
from tests.runs.test_records import ONE, TWO, record, rows

NUMERICS = {"jax": "1"}


@pytest.fixture
def records(tmp_path):
    """Two points with arrays, not compacted."""
    records = Records(tmp_path / "records")
    records.prepare()
    for digest in (ONE, TWO):
        records.commit(record(digest, arrays={"w": np.arange(9.0)}))
    records.write_study("s", [Entry(ONE), Entry(TWO)])
    return records


def content(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


# ---------------------------------------------------------------- disks


WRITES = {
    "commit": (lambda records: records.commit(record("3" * 64)), ("Path.rename", "Path.mkdir")),
    "compact": (lambda records: records.compact([ONE]), ("Path.replace", "Path.mkdir")),
    "accept": (lambda records: records.accept(ONE, {}), ("Path.replace", "Path.mkdir")),
}
CALLS = [(name, f"pathlib.{call}") for name, (_, calls) in WRITES.items() for call in calls]


@pytest.mark.parametrize(("write", "call"), [*CALLS, *((name, "os.fsync") for name in WRITES)])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_takes_nothing_more_is_told_and_everything_stays(records, monkeypatch, write, call, number):
    def fails(*_, **__):
        raise OSError(number, os.strerror(number))

    before = content(records.root)
    with monkeypatch.context() as patched:
        patched.setattr(call, fails)
        with pytest.raises(RecordsError, match=rf"cannot write records in .*{os.strerror(number)}; choose a directory"):
            WRITES[write][0](records)
    assert content(records.root) == before
    assert len(table("s", records.root)) == 8


def test_a_file_that_the_system_cuts_short_leaves_nothing(records):
    code = """
import resource, sys
import numpy as np
from runs.records import Records, RecordsError
from tests.runs.test_records import record
records = Records(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
try:
    records.commit(record("3" * 64, arrays={"w": np.arange(1000.0)}))
except RecordsError as error:
    print(error)
"""
    before = content(records.root)
    for limit in ("200", "4000"):  # in the metrics, and in the arrays
        ran = subprocess.run(
            [sys.executable, "-c", code, records.root, limit], capture_output=True, text=True, check=True
        )
        assert ran.stdout.startswith(f"cannot write records in {records.root}: "), ran
        assert content(records.root) == before


def test_a_directory_that_can_only_be_read_is_read(records, monkeypatch):
    records.compact([ONE])
    for name in ("os.fsync", "os.utime", "pathlib.Path.rename", "pathlib.Path.replace", "pathlib.Path.mkdir"):
        monkeypatch.setattr(name, lambda *_, **__: pytest.fail("reading writes nothing"))
    assert len(table("s", records.root)) == 8
    assert records.rows(TWO).value[0] == 0
    assert OnDisk.at(records.root, rerun=False, accept=False).finished(ONE, NUMERICS)


# ---------------------------------------------------------------- other records


@pytest.mark.parametrize("number", [None, 0, 2, "1"])
def test_a_record_of_another_format_is_refused(records, number):
    path = records.root / "points" / ONE / "environment.json"
    environment = json.loads(path.read_text())
    assert environment["format"] == 1
    del environment["format"]
    path.write_text(json.dumps(environment | ({} if number is None else {"format": number})))
    store = OnDisk.at(records.root, rerun=False, accept=False)
    for act in (lambda: records.rows(ONE), lambda: table("s", records.root), lambda: store.finished(ONE, NUMERICS)):
        with pytest.raises(RecordsError, match=rf"its format is {number!r}, .* reads format 1; .* with --rerun"):
            act()
    assert not OnDisk.at(records.root, rerun=True, accept=False).finished(ONE, NUMERICS)


def test_a_record_in_the_place_of_another_is_refused(records):
    shutil.rmtree(records.root / "points" / TWO)
    shutil.copytree(records.root / "points" / ONE, records.root / "points" / TWO)
    for act in (lambda: records.spec(TWO), lambda: records.arrays(TWO), lambda: table("s", records.root)):
        with pytest.raises(RecordsError, match=rf"{TWO}/environment.json: it is of the point '{ONE}'; .*--rerun"):
            act()


@pytest.mark.parametrize("name", ["spec.json", "metrics.parquet", "arrays.safetensors", "STATUS"])
def test_one_bit_that_is_another_is_seen(records, name):
    flipped(records.root / "points" / TWO / name)
    read = {
        "spec.json": records.spec,
        "metrics.parquet": records.rows,
        "arrays.safetensors": records.arrays,
        "STATUS": lambda digest: records.stamps([digest]),
    }
    with pytest.raises(
        RecordsError, match=rf"{TWO}/{name}: ValueError: its content is not what was written; .*--rerun"
    ):
        read[name](TWO)


def test_another_spec_than_that_of_the_record_is_seen(records):
    path = records.root / "points" / ONE / "spec.json"
    path.write_text(json.dumps({"kind": "Training", "seed": 7}))
    with pytest.raises(RecordsError, match=r"spec\.json: .*not what was written"):
        records.spec(ONE)


def test_a_rerun_mends_what_is_damaged(records):
    flipped(records.root / "points" / TWO / "metrics.parquet")
    store = OnDisk.at(records.root, rerun=True, accept=False)
    assert store.finished(ONE, NUMERICS)
    assert not store.finished(TWO, NUMERICS)
    store.commit(record(TWO, rows=rows(3.0)))
    assert table("s", records.root).at(1)["loss"].tolist() == [1, 3]


# ---------------------------------------------------------------- names


@pytest.mark.parametrize("name", ["x" * 151, "../x", "/x", "x\0", "x/y", ".", "..", "x\n"])
def test_names_of_studies_that_are_no_names(records, name):
    before = content(records.root.parent)
    for act in (lambda: records.write_study(name, []), lambda: table(name, records.root)):
        with pytest.raises(RecordsError, match="study name: got"):
            act()
    assert content(records.root.parent) == before


def test_the_longest_name_of_a_study_is_a_file(records):
    records.write_study("x" * 150, [Entry(ONE)])
    assert len(table("x" * 150, records.root)) == 4


@pytest.mark.parametrize("name", ["../" + ONE, "/etc/passwd", ONE + "\0", "x" * 5000])
def test_names_in_an_index_do_not_lead_out(records, name):
    path = records.root / "studies" / "s.json"
    path.write_text(json.dumps({"name": "s", "points": [{"digest": name, "axes": {}}]}))
    with pytest.raises(RecordsError, match="the index is damaged"):
        table("s", records.root)


# ---------------------------------------------------------------- drafts


def ended() -> str:
    """What names a process that has ended."""
    code = "from runs.processes import me; print(me())"
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def test_who_is_gone():
    where, pid, born = me().split(".")
    assert gone(ended())
    assert gone(f"{where}.{pid}.{int(born) - 1}")  # an earlier process of the same number
    for who in (
        me(),
        f"elsewhere.{pid}.0",
        "elsewhere.99999999.1",
        "",
        "tmp",
        f"{where}",
        f"{where}.x.1",
        f"{where}.-1.1",
    ):
        assert not gone(who)


def test_drafts_of_killed_processes_are_removed_and_no_others(records, monkeypatch):
    mine, dead = draft_name(ONE), ended()
    monkeypatch.setattr(files, "me", lambda: dead)
    theirs = [draft_name(ONE), draft_name("wave")]
    monkeypatch.setattr(files, "me", lambda: "elsewhere.1.1")
    far = draft_name(ONE)
    (records.root / "points" / theirs[0]).mkdir()
    (records.root / "points" / theirs[0] / "STATUS").write_text("half")
    (records.root / "waves" / theirs[1]).write_text("half")
    for name in (mine, far, ".tmp-", ".tmp-x", ".tmp-a-b-c", ".hidden"):
        (records.root / "points" / name).mkdir()
    records.prepare()
    left = set(os.listdir(records.root / "points")) - {ONE, TWO}
    assert left == {mine, far, ".tmp-", ".tmp-x", ".tmp-a-b-c", ".hidden"}
    assert os.listdir(records.root / "waves") == []


def test_a_draft_that_is_being_written_survives_the_start_of_another_run(tmp_path):
    code = (
        "import sys, pathlib; from runs.files import draft_name; p = pathlib.Path(sys.argv[1]) / draft_name('x');"
        "p.mkdir(); print(p.name, flush=True); sys.stdin.read()"
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    name = writer.stdout.readline().strip()
    sweep(tmp_path)
    assert os.listdir(tmp_path) == [name]
    writer.communicate("")
    sweep(tmp_path)
    assert os.listdir(tmp_path) == []


def test_draft_names_are_short_enough():
    assert len(draft_name("x" * 1000)) < 200
    assert processes.machine() in draft_name("x")
