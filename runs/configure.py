"""A process for one precision: what must be set before JAX starts.

Precision and the number of host devices belong to a process in JAX, so each precision of a study has its own worker,
started with the environment made here; user code is imported only after that.
"""

import math
import os
from pathlib import Path
from typing import Any

from runs.options import RunError


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def environment(precision: str, devices: int | None, shards: int = 1, alone: bool = True) -> dict[str, str]:
    """The environment variables of a worker, on top of those of this process.

    Args:
        precision: of its experiments.
        devices: host devices on the CPU backend; None is one for each core, or more, so that `shards` divide them.
        shards: devices that share a batch.
        alone: whether no other process computes with it.
    """
    # a mesh of one device is another compilation than a mesh of several (Adam's bits differ), so never fewer than two
    count = max(2 if alone else 1, devices or (cores() if not alone else math.ceil(cores() / shards) * shards))
    flags = [
        *os.environ.get("XLA_FLAGS", "").split(),
        f"--xla_force_host_platform_device_count={count}",
        "--xla_cpu_multi_thread_eigen=false",
    ]
    return {
        # devices that wait, for one another or for a batched factorisation, hang where XLA has too few threads for them
        "PJRT_NPROC": str(max(2 * count, cores())),
        "XLA_FLAGS": " ".join(flags),
        # each device has its core: threads of factorisations would wait for one another's (7 times as slow on 2 cores
        # that others use too), and their number would decide last bits
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "JAX_ENABLE_X64": "1" if precision == "float64" else "0",
        "JAX_DEFAULT_MATMUL_PRECISION": "highest",  # TF32 silently ruins theory experiments
        "JAX_THREEFRY_PARTITIONABLE": "1",
        "JAX_DEFAULT_PRNG_IMPL": "threefry2x32",
        "JAX_COMPILATION_CACHE_DIR": str(_cache()),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "stepwell" / "xla"


def pin_to_cpu() -> None:
    """Keep a planning process off the accelerators, which belong to its workers."""
    import jax

    jax.config.update("jax_platforms", "cpu")


def require(precision: str) -> None:
    """Refuse to run an experiment in a process of the other precision.

    Raises:
        RunError: saying how to set the process up.
    """
    import jax

    here: Any = jax.config.jax_enable_x64  # type: ignore[attr-defined]  # defined at run time by jax
    if here != (precision == "float64"):
        wanted = "true" if precision == "float64" else "false"
        raise RunError(
            f"this process computes in {'float64' if here else 'float32'}, the experiment in {precision}: call "
            f"jax.config.update('jax_enable_x64', {wanted.title()}) before any array exists, or use `stepwell run`"
        )
