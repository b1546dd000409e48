"""The session: CPU, two host devices, the highest precision of products, and runtime checks of `theory`.

All of it is set before JAX is imported.
"""

import os
from pathlib import Path

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=2".strip()
os.environ.setdefault("PJRT_NPROC", "4")  # devices that wait for one another hang where XLA has fewer threads than this

# tests compile the same small programs again and again; one folder a process, so that none reads half a file
_CACHE = Path(__file__).parents[1] / ".pytest_cache" / f"xla-{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
os.environ["JAX_COMPILATION_CACHE_DIR"] = str(_CACHE)
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"

import jaxtyping  # noqa: E402 # after the environment is set

HOOK = jaxtyping.install_import_hook("theory", "beartype.beartype")

import jax  # noqa: E402 # after the hook is set
from hypothesis import settings  # noqa: E402 # the same

jax.config.update("jax_default_matmul_precision", "highest")
settings.register_profile("stepwell", deadline=None)  # the first example compiles
settings.load_profile("stepwell")
