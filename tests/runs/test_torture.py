"""Whole processes that are stopped and killed: what they leave, and what the next ones make of it."""

import os
import random
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from runs.records import Records, table
from runs.sources import open_source
from tests.runs.running import computed_here

ROOT = Path(__file__).parents[2]
STUDY = """
from dsl import *

def training(width: int, lr: float, seed: int) -> Training:
    x = bits(8)
    return Training(
        task=Sample(Labelled(Hypercube(8), x[0] + x[0] * x[1]), n=64), model=TwoLayer(width, Relu(), Standard()),
        loss=SquaredLoss(), protocol=Descent(STEPS, Cyclic(8), by=Adam(lr)),
        measure=(TestLoss(Fresh(64)) @ every(STEPS // 4), Weights() @ at_end()), seed=seed)

study = Study("torture", grid(training, width=(4, 300), lr=(0.01, 0.02), seed=range(SEEDS)))
"""


def written(folder: Path, seeds: int, steps: int) -> Path:
    path = folder / "torture.py"
    path.write_text(STUDY.replace("SEEDS", str(seeds)).replace("STEPS", str(steps)))
    return path


def started(study: Path, records: Path, checkpoint: float = 0.2) -> "subprocess.Popen[str]":
    flags = f"--records {shlex.quote(str(records))} --devices 2 --checkpoint {checkpoint}"
    return subprocess.Popen(
        [sys.executable, "-m", "scripts.command", "run", str(study), *shlex.split(flags)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def worker_of(run: "subprocess.Popen[str]") -> int | None:
    """The process that a run has started, if it lives."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rpartition(")")[2].split()[1]) == run.pid:
                return int(stat.parent.name)
        except OSError:  # it has just ended
            continue
    return None


def killed(run: "subprocess.Popen[str]") -> None:
    """SIGKILL to a run and to its worker."""
    worker = worker_of(run)
    for pid in (run.pid, worker):
        if pid is not None:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
    run.communicate()


def finished(run: "subprocess.Popen[str]") -> str:
    said = run.communicate()[0]
    assert run.returncode == 0, said
    return said


def same_tables(study: Path, ours: Path, theirs: Path, points: int) -> None:
    a, b = (table(open_source(str(study)).study, folder) for folder in (ours, theirs))
    np.testing.assert_array_equal(a["TestLoss"], b["TestLoss"])
    names = sorted(os.listdir(theirs / "points"))
    assert sorted(name for name in os.listdir(ours / "points") if not name.startswith(".")) == names
    assert len(names) == points
    for name in names:
        x, y = Records(ours), Records(theirs)
        assert x.status(name) == "finished"
        np.testing.assert_array_equal(x.rows(name).value, y.rows(name).value)
        for part, array in y.arrays(name).items():
            np.testing.assert_array_equal(x.arrays(name)[part], array)
    assert list((ours / "superseded").iterdir()) == []
    assert list((ours / "checkpoints").iterdir()) == []
    assert list((ours / "locks").iterdir()) == []


def tortured(tmp_path: Path, seeds: int, steps: int, kills: int, longest: float) -> None:
    """Two runs of one study, one of which is killed again and again, against one in this process, undisturbed."""
    study, chance = written(tmp_path, seeds, steps), random.Random(0)
    computed_here(study, tmp_path / "whole")
    runs = [started(study, tmp_path / "broken") for _ in range(2)]
    for _ in range(kills):
        time.sleep(chance.uniform(0.0, longest))
        which = chance.randrange(2)
        killed(runs[which])
        runs[which] = started(study, tmp_path / "broken")
    for run in runs:
        finished(run)
    same_tables(study, tmp_path / "broken", tmp_path / "whole", 4 * seeds)


def test_a_study_survives_being_killed(tmp_path):
    tortured(tmp_path, seeds=1, steps=4_000, kills=1, longest=6.0)


@pytest.mark.slow
def test_a_study_of_200_points_survives_20_kills(tmp_path):
    tortured(tmp_path, seeds=50, steps=20_000, kills=20, longest=10.0)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_run_with_its_status_and_one_line(tmp_path, number):
    study = written(tmp_path, seeds=1, steps=2_000_000)
    run = started(study, tmp_path / "records", checkpoint=1.0)
    while not list((tmp_path / "records" / "checkpoints").glob("*.safetensors")):
        assert run.poll() is None, run.communicate()[0]
        time.sleep(0.1)
    run.send_signal(number)
    said = run.communicate()[0]
    assert run.returncode == 128 + number, said
    assert f"stopped by {number.name}; everything so far is kept; go on with: stepwell run" in said.splitlines()[-1]
    assert list((tmp_path / "records" / "locks").iterdir()) == []
    assert len(list((tmp_path / "records" / "checkpoints").glob("*.safetensors"))) >= 1
