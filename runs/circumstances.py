"""What decides, beside a spec, how a worker lays a program out: the code, what is installed, and the machine.

Hashes of it tell whether what was found before still stands. They err on one side only: whatever is another, work is
done again that need not have been.
"""

import glob
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from runs import choices
from runs.configure import environment
from runs.options import RunOptions
from runs.processes import machine
from runs.userfile import OURS, STDLIB

VARIABLES = ("JAX_", "XLA_", "PJRT_", "CUDA_", "NVIDIA_", "ROCM_", "ROCR_", "HIP_", "HSA_", "TPU_", "LIBTPU_", "LD_")
"""Beginnings of the names of environment variables that choose a backend, its devices or their memory."""
DEVICES = ("/dev/nvidia*", "/dev/accel*", "/dev/vfio/*", "/dev/kfd", "/dev/dri/*")


def code() -> str:
    """A hash of Stepwell's files, of those of a user that were imported, and of the names of all that is installed."""
    found = hashlib.sha256(json.dumps([sys.version, sorted(_installed())]).encode())
    for path in (*sorted(_ours()), *sorted(_users())):
        found.update(f"\n{path}\n".encode())
        found.update(_content(path))
    return found.hexdigest()


def circumstances(code: str, options: RunOptions) -> str:
    """A hash of everything that the lanes of a program, its backend and its device kind follow from.

    Args:
        code: what `code` says of this process.
        options: of the run.
    """
    told = {
        "code": code,
        "machine": machine(),
        "devices": sorted(name for pattern in DEVICES for name in glob.glob(pattern)),
        "variables": sorted((name, value) for name, value in os.environ.items() if name.startswith(VARIABLES)),
        "worker": environment("float32", options.devices, options.data_shards),
        "tuned": _content(str(options.records / choices.FILE)).decode(errors="replace"),
    }
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def _installed() -> set[str]:
    """The folders that say what is installed, with its version."""
    folders = [folder for folder in sys.path if os.path.isdir(folder)]
    return {name for folder in folders for name in os.listdir(folder) if name.endswith((".dist-info", ".egg-info"))}


def _ours() -> Iterator[str]:
    for root in OURS:
        for folder, below, names in os.walk(root):
            below[:] = [name for name in below if name != "__pycache__"]
            yield from (os.path.join(folder, name) for name in names)


def _users() -> Iterator[str]:
    """The files of the modules that are neither Python's, nor installed, nor ours, nor what started this process."""
    known = tuple(f"{root}{os.sep}" for root in (*OURS, *STDLIB))
    for name, module in tuple(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if name != "__main__" and isinstance(file, str) and "site-packages" not in file and not file.startswith(known):
            yield file


def _content(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:  # the module of a prompt, or a file that is gone
        return b""
