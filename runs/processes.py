"""Who a process is, so that what it left behind can be told from what it is writing."""

import functools
import hashlib
import os
import socket
from pathlib import Path


def born(pid: int) -> str | None:
    """When a process of this host began, which tells it from a later one of the same number; None if it is gone."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:  # it lives, and is another user's
        pass
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # no such file system: the number must do
        return "alive"
    return None if fields[0] == "Z" else fields[19]


def me() -> str:
    """This process, in letters, digits and dots."""
    return f"{machine()}.{os.getpid()}.{born(os.getpid())}"


def gone(who: str) -> bool:
    """Whether a process that `me` has named is known to have ended; one that cannot be seen from here may live."""
    where, _, process = who.partition(".")
    pid, _, since = process.partition(".")
    return where == machine() and pid.isdecimal() and 0 < int(pid) < 2**31 and born(int(pid)) != since


@functools.cache
def machine() -> str:
    """Where the numbers of processes mean the same: this host since it started, and this container."""
    told = [socket.gethostname()]
    for source in (
        lambda: Path("/proc/sys/kernel/random/boot_id").read_text(),
        lambda: os.readlink("/proc/self/ns/pid"),
    ):
        try:
            told.append(source())
        except OSError:  # no such file system
            told.append("")
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:12]
