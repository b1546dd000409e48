"""Files that are whole or not there: written under a name of their own, flushed, and renamed into place."""

import errno
import hashlib
import os
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path

from runs.processes import gone, me

DRAFT = ".tmp-"


def draft_name(name: str) -> str:
    """A name that no other process uses, for a file or folder that is being written; it says who writes."""
    return f"{DRAFT}{name[:64]}-{me()}-{secrets.token_hex(8)}"


def sweep(folder: Path) -> None:
    """Remove the drafts in a folder whose writers are known to have ended."""
    for entry in os.scandir(folder):
        parts = entry.name.split("-")
        if entry.name.startswith(DRAFT) and len(parts) > 3 and gone(parts[-2]):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                Path(entry.path).unlink(missing_ok=True)


def content_hash(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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


def named_by_content(folder: Path, suffix: str, write: Callable[[Path], None]) -> Path:
    """Write a file whose name is the hash of its content; returns where it is."""
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / draft_name("new")
    try:
        write(draft)
        flush(draft)
        return draft.replace(folder / f"{content_hash(draft)}{suffix}")
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
