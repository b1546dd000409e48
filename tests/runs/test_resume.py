"""A run that is stopped and goes on has the bits of one that was not."""

from dataclasses import replace

import numpy as np
import pytest

from dsl import *
from runs.execute import Engine
from runs.interrupts import Interrupts
from runs.options import Interrupted, RunOptions
from runs.plan import grouped
from runs.records import RecordsError
from runs.store import OnDisk

X = bits(6)


def training(seed: int = 0, lr: float = 0.05, width: int = 8) -> Training:
    return Training(
        task=Sample(Labelled(Hypercube(6), X[0] + X[0] * X[1]), n=64),
        model=TwoLayer(width, Relu(), Standard()),
        loss=SquaredLoss(),
        protocol=Descent(40, Fresh(8), by=Adam(lr)),
        measure=(TestLoss(Fresh(20)) @ every(10), TrainLoss() @ at(3, 11, 40), Weights() @ at(20, 40)),
        seed=seed,
    )


class Stopping(Interrupts):
    """A signal that comes when the engine has asked for it so many times."""

    def __init__(self, after: int) -> None:
        self.left = after

    @property
    def received(self):
        self.left -= 1
        return 15 if self.left < 0 else None


@pytest.fixture(autouse=True)
def short_dispatches(monkeypatch):
    monkeypatch.setattr("runs.layout.CHUNK_SECONDS", 3e-5)


def engine(folder, interrupts=None, events=None, **options) -> Engine:
    store = OnDisk.at(folder, rerun=False, accept=False)
    store.records.prepare()
    how = RunOptions(folder, **options)
    return Engine(store, how, [].append if events is None else events.append, set(), interrupts or Interrupts())


def run(points, folder, **how):
    doing = engine(folder, **how)
    try:
        doing.run(grouped(points))
    finally:
        doing.store.locks.close()
    return doing.store.records


def same(points, ours, theirs) -> None:
    for point in points:
        name = digest(point)
        assert ours.status(name) == theirs.status(name)
        np.testing.assert_array_equal(ours.rows(name).value, theirs.rows(name).value)
        np.testing.assert_array_equal(ours.rows(name).step, theirs.rows(name).step)
        a, b = ours.arrays(name), theirs.arrays(name)
        assert a.keys() == b.keys()
        for part in a:
            np.testing.assert_array_equal(a[part], b[part])


@pytest.mark.parametrize(
    "width", [8, pytest.param(600, marks=pytest.mark.slow)]
)  # one block of lanes, and blocks of one
def test_a_run_that_is_stopped_again_and_again_has_the_bits_of_one_that_is_not(tmp_path, width):
    points = [training(seed, lr, width) for seed in range(2) for lr in (0.02, 0.05)]
    whole = run(points, tmp_path / "whole")
    stops = 0
    while stops < 100:
        try:
            broken = run(points, tmp_path / "broken", interrupts=Stopping(5))
            break
        except Interrupted:
            stops += 1
    assert stops >= 3
    same(points, broken, whole)
    assert list((tmp_path / "broken" / "checkpoints").iterdir()) == []
    assert list((tmp_path / "broken" / "locks").iterdir()) == []


def test_steps_that_were_made_before_are_not_made_again(tmp_path):
    point, told = training(), []
    with pytest.raises(Interrupted):
        run([point], tmp_path, interrupts=Stopping(4), events=told)
    before = sum(event["n"] for event in told if event["event"] == "steps")
    assert 0 < before < 40
    told.clear()
    run([point], tmp_path, events=told)
    made = [event["n"] for event in told if event["event"] == "steps"]
    assert made[0] == before
    assert sum(made) == 40


@pytest.mark.slow
def test_a_damaged_checkpoint_is_a_run_from_the_start(tmp_path):
    points = [training()]
    whole = run(points, tmp_path / "whole")
    with pytest.raises(Interrupted):
        run(points, tmp_path / "broken", interrupts=Stopping(4))
    for path in (tmp_path / "broken" / "checkpoints").iterdir():
        path.write_bytes(path.read_bytes()[:-9])
    same(points, run(points, tmp_path / "broken"), whole)


def test_a_checkpoint_that_outlived_its_block_is_dropped(tmp_path):
    from runs.checkpoint import Snapshot
    from runs.queue import name_of

    point = training(width=600)
    store = run([point], tmp_path)
    kept = engine(tmp_path).store.checkpoints
    kept.save(name_of([point]), Snapshot("its process was killed after the commit", 1, 1, 0.0, []))
    run([point], tmp_path)
    assert kept.names() == set()
    assert store.status(digest(point)) == "finished"


@pytest.mark.slow
def test_blocks_at_different_steps_go_on_each_from_its_own(tmp_path):
    points = [training(seed, width=600) for seed in range(4)]
    whole = run(points, tmp_path / "whole")
    for part, after in ((points[:1], 3), (points[1:2], 6), (points[2:3], 8)):
        with pytest.raises(Interrupted):
            run(part, tmp_path / "broken", interrupts=Stopping(after))
    same(points, run(points, tmp_path / "broken"), whole)


def test_a_point_that_diverges_ends_alone_and_keeps_what_was_finite(tmp_path):
    wild = replace(training(1), protocol=Descent(40, Fresh(8), by=Sgd(1e6)))
    calm = replace(training(2), protocol=Descent(40, Fresh(8), by=Sgd(1e-2)))
    records = run([wild, calm], tmp_path)
    assert records.status(digest(calm)) == "finished"
    status = records.status(digest(wild))
    assert status.startswith("diverged at step ")
    rows = records.rows(digest(wild))
    assert rows.step.max() == int(status.rpartition(" ")[2])
    assert np.isfinite(rows.value[rows.step == 0]).all()


def test_a_device_whose_memory_runs_out_goes_on_with_fewer_lanes(tmp_path, monkeypatch):
    from runs.mapping import Mapped

    advance = Mapped.advance

    def small(self, points, constants, state, n):
        if self.shape[2] > 8:
            raise RuntimeError("RESOURCE_EXHAUSTED: out of memory allocating 1 bytes")
        return advance(self, points, constants, state, n)

    monkeypatch.setattr(Mapped, "advance", small)
    points, told = [training(seed) for seed in range(12)], []
    records = run(points, tmp_path, events=told)
    assert {records.environment(digest(point))["numerics"]["lanes"] for point in points} == {8}
    assert [event["message"] for event in told if event["event"] == "note"] == [
        "out of memory with 32 lanes: going on with fewer",
        "out of memory with 16 lanes: going on with fewer",
    ]
    monkeypatch.undo()
    told.clear()
    run(points, tmp_path, events=told)
    assert {event["event"] for event in told} == {"skipped"}


def test_a_disk_that_fills_up_is_told_and_loses_nothing(tmp_path, monkeypatch):
    points = [training(seed, width=600) for seed in range(4)]
    whole = run(points, tmp_path / "whole")

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("runs.parquet.write", full)
    with pytest.raises(RecordsError, match="No space left on device"):
        run(points, tmp_path / "broken")
    monkeypatch.undo()
    same(points, run(points, tmp_path / "broken"), whole)


def test_deleting_one_record_runs_that_one(tmp_path):
    import shutil

    points, told = [training(seed) for seed in range(5)], []
    records = run(points, tmp_path)
    shutil.rmtree(tmp_path / "points" / digest(points[2]))
    run(points, tmp_path, events=told)
    assert [event["point"] for event in told if event["event"] == "done"] == [digest(points[2])]
    same(points, records, run(points, tmp_path / "whole"))
