"""The session: a process like the engine's own on the CPU, with two host devices, and runtime checks of `theory`.

All of it is set before JAX is imported.
"""

import os
from pathlib import Path

from runs.configure import environment

os.environ |= environment("float32", 2) | {"JAX_PLATFORMS": "cpu"}

# tests compile the same small programs again and again; one folder a process, so that none reads half a file
_CACHE = Path(__file__).parents[1] / ".pytest_cache" / f"xla-{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
os.environ["JAX_COMPILATION_CACHE_DIR"] = str(_CACHE)

import jaxtyping  # noqa: E402 # after the environment is set

HOOK = jaxtyping.install_import_hook("theory", "beartype.beartype")

import jax  # noqa: E402 # after the hook is set
from hypothesis import settings  # noqa: E402 # the same

jax.config.update("jax_disable_most_optimizations", True)  # tests compile much and compute little; tests/runs has them
settings.register_profile("stepwell", deadline=None)  # the first example compiles
settings.load_profile("stepwell")
