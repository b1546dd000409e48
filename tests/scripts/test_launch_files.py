"""The launch files: their syntax, their flags, and what they do with a `stepwell` that only says how it was called."""

import os
import re
import signal
import stat
import subprocess
import time
from dataclasses import fields
from pathlib import Path

import pytest

from scripts.command import Run

FOLDER = Path(__file__).parents[2] / "scripts" / "launch"
FILES = sorted(FOLDER.iterdir())
SAYS = 'echo "${CUDA_VISIBLE_DEVICES-none}: $*"'
WAITS = """trap 'echo kept; exit 143' TERM
echo begun
while true; do sleep 0.05; done
"""


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """A folder of programs that stand in front of all others."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.chdir(tmp_path)

    def write(name, text):
        (folder / name).write_text(f"#!/bin/bash\n{text}\n")
        (folder / name).chmod(stat.S_IRWXU)

    return write


def ran(name, *words, **variables):
    env = {**os.environ, **variables}
    return subprocess.run(["bash", FOLDER / name, *words], capture_output=True, text=True, env=env, check=False)


def test_the_files_are_there():
    assert [file.name for file in FILES] == ["slurm_array.sbatch", "tpu_pod.sh", "workstation.sh"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_syntax_and_flags(file):
    assert subprocess.run(["bash", "-n", file], capture_output=True, check=False).stderr == b""
    flags = {flag for line in re.findall("stepwell run .*", file.read_text()) for flag in re.findall(r"--[\w-]+", line)}
    assert flags <= {f"--{field.name.replace('_', '-')}" for field in fields(Run)}


def test_the_workstation_has_a_process_for_each_gpu(programs, tmp_path):
    programs("nvidia-smi", "echo GPU 0\necho GPU 1\necho GPU 2")
    programs("stepwell", SAYS)
    assert ran("workstation.sh", "a b.py", "--scale", "smoke").returncode == 0
    said = [(tmp_path / f"stepwell-gpu{gpu}.log").read_text() for gpu in range(3)]
    assert said == [f"{gpu}: run a b.py --scale smoke\n" for gpu in range(3)]
    assert ran("workstation.sh", "a.py", GPUS="1").stdout == "GPU 0: stepwell-gpu0.log\n"
    programs("stepwell", 'exit "$CUDA_VISIBLE_DEVICES"')
    assert ran("workstation.sh", "a.py").returncode == 2


def test_the_pod_runs_one_command_on_all_hosts(programs):
    programs("gcloud", 'printf "%s\\n" "$@"')
    *words, command = ran("tpu_pod.sh", "my-slice", "us-x", "a b.py", "--records", "/r").stdout.splitlines()
    assert words == [*"compute tpus tpu-vm ssh my-slice --zone us-x --worker all --command".split()]
    assert command == r"stepwell run a\ b.py --records /r --hosts auto "


def stopped(name, number, log):
    env = {**os.environ, "SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "3", "GPUS": "1"}
    script = subprocess.Popen(["bash", FOLDER / name, "a.py"], stdout=subprocess.PIPE, text=True, env=env)
    assert script.stdout is not None
    while "begun" not in (log.read_text() if log and log.exists() else "" if log else script.stdout.readline()):
        time.sleep(0.01)
    script.send_signal(number)
    said = script.communicate()[0]
    return script.returncode, said + (log.read_text() if log else "")


@pytest.mark.parametrize(("number", "requeued"), [(signal.SIGUSR1, True), (signal.SIGTERM, False)])
def test_a_task_of_the_array_keeps_what_it_has_and_is_queued_again_if_its_time_was_over(programs, number, requeued):
    programs("stepwell", WAITS)
    programs("scontrol", SAYS)
    status, said = stopped("slurm_array.sbatch", number, None)
    assert status == 143
    assert said == "kept\n" + "none: requeue 7_3\n" * requeued


def test_a_task_of_the_array_that_is_done_is_not_queued_again(programs):
    programs("stepwell", SAYS)
    programs("scontrol", SAYS)
    done = ran("slurm_array.sbatch", "a.py", "--records", "r")
    assert (done.returncode, done.stdout) == (0, "none: run a.py --records r\n")


def test_a_workstation_that_is_stopped_keeps_what_it_has(programs, tmp_path):
    programs("stepwell", WAITS)
    status, said = stopped("workstation.sh", signal.SIGTERM, tmp_path / "stepwell-gpu0.log")
    assert status == 143
    assert said.endswith("kept\n")
