"""Jobs of `stepwell submit` on a Ray cluster, by its job submission: each is one command, and nothing is pickled.

Ray is imported where it is used: it is the extra `ray` of stepwell. The cluster is the one that RAY_ADDRESS names
(http://HOST:8265), or else that of this machine. Its nodes have Stepwell at the same path, and share the records.
"""

import secrets
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runs.options import RunError

NO_RAY = "--cluster ray needs Ray with its job submission: pip install 'ray[default]' (the extra `ray` of stepwell)"
NO_CLUSTER = "start a cluster with `ray start --head`, or name one with RAY_ADDRESS=http://HOST:8265"


@dataclass(frozen=True)
class Paths:
    """Where a job writes, as submitit's jobs say it."""

    stderr: Path


@dataclass(frozen=True)
class RayJob:
    """A job that Ray has; `ray job status`, `ray job stop` take its identifier."""

    job_id: str
    paths: Paths


def on_ray(folder: Path, command: tuple[str, ...], name: str, jobs: int, gpus: int) -> list[RayJob]:
    """Hand over jobs.

    Args:
        folder: where their output goes, seen by all nodes.
        command: of each.
        name: of the study.
        jobs: how many.
        gpus: of each job, which sees no other.

    Raises:
        RunError: if Ray is not installed, or there is no cluster.
        RuntimeError: if Ray refuses.
    """
    client = _client()
    folder.mkdir(parents=True, exist_ok=True)
    return [_submitted(client, folder, command, name, gpus) for _ in range(jobs)]


def _client() -> Any:
    try:
        from ray.job_submission import JobSubmissionClient  # type: ignore[import-not-found]  # an extra
    except ImportError:
        raise RunError(NO_RAY) from None
    try:
        return JobSubmissionClient()
    except (ConnectionError, ImportError, RuntimeError) as error:
        raise RunError(f"Ray does not answer: {str(error).splitlines()[0]}; {NO_CLUSTER}") from None


def _submitted(client: Any, folder: Path, command: tuple[str, ...], name: str, gpus: int) -> RayJob:
    identifier = f"stepwell-{name}-{secrets.token_hex(4)}"
    log = folder / f"{identifier}.log"
    # `exec`, so that a signal reaches the run itself, which stops where it can be kept
    entry = f"exec {shlex.join(command)} > {shlex.quote(str(log))} 2>&1"
    # a job that asks for nothing would run on the head node
    client.submit_job(entrypoint=entry, submission_id=identifier, entrypoint_num_cpus=1, entrypoint_num_gpus=gpus)
    return RayJob(identifier, Paths(log))
