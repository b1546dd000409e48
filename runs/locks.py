"""Locks on blocks of work, so that many processes share one study: the records directory is the queue.

A lock is a file that one process makes and touches while it works. It is dead when nobody has touched it for a while on
the watcher's own clock (no clocks are compared, so they may jump), or at once when its owner was a process of this host
that is gone. Locks save work and decide nothing: two processes that do the same block commit the same points, and the
first commit wins.
"""

import json
import os
import secrets
import socket
import threading
import time
from pathlib import Path
from typing import Any

from runs.options import RunError
from runs.processes import born

BEAT_SECONDS = 5.0
DEAD_SECONDS = 60.0
LARGEST_PID = 2**31


class Locks:
    """The locks that this process takes below one directory.

    Args:
        folder: where the lock files are.
        beat: seconds between two touches of the held locks.
        dead: seconds without a touch after which another's lock is taken over.
    """

    def __init__(self, folder: Path, beat: float = BEAT_SECONDS, dead: float = DEAD_SECONDS) -> None:
        self.folder, self.beat, self.dead = folder, beat, dead
        self._owner = secrets.token_hex(8)
        self._held: set[Path] = set()
        self._seen: dict[Path, tuple[Any, float]] = {}
        self._ended = threading.Event()
        self._heart: threading.Thread | None = None

    def take(self, name: str) -> bool:
        """Take a lock that is free or dead; False while another lives with it."""
        path = self.folder / f"{name}.lock"
        if not self._made(path) and not (self._dead(path) and self._cleared(path) and self._made(path)):
            return False
        self._seen.pop(path, None)
        self._held.add(path)
        self._beating()
        return True

    def free(self, name: str) -> None:
        """Give a lock back; one that was taken over in the meantime is its new owner's."""
        path = self.folder / f"{name}.lock"
        self._held.discard(path)
        if _read(path).get("owner") == self._owner:
            path.unlink(missing_ok=True)

    def close(self) -> None:
        """Give all locks back."""
        self._ended.set()
        for path in tuple(self._held):
            self.free(path.stem)

    def _made(self, path: Path) -> bool:
        about = {"owner": self._owner, "host": socket.gethostname(), "pid": os.getpid(), "born": born(os.getpid())}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with path.open("x") as file:
                json.dump(about, file)
        except FileExistsError:
            return False
        except OSError as error:
            raise RunError(f"cannot write the lock {path}: {error.strerror}") from None
        return True

    def _dead(self, path: Path) -> bool:
        about = _read(path)
        if about.get("host") == socket.gethostname() and born(about["pid"]) != about["born"]:
            return True
        state = about.get("owner"), _touched(path)
        before, since = self._seen.setdefault(path, (state, time.monotonic()))
        if before != state:
            self._seen[path] = state, time.monotonic()
            return False
        return time.monotonic() - since > self.dead

    def _cleared(self, path: Path) -> bool:
        """Move a dead lock away; one that another has just made in its place goes back."""
        dead, aside = _read(path), path.with_name(f".{path.stem}-{secrets.token_hex(8)}")
        try:
            path.rename(aside)
        except FileNotFoundError:
            return True
        mine = _read(aside) == dead
        try:
            if not mine:
                os.link(aside, path)
        except FileExistsError:
            pass
        finally:
            aside.unlink(missing_ok=True)
        return mine

    def _beating(self) -> None:
        if self._heart is None:
            self._heart = threading.Thread(target=self._touch, daemon=True)
            self._heart.start()

    def _touch(self) -> None:
        while not self._ended.wait(self.beat):
            for path in tuple(self._held):
                try:
                    os.utime(path)
                except OSError:  # taken over, or a disk that is away for a moment: the lock may be lost, no result is
                    continue


def _read(path: Path) -> dict[str, Any]:
    """Who holds a lock; nothing where the file is gone, or its owner is just writing it."""
    try:
        about = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    known = isinstance(about, dict) and "born" in about and isinstance(about.get("pid"), int)
    return about if known and 0 < about["pid"] < LARGEST_PID else {}


def _touched(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
