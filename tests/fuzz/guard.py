"""A watch on this process: what it runs and which files it opens while it reads what strangers wrote."""

import codecs
import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

RUNS = (
    "exec", "compile", "os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "pickle.find_class",
    "marshal.loads", "ctypes.dlopen", "socket.connect", "code.__new__",
)  # fmt: skip
FILES = ("open", "os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.listdir", "os.scandir", "shutil.rmtree")
CODECS = ("utf-8-sig", "utf-16", "utf-16-be", "utf-16-le", "utf-32", "utf-32-be", "utf-32-le")
_STATE: dict[str, Any] = {"inside": None, "seen": [], "hooked": False}


@contextlib.contextmanager
def watched(inside: Path) -> Iterator[list[str]]:
    """The events that should not happen: code that is run, and files outside of a directory."""
    if not _STATE["hooked"]:
        for codec in CODECS:  # JSON may be in any of them, and Python imports each when it is first met
            codecs.lookup(codec)
        sys.addaudithook(_heard)  # cannot be taken away again, so it is asleep outside of this
        _STATE["hooked"] = True
    seen: list[str] = []
    _STATE.update(inside=os.path.realpath(inside), seen=seen)
    try:
        yield seen
    finally:
        _STATE["inside"] = None


def _heard(event: str, args: tuple[Any, ...]) -> None:
    inside = _STATE["inside"]
    if inside is None:
        return
    if event in RUNS:
        _STATE["seen"].append(f"{event} {args!r:.200}")
    elif event in FILES:
        outside = [p for p in map(_path, args[:2]) if p is not None and not (p == inside or p.startswith(f"{inside}/"))]
        _STATE["seen"].extend(f"{event} {path}" for path in outside)


def _path(value: Any) -> str | None:
    if not isinstance(value, (str, bytes, os.PathLike)) or value in ("r", "rb", "w", "wb", "x", "a"):
        return None
    return os.path.realpath(os.fsdecode(value))
