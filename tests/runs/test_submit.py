"""Jobs that share a study: on this machine for real, on Slurm as far as its commands are called."""

import os
import pickletools
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import pytest
import submitit
import tyro

from runs.launch import run_study
from runs.options import RunError, RunOptions
from runs.records import Records
from runs.sources import open_source
from runs.submit import Job, Request, command, on_this_machine, submit
from scripts.command import Run, answer
from tests.runs.test_torture import finished as ended
from tests.runs.test_torture import same_tables, started, written

STUDY = """
from dsl import *

def training(lr: float, seed: int) -> Training:
    x = bits(6)
    return Training(
        task=Labelled(Hypercube(6), x[0] + x[0] * x[1]), model=TwoLayer(300, Relu(), Standard()), loss=SquaredLoss(),
        protocol=Descent(40, Fresh(8), by=Adam(lr)), measure=(TestLoss(Exact()) @ every(20), Weights() @ at_end()),
        seed=seed)

study = Study("torture", grid(training, lr=(0.01, 0.02), seed=range(4)))
"""
SHOWS_GPUS = "import os; print('sees', os.environ['CUDA_VISIBLE_DEVICES'])"

# a job starts in a process of its own; here it is called beside the threads of JAX
pytestmark = pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")


@pytest.fixture
def study(tmp_path):
    path = tmp_path / "torture.py"
    path.write_text(STUDY)
    return path


def waited(jobs):
    while not all(job.done() for job in jobs):
        time.sleep(0.1)


def logs(jobs):
    return [job.paths.stdout.read_text() + job.paths.stderr.read_text() for job in jobs]


