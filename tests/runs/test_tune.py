"""Lanes that are measured, kept, followed, and never mixed in silently."""

import json
from dataclasses import replace

import jax
import pytest

from dsl import *
from runs.choices import FILE, Choices, Tuned, keep, structure_hash
from runs.execute import Engine, execute
from runs.launch import plan_study, run_study, tune_study
from runs.options import RunError, RunOptions
from runs.plan import grouped
from runs.records import RecordsError
from runs.sources import open_source
from runs.store import InMemory
from runs.tune import tune
from scripts.command import answer

STUDY = """
from dsl import *

def training(lr: float, seed: int) -> Training:
    x = bits(6)
    return Training(
        task=Labelled(Hypercube(6), x[0] + x[0] * x[1]), model=TwoLayer(8, Relu(), Standard()), loss=SquaredLoss(),
        protocol=Descent(40, Fresh(8), by=Adam(lr)), measure=(TestLoss(Exact()) @ at_end(),), seed=seed)

study = Study("tiny", grid(training, lr=(0.01, 0.02), seed=range(2)))
"""


def training(width=4, lr=0.1, seed=0, steps=30, **fields):
    x = bits(5)
    return Training(
        task=Labelled(Hypercube(5), x[0] + x[0] * x[1]),
        model=TwoLayer(width, Relu(), Standard()),
        loss=SquaredLoss(),
        protocol=Descent(steps, Fresh(4), by=Sgd(lr)),
        measure=(TestLoss(Exact()) @ at_end(),),
        seed=seed,
        **fields,
    )


def here(experiment, lanes):
    where = jax.default_backend(), jax.devices()[0].device_kind
    return Tuned(structure_hash(experiment), *where, lanes=lanes, rule=32, microseconds={str(lanes): 1.0})


def test_a_structure_has_one_hash_and_another_structure_another():
    points = [training(lr=lr, seed=seed) for lr in (0.1, 0.2, 0.0) for seed in range(3)]
    assert len({structure_hash(point) for point in points}) == 1
    others = [training(), training(width=5), training(steps=31), training(precision="float64")]
    assert len({structure_hash(point) for point in others}) == 4
    assert len({structure_hash(training(model)) for model in (4, 4, 5)}) == 2


@pytest.mark.slow
def test_every_width_is_measured_and_the_narrowest_of_the_fastest_is_chosen(monkeypatch):
    monkeypatch.setattr("runs.tune.ROUND_SECONDS", 0.02)
    (group,) = grouped([training(seed=seed) for seed in range(2)])
    found = tune(group, None, None)
    assert found is not None
    times = {int(width): time for width, time in found.microseconds.items()}
    assert list(times) == [1, 2]  # no more than there are points
    assert min(times.values()) > 0
    assert found.lanes == min(width for width, time in times.items() if time <= 1.03 * min(times.values()))
    assert found.place == here(training(), 1).place


def test_what_has_no_steps_or_reads_others_is_not_measured():
    first = replace(training(), measure=(Weights() @ at_end(),))
    second = replace(training(), model=Trained(first, at=30))
    (group,) = grouped([second])
    assert tune(group, None, 2) is None


@pytest.mark.slow
def test_choices_are_kept_replaced_and_followed(tmp_path):
    assert Choices.read(tmp_path).of(training()) is None
    keep(tmp_path, [here(training(), 2), here(training(width=5), 16)])
    keep(tmp_path, [here(training(lr=0.7), 4)])
    choices = Choices.read(tmp_path)
    assert [choices.of(training(seed=3)), choices.of(training(5)), choices.of(training(6))] == [4, 16, None]
    store, plain = InMemory(), InMemory()
    groups = grouped([training(seed=seed) for seed in range(2)])
    Engine(store, RunOptions(), lambda _: None, choices=choices).run(groups)
    execute(groups, plain, RunOptions(), lambda _: None)
    lanes = lambda records: {r.environment["numerics"]["lanes"] for r in records.values()}
    assert (lanes(store.records), lanes(plain.records)) == ({4}, {32})


@pytest.mark.parametrize(
    "text", ["{", "{}", "[1]", '[{"structure": "a", "backend": "cpu", "device": "cpu"}]', "[" * 9999]
)
def test_a_damaged_file_is_one_message(tmp_path, text):
    (tmp_path / FILE).write_text(text)
    with pytest.raises(RecordsError, match=r"lanes.json: .*delete it"):
        Choices.read(tmp_path)


@pytest.mark.parametrize("lanes", [0, -1, 1.5, True, "8", 10**9])
def test_lanes_that_no_machine_has_are_refused(tmp_path, lanes):
    keep(tmp_path, [here(training(), 8)])
    (entry,) = json.loads((tmp_path / FILE).read_text())
    (tmp_path / FILE).write_text(json.dumps([entry | {"lanes": lanes}]))
    with pytest.raises(RecordsError, match="tune again"):
        Choices.read(tmp_path)


@pytest.mark.slow
def test_a_study_is_tuned_in_a_worker_and_older_records_are_told(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    (tmp_path / "tiny.py").write_text(STUDY)
    file, records = str(tmp_path / "tiny.py"), tmp_path / "records"
    opened, options = open_source(file), RunOptions(records, devices=2)
    run_study(opened, options)
    assert answer(["tune", file, "--records", str(records), "--devices", "2", "--widest", "2", "--write"]) == 0
    out, err = capsys.readouterr()
    assert "lr=2 values, seed=2 values" in out
    assert "runs there follow it" in err
    (entry,) = json.loads((records / FILE).read_text())
    assert entry["lanes"] in (1, 2)
    assert entry["rule"] == 32
    assert "lanes: 32 then" in run_study(opened, options).conflicts


@pytest.mark.slow
def test_a_plan_and_a_rerun_follow_the_choice(tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    (tmp_path / "tiny.py").write_text(STUDY)
    opened, options = open_source(str(tmp_path / "tiny.py")), RunOptions(tmp_path / "records", devices=2)
    run_study(opened, options)
    keep(options.records, [here(opened.study.points[0].spec, 2)])
    assert "x 2 lanes" in plan_study(opened, options)
    assert run_study(opened, replace(options, rerun=True)).failed == 0
    environments = [json.loads(p.read_text()) for p in (tmp_path / "records" / "points").glob("*/environment.json")]
    assert [e["numerics"]["lanes"] for e in environments] == 4 * [2]


def test_a_study_without_steps_is_refused_with_one_message(tmp_path, monkeypatch):
    monkeypatch.setattr("runs.launch._worked", lambda *_: iter([{"event": "tuned", "found": None}]))
    (tmp_path / "tiny.py").write_text(STUDY)
    with pytest.raises(RunError, match="tiny: nothing to measure"):
        tune_study(open_source(str(tmp_path / "tiny.py")), RunOptions())
