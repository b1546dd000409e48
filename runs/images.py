"""Folders of images as arrays: one folder for each class, or images alone."""

from pathlib import Path
from typing import Any

import numpy as np

from runs.options import RunError

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
"""What is tried: none of them can hold a program."""
MODES = ("L", "RGB")


def read_images(folder: Path) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """The images of a folder, sorted by class and name.

    Args:
        folder: of images, or of folders of images, whose names are the classes; what is hidden is passed over.

    Returns:
        x, the pixels as bytes, shape (n, height, width) or (n, height, width, 3); with classes y, their numbers, shape
        (n,); and the names of the classes.

    Raises:
        RunError: if a file is no image, is damaged, has many frames, or another size or mode than the first; it is
            named.
    """
    entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    classes = tuple(entry.name for entry in entries if entry.is_dir())
    if loose := [entry for entry in entries if not entry.is_dir()] if classes else []:
        raise RunError(f"{loose[0]} lies beside folders of images; expected images alone, or a folder for each class")
    folders = [folder / name for name in classes] or [folder]
    files = [[file for file in sorted(each.iterdir()) if not file.name.startswith(".")] for each in folders]
    if empty := [str(each) for each, inside in zip(folders, files, strict=True) if not inside]:
        raise RunError(f"{empty[0]} holds no images")
    flat = [file for inside in files for file in inside]
    arrays = {"x": _stacked(flat)}
    if classes:
        arrays["y"] = np.repeat(np.arange(len(files), dtype=np.int32), [len(inside) for inside in files])
    return arrays, classes


def _stacked(files: list[Path]) -> np.ndarray:
    first = _pixels(files[0])
    found = np.empty((len(files), *first.shape), np.uint8)
    for i, file in enumerate(files):
        pixels = _pixels(file)
        if pixels.shape != first.shape:
            raise RunError(f"{file} has shape {pixels.shape} and {files[0].name} {first.shape}; expected equal ones")
        found[i] = pixels
    return found


def _pixels(file: Path) -> np.ndarray:
    """Bytes of shape (height, width) or (height, width, 3)."""
    image = _opener()
    try:
        with image.open(file, formats=FORMATS) as opened:
            frames = getattr(opened, "n_frames", 1)  # of formats that can have many
            mode, pixels = opened.mode, np.asarray(opened)
    except Exception as reason:  # each format has its own errors
        raise RunError(f"{file} cannot be read as an image: {type(reason).__name__}: {reason}") from None
    if frames != 1:
        raise RunError(f"{file} has {frames} frames; expected one: save each as a file of its own")
    if mode not in MODES:
        raise RunError(f"{file} has the mode {mode}; expected {' (grey) or '.join(MODES)}: convert it first")
    return pixels


def _opener() -> Any:
    try:
        from PIL import Image
    except ImportError:
        raise RunError("images are read by Pillow: install stepwell[data]") from None
    return Image
