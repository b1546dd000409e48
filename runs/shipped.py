"""The shipped studies: modules of `runs/studies`, found by their files without importing them."""

import ast
from pathlib import Path

FOLDER = Path(__file__).parent / "studies"


def shipped() -> dict[str, Path]:
    """The file of each shipped study by its name, the module's with hyphens."""
    files = sorted(FOLDER.glob("[a-z]*.py"))
    return {file.stem.replace("_", "-"): file for file in files}


def descriptions() -> dict[str, str]:
    """The first line of each study's docstring by its name."""
    return {name: _first_line(file) for name, file in shipped().items()}


def module(name: str) -> str:
    """The module of a shipped study."""
    return f"runs.studies.{name.replace('-', '_')}"


def _first_line(file: Path) -> str:
    docstring = ast.get_docstring(ast.parse(file.read_bytes()))
    return (docstring or "").partition("\n")[0]
