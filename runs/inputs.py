"""Arrays from outside: found, checked by content, and given to programs."""

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dsl.experiments import Experiment
from dsl.identity import digest
from dsl.program import references, requires
from dsl.results import Stored
from runs.options import RunError
from runs.store import Store

Arrays = Mapping[str, np.ndarray]


def blocked_by(experiment: Experiment, store: Store) -> str | None:
    """The digest of a required experiment that did not finish; None if all did."""
    for inner in requires(experiment):
        if store.status(digest(inner)) != "finished":
            return digest(inner)
    return None


def results(experiment: Experiment, store: Store) -> dict[str, Arrays]:
    """What the experiment reads of the experiments that it requires, by path."""
    sources = {path: noun.source() for path, noun in references(experiment).items()}
    return {p: store.arrays(digest(s[0]), s[1], s[2]) for p, s in sources.items() if s is not None}


def stored(experiment: Experiment, data: Path | None) -> dict[str, Arrays]:
    """The stored arrays that the experiment reads, by path."""
    nouns = references(experiment).items()
    return {path: _read(noun, data) for path, noun in nouns if isinstance(noun, Stored)}


def contents(experiment: Experiment) -> tuple[tuple[str, str], ...]:
    """The hash of each stored file that the experiment reads, by path: arrays that lanes share must be the same."""
    nouns = references(experiment).items()
    return tuple((path, noun.sha256) for path, noun in nouns if isinstance(noun, Stored))


def _read(noun: Stored, data: Path | None) -> Arrays:
    """Arrays of a file whose bytes are those that the spec names.

    Raises:
        RunError: if the file is not there, or is another one.
    """
    if data is None:
        raise RunError(f"{noun!r} is read from a directory of stored arrays: say which with --data DIR")
    path = data / noun.name
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RunError(f"{noun!r}: cannot read {path}: {error.strerror}") from None
    found = hashlib.sha256(content).hexdigest()
    if found != noun.sha256:
        raise RunError(f"{path} is not the file that the spec names: its sha256 is {found}, expected {noun.sha256}")
    return _arrays(path, content)


def _arrays(path: Path, content: bytes) -> Arrays:
    match path.suffix:
        case ".npz":
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                return {name: file[name] for name in file.files}
        case ".npy":
            return {"value": np.load(io.BytesIO(content), allow_pickle=False)}
        case ".safetensors":
            from safetensors.numpy import load

            return load(content)
    raise RunError(f"{path}: expected a file of arrays (.npz, .npy or .safetensors), got {path.suffix or 'no suffix'}")


def signature(arrays: Mapping[str, Arrays]) -> Any:
    """Names, shapes and types: points whose inputs differ in them cannot share a program."""
    return tuple(
        (path, name, value.shape, str(value.dtype)) for path in sorted(arrays) for name, value in arrays[path].items()
    )
