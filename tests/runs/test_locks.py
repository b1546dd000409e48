import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from runs import locks as module
from runs.locks import Locks
from runs.options import RunError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def clock(monkeypatch):
    """The watcher's clock, which the test moves."""
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def of_another_host(folder, name="block", **more):
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.lock"
    path.write_text(json.dumps({"owner": "other", "host": "elsewhere", "pid": 1, "born": "1"} | more))
    return path


def test_one_of_many_takes_a_lock(tmp_path):
    every = [Locks(tmp_path) for _ in range(8)]
    barrier = threading.Barrier(8)
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda locks: (barrier.wait(), locks.take("block"))[1], every))
    assert sum(won) == 1
    every[won.index(True)].free("block")
    assert every[0].take("block")


def test_a_lock_that_is_given_back_leaves_no_file(tmp_path):
    locks = Locks(tmp_path)
    assert locks.take("a")
    assert locks.take("b")
    locks.free("a")
    locks.close()
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_nobody_touches_is_taken_over_when_it_has_been_watched_long_enough(tmp_path, clock):
    of_another_host(tmp_path)
    locks = Locks(tmp_path, dead=60)
    assert not locks.take("block")
    clock[0] = 59
    assert not locks.take("block")
    clock[0] = 61
    assert locks.take("block")
    assert [path.name for path in tmp_path.iterdir()] == ["block.lock"]


def test_a_touched_lock_lives_wherever_its_clock_jumps(tmp_path, clock):
    path = of_another_host(tmp_path)
    locks = Locks(tmp_path, dead=60)
    for i, stamp in enumerate((10**9, 5 * 10**9, 1, 2 * 10**9)):  # years ahead, 1970, and back
        os.utime(path, (stamp, stamp))
        clock[0] = 50.0 * i
        assert not locks.take("block")
    clock[0] += 61
    assert locks.take("block")


def test_the_lock_of_a_process_that_is_gone_is_taken_over_at_once(tmp_path):
    script = "import sys, os, pathlib, runs.locks as r; r.Locks(pathlib.Path(sys.argv[1])).take('block'); os._exit(9)"
    subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], check=False, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert (tmp_path / "block.lock").exists()
    assert Locks(tmp_path).take("block")


def test_the_lock_of_a_process_that_lives_is_not(tmp_path):
    mine, other = Locks(tmp_path), Locks(tmp_path)
    assert mine.take("block")
    assert not other.take("block")


def test_of_many_that_find_a_dead_lock_one_takes_it_over(tmp_path, clock):
    of_another_host(tmp_path)
    every = [Locks(tmp_path, dead=60) for _ in range(8)]
    assert not any(locks.take("block") for locks in every)
    clock[0] = 61
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda locks: locks.take("block"), every))
    assert sum(won) == 1


def test_a_lock_that_was_taken_over_is_not_given_back_by_its_old_owner(tmp_path):
    mine = Locks(tmp_path)
    assert mine.take("block")
    (tmp_path / "block.lock").unlink()
    path = of_another_host(tmp_path)
    mine.close()
    assert path.exists()


def test_the_heart_touches_what_is_held(tmp_path):
    locks = Locks(tmp_path, beat=0.01)
    assert locks.take("block")
    path = tmp_path / "block.lock"
    os.utime(path, (1, 1))
    for _ in range(1000):
        if path.stat().st_mtime > 1:
            break
        threading.Event().wait(0.01)
    locks.close()
    locks = Locks(tmp_path)
    assert locks.take("block")


@pytest.mark.parametrize("text", ["", "{", "[1]", "{}", '{"pid": "x", "born": 1, "host": 2}', "\x00\xff"])
def test_a_damaged_lock_is_taken_over_like_a_dead_one(tmp_path, clock, text):
    (tmp_path / "block.lock").write_text(text, "latin-1")
    locks = Locks(tmp_path, dead=60)
    assert not locks.take("block")
    clock[0] = 61
    assert locks.take("block")


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot write the lock"):
        Locks(tmp_path / "file" / "locks").take("block")
