"""How a study is run: everything that must not change its numbers."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Mapper = Literal["shard_map", "pmap"]


class RunError(Exception):
    """A run that cannot go on, with one clear message."""


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
    """

    records: Path = Path("records")
    mapper: Mapper = "shard_map"
    devices: int | None = None
    rerun: bool = False
    accept: bool = False
    data: Path | None = None
