"""What is known to be done without a worker: exactly what a worker would find done."""

import json
import shutil
import sys
from dataclasses import replace
from types import ModuleType

import pytest

from dsl import *
from runs.checkpoint import Snapshot
from runs.circumstances import circumstances, code
from runs.execute import Engine
from runs.expected import Expected, Settled
from runs.options import RunOptions
from runs.plan import stages
from runs.queue import name_of
from runs.store import OnDisk

X = bits(3)


def training(seed: int = 0, **more) -> Training:
    return Training(
        task=Labelled(Hypercube(3), X[0]),
        model=TwoLayer(2, Relu(), Standard()),
        loss=SquaredLoss(),
        protocol=Descent(3, Exact(), by=Sgd(0.1)),
        measure=(TestLoss(Exact()) @ at_end(), Weights() @ at_end()),
        seed=seed,
    )


FIRST = [training(seed) for seed in range(2)]
SECOND = [replace(training(seed), model=Trained(first), loss=LogisticLoss()) for seed, first in enumerate(FIRST)]
POINTS = {digest(point): point for point in (*FIRST, *SECOND)}


def worked(root, **choice):
    """A run by a worker, in this process: what it tells of the layout, and the kinds of its other events."""
    told = []
    store = OnDisk.at(root, choice.get("rerun", False), choice.get("accept", False))
    store.records.prepare()
    (stage,) = stages(POINTS.values())
    engine = Engine(store, RunOptions(root), told.append)
    engine.run(stage.groups)
    store.locks.close()
    return engine.laid, [event["event"] for event in told]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Records of both groups, and what is expected of them."""
    root = tmp_path_factory.mktemp("finished")
    laid, _ = worked(root)
    expected(root).keep(laid, POINTS)
    return root


@pytest.fixture
def root(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "records")


def expected(root, now="as it was") -> Expected:
    return Expected.read(root / "studies" / "s.expected", now)


def held(root, now="as it was", added=()) -> list[bool]:
    """Which of the groups need no worker."""
    settled = Settled(OnDisk.at(root, rerun=False, accept=False), expected(root, now), shards=1)
    return [settled.holds(group) for stage in stages([*POINTS.values(), *added]) for group in stage.groups]


def test_what_is_done_needs_no_worker(root):
    assert held(root) == [True, True]


def test_what_a_worker_says_is_kept_to_the_letter(root):
    (process,) = {json.dumps(dict(laid.process), sort_keys=True) for laid in expected(root).laid.values()}
    kept = OnDisk.at(root, rerun=False, accept=False).records.environment(digest(FIRST[0]))["numerics"]
    assert json.loads(process).items() <= kept.items()
    assert {laid.lanes for laid in expected(root).laid.values()} == {kept["lanes"]}


def test_other_circumstances_say_nothing(root):
    assert held(root, "another machine") == [False, False]


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:-20],
        lambda text: "[]",
        lambda text: "[" * 100_000,
        lambda text: text.replace('"lanes": ', '"lanes": -'),
        lambda text: text.replace('"lanes": ', '"lanes": true, "more": '),
        lambda text: text.replace('"device"', '"versions"'),
        lambda text: text.replace('"points": [', '"points": [7, '),
        lambda text: text.replace('"groups"', '"group"'),
    ],
)
def test_a_damaged_file_says_nothing(root, change):
    path = root / "studies" / "s.expected"
    damaged = change(path.read_text())
    assert damaged != path.read_text()
    path.write_text(damaged)
    assert held(root) == [False, False]


def test_a_record_that_is_gone_is_missed_with_what_reads_it(root):
    shutil.rmtree(root / "points" / digest(SECOND[0]))
    assert held(root) == [True, False]
    shutil.rmtree(root / "points" / digest(FIRST[1]))
    assert held(root) == [False, False]


def test_a_point_that_was_added_is_missed(root):
    assert held(root, added=[training(2)]) == [False, False]


def test_a_point_that_failed_is_not_done(root):
    (root / "points" / digest(SECOND[1]) / "STATUS").write_text("failed: ValueError: it did")
    assert held(root) == [True, False]


def test_a_damaged_record_is_left_to_the_worker_who_says_so(root):
    (root / "points" / digest(SECOND[1]) / "environment.json").write_text("{")
    assert held(root) == [True, False]


def test_other_numerics_are_left_to_the_worker_until_they_are_accepted(root, monkeypatch):
    monkeypatch.setattr("runs.numerics.SAMPLERS", {"bits": "packed-2"})
    assert held(root) == [False, False]
    assert worked(root)[1] == ["conflict"] * 4
    assert held(root) == [False, False]
    assert worked(root, accept=True)[1] == ["skipped"] * 4
    assert held(root) == [True, True]


def test_other_lanes_than_those_of_the_record_are_no_match(root):
    path = root / "studies" / "s.expected"
    path.write_text(path.read_text().replace('"lanes": ', '"lanes": 1'))
    assert held(root) == [False, False]


def test_a_checkpoint_that_outlived_its_block_is_left_to_the_worker(root):
    kept = OnDisk.at(root, rerun=False, accept=False).checkpoints
    kept.save("0" * 32, Snapshot("of another study", 1, 1, 0.0, []))
    assert held(root) == [True, True]
    kept.save(name_of(FIRST), Snapshot("its process was killed after the commit", 1, 1, 0.0, []))
    assert held(root) == [False, False]
    assert worked(root)[1] == ["skipped"] * 4
    assert held(root) == [True, True]


def test_what_is_known_of_other_points_stays(root):
    was, (name, other) = expected(root), map(digest, FIRST)
    lanes = {n: laid.lanes for n, laid in was.laid.items()}
    for point, width in ((name, 5), (other, 6)):  # of two workers, one after the other
        was.keep([{"points": [point], "lanes": width, "process": was.laid[name].process}], POINTS)
    assert {n: laid.lanes for n, laid in expected(root).laid.items()} == lanes | {name: 5, other: 6}
    was.keep([], [name])
    assert expected(root).laid.keys() == {name}  # the points of the study alone


# ---------------------------------------------------------------- circumstances


def test_the_code_is_ours_and_that_of_a_user_and_what_is_installed(tmp_path, monkeypatch):
    now = code()
    assert code() == now
    module = ModuleType("helper_of_a_user")
    module.__file__ = str(tmp_path / "helper_of_a_user.py")
    (tmp_path / "helper_of_a_user.py").write_text("SCALE = 1.0\n")
    monkeypatch.setitem(sys.modules, "helper_of_a_user", module)
    with_helper = code()
    (tmp_path / "helper_of_a_user.py").write_text("SCALE = 2.0\n")
    assert len({now, with_helper, code()}) == 3
    (tmp_path / "helper_of_a_user.py").write_text("SCALE = 1.0\n")
    assert code() == with_helper
    (tmp_path / "jax_gpu_plugin-1.0.dist-info").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert code() != with_helper
    ours = tmp_path / "ours"
    ours.mkdir()
    monkeypatch.setattr("runs.circumstances.OURS", (ours,))
    without = code()
    (ours / "lanes.py").write_text("rule = 8\n")
    assert code() != without


def test_the_circumstances_are_those_that_choose_lanes_and_backend(tmp_path, monkeypatch):
    options = RunOptions(tmp_path)
    found = {circumstances("code", options)}
    assert {circumstances("code", replace(options, checkpoint=1.0))} == found
    found |= {circumstances("other code", options), circumstances("code", replace(options, devices=7))}
    (tmp_path / "lanes.json").write_text("[]")
    found.add(circumstances("code", options))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    found.add(circumstances("code", options))
    monkeypatch.setattr("runs.circumstances.machine", lambda: "another")
    found.add(circumstances("code", options))
    (tmp_path / "accel0").touch()
    monkeypatch.setattr("runs.circumstances.DEVICES", (f"{tmp_path}/accel*",))
    found.add(circumstances("code", options))
    assert len(found) == 7
