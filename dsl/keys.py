"""Keys of randomness: everything comes from an experiment's seed, folded by purpose and by step.

Purposes are names (`init`, `data`, `target`, `noise`, `measure`), so two points that differ in a knob share their data
and their initialisation, and a run is resumed from its step alone.
"""

import zlib
from typing import Any

import jax
from jaxtyping import Array, Int, Key


def root(seed: int | Int[Array, ""]) -> Key[Array, ""]:
    """The key of a seed.

    Raises:
        ValueError: if JAX is set to make `rbg` keys, whose numbers under `vmap` differ from those of a loop.
    """
    made_by = jax.config.jax_default_prng_impl  # type: ignore[attr-defined]  # defined at run time by jax
    if made_by != "threefry2x32":
        raise ValueError(f"keys of jax_default_prng_impl={made_by!r} are refused; set it to 'threefry2x32'")
    return jax.random.key(seed)


def fold(key: Key[Array, ""], purpose: str | int | Int[Array, ""]) -> Key[Array, ""]:
    """The key for a purpose (by its name) or for a step (by its number)."""
    number: Any = zlib.crc32(purpose.encode()) if isinstance(purpose, str) else purpose
    return jax.random.fold_in(key, number)
