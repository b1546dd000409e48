"""Files that are whole or not there: written under a name of their own, flushed, and renamed into place."""

import errno
import os
import secrets
from collections.abc import Callable
from pathlib import Path


def draft_name(name: str) -> str:
    """A name that no other process uses, for a file or folder that is being written."""
    return f".tmp-{name}-{secrets.token_hex(8)}"


def replacing(path: Path, write: Callable[[Path], None], before: Callable[[], None] | None = None) -> None:
    """Write a file in place of an old one, which stays until the new one is whole.

    Args:
        path: of the file.
        write: writes the file that it is given.
        before: called when the new file is whole and not yet in place.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(draft_name(path.stem))
    try:
        write(draft)
        flush(draft)
        if before is not None:
            before()
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def rename_exclusively(source: Path, target: Path) -> bool:
    """Rename a directory unless the target exists: the system refuses to replace a directory that is not empty."""
    try:
        source.rename(target)
    except OSError as reason:
        if reason.errno in (errno.EEXIST, errno.ENOTEMPTY):
            return False
        raise
    return True


def flush(path: Path) -> None:
    """Wait until the disk has a file, or the entries of a directory."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
