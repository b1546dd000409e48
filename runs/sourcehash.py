"""The identity of code that is not ours: a noun with everything of its module that it names.

Two sources with equal hashes do the same, whatever their comments and layout; adding a point to a study in the same
file changes no noun. What a module imports from the files beside it counts with the whole of those files.
"""

import ast
import functools
import hashlib
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType


@functools.cache
def source_hash(noun: type) -> str:
    """The hash of a class and of what it uses; `unknown` where there is no source, as at a prompt."""
    module = sys.modules.get(noun.__module__)
    try:
        text = inspect.getsource(module) if module is not None else inspect.getsource(noun)
    except (OSError, TypeError):
        return "unknown"
    defined = _definitions(ast.parse(text))
    used = _reached(noun.__qualname__.split(".")[0], defined)
    parts = [ast.dump(node) for name in sorted(used) for node in defined[name]]
    return hashlib.sha256(
        "\n".join([*parts, *_beside(module, [n for name in sorted(used) for n in defined[name]])]).encode()
    ).hexdigest()[:16]


def _definitions(tree: ast.Module) -> dict[str, list[ast.stmt]]:
    """The statements at module level that define each name."""
    found: dict[str, list[ast.stmt]] = {}
    for node in tree.body:
        for name in _defines(node):
            found.setdefault(name, []).append(node)
    return found


def _defines(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
        yield node.name
    elif isinstance(node, (ast.Import, ast.ImportFrom)):
        yield from (alias.asname or alias.name.split(".")[0] for alias in node.names)
    else:
        yield from (n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))


def _reached(start: str, defined: dict[str, list[ast.stmt]]) -> set[str]:
    """Names of the module that a definition uses, directly or not."""
    found, pending = set[str](), [start]
    while pending:
        name = pending.pop()
        if name in found or name not in defined:
            continue
        found.add(name)
        pending.extend(n.id for node in defined[name] for n in ast.walk(node) if isinstance(n, ast.Name))
    return found


def _beside(module: ModuleType | None, nodes: list[ast.stmt]) -> list[str]:
    """The hashes of the files in the module's folder from which these statements import."""
    home = getattr(module, "__file__", None)
    if home is None:
        return []
    names = {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    names |= {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    files = {getattr(sys.modules.get(name), "__file__", None) for name in names} - {None, home}
    near = sorted(file for file in files if file is not None and Path(file).parent == Path(home).parent)
    return [hashlib.sha256(Path(file).read_bytes()).hexdigest() for file in near]
