"""Keys of randomness: everything comes from an experiment's seed, folded by purpose and by step.

Purposes have names, so two points that differ in a knob share their data and their initialisation, and a run is resumed
from its step alone.
"""

import zlib
from typing import Any, NamedTuple

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


class Streams(NamedTuple):
    """The keys of a run, one for each purpose.

    They are folded once, outside the loop over steps: a fold is a loop of its own, and some microseconds of each step.

    Attributes:
        init: the initial model, or solver.
        data: samples, and the examples of each step.
        target: random targets: teachers, trees.
        noise: of a protocol's or solver's steps.
        measure: test sets, and the randomness of measurements.
    """

    init: Key[Array, ""]
    data: Key[Array, ""]
    target: Key[Array, ""]
    noise: Key[Array, ""]
    measure: Key[Array, ""]


def streams(seed: int | Int[Array, ""]) -> Streams:
    """The keys of a run with this seed."""
    key = root(seed)
    return Streams(*(fold(key, purpose) for purpose in Streams._fields))


def fold(key: Key[Array, ""], purpose: str | int | Int[Array, ""]) -> Key[Array, ""]:
    """The key for a purpose (by its name) or for a step (by its number)."""
    number: Any = zlib.crc32(purpose.encode()) if isinstance(purpose, str) else purpose
    return jax.random.fold_in(key, number)
