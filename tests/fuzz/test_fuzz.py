"""Thousands of spoiled specs, records and checkpoints: only clear errors, no code, no path out of the directory.

The short form runs by default; `-m slow` runs the long one.
"""

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dsl import *
from dsl.difference import differences
from dsl.program import structure
from runs.checkpoint import Checkpoints, Observed, Snapshot
from runs.locks import Locks
from runs.numerics import differences as numeric_differences
from runs.options import RunError
from runs.overrides import OverrideError, override
from runs.query import query
from runs.records import PointRecord, Records, RecordsError, table
from runs.sources import SourceError, open_source
from runs.store import OnDisk
from runs.table import Entry, Rows
from tests.fuzz.guard import watched
from tests.fuzz.mutations import damaged, mutated, text

GOLDEN = sorted(Path(__file__).parents[1].glob("golden/*-smoke.json"))
long = pytest.param(40, marks=pytest.mark.slow, id="long")
short_and_long = pytest.mark.parametrize("times", [pytest.param(1, id="short"), long])

X = bits(3)
INNER = Training(
    task=Labelled(Hypercube(3), X[0] + 0.5 * X[1] * X[2]),
    model=TwoLayer(4, Tanh(), Standard()),
    loss=SquaredLoss() + L2(0.01),
    protocol=Descent(6, Fresh(4), by=Adam(Cosine(0.05)), stop=Stop(0.1)),
    measure=(TestLoss(Exact()) @ every(2), Weights() @ at_end()),
    seed=3,
)
OUTER = replace(INNER, model=Trained(INNER), task=Seeded(Sample(INNER.task, 5), 1))
READING = Analysis(of=(Stored("a.npz", "0" * 64), Result(OUTER, "TestLoss", at(6))), measure=())


def corpus() -> list[Experiment]:
    """An experiment of each structure of the shipped studies, and those of what the studies do not have."""
    shipped = [load(entry["spec"], Experiment) for path in GOLDEN for entry in json.loads(path.read_text())[:2]]
    return [INNER, OUTER, READING, *shipped]


def tried(act: Callable[[], Any], *errors: type[Exception]) -> str:
    """`good`, or the name of the expected error; its message is one that can be shown."""
    failed: Exception | None = None
    try:
        act()
    except errors as error:
        failed = error
    assert failed is None or str(failed)
    return "good" if failed is None else type(failed).__name__


# ---------------------------------------------------------------- specs


def used(opened: Any, beside: Experiment) -> None:
    """What planning does with an experiment that was read."""
    spec = opened.study.points[0].spec
    assert load(dump(spec)) == spec
    structure(spec)
    differences(spec, beside)


@short_and_long
def test_spoiled_specs(tmp_path: Path, times: int) -> None:
    specs, rng, seen = corpus(), random.Random(0), Counter[str]()
    dumped = [dump(spec) for spec in specs]
    file = tmp_path / "a.json"
    file.write_text(json.dumps(dumped[0]))
    used(open_source(str(file)), specs[1])  # what is imported late is imported now
    for i in range(300 * times):
        file.write_bytes(text(dumped[i % len(specs)], rng))
        with watched(tmp_path) as events:
            seen[tried(lambda: used(open_source(str(file)), specs[0]), SourceError)] += 1
        assert not events, file.read_bytes()[:500]
    assert min(seen["good"], seen["SourceError"]) > 15 * times, seen
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


@short_and_long
def test_spoiled_settings(times: int) -> None:
    rng, seen = random.Random(1), Counter[str]()
    good = ["protocol.steps=7", "task.y.terms[1].weight=0.5", "measure[0].when.n=3", "protocol.by={}", "seed=9"]
    for _ in range(300 * times):
        setting = damaged(rng.choice(good).encode(), rng).decode(errors="surrogateescape")
        seen[tried(lambda setting=setting: override(INNER, [setting]), OverrideError)] += 1
    assert min(seen["good"], seen["OverrideError"]) > 5 * times, seen


