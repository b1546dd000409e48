import numpy as np
import pytest

from runs.checkpoint import Checkpoints, Observed, Snapshot
from runs.records import RecordsError


def snapshot(step: int = 7, stamp: str = "mine") -> Snapshot:
    rng = np.random.default_rng(step)
    state = [np.asarray(step, np.int32), rng.normal(size=(3, 2)).astype(np.float32), rng.normal(size=(3, 0))]
    values = {"TestLoss": rng.normal(size=3), "Weights": {"hidden[0].weight": rng.normal(size=(3, 2, 2)).T}}
    seen = [Observed(s, s / 2, values, np.array([True, False, True]), np.zeros(3, bool)) for s in (0, 5)]
    return Snapshot(stamp, step, 2, 1.5, state, seen)


def same(a: Snapshot, b: Snapshot) -> None:
    assert (a.stamp, a.step, a.due, a.seconds) == (b.stamp, b.step, b.due, b.seconds)
    for x, y in zip(a.state, b.state, strict=True):
        assert x.dtype == y.dtype
        np.testing.assert_array_equal(x, y)
    for x, y in zip(a.history, b.history, strict=True):
        assert (x.step, x.seconds) == (y.step, y.seconds)
        np.testing.assert_array_equal(x.healthy, y.healthy)
        np.testing.assert_array_equal(x.done, y.done)
        np.testing.assert_array_equal(x.values["TestLoss"], y.values["TestLoss"])
        np.testing.assert_array_equal(x.values["Weights"]["hidden[0].weight"], y.values["Weights"]["hidden[0].weight"])


@pytest.fixture
def checkpoints(tmp_path):
    return Checkpoints(tmp_path / "checkpoints")


def test_a_checkpoint_comes_back(checkpoints):
    assert checkpoints.load("block", "mine") is None
    checkpoints.save("block", snapshot())
    same(checkpoints.load("block", "mine"), snapshot())
    checkpoints.drop("block")
    assert checkpoints.load("block", "mine") is None
    assert list(checkpoints.folder.iterdir()) == []


def test_one_of_other_points_or_numerics_is_passed_over(checkpoints):
    checkpoints.save("block", snapshot())
    assert checkpoints.load("block", "theirs") is None
    checkpoints.save("block", snapshot(9, "theirs"))
    same(checkpoints.load("block", "mine"), snapshot())


def test_a_damaged_file_gives_the_one_before(checkpoints):
    checkpoints.save("block", snapshot(7))
    checkpoints.save("block", snapshot(9))
    path = checkpoints.folder / "block.safetensors"
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for at in (0, 1, 7, 8, 9, len(whole) // 2, len(whole) - 1, *rng.integers(len(whole), size=40).tolist()):
        path.write_bytes(whole[:at])
        same(checkpoints.load("block", "mine"), snapshot(7))
        flipped = bytearray(whole)
        flipped[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(flipped)
        same(checkpoints.load("block", "mine"), snapshot(7))
    path.write_bytes(whole)
    same(checkpoints.load("block", "mine"), snapshot(9))


def test_two_damaged_files_are_no_checkpoint(checkpoints):
    for step in (7, 9):
        checkpoints.save("block", snapshot(step))
    for path in checkpoints.folder.iterdir():
        path.write_bytes(b"nothing")
    assert checkpoints.load("block", "mine") is None


def test_one_of_another_format_is_passed_over(checkpoints, monkeypatch):
    monkeypatch.setattr("runs.checkpoint.FORMAT", "2")
    checkpoints.save("block", snapshot())
    monkeypatch.undo()
    assert checkpoints.load("block", "mine") is None


@pytest.mark.parametrize("when", ["write", "flush"])
def test_a_full_disk_leaves_the_old_one(checkpoints, monkeypatch, when):
    checkpoints.save("block", snapshot(7))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("runs.checkpoint._write" if when == "write" else "runs.files.flush", full)
    with pytest.raises(RecordsError, match=r"cannot write the checkpoint .*No space left on device"):
        checkpoints.save("block", snapshot(9))
    same(checkpoints.load("block", "mine"), snapshot(7))
    assert [path.name for path in checkpoints.folder.iterdir()] == ["block.safetensors"]
