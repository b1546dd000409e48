"""The lanes that `stepwell tune` has measured for a machine, kept beside the records: they override the rule.

The choice is by structure, backend and device kind, and is part of a record's `numerics` as any other number of lanes:
a record that was made with others is told as a conflict.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import jax

from dsl.experiments import Experiment
from dsl.identity import digest
from dsl.references import closed
from runs.files import replacing
from runs.options import RunError
from runs.records import RecordsError

FILE = "lanes.json"
MOST = 2**16
Place = tuple[str, str, str]


@dataclass(frozen=True)
class Tuned:
    """What was measured of one program.

    Attributes:
        structure: of its experiments, as a hash.
        backend: of JAX.
        device: its kind.
        lanes: the choice.
        rule: the lanes without a choice.
        microseconds: of a step and point, by lanes; medians.
        what: the program, for readers.
    """

    structure: str
    backend: str
    device: str
    lanes: int
    rule: int
    microseconds: Mapping[str, float]
    what: str = ""

    @property
    def place(self) -> Place:
        """What the choice is for."""
        return self.structure, self.backend, self.device


@dataclass(frozen=True)
class Choices:
    """The lanes chosen, by structure, backend and device kind."""

    lanes: Mapping[Place, int] = field(default_factory=dict)

    @classmethod
    def read(cls, records: Path) -> "Choices":
        """Those of a directory of records; none where there is no file.

        Raises:
            RecordsError: if the file is damaged.
        """
        return cls({_place(entry): entry["lanes"] for entry in _entries(records / FILE)})

    def of(self, experiment: Experiment) -> int | None:
        """The choice for the devices of this process."""
        if not self.lanes:
            return None
        return self.lanes.get((structure_hash(experiment), jax.default_backend(), jax.devices()[0].device_kind))


def keep(records: Path, found: Sequence[Tuned]) -> None:
    """Add choices to the file, in place of older ones for the same structure and device."""
    new = {tuned.place: asdict(tuned) for tuned in found}
    old = [entry for entry in _entries(records / FILE) if _place(entry) not in new]
    text = json.dumps([*old, *new.values()], indent=1)
    try:
        replacing(records / FILE, lambda draft: _write(draft, text))
    except OSError as error:
        raise RunError(f"cannot write {records / FILE}: {error.strerror}") from None


def structure_hash(experiment: Experiment) -> str:
    """A hash of what experiments that share a program have in common: the experiment with all its knobs zero."""
    return digest(jax.tree.map(lambda _: 0, closed(experiment)))


def _write(path: Path, text: str) -> None:
    path.write_text(text, "utf-8")


def _entries(path: Path) -> list[Any]:
    try:
        entries = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return []
    except (OSError, ValueError, RecursionError) as error:
        raise RecordsError(
            f"{path}: cannot be read: {error}; delete it, or run `stepwell tune --write` again"
        ) from None
    if not isinstance(entries, list) or not all(map(_whole, entries)):
        raise RecordsError(f"{path}: expected what `stepwell tune --write` writes; delete it, and tune again")
    return entries


def _whole(entry: Any) -> bool:
    if not isinstance(entry, dict) or not all(isinstance(entry.get(name), str) for name in _NAMES):
        return False
    return type(entry.get("lanes")) is int and 1 <= entry["lanes"] <= MOST


_NAMES = "structure", "backend", "device"


def _place(entry: Mapping[str, Any]) -> Place:
    structure, backend, device = (entry[name] for name in _NAMES)
    return structure, backend, device
