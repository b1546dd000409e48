"""Jobs on a cluster, or on the GPUs of one machine, that run one study together.

Every job is the same command, `stepwell run` on one shared directory of records; which job does what, the locks there
decide. A job that is killed costs time and nothing else, and submitting again goes on. A user's file travels by its
path and its hash: a job refuses a file that was changed in the meantime.

submitit, which talks to Slurm, is imported where it is used: it is the extra `submit` of stepwell. Jobs on Ray are in
`runs.ray_jobs`.
"""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from runs.options import RunError, RunOptions
from runs.ray_jobs import on_ray
from runs.sources import Opened

Cluster = Literal["slurm", "local", "ray"]
DAY = 24 * 60
RESTARTS = 100
"""How often a job may reach its time limit and be queued again: each time it goes on from its last checkpoint."""
OURS = frozenset({"time", "partition", "array", "output", "error", "signal", "open-mode", "job-name"})
"""The options of sbatch that are set here."""


@dataclass(frozen=True)
class Request:
    """What is asked of a cluster.

    Attributes:
        jobs: how many.
        gpus: of each job; on this machine each job sees its own GPUs alone.
        minutes: the time limit of a job.
        partition: of Slurm.
        slurm: other options of sbatch by their names, such as mem or account; True for one without a value.
    """

    jobs: int = 1
    gpus: int = 0
    minutes: int = DAY
    partition: str | None = None
    slurm: Mapping[str, str | bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.jobs < 1 or self.gpus < 0 or self.minutes < 1:
            raise RunError("submit: expected at least 1 job, 0 GPUs or more, and at least 1 minute")
        if taken := OURS & self.slurm.keys():
            raise RunError(f"--slurm {min(taken)}: this option of sbatch is set by `stepwell submit` itself")


@dataclass(frozen=True)
class Job:
    """The function of a job: one command, to which signals are passed on and whose status is the job's.

    submitit stores it with pickle, so it holds strings alone.
    """

    command: tuple[str, ...]

    def __call__(self) -> None:
        """Run the command to its end; another status than 0 ends the job with it."""
        # Slurm sends SIGUSR2 to all processes of a job when its time is nearly over; `checkpoint` answers it for all
        ignore = lambda: signal.signal(signal.SIGUSR2, signal.SIG_IGN)
        with subprocess.Popen(self.command, stdin=subprocess.DEVNULL, preexec_fn=ignore) as child:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda received, _: child.send_signal(received))
            _children.append(child.pid)
            status = child.wait()
        if status:
            sys.exit(status if status > 0 else 128 - status)

    def checkpoint(self) -> Any:
        """Called by submitit in a signal's handler, when a job must end: what is queued again in its place."""
        from submitit.helpers import DelayedSubmission

        for pid in _children:
            with suppress(ProcessLookupError, ChildProcessError):
                os.kill(pid, signal.SIGTERM)
                os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # `child.wait`, below this handler, is to reap it
        return DelayedSubmission(self)


_children: list[int] = []


def submit(opened: Opened, options: RunOptions, cluster: Cluster | None, request: Request) -> list[Any]:
    """Hand over jobs that run a study: submitit's jobs or Ray's, each with a `job_id` and `paths`.

    Args:
        opened: the study.
        options: of each run.
        cluster: Slurm, processes of this machine, or Ray; None is Slurm where there is one, else this machine.
        request: what is asked of it.

    Raises:
        RunError: where submitit or Ray is not installed, or the cluster refuses; with one clear message.
    """
    folder, words = options.records.absolute() / "jobs", command(opened, options)
    if cluster == "ray" and (request.partition or request.slurm or request.minutes != DAY):
        raise RunError("--cluster ray: --time, --partition and --slurm are options of the other clusters")
    try:
        if cluster == "ray":
            return list(on_ray(folder, words, opened.index, request.jobs, request.gpus))
        submitit, job = _submitit(), Job(words)
        has_slurm = cluster == "slurm" or (cluster is None and submitit.SlurmExecutor.affinity() > 0)
        return (on_slurm if has_slurm else on_this_machine)(submitit, folder, job, opened.index, request)
    except (OSError, RuntimeError, ValueError, subprocess.SubprocessError) as error:
        raise RunError(f"the jobs could not be submitted: {error}") from None


def command(opened: Opened, options: RunOptions) -> tuple[str, ...]:
    """The command of a job: `stepwell run` with absolute paths and all options that were given."""
    words = [sys.executable, "-P", "-m", "scripts.command", "run", str(opened.file or opened.source)]
    words += [] if opened.scale is None else ["--scale", opened.scale]
    words += [word for text in opened.overrides for word in ("--set", text)]
    words += [] if opened.sha256 is None else ["--sha256", opened.sha256]
    for option in fields(options):
        value = getattr(options, option.name)
        if value != option.default or option.name == "records":
            words += _flag(f"--{option.name.replace('_', '-')}", value)
    return tuple(words)


def _flag(name: str, value: Any) -> list[str]:
    if value is True:
        return [name]
    return [name, str(value.absolute() if isinstance(value, Path) else value)]


def _submitit() -> ModuleType:
    try:
        import submitit
    except ImportError:
        raise RunError("submit needs submitit: pip install submitit (the extra `submit` of stepwell)") from None
    return submitit


def on_slurm(submitit: ModuleType, folder: Path, job: Job, name: str, request: Request) -> list[Any]:
    """One array of jobs."""
    executor = submitit.SlurmExecutor(folder, max_num_timeout=RESTARTS)
    executor.update_parameters(
        job_name=f"stepwell-{name}",
        time=request.minutes,
        setup=["export PYTHONSAFEPATH=1"],  # a file of the working directory hides no module
        additional_parameters=dict(request.slurm),
        **({"gpus_per_node": request.gpus} if request.gpus else {}),
        **({"partition": request.partition} if request.partition else {}),
    )
    with executor.batch():
        jobs = [executor.submit(job) for _ in range(request.jobs)]
    return jobs


def on_this_machine(submitit: ModuleType, folder: Path, job: Job, name: str, request: Request) -> list[Any]:
    """Processes that outlive this one."""
    executor = submitit.LocalExecutor(folder, max_num_timeout=RESTARTS, python=f"{shlex.quote(sys.executable)} -P")
    jobs, gpus = [], _gpus(request.jobs * request.gpus)
    with _quiet():
        for number in range(request.jobs):
            mine = gpus[number * request.gpus : (number + 1) * request.gpus]
            executor.update_parameters(timeout_min=request.minutes, gpus_per_node=len(mine), visible_gpus=mine)
            jobs.append(executor.submit(job))
    return jobs


def _gpus(wanted: int) -> list[int]:
    """The first GPUs of this machine, or of those that CUDA_VISIBLE_DEVICES leaves."""
    visible = [int(word) for word in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if word.strip().isdigit()]
    if visible and len(visible) < wanted:
        raise RunError(f"the jobs ask for {wanted} GPUs, and CUDA_VISIBLE_DEVICES names {len(visible)}")
    return visible[:wanted] or list(range(wanted))


@contextmanager
def _quiet() -> Iterator[None]:
    """Children that are started here keep neither our output nor our errors open, for those who wait for their end."""
    sys.stdout.flush()
    kept = [(number, os.dup(number)) for number in (1, 2)]
    nothing = os.open(os.devnull, os.O_WRONLY)
    try:
        for number, _ in kept:
            os.dup2(nothing, number)
        yield
    finally:
        for number, copy in kept:
            os.dup2(copy, number)
            os.close(copy)
        os.close(nothing)
