"""Whole runs of users' files: plan, workers, records, claims, page."""

import json
import shutil
import textwrap
from dataclasses import replace

import jax
import numpy as np
import pytest

from runs import launch
from runs.launch import plan_study, report_study, run_study
from runs.options import RunError, RunOptions
from runs.records import RecordsError
from runs.sources import open_source

HEAD = """
import jax.numpy as jnp
from dsl import *
from runs import per_seed

ONE = jnp.ones(3)  # an array at import: JAX starts here, so the process must have been configured before
print("hello from the user's file", ONE.dtype)


class Majority(Target[Bits, Real]):
    d: int

    def __call__(self, x):
        return jnp.where(jnp.sum(x, axis=-1) > 0, 1.0, -1.0)


class WeightType(Measurement):
    def __call__(self, experiment, state, constants, key):
        return jnp.array(state.model.readout.weight.dtype.itemsize, float)


def training(precision, seed):
    return Training(
        task=Labelled(Hypercube(5), Majority(5)), model=TwoLayer(8, Relu(), Standard()), loss=SquaredLoss(),
        protocol=Descent(20, Exact(), by=Sgd(0.1)), measure=(TestLoss(Exact()) @ every(10), WeightType() @ at_end()),
        seed=seed, precision=precision)
"""
STUDY = """
def bytes_of(table):
    return per_seed(table.where(precision="float64"), "WeightType", step="last")

study = Study("mixed", grid(training, precision=("float32", "float64"), seed=range(2)),
              claims=[Claim("float64 weights have 8 bytes", "IEEE 754", measured=bytes_of, accept=between(8.0, 8.0))])
"""
BREAKS = """
import os

class Kills(Activation):
    def __call__(self, z):
        os._exit(7)

study = Study("kills", [training("float32", 0), Training(
    task=Labelled(Hypercube(5), Majority(5)), model=TwoLayer(8, Kills(), Standard()), loss=SquaredLoss(),
    protocol=Descent(20, Exact(), by=Sgd(0.1)), measure=(TestLoss(Exact()) @ at_end(),), seed=0)])
"""


@pytest.fixture
def user_file(tmp_path):
    def write(name, *parts):
        path = tmp_path / f"{name}.py"
        path.write_text("".join(textwrap.dedent(part) for part in parts))
        return str(path)

    return write


def test_a_study_with_both_precisions_runs_in_configured_workers(user_file, tmp_path, monkeypatch):
    opened, options = open_source(user_file("mixed", HEAD, STUDY)), RunOptions(records=tmp_path / "records")
    plan = plan_study(opened, options)
    assert plan.splitlines()[0] == "mixed: 4 points, 2 programs, 80 steps"
    assert "2 points x 20 steps, float64: precision=float64, seed=2 values" in plan
    outcome = run_study(opened, options)
    assert outcome.failed == 0
    assert not outcome.messages
    assert [v.outcome for v in outcome.verdicts] == ["holds"]
    last = outcome.table.last()
    assert set(zip(last["precision"], last["WeightType"], strict=True)) == {("float32", 4.0), ("float64", 8.0)}
    assert "float64 weights have 8 bytes" in outcome.report.read_text()
    environments = [json.loads(p.read_text()) for p in tmp_path.glob("records/points/*/environment.json")]
    assert {e["numerics"]["precision"] for e in environments} == {"float32", "float64"}
    assert {e["numerics"]["matmul_precision"] for e in environments} == {"highest"}
    assert all(list(e["numerics"]["foreign"]) == ["mixed.Majority", "mixed.WeightType"] for e in environments)

    written = lambda: {
        p: p.stat().st_mtime_ns for kind in ("points/*/STATUS", "reports/*") for p in options.records.glob(kind)
    }
    before, heard = written(), list[str]()
    shutil.rmtree(tmp_path / "records" / "waves")  # as if the first run had been killed before it compacted its points
    jax.monitoring.register_event_duration_secs_listener(listener := lambda event, *_, **__: heard.append(event))
    with monkeypatch.context() as patched:
        patched.setattr("runs.launch._start", lambda *_: pytest.fail("a worker was started"))
        again = run_study(opened, options)
    jax.monitoring.unregister_event_duration_listener(listener)
    assert not [event for event in heard if "trace" in event or "compile" in event]
    assert written() == before
    assert len(again.table) == len(outcome.table)
    assert [v.outcome for v in again.verdicts] == ["holds"]
    assert len(list(tmp_path.glob("records/waves/*.parquet"))) == 1

    page = outcome.report.read_text()
    assert report_study(opened, options).read_text() == page
    assert written() != before  # the page was made anew when it was asked for


@pytest.mark.slow
def test_a_record_that_is_gone_starts_the_worker_of_its_group_alone(user_file, tmp_path, monkeypatch):
    opened, options = open_source(user_file("halves", HEAD, STUDY)), RunOptions(records=tmp_path / "records")
    whole, started, start = run_study(opened, options), list[str](), launch._start

    def starts(job, precision, *others):
        started.append(precision)
        return start(job, precision, *others)

    monkeypatch.setattr("runs.launch._start", starts)
    gone = next(p.spec for p in opened.study.points if p.axes == {"precision": "float64", "seed": 1})
    shutil.rmtree(options.records / "points" / gone.digest)
    before = {p.parent.name: p.stat().st_mtime_ns for p in options.records.glob("points/*/STATUS")}
    again = run_study(opened, options)
    assert started == ["float64"]
    after = {p.parent.name: p.stat().st_mtime_ns for p in options.records.glob("points/*/STATUS")}
    assert after.keys() - before.keys() == {gone.digest}
    assert before.items() <= after.items()
    np.testing.assert_array_equal(again.table["TestLoss"], whole.table["TestLoss"])


@pytest.mark.slow
def test_a_changed_noun_is_told_at_every_run_until_it_is_accepted(user_file, tmp_path):
    def outcome(**choice):
        return run_study(open_source(file), replace(options, **choice)).conflicts

    file, options = user_file("changed", HEAD, STUDY), RunOptions(records=tmp_path / "records")
    assert not outcome()
    user_file("changed", HEAD.replace("> 0, 1.0", "> 0, 2.0"), STUDY)
    assert "4 points: the code of changed.Majority, or what it uses, is another" in outcome()
    assert "4 points" in outcome()
    assert not outcome(accept=True)
    assert not outcome()
    values = run_study(open_source(file), options).table["TestLoss"]
    assert not outcome(rerun=True)
    assert not np.array_equal(run_study(open_source(file), options).table["TestLoss"], values)


def test_a_worker_that_dies_is_told_and_what_was_finished_is_kept(user_file, tmp_path):
    opened, options = open_source(user_file("kills", HEAD, BREAKS)), RunOptions(records=tmp_path / "records")
    with pytest.raises(RunError, match="ended with status 7; finished points are kept"):
        run_study(opened, options)
    assert [p.read_text() for p in tmp_path.glob("records/points/*/STATUS")] == ["finished"]


def test_an_unwritable_records_directory_is_refused_before_anything_runs(user_file, tmp_path):
    (tmp_path / "records").write_text("a file, not a directory")
    opened = open_source(user_file("mixed", HEAD, STUDY))
    with pytest.raises(RecordsError, match="cannot write records in"):
        run_study(opened, RunOptions(records=tmp_path / "records"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mixed.py", "records"]