# ---------------------------------------------------------------- records


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three finished records with arrays, one of them rerun; a wave, the index of a study, a blocked point."""
    records = Records(tmp_path / "records")
    records.prepare()
    rows = Rows.of([(step, 0.1, {"loss": 1.0 / (step + 1), "coef": [1.0, np.nan]}) for step in range(4)])
    specs = [replace(INNER, seed=seed) for seed in range(3)]
    made = {"numerics": {"jax": "1", "lanes": 8, "foreign": {}}, "started": "2025-01-01T00:00:00Z", "wave_wall_s": 1.0}
    for spec in (*specs, specs[0]):
        record = PointRecord(spec.digest, dump(spec), made, rows, {"Weights@6/a": np.arange(6.0).reshape(2, 3)})
        if not records.commit(record):
            records.supersede(spec.digest)
            records.commit(record)
    blocked = PointRecord("b" * 64, {}, {"numerics": {}}, Rows.of([]), {}, f"blocked by {specs[0].digest}")
    records.commit(blocked)
    records.compact([spec.digest for spec in specs[:2]])
    records.accept(specs[1].digest, {"jax": "2"})
    records.write_study("s", [Entry(spec.digest, {"seed": spec.seed}) for spec in specs])
    return records.root


def readers(root: Path, digest: str) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Everything that reads a directory of results."""
    records, study = Records(root), Study("s", [replace(INNER, seed=seed) for seed in range(3)])
    store = OnDisk.at(root, rerun=False, accept=False)
    yield "status", lambda: records.status(digest)
    yield "spec", lambda: records.spec(digest)
    yield "rows", lambda: records.rows(digest)
    yield "arrays", lambda: records.arrays(digest)
    yield "environment", lambda: numeric_differences(records.environment(digest)["numerics"], {"jax": "3"})
    yield "study", lambda: table("s", root)
    yield "value", lambda: table(study, root)
    yield "finished", lambda: store.finished(digest, {"jax": "3"})
    yield "stamp", lambda: store.stamp(digest)


def asked(root: Path) -> Iterator[tuple[str, Callable[[], Any]]]:
    for name in ("metrics", "points", "specs", "studies"):
        yield name, lambda name=name: query(root, f"select * from {name}")


def spoil(path: Path, rng: random.Random) -> None:
    content = path.read_bytes()
    if path.suffix == ".json" and rng.random() < 0.7:
        path.write_text(json.dumps(mutated(json.loads(content), rng)))
    else:
        path.write_bytes(damaged(content, rng))


@short_and_long
def test_spoiled_records(root: Path, times: int) -> None:
    rng, seen = random.Random(2), Counter[str]()
    files = sorted(path for path in root.rglob("*") if path.is_file() and "superseded" not in path.parts)
    names = sorted(str(path) for path in root.parent.rglob("*"))
    point = lambda path: path.parent.name if len(path.parent.name) == 64 else "b" * 64
    for _, act in (*readers(root, "b" * 64), *asked(root)):
        tried(act, RecordsError, RunError)  # what is imported late is imported now
    for i in range(45 * times):
        path = files[i % len(files)]
        content = path.read_bytes()
        spoil(path, rng)
        with watched(root) as events:
            for name, act in (*readers(root, point(path)), rng.choice([*asked(root)])):
                seen[f"{name} {tried(act, RecordsError, RunError)}"] += 1
        assert not events
        path.write_bytes(content)
        assert sorted(str(path) for path in root.parent.rglob("*")) == names
    for name in ("rows", "arrays", "environment", "spec", "study", "value", "status"):
        assert min(seen[f"{name} RecordsError"], seen[f"{name} good"]), seen


def test_a_result_that_a_record_lacks(root: Path) -> None:
    with pytest.raises(RecordsError):
        OnDisk.at(root, rerun=False, accept=False).arrays(replace(INNER, seed=0).digest, "lost", 2)


# ---------------------------------------------------------------- checkpoints and locks


@short_and_long
def test_spoiled_checkpoints(tmp_path: Path, times: int) -> None:
    """A checkpoint is whole, or there is none; never one with other numbers."""
    rng, seen = random.Random(3), Counter[str]()
    lane = np.ones(2, bool)
    history = [Observed(0, 0.5, {"loss": np.arange(2.0), "Weights": {"a": np.ones((2, 3))}}, lane, ~lane)]
    snapshot = Snapshot("stamp", 3, 1, 0.7, [np.arange(6.0).reshape(2, 3), np.array([3, 3])], history)
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save("block", snapshot)
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    checkpoints.load("block", "stamp")
    for _ in range(300 * times):
        path.write_bytes(damaged(content, rng))
        with watched(tmp_path) as events:
            found = checkpoints.load("block", "stamp")
        assert not events
        seen["none" if found is None else "whole"] += 1
        if found is not None:
            assert [leaf.tolist() for leaf in found.state] == [leaf.tolist() for leaf in snapshot.state]
            assert (found.step, found.due, found.seconds) == (3, 1, 0.7)
    assert seen["none"] > 200 * times


@short_and_long
def test_spoiled_locks(tmp_path: Path, times: int) -> None:
    rng = random.Random(4)
    owner = Locks(tmp_path / "locks")
    assert owner.take("block")
    (path,) = (tmp_path / "locks").iterdir()
    content = path.read_bytes()
    for _ in range(100 * times):
        changed = json.dumps(mutated(json.loads(content), rng)).encode()
        path.write_bytes(changed if rng.random() < 0.5 else damaged(content, rng))
        other = Locks(tmp_path / "locks")
        tried(lambda other=other: other.take("block"), RunError)
        other.close()
    owner.close()
