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
class Hosts:
    """Many processes that compute together.

    Attributes:
        count: how many; None where JAX finds them (Slurm, TPU pods, GKE).
        rank: the number of this one, from 0; None where JAX finds it.
        coordinator: HOST:PORT at which process 0 listens; None where JAX finds it.
    """

    count: int | None = None
    rank: int | None = None
    coordinator: str | None = None

    @classmethod
    def of(cls, hosts: str, rank: int | None, coordinator: str | None) -> "Hosts":
        """From the flags.

        Raises:
            RunError: if they do not fit together.
        """
        if hosts == "auto":
            if (rank, coordinator) != (None, None):
                raise RunError("--hosts auto finds the rank and the coordinator by itself: leave them out")
            return cls()
        if not hosts.isdecimal() or int(hosts) < 2:
            raise RunError(f"--hosts {hosts}: expected the number of processes, at least 2, or auto")
        if rank is None or not 0 <= rank < int(hosts):
            raise RunError(f"--hosts {hosts} needs the number of this process, --rank from 0 to {int(hosts) - 1}")
        if coordinator is None or not coordinator.rpartition(":")[2].isdecimal():
            raise RunError(f"--hosts {hosts} needs the address at which process 0 listens: --coordinator HOST:PORT")
        return cls(int(hosts), rank, coordinator)


@dataclass(frozen=True)
class RunOptions:
    """Options of a run; none of them is part of a spec.

    Attributes:
        records: the directory of results.
        mapper: what maps points over devices; both give the same bits.
        devices: the number of host devices on the CPU backend (at least 2); None is one for each core.
        rerun: run points again whose records were made with other numerics; the old records are kept aside.
        accept: take such records as they are.
        data: the directory in which `Stored` arrays are found; None is STEPWELL_DATA, or else `data` where we are.
        checkpoint: seconds between two checkpoints of a block.
        data_shards: devices that share the batch of each point, or the rows of its Sinkhorn; they change the last bits.
        hosts: the processes that compute together; None is this one alone.
        widest: the most lanes that `stepwell tune` tries; None is a bound by the number of points and the backend.
    """

    records: Path = Path("records")
    mapper: Mapper = "shard_map"
    devices: int | None = None
    rerun: bool = False
    accept: bool = False
    data: Path | None = None
    checkpoint: float = 60.0
    data_shards: int = 1
    hosts: Hosts | None = None
    widest: int | None = None
