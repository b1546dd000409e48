"""Golden dumps: the specs and digests of every shipped study at every scale, as files whose changes show in a diff.

    python -m tests.golden.write

A changed digest means that finished records no longer count: say why in the commit.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from dsl import digest, dump
from dsl.program import structure
from runs.shipped import shipped
from runs.sources import SCALES, open_source

SHOWN = 16
FOLDER = Path(__file__).parent


def golden(name: str, scale: str) -> list[dict[str, Any]]:
    """Each structure of a study: the spec of its first point, and the digests of its points."""
    found: dict[Any, dict[str, Any]] = {}
    for point in open_source(name, scale).study.points:
        entry = found.setdefault(structure(point.spec), {"spec": dump(point.spec), "points": []})
        axes = ", ".join(f"{axis}={value}" for axis, value in point.axes.items())
        entry["points"].append(f"{digest(point.spec)} {axes}")
    for entry in found.values():
        entry["points"] = _shortened(entry["points"])
    return list(found.values())


def _shortened(points: list[str]) -> list[str]:
    """The first points, and one digest for all the others: a change of any of them still shows."""
    rest = points[SHOWN:]
    more = hashlib.sha256("\n".join(rest).encode()).hexdigest()
    return [*points[:SHOWN], f"{more} of {len(rest)} more"] if rest else points


def written(name: str, scale: str) -> str:
    """The text of the golden file."""
    return json.dumps(golden(name, scale), indent=1) + "\n"


def files() -> dict[Path, tuple[str, str]]:
    """Every golden file, with its study and scale."""
    return {FOLDER / f"{name}-{scale}.json": (name, scale) for name in sorted(shipped()) for scale in SCALES}


if __name__ == "__main__":
    for path, (name, scale) in files().items():
        path.write_text(written(name, scale))
