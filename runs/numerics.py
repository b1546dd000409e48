"""What decides the bits of a result and is not in its digest: versions, precision, lanes, backend, foreign nouns."""

import functools
import importlib.metadata
from collections.abc import Mapping
from typing import Any

import jax

from dsl.experiments import Experiment
from dsl.identity import walk
from dsl.imported import Imported
from dsl.program import requires
from dsl.spec import kind
from runs.sourcehash import source_hash

PACKAGES = ("stepwell", "jax", "jaxlib", "equinox", "optax", "ott-jax", "numpy", "scipy")
SAMPLERS = {"bits": "packed-1", "normal": "jax-1", "order": "feistel-1"}
"""The samplers and their versions, raised when one of them draws other numbers for a key."""


def numerics(
    experiment: Experiment, lanes: int, shards: int = 1, process: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """What must agree, beside the digest, before a finished point is taken instead of computed.

    Args:
        experiment: the point.
        lanes: points in its block.
        shards: devices that share its batch; named where there are many.
        process: what `here` says where it runs; None asks this process.
    """
    fields: Any = experiment
    return {
        "versions": versions() | further(experiment),
        "samplers": SAMPLERS,
        "precision": fields.precision,
        **(here() if process is None else process),
        "lanes": lanes,
        **({"data_shards": shards} if shards > 1 else {}),
        "foreign": foreign(experiment),
    }


def here() -> dict[str, Any]:
    """What this process, with its backend, has of the numerics."""
    return {
        "matmul_precision": str(jax.config.jax_default_matmul_precision),  # type: ignore[attr-defined]  # set at run time
        "threefry_partitionable": bool(jax.config.jax_threefry_partitionable),  # type: ignore[attr-defined]  # the same
        "backend": jax.default_backend(),
        "device": jax.devices()[0].device_kind,
    }


@functools.cache
def versions() -> dict[str, str]:
    """The installed versions of what computes."""
    return {name: importlib.metadata.version(name) for name in PACKAGES}


def further(experiment: Experiment) -> dict[str, str | None]:
    """The versions of what single nouns are computed by, of those in inner experiments too; None where it is absent."""
    names = {name for _, noun in walk(experiment) for name in type(noun).packages}
    found = {name: _version(name) for name in sorted(names)}
    for inner in requires(experiment):
        found |= further(inner)
    return found


@functools.cache
def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def foreign(experiment: Experiment) -> dict[str, str]:
    """The source hash of every noun and network that is not ours, in an experiment and in those that it requires."""
    nouns = [noun for _, noun in walk(experiment)]
    found = {kind(noun): source_hash(type(noun)) for noun in nouns if "." in kind(noun)}
    found |= {noun.net: source_hash(noun.framework().network) for noun in nouns if isinstance(noun, Imported)}
    for inner in requires(experiment):
        found |= foreign(inner)
    return dict(sorted(found.items()))


def differences(old: Any, new: Any, path: str = "") -> list[str]:
    """What differs between two numerics, one line each, such as `lanes: 1 then, 8 now`."""
    if isinstance(old, dict) and isinstance(new, dict):
        names = sorted({*old, *new})
        return [line for n in names for line in differences(old.get(n), new.get(n), f"{path}.{n}" if path else n)]
    if path.startswith("foreign.") and old != new:
        return [f"the code of {path.removeprefix('foreign.')}, or what it uses, is another"]
    return [] if old == new else [f"{path}: {old} then, {new} now"]
