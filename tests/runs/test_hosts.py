"""Many processes that compute together, on this machine: real ones, each with a hard time limit."""

import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from runs.options import Hosts, RunError
from runs.records import Records
from tests.runs.running import computed_here

ROOT = Path(__file__).parents[2]
LIMIT_SECONDS = 240  # against processes that wait for one another, not a measure of speed
STUDY = """
from dsl import *

def training(width: int, seed: int, precision: str = "float32", steps: int = STEPS) -> Training:
    x = bits(8)
    return Training(
        task=Sample(Labelled(Hypercube(8), x[0] + x[0] * x[1]), n=64), model=TwoLayer(width, Relu(), Standard()),
        loss=SquaredLoss(), protocol=Descent(steps, Cyclic(8), by=Adam(0.01)),
        measure=(TestLoss(Fresh(64)) @ every(steps // 4), Weights() @ at_end()), seed=seed, precision=precision)
"""
SWEEP = 'study = Study("sweep", grid(training, width=(4,), seed=range(3)))\n'


def written(folder: Path, end: str = SWEEP, steps: int = 40) -> Path:
    path = folder / "sweep.py"
    path.write_text(STUDY.replace("STEPS", str(steps)) + end)
    return path


def started(study: Path, records: Path, flags: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-P", "-m", "scripts.command", "run", str(study), "--records", str(records)]
    return subprocess.Popen(
        [*command, *shlex.split(flags)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def team(study: Path, records: Path, devices: int, flags: str = "") -> "list[subprocess.Popen[str]]":
    """Two processes that compute together."""
    where = f"--devices {devices} --hosts 2 --coordinator 127.0.0.1:{port()} {flags}"
    return [started(study, records, f"{where} --rank {rank}") for rank in range(2)]


def ended(runs: "list[subprocess.Popen[str]]") -> list[tuple[int, str, str]]:
    """The status, output and errors of each; a run that hangs is killed, and its worker ends with its pipe."""
    until, found = time.monotonic() + LIMIT_SECONDS, []
    try:
        for run in runs:
            out, error = run.communicate(timeout=max(1.0, until - time.monotonic()))
            found.append((run.returncode, out, error))
    finally:
        for run in runs:
            if run.poll() is None:
                run.send_signal(signal.SIGTERM)
                run.send_signal(signal.SIGTERM)
                run.kill()
                run.communicate()
    return found


def same_bits(ours: Path, theirs: Path, points: int) -> None:
    a, b = Records(ours), Records(theirs)
    names = sorted(os.listdir(theirs / "points"))
    assert sorted(os.listdir(ours / "points")) == names
    assert len(names) == points
    for name in names:
        assert a.status(name) == b.status(name) == "finished"
        np.testing.assert_array_equal(a.rows(name).value, b.rows(name).value)
        for part, array in b.arrays(name).items():
            np.testing.assert_array_equal(a.arrays(name)[part], array)


def alone(study: Path, records: Path, flags: str) -> None:
    ((status, _, error),) = ended([started(study, records, flags)])
    assert status == 0, error


@pytest.mark.slow
def test_two_processes_have_the_bits_of_one_and_the_first_alone_speaks_and_writes(tmp_path):
    study = written(tmp_path)
    computed_here(study, tmp_path / "one")
    (first, out, error), second = ended(team(study, tmp_path / "two", devices=1))
    assert first == 0, error
    assert "report:" in out
    assert second == (0, "", "")
    same_bits(tmp_path / "two", tmp_path / "one", points=3)
    written_by = {
        Records(tmp_path / "two").environment(name)["devices"] for name in os.listdir(tmp_path / "two/points")
    }
    assert written_by == {2}


@pytest.mark.slow
def test_two_processes_with_two_devices_each_have_the_bits_of_one_with_four(tmp_path):
    study = written(tmp_path, 'study = Study("sweep", grid(training, width=(4, 300), seed=range(5)))\n')
    alone(study, tmp_path / "one", "--devices 4")
    assert [status for status, *_ in ended(team(study, tmp_path / "two", devices=2))] == [0, 0]
    same_bits(tmp_path / "two", tmp_path / "one", points=10)


@pytest.mark.slow
def test_each_precision_has_its_workers_and_what_others_require_comes_first(tmp_path):
    end = 'study = Study("sweep", [*(training(4, s, "float64") for s in range(2)), FIRST, SECOND])\n'
    end = end.replace("FIRST, SECOND", "training(4, 5), replace(training(4, 6), model=Trained(training(4, 7)))")
    study = written(tmp_path, "from dataclasses import replace\n" + end)
    alone(study, tmp_path / "one", "--devices 2")
    found = ended(team(study, tmp_path / "two", devices=1))
    assert [status for status, *_ in found] == [0, 0], found
    same_bits(tmp_path / "two", tmp_path / "one", points=5)


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_signal_to_one_process_stops_all_and_they_go_on_bit_for_bit(tmp_path, rank):
    end = 'study = Study("sweep", grid(training, width=(4, 300), seed=range(2)))\n'
    study = written(tmp_path, end, steps=8_000_000)
    runs = team(study, tmp_path / "two", devices=1, flags="--checkpoint 1")
    until = time.monotonic() + LIMIT_SECONDS
    while not list((tmp_path / "two" / "checkpoints").glob("*.safetensors")) and time.monotonic() < until:
        assert all(run.poll() is None for run in runs), ended(runs)
        time.sleep(0.1)
    runs[rank].send_signal(signal.SIGTERM)
    found = ended(runs)
    assert [status for status, *_ in found] == [143, 143], found
    assert "everything so far is kept" in found[0][2]
    assert list((tmp_path / "two" / "locks").iterdir()) == []
    assert list((tmp_path / "two" / "checkpoints").glob("*.safetensors"))


@pytest.mark.slow
def test_a_stopped_study_goes_on_in_two_processes(tmp_path):
    study = written(tmp_path, steps=200_000)
    run = started(study, tmp_path / "two", "--devices 2 --checkpoint 0.5")
    while not list((tmp_path / "two" / "checkpoints").glob("*.safetensors")):
        assert run.poll() is None, run.communicate()
        time.sleep(0.1)
    run.send_signal(signal.SIGTERM)
    assert ended([run])[0][0] == 143
    alone(study, tmp_path / "one", "--devices 2")
    assert [status for status, *_ in ended(team(study, tmp_path / "two", devices=1))] == [0, 0]
    same_bits(tmp_path / "two", tmp_path / "one", points=3)


BROKEN = """
class Broken(Activation):
    def __call__(self, z):
        raise KeyError("a user's mistake")

from dataclasses import replace
bad = replace(training(4, 0), model=TwoLayer(4, Broken(), Standard()))
study = Study("sweep", [bad, training(4, 1)])
"""


@pytest.mark.slow
def test_a_group_that_fails_fails_in_all_and_the_others_go_on(tmp_path):
    study = written(tmp_path, BROKEN)
    found = ended(team(study, tmp_path / "two", devices=1))
    assert [status for status, *_ in found] == [1, 1], found
    assert "a user's mistake" in found[0][2]
    assert found[1][1:] == ("", "")
    kept = Records(tmp_path / "two")
    statuses = sorted(kept.status(name) for name in os.listdir(tmp_path / "two" / "points"))
    assert statuses == ['failed: KeyError: "a user\'s mistake"', "finished"]


@pytest.mark.slow
def test_processes_with_other_commands_are_refused(tmp_path):
    study, other = written(tmp_path), tmp_path / "other"
    other.mkdir()
    where = f"--devices 1 --hosts 2 --coordinator 127.0.0.1:{port()}"
    runs = [started(study, tmp_path / "two", f"{where} --rank 0")]
    runs.append(started(written(other, steps=44), tmp_path / "two", f"{where} --rank 1"))
    found = ended(runs)
    assert [status for status, *_ in found] == [2, 2], found
    for _, _, error in found:
        assert "the processes were started with other commands: study: " in error


@pytest.mark.slow
def test_a_follower_that_is_killed_ends_the_run_and_fails_no_point(tmp_path):
    study = written(tmp_path, steps=4_000_000)
    runs = team(study, tmp_path / "two", devices=1, flags="--checkpoint 1")
    while not list((tmp_path / "two" / "checkpoints").glob("*.safetensors")):
        assert all(run.poll() is None for run in runs), ended(runs)
        time.sleep(0.1)
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            child, parent = int(stat.parent.name), int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has just ended
            continue
        if parent == runs[1].pid:
            os.kill(child, signal.SIGKILL)
    found = ended(runs)
    assert [status for status, *_ in found] == [2, 2], found
    assert "process 1 of 2 does not answer; finished points are kept" in found[0][2]
    assert list((tmp_path / "two" / "points").iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("devices", [1, 2])
def test_processes_share_batches_as_the_devices_of_one_do(tmp_path, devices):
    study, shards = written(tmp_path), "--data-shards 2"
    alone(study, tmp_path / "one", f"--devices {2 * devices} {shards}")
    found = ended(team(study, tmp_path / "two", devices, shards))
    assert [status for status, *_ in found] == [0, 0], found
    same_bits(tmp_path / "two", tmp_path / "one", points=3)


@pytest.mark.slow
@pytest.mark.parametrize("shards", [2, 4])
def test_more_devices_for_a_batch_change_the_last_bits_alone(tmp_path, shards):
    study = written(tmp_path)
    alone(study, tmp_path / "one", "--devices 4")
    alone(study, tmp_path / "more", f"--devices 4 --data-shards {shards}")
    for name in os.listdir(tmp_path / "one" / "points"):
        a, b = (Records(tmp_path / folder).arrays(name) for folder in ("one", "more"))
        for part in a:
            np.testing.assert_allclose(a[part], b[part], atol=1e-5, rtol=0)  # weights of order 1 after 40 steps of Adam


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("1", 0, "a:1"), "--hosts 1: expected the number of processes, at least 2, or auto"),
        (("two", 0, "a:1"), "--hosts two: expected the number of processes"),
        (("2", None, "a:1"), "--hosts 2 needs the number of this process, --rank from 0 to 1"),
        (("2", 2, "a:1"), "--rank from 0 to 1"),
        (("2", 0, None), "--coordinator HOST:PORT"),
        (("2", 0, "here"), "--coordinator HOST:PORT"),
        (("auto", 0, None), "leave them out"),
    ],
)
def test_flags_that_do_not_fit_together_are_told(flags, message):
    with pytest.raises(RunError, match=message):
        Hosts.of(*flags)


def test_flags_that_fit():
    assert Hosts.of("auto", None, None) == Hosts()
    assert Hosts.of("3", 2, "host:1234") == Hosts(3, 2, "host:1234")


@pytest.mark.slow
def test_processes_that_slurm_started_find_each_other(tmp_path, monkeypatch):
    study = written(tmp_path)
    alone(study, tmp_path / "one", "--devices 2")
    runs = []
    for rank in range(2):
        job = {"JOB_ID": str(port()), "STEP_NODELIST": "localhost", "NTASKS": "2"}  # its port follows from its number
        job = job if not runs else {**job, "JOB_ID": os.environ["SLURM_JOB_ID"]}
        for name, value in {**job, "STEP_NUM_TASKS": "2", "PROCID": str(rank), "LOCALID": str(rank)}.items():
            monkeypatch.setenv(f"SLURM_{name}", value)
        runs.append(started(study, tmp_path / "two", "--devices 1 --hosts auto"))
    found = ended(runs)
    assert [status for status, *_ in found] == [0, 0], found
    assert found[1][1:] == ("", "")
    same_bits(tmp_path / "two", tmp_path / "one", points=3)
