"""Checkpoints: a block in the middle of its run, as one safetensors file that is whole or not there.

    root/checkpoints/<block>.safetensors       the last one
    root/checkpoints/<block>.previous          the one before, kept until the last is known to be whole

A checkpoint holds the state of every lane, the step, and what was observed so far. Constants (samples, test sets) are
rebuilt from the seed and not saved. A file that is damaged, or of another program, is passed over: the block goes on
from the one before, or from its start.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from runs.files import replacing
from runs.records import RecordsError

FORMAT = "1"


@dataclass(frozen=True)
class Observed:
    """What the lanes of a block were at one observation.

    Attributes:
        step: when.
        seconds: of computing until then.
        values: by measurement (and part of it), arrays with a leading axis of lanes.
        healthy: whether each lane had not diverged.
        done: whether each lane's run had ended.
        missed: of the last observation, what each lane's run has missed; it is not kept, since a block goes on before.
    """

    step: int
    seconds: float
    values: Mapping[str, Any]
    healthy: np.ndarray
    done: np.ndarray
    missed: np.ndarray | None = None


@dataclass(frozen=True)
class Snapshot:
    """A block between two chunks.

    Attributes:
        stamp: what it belongs to: the points of the lanes and their numerics.
        step: steps made.
        due: the place in the schedule of the next observation.
        seconds: of computing so far.
        state: the leaves of the state, with a leading axis of lanes.
        history: the observations so far.
    """

    stamp: str
    step: int
    due: int
    seconds: float
    state: Sequence[np.ndarray]
    history: Sequence[Observed] = field(default_factory=list)


class Checkpoints:
    """The checkpoints below one directory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, block: str, snapshot: Snapshot) -> None:
        """Write a checkpoint; the one before is kept until this one is whole.

        Raises:
            RecordsError: if it cannot be written.
        """
        path = self._path(block)
        try:
            replacing(path, lambda draft: _write(draft, snapshot), before=lambda: self._keep_previous(path))
        except OSError as error:
            raise RecordsError(f"cannot write the checkpoint {path}: {error.strerror or error}") from error

    def load(self, block: str, stamp: str) -> Snapshot | None:
        """The last whole checkpoint of a block with this stamp; None where there is none."""
        for path in (self._path(block), self._previous(block)):
            snapshot = _read(path)
            if snapshot is not None and snapshot.stamp == stamp:
                return snapshot
        return None

    def names(self) -> set[str]:
        """The blocks that have a checkpoint."""
        return {path.stem for path in self.folder.glob("[!.]*")} if self.folder.is_dir() else set()

    def drop(self, block: str) -> None:
        """The block is done."""
        for path in (self._path(block), self._previous(block)):
            path.unlink(missing_ok=True)

    def _path(self, block: str) -> Path:
        return self.folder / f"{block}.safetensors"

    def _previous(self, block: str) -> Path:
        return self.folder / f"{block}.previous"

    def _keep_previous(self, path: Path) -> None:
        if path.exists():
            path.replace(self._previous(path.stem))


def _write(path: Path, snapshot: Snapshot) -> None:
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    tensors = {f"state/{i}": np.asarray(leaf, order="C") for i, leaf in enumerate(snapshot.state)}
    for i, seen in enumerate(snapshot.history):
        tensors |= {f"healthy/{i}": np.asarray(seen.healthy), f"done/{i}": np.asarray(seen.done)}
        tensors |= {json.dumps(["value", i, *name]): value for name, value in _flat(seen.values)}
    about = {
        "stamp": snapshot.stamp,
        "step": snapshot.step,
        "due": snapshot.due,
        "seconds": snapshot.seconds,
        "history": [[seen.step, seen.seconds] for seen in snapshot.history],
        "leaves": len(snapshot.state),
    }
    whole = {"format": FORMAT, "about": json.dumps(about)}
    try:
        save_file(tensors, path, metadata={**whole, "checksum": _checksum(whole, tensors)})
    except SafetensorError as error:
        raise OSError(str(error)) from error


def _read(path: Path) -> Snapshot | None:
    """A checkpoint; None where there is no whole one."""
    from safetensors import safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            metadata = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # it is not a dict
        checksum = metadata.pop("checksum", "")
        if metadata.get("format") != FORMAT or _checksum(metadata, tensors) != checksum:
            return None
        return _snapshot(json.loads(metadata["about"]), tensors)
    except Exception:  # whatever a damaged file makes a reader say, it is no checkpoint
        return None


def _snapshot(about: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> Snapshot:
    values: list[dict[str, Any]] = [{} for _ in about["history"]]
    for key, tensor in tensors.items():
        if key.startswith("["):
            _, i, *name = json.loads(key)
            _put(values[i], name, tensor)
    history = [
        Observed(step, seconds, values[i], tensors[f"healthy/{i}"], tensors[f"done/{i}"])
        for i, (step, seconds) in enumerate(about["history"])
    ]
    state = [tensors[f"state/{i}"] for i in range(about["leaves"])]
    return Snapshot(about["stamp"], about["step"], about["due"], about["seconds"], state, history)


def _flat(values: Mapping[str, Any], path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], np.ndarray]]:
    """The arrays of nested dictionaries, with the way to each."""
    found = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            found += _flat(value, (*path, name))
        else:
            found.append(((*path, name), np.asarray(value, order="C")))
    return found


def _put(values: dict[str, Any], path: Sequence[str], tensor: np.ndarray) -> None:
    for name in path[:-1]:
        values = values.setdefault(name, {})
    values[path[-1]] = tensor


def _checksum(metadata: Mapping[str, str], tensors: Mapping[str, np.ndarray]) -> str:
    told = hashlib.sha256(json.dumps(sorted(metadata.items())).encode())
    for name in sorted(tensors):
        array = tensors[name]
        told.update(json.dumps([name, str(array.dtype), list(array.shape)]).encode())
        told.update(np.asarray(array, order="C").tobytes())
    return told.hexdigest()