@pytest.mark.slow
def test_two_jobs_of_this_machine_do_each_point_once_and_as_one_run_does(tmp_path, study, monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    jobs = submit(
        open_source(str(study)), RunOptions(tmp_path / "shared", devices=2, checkpoint=1e-3), "local", Request(jobs=2)
    )
    run_study(open_source(str(study)), RunOptions(tmp_path / "alone", devices=2, checkpoint=1e-3))
    waited(jobs)
    assert all("8/8 points, 100 % of the steps" in log for log in logs(jobs)), logs(jobs)
    same_tables(study, tmp_path / "shared", tmp_path / "alone", 8)


@pytest.mark.slow
def test_each_job_of_this_machine_sees_its_own_gpus(tmp_path, monkeypatch):
    job = Job((sys.executable, "-c", SHOWS_GPUS))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    jobs = on_this_machine(submitit, tmp_path, job, "name", Request(jobs=2, gpus=1))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    jobs += on_this_machine(submitit, tmp_path, job, "name", Request(jobs=1, gpus=2))
    waited(jobs)
    shown = [next(line for line in log.splitlines() if line.startswith("sees")) for log in logs(jobs)]
    assert shown == ["sees 0", "sees 1", "sees 3,5"]
    with pytest.raises(RunError, match="ask for 3 GPUs, and CUDA_VISIBLE_DEVICES names 2"):
        on_this_machine(submitit, tmp_path, job, "name", Request(jobs=3, gpus=1))


def test_a_job_ends_with_the_status_of_its_command():
    Job((sys.executable, "-c", ""))()
    with pytest.raises(SystemExit) as caught:
        Job((sys.executable, "-c", "raise SystemExit(2)"))()
    assert caught.value.code == 2


def test_the_command_of_a_job_says_all_options(tmp_path, study):
    options = RunOptions(tmp_path / "a b", "pmap", 3, False, True, tmp_path, 2.5, data_shards=2)
    opened = open_source(str(study), overrides=["protocol.steps=20"])
    words = command(opened, options)
    run = tyro.cli(Run, args=words[5:], config=(tyro.conf.FlagCreatePairsOff,))
    assert words[:5] == (sys.executable, "-P", "-m", "scripts.command", "run")
    assert run.options() == options
    assert run.opened() == opened


def test_a_file_that_was_changed_since_it_was_submitted_is_refused_unread(tmp_path, study, capsys):
    words = command(open_source(str(study)), RunOptions(tmp_path / "records"))
    study.write_text("raise SystemExit('it was run')")
    assert answer(words[4:]) == 2
    assert "the file has changed" in capsys.readouterr().err
    assert not (tmp_path / "records").exists()


# ---------------------------------------------------------------- Slurm


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """A Slurm that keeps what is submitted."""
    programs = tmp_path / "programs"
    programs.mkdir()
    kept = tmp_path / "submitted.sh"
    for name, lines in {"srun": "", "sbatch": f'cp "$1" {kept}\necho "Submitted batch job 12"'}.items():
        (programs / name).write_text(f"#!/bin/sh\n{lines}\n")
        (programs / name).chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    return kept


def test_slurm_is_given_one_array_of_jobs(tmp_path, study, slurm):
    others = {"mem": "16G", "exclusive": True}
    request = Request(jobs=3, gpus=2, minutes=90, partition="gpu", slurm=others)
    jobs = submit(open_source(str(study)), RunOptions(tmp_path / "records"), None, request)
    assert [job.job_id for job in jobs] == ["12_0", "12_1", "12_2"]
    lines = slurm.read_text().splitlines()
    asked = {line.removeprefix("#SBATCH --") for line in lines if line.startswith("#SBATCH")}
    wanted = {"array=0-2%3", "time=90", "gpus-per-node=2", "partition=gpu", "mem=16G", "exclusive"}
    assert wanted | {"job-name=stepwell-torture", "signal=USR2@90"} <= asked
    assert str(tmp_path / "records" / "jobs") in slurm.read_text()


def test_nothing_of_a_user_is_pickled(tmp_path, study, slurm):
    (job,) = submit(open_source(str(study)), RunOptions(tmp_path / "records"), "slurm", Request())
    strings, names = [], set()
    for opcode, argument, _ in pickletools.genops(job.paths.submitted_pickle.read_bytes()):
        if opcode.name == "STACK_GLOBAL":
            names.add(tuple(strings[-2:]))
        elif isinstance(argument, str):
            strings.append(argument)
    assert names == {("submitit.core.utils", "DelayedSubmission"), ("runs.submit", "Job")}


def test_what_slurm_refuses_is_one_message(tmp_path, study, slurm):
    sbatch = tmp_path / "programs" / "sbatch"
    sbatch.write_text("#!/bin/sh\necho 'sbatch: error: invalid partition specified: x' >&2\nexit 1\n")
    with pytest.raises(RunError, match="invalid partition specified: x"):
        submit(open_source(str(study)), RunOptions(tmp_path / "records"), "slurm", Request(partition="x"))


def test_bad_requests_are_refused(tmp_path, study, monkeypatch):
    with pytest.raises(RunError, match="at least 1 job"):
        Request(jobs=0)
    with pytest.raises(RunError, match="--slurm time: this option of sbatch is set by"):
        Request(slurm={"time": "5"})
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(RunError, match="submit needs submitit: pip install submitit"):
        submit(open_source(str(study)), RunOptions(tmp_path / "records"), "local", Request())


# ---------------------------------------------------------------- Ray


class Client:
    """Ray's job submission as far as it is used: a shell runs each entry point at once."""

    asked: ClassVar[list[dict]] = []

    def submit_job(self, *, entrypoint, **more):
        ran = subprocess.run(["/bin/sh", "-c", entrypoint], check=False, stdin=subprocess.DEVNULL)
        self.asked.append(more | {"status": ran.returncode})
        return more["submission_id"]


class Nowhere:
    def __init__(self):
        raise ConnectionError("Could not connect to the cluster.\nAnd more.")


def ray(monkeypatch, client):
    module = ModuleType("ray.job_submission")
    module.JobSubmissionClient = client
    monkeypatch.setitem(sys.modules, "ray", ModuleType("ray"))
    monkeypatch.setitem(sys.modules, "ray.job_submission", module)


def test_ray_runs_the_command_of_each_job_into_a_file(tmp_path, study, monkeypatch):
    ray(monkeypatch, Client)
    monkeypatch.setattr("runs.submit.command", lambda *_: (sys.executable, "-c", "print('a \"word\"'); exit(3)"))
    jobs = submit(open_source(str(study)), RunOptions(tmp_path / "a b"), "ray", Request(jobs=2, gpus=1))
    assert [job.paths.stderr.read_text() for job in jobs] == ['a "word"\n'] * 2
    assert {job.paths.stderr.parent for job in jobs} == {tmp_path / "a b" / "jobs"}
    assert [asked.pop("submission_id") for asked in Client.asked] == [job.job_id for job in jobs]
    assert len({job.job_id for job in jobs}) == 2
    assert Client.asked == [{"entrypoint_num_cpus": 1, "entrypoint_num_gpus": 1, "status": 3}] * 2


def test_ray_that_is_not_there_is_one_message(tmp_path, study, monkeypatch):
    opened, options = open_source(str(study)), RunOptions(tmp_path / "records")
    with pytest.raises(RunError, match="--time, --partition and --slurm are options of the other clusters"):
        submit(opened, options, "ray", Request(partition="x"))
    ray(monkeypatch, Nowhere)
    with pytest.raises(RunError, match=r"Ray does not answer: Could not connect to the cluster\.; start a cluster"):
        submit(opened, options, "ray", Request())
    monkeypatch.setitem(sys.modules, "ray.job_submission", None)
    with pytest.raises(RunError, match=r"needs Ray with its job submission: pip install 'ray\[default\]'"):
        submit(opened, options, "ray", Request())
    assert not options.records.exists()


# ---------------------------------------------------------------- jobs that are stopped


def task_of(job):
    """The process of a local job, which its controller has started."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            if path.read_text().rpartition(")")[2].split()[1] == job.job_id:
                return int(path.parent.name)
        except OSError:  # it has just ended
            continue
    raise AssertionError("the job has no process")


def begun(job, records):
    while not list((records / "checkpoints").glob("*.safetensors")):
        assert not job.done(), logs([job])
        time.sleep(0.1)


@pytest.mark.slow
def test_a_job_whose_time_is_over_goes_on_and_one_that_is_stopped_keeps_what_it_has(tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    study, records = written(tmp_path, seeds=1, steps=20_000), tmp_path / "shared"
    opened, options = open_source(str(study)), RunOptions(records, devices=2, checkpoint=0.2)
    (job,) = submit(opened, options, "local", Request())
    begun(job, records)
    os.kill(task_of(job), signal.SIGUSR2)
    while "Requeued" not in logs([job])[0]:
        time.sleep(0.1)
    assert "stopped by SIGTERM; everything so far is kept" in logs([job])[0]
    time.sleep(1.0)  # the next process of the job
    os.kill(int(job.job_id), signal.SIGTERM)
    waited([job])
    unfinished = 4 - len(list((records / "points").glob("*/STATUS")))
    assert len(list((records / "locks").glob("*.lock"))) == 0
    ended(started(study, tmp_path / "alone"))
    (again,) = submit(opened, options, "local", Request())
    waited([again])
    assert unfinished >= 0
    same_tables(study, records, tmp_path / "alone", 4)
    assert all(Records(records).status(path.name) == "finished" for path in (records / "points").iterdir())
