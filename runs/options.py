"""How a study is run: everything that must not change its numbers."""

import signal as signals
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Mapper = Literal["shard_map", "pmap"]


class RunError(Exception):
    """A run that cannot go on, with one clear message."""


class Interrupted(Exception):
    """A run that a signal has ended, with everything kept.

    Attributes:
        signal: its number.
    """

    def __init__(self, signal: int) -> None:
        super().__init__(f"stopped by {signals.Signals(signal).name}; everything so far is kept")
        self.signal = signal


@dataclass(frozen=True)
class RunOptions:
    """Options of a run; none of them is part of a spec.

    Attributes:
        records: the directory of results.
        mapper: what maps points over devices; both give the same bits.
        devices: the number of host devices on the CPU backend (at least 2); None is one for each core.
        rerun: run points again whose records were made with other numerics; the old records are kept aside.
        accept: take such records as they are.
        data: the directory in which `Stored` arrays are found.
        checkpoint: seconds between two checkpoints of a block.
    """

    records: Path = Path("records")
    mapper: Mapper = "shard_map"
    devices: int | None = None
    rerun: bool = False
    accept: bool = False
    data: Path | None = None
    checkpoint: float = 60.0
