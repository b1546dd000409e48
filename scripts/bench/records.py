"""How long a table and a question take on many compacted records.

    python -m scripts.bench.records [--points 50000] [--steps 5] [--folder DIR]

The directory is synthetic: two measurements at each of 5 steps, 10 rows a point. Its files are links to those of 100
records that were committed in the usual way, each point with an environment of its own, so that building it does not
wait for the disk 50 000 times. Then the points are compacted, and each question is asked in a process of its own, as
from a command line: the time includes its imports and is the median of the rounds, with the time inside beside it.

Wanted: a table, and one query in SQL, of 50 000 compacted points in under 2 seconds each.
"""

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from runs.point import PointRecord
from runs.records import Records
from runs.rows import Rows
from runs.table import Entry

TEMPLATES = 100
NUMERICS = {
    "versions": {
        name: "1.2.3" for name in ("stepwell", "jax", "jaxlib", "equinox", "optax", "ott-jax", "numpy", "scipy")
    },
    "samplers": {"bits": "packed-1", "normal": "jax-1", "order": "feistel-1"},
    "precision": "float32",
    "lanes": 32,
    "foreign": {},
}
TABLE = "from runs.records import table; found = table('bench', {root!r}); assert len(found) == {rows}, found"
SQL = "from runs.query import query; found = query(Path({root!r}), {sql!r}); assert found.rows, found"
QUESTIONS = {
    "a table": TABLE,
    "its groups by an axis": TABLE + "; assert sum(1 for _ in found.groups('lr')) > 1",
    "sql: mean of a measurement": SQL.replace("{sql!r}", repr("select avg(value) from metrics where name = 'loss'")),
    "sql: points by status": SQL.replace("{sql!r}", repr("select status, count(*) from points group by all")),
}


def build(root: Path, points: int, steps: int) -> None:
    """Fill a directory of results, not compacted."""
    records, names = Records(root), [_digest(i) for i in range(points)]
    records.prepare()
    for i, name in enumerate(names[:TEMPLATES]):
        rows = Rows.of([(s, 0.5 * s, {"loss": 1.0 / (i + s + 1), "error": 0.1 * s}) for s in range(steps)])
        spec = {"kind": "Training", "seed": i, "protocol": {"kind": "Descent", "steps": 1000}}
        records.commit(PointRecord(name, spec, {"numerics": NUMERICS, "started": "2026-01-01T00:00:00Z"}, rows))
    for i, name in enumerate(names[TEMPLATES:], start=TEMPLATES):
        _link(root / "points" / names[i % TEMPLATES], root / "points" / name)
    records.write_study("bench", (Entry(n, {"lr": 0.1 * (i % 50), "seed": i // 50}) for i, n in enumerate(names)))


def _digest(i: int) -> str:
    return hashlib.sha256(str(i).encode()).hexdigest()


def _link(template: Path, place: Path) -> None:
    place.mkdir()
    for name in ("spec.json", "metrics.parquet", "STATUS"):
        os.link(template / name, place / name)
    environment = json.loads((template / "environment.json").read_text())
    environment |= {"digest": place.name, "record": place.name[:32]}
    (place / "environment.json").write_text(json.dumps(environment, indent=1))


def asked(code: str) -> tuple[float, float]:
    """Seconds of a process that runs some code, and of the code alone."""
    timed = f"import time; from pathlib import Path; t = time.perf_counter(); {code}; print(time.perf_counter() - t)"
    began = time.perf_counter()
    said = subprocess.run([sys.executable, "-c", timed], check=True, capture_output=True, text=True).stdout
    return time.perf_counter() - began, float(said)


def compare(root: Path, rows: int, rounds: int) -> Iterator[tuple[str, float, float]]:
    """Median seconds of each question, in all and inside."""
    codes = {name: code.format(root=str(root), rows=rows) for name, code in QUESTIONS.items()}
    times = [{name: asked(code) for name, code in codes.items()} for _ in range(rounds)]
    for name in codes:
        yield name, statistics.median(one[name][0] for one in times), statistics.median(one[name][1] for one in times)


def main() -> None:
    """Print the times; status 1 if one is longer than is wanted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=50_000)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="stepwell-bench-") as temporary:
        root = options.folder or Path(temporary)
        if not (root / "studies" / "bench.json").exists():
            _told("building", lambda: build(root, options.points, options.steps))
        _told("compaction", lambda: Records(root).compact(os.listdir(root / "points")))
        found = list(compare(root, options.points * options.steps, options.rounds))
    print(f"load {os.getloadavg()[0]:.2f}, {os.cpu_count()} cores, {options.points} points, {options.steps} steps")
    for name, whole, inside in found:
        print(f"{name}: {whole:.2f} s, of them {inside:.2f} s inside")
    sys.exit(0 if all(whole < 2.0 for _, whole, _ in found) else 1)


def _told(what: str, act: Callable[[], None]) -> None:
    began = time.perf_counter()
    act()
    print(f"{what}: {time.perf_counter() - began:.1f} s", flush=True)


if __name__ == "__main__":
    main()
