"""The session: a process like the engine's own on the CPU, with two host devices, and runtime checks of `theory`.

Tests compile much and compute little, so XLA optimizes little, in this process and in those that it starts; what the
engine's bits are with all optimizations is seen by tests/runs/test_devices.py. All of it is set before JAX is imported.
"""

import gc
import os
from pathlib import Path

from runs.configure import environment

QUICK = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1", "XLA_FLAGS": "--xla_cpu_use_fusion_emitters=false"}
# the same small programs are compiled again and again; one folder a process, so that none reads half a file
CACHE = Path(__file__).parents[1] / ".pytest_cache" / f"xla-{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
os.environ |= QUICK | {"JAX_PLATFORMS": "cpu", "XDG_CACHE_HOME": str(CACHE)}
os.environ |= environment("float32", 2)

import jaxtyping  # noqa: E402 # after the environment is set

HOOK = jaxtyping.install_import_hook("theory", "beartype.beartype")

from hypothesis import settings  # noqa: E402 # the same

gc.set_threshold(1_000_000, 50, 1000)  # thousands of programs live until the end; looking through them takes long
settings.register_profile("stepwell", deadline=None)  # the first example compiles
settings.load_profile("stepwell")
