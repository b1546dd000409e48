"""What is known of the record of a point without reading its measurements."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

TICK = 2 * 10**9  # the coarsest clock of a file system, in nanoseconds


class Stamp(NamedTuple):
    """What tells a record from another, and its rows from those of others.

    Attributes:
        record: its random name.
        status: how its run ended.
        shapes: those of its measurements, as JSON.
        rows: how many it has.
    """

    record: str
    status: str
    shapes: str
    rows: int


class Seal(NamedTuple):
    """What is another when something in a point's directory was replaced, or the directory itself.

    Attributes:
        changed: its time of modification in nanoseconds; compared for equality alone, so clocks may jump.
        inode: its number in the file system.
    """

    changed: int
    inode: int


@dataclass(frozen=True)
class Found:
    """The stamp of a record as it was read, with its environment and the seal that its directory had."""

    seal: Seal
    stamp: Stamp
    environment: str


def seal(folder: Path | str) -> Seal | None:
    """The seal of a directory; None where there is none."""
    try:
        about = os.stat(folder)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return Seal(about.st_mtime_ns, about.st_ino)


def break_seal(folder: Path, old: Seal) -> None:
    """Make sure that a directory in which something was replaced has another seal: its clock may tick too slowly."""
    if seal(folder) == old:
        os.utime(folder, ns=(old.changed + TICK, old.changed + TICK))
