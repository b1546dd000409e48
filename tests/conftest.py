"""The session: CPU, two host devices, the highest precision of products, and runtime checks of `theory`.

All of it is set before JAX is imported.
"""

import os

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=2".strip()

import jaxtyping  # noqa: E402 # after the environment is set

HOOK = jaxtyping.install_import_hook("theory", "beartype.beartype")

import jax  # noqa: E402 # after the hook is set
from hypothesis import settings  # noqa: E402 # the same

jax.config.update("jax_default_matmul_precision", "highest")
settings.register_profile("stepwell", deadline=None)  # the first example compiles
settings.load_profile("stepwell")
