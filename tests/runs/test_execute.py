"""The engine in this process, on two host devices."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from dsl import *
from runs.execute import execute
from runs.options import RunError, RunOptions
from runs.plan import grouped, stages
from runs.store import InMemory, OnDisk

X = bits(6)


def training(seed: int = 0, lr: float = 0.05, width: int = 8, steps: int = 40, measure=None, **more) -> Training:
    return Training(
        task=Sample(Labelled(Hypercube(6), X[0] + X[0] * X[1]), n=64),
        model=TwoLayer(width, Relu(), Standard()),
        loss=SquaredLoss(),
        protocol=Descent(steps, Cyclic(8), by=Adam(lr)),
        measure=measure or (TestLoss(Exact()) @ every(10), Weights() @ at_end()),
        seed=seed,
        **more,
    )


def run(points, store=None, **options):
    """The store and the events of a run."""
    store, events = store or InMemory(), list[dict]()
    for stage in stages(points):
        execute(stage.groups, store, RunOptions(**options), events.append)
    return store, events


def of(events, kind):
    return [event for event in events if event["event"] == kind]


def values(store, point, name="TestLoss"):
    rows = store.records[digest(point)].rows
    return rows.value[rows.name == name]


def same_bits(a, b):
    assert a.status == b.status
    np.testing.assert_array_equal(a.rows.value, b.rows.value)
    assert a.arrays.keys() == b.arrays.keys()
    for name in a.arrays:
        np.testing.assert_array_equal(a.arrays[name], b.arrays[name])


@pytest.fixture(scope="module")
def tiny():
    points = [training(seed=s, lr=lr) for s in range(5) for lr in (0.02, 0.05)]
    return points, run(points)[0]


@pytest.mark.parametrize("which", [3, *(pytest.param(i, marks=pytest.mark.slow) for i in (0, 9))])
def test_a_point_alone_has_the_bits_it_has_beside_others(tiny, which):
    points, together = tiny
    alone, _ = run([points[which]])
    same_bits(alone.records[digest(points[which])], together.records[digest(points[which])])


@pytest.mark.slow
def test_a_wide_network_is_one_lane_and_keeps_its_bits_too():
    points = [training(seed=s, width=600) for s in range(3)]
    together, alone = run(points)[0], run(points[1:2])[0]
    record = together.records[digest(points[1])]
    assert record.environment["numerics"]["lanes"] == 1
    same_bits(alone.records[digest(points[1])], record)


def test_pmap_gives_the_bits_of_shard_map(tiny):
    points, together = tiny
    mapped, _ = run(points, mapper="pmap")
    for point in points:
        same_bits(mapped.records[digest(point)], together.records[digest(point)])


def test_the_length_of_a_dispatch_changes_no_bits(tiny, monkeypatch):
    points, together = tiny
    monkeypatch.setattr("runs.layout.CHUNK_SECONDS", 1e-9)
    chunked, events = run(points[:1])
    assert max(event["n"] for event in of(events, "steps")) == 1
    same_bits(chunked.records[digest(points[0])], together.records[digest(points[0])])


def test_the_engine_does_what_the_program_does(tiny):
    points, together = tiny
    program = compile(points[0])
    knobs = program.knobs(points[0])
    constants = program.constants(knobs, {})
    state = program.advance(program.init(knobs, {}, constants), knobs, {}, constants, 40)
    seen = program.observe(state, knobs, {}, constants, ("TestLoss",))
    np.testing.assert_allclose(values(together, points[0])[-1], seen["TestLoss"], rtol=1e-4)


def compiled(points):
    """How many programs XLA compiles for a run."""
    heard = []
    listener = lambda event, *_, **__: heard.append(event) if event.endswith("backend_compile_duration") else None
    jax.clear_caches()
    jax.monitoring.register_event_duration_secs_listener(listener)
    try:
        run(points)
    finally:
        jax.monitoring.unregister_event_duration_listener(listener)
    return len(heard)


def test_a_sweep_compiles_as_often_as_a_point():
    assert compiled([training(seed=s, lr=0.01 * (1 + s)) for s in range(20)]) == compiled([training()])


def test_uneven_gaps_are_one_compilation():
    even = (TestLoss(Exact()) @ every(10),)
    uneven = (TestLoss(Exact()) @ log_spaced(12),)
    assert compiled([training(measure=uneven)]) == compiled([training(measure=even)])


def test_divergence_is_data_and_ends_that_point_alone():
    def steep(lr, seed=0):
        return replace(training(seed), protocol=Descent(40, Cyclic(8), by=Sgd(lr)))

    points = [steep(0.01), steep(1e20), steep(0.02)]
    store, events = run(points)
    assert store.status(digest(points[1])) == "diverged at step 10"
    assert [event["status"] for event in of(events, "done")].count("finished") == 2
    assert np.isfinite(values(store, points[0])).all()
    assert len(values(store, points[1])) == 2  # of steps 0 and 10: what was finite, and where it ended
    same_bits(run([points[2]])[0].records[digest(points[2])], store.records[digest(points[2])])


def test_what_reads_a_diverged_point_is_blocked_by_it():
    inner = replace(training(), protocol=Descent(40, Cyclic(8), by=Sgd(1e20)))
    outer = replace(training(), model=Trained(inner))
    store, events = run([outer])
    assert store.status(digest(outer)) == f"blocked by {digest(inner)}"
    assert [event["point"] for event in of(events, "blocked")] == [digest(outer)]


def test_two_phases_go_on_where_the_first_ended():
    first = [training(seed=s) for s in range(2)]
    second = [replace(run, model=Trained(run), measure=(TestLoss(Exact()) @ every(10),)) for run in first]
    store, _ = run(second)
    for a, b in zip(first, second, strict=True):
        assert values(store, a)[-1] == pytest.approx(values(store, b)[0], rel=1e-5)


class Broken(Activation):
    """An activation with a mistake in it."""

    def __call__(self, z):
        raise KeyError("a user's mistake")


def test_a_group_that_cannot_be_traced_fails_alone():
    good, bad = training(), replace(training(), model=TwoLayer(8, Broken(), Standard()))
    store, events = run([bad, good])
    assert store.status(digest(good)) == "finished"
    assert store.status(digest(bad)) == 'failed: KeyError: "a user\'s mistake"'
    assert "a user's mistake" in of(events, "error")[0]["message"]
    assert [event["point"] for event in of(events, "failed")] == [digest(bad)]


def test_the_other_precision_is_refused():
    with pytest.raises(RunError, match="computes in float32, the experiment in float64"):
        run([training(precision="float64")])


def test_finished_points_are_skipped(tmp_path):
    points = [training(seed=s) for s in range(2)]
    store = OnDisk.at(tmp_path, rerun=False, accept=False)
    store.records.prepare()
    assert len(of(run(points, store)[1], "done")) == 2
    events = run([*points, training(seed=2)], store)[1]
    assert len(of(events, "skipped")) == 2
    assert len(of(events, "done")) == 1


def test_other_numerics_are_told_and_rerun_or_accepted(tmp_path, monkeypatch):
    point = training()
    store = OnDisk.at(tmp_path, rerun=False, accept=False)
    store.records.prepare()
    run([point], store)
    monkeypatch.setattr("runs.numerics.SAMPLERS", {"bits": "packed-2"})
    (conflict,) = of(run([point], store)[1], "conflict")
    assert "samplers.bits: packed-1 then, packed-2 now" in conflict["message"]
    accepting = OnDisk.at(tmp_path, rerun=False, accept=True)
    assert len(of(run([point], accepting)[1], "skipped")) == 1
    assert len(of(run([point], store)[1], "skipped")) == 1  # accepted once, accepted for good
    monkeypatch.setattr("runs.numerics.SAMPLERS", {"bits": "packed-3"})
    rerunning = OnDisk.at(tmp_path, rerun=True, accept=False)
    assert len(of(run([point], rerunning)[1], "done")) == 1
    assert len(list((tmp_path / "superseded").iterdir())) == 1


def test_a_changed_noun_of_a_user_is_a_difference_of_numerics(monkeypatch):
    from runs import numerics

    point = replace(training(), model=TwoLayer(8, Broken(), Standard()))
    (name,) = numerics.foreign(point)
    assert name.endswith("Broken")
    assert numerics.foreign(training()) == {}


class Halves(Solver):
    """Bisection of [0, 1] for a root of x^2 = a: one step halves the interval."""

    most: int

    @property
    def last(self):
        return self.most

    def init(self, problem, key):
        return jax.numpy.array([0.0, 1.0])

    def step(self, problem, state, key):
        middle = state.mean()
        return jax.numpy.where(middle**2 < problem.a, state.at[0].set(middle), state.at[1].set(middle))

    def finished(self, problem, state):
        return state[1] - state[0] < 1e-3

    def answer(self, problem, state):
        return state.mean()


class Root(Problem):
    a: float


class Answer(Measurement):
    def __call__(self, experiment, state, constants, key):
        return state.answer


class StepsTaken(Measurement):
    def __call__(self, experiment, state, constants, key):
        return state.step


def test_a_solver_that_is_done_stops_early():
    points = [Solving(Root(a), Halves(30), (Answer(), StepsTaken())) for a in (0.25, 0.5)]
    store, _ = run(points)
    for a, point in zip((0.25, 0.5), points, strict=True):
        assert values(store, point, "Answer")[-1] == pytest.approx(a**0.5, abs=1e-3)
        assert values(store, point, "StepsTaken")[-1] == 10


class Sorting(Solver):
    """A host computation: not traced."""

    traced = False

    @property
    def last(self):
        return 0

    def init(self, problem, key):
        return sorted([3.0, float(problem.a), 1.0])

    def answer(self, problem, state):
        return np.array(state)


def test_a_host_computation_is_recorded_like_any_other():
    point = Solving(Root(2.0), Sorting(), (Answer(),))
    store, _ = run([point])
    assert values(store, point, "Answer").tolist() == [1.0, 2.0, 3.0]


class Recentred(Target[Bits, Real]):
    """A target that reads what another experiment found."""

    by: Result | Stored

    def __call__(self, x):
        return x[..., 0] - self.by.value


class Value(Measurement):
    def __call__(self, experiment, state, constants, key):
        return experiment.of(jax.numpy.ones((1, 3)))[0]


def test_a_result_and_stored_arrays_are_inputs(tmp_path):
    np.save(tmp_path / "shift.npy", np.float32(0.25))
    import hashlib

    sha256 = hashlib.sha256((tmp_path / "shift.npy").read_bytes()).hexdigest()
    roots = [Solving(Root(a), Halves(30), (Answer(),)) for a in (0.25, 0.5)]
    points = [Analysis(of=Recentred(Result(root, "Answer")), measure=(Value(),)) for root in roots]
    held = Analysis(of=Recentred(Stored("shift.npy", sha256)), measure=(Value(),))
    assert len(grouped(points)) == 1
    store, events = run([*points, held], data=tmp_path)
    assert not of(events, "error")
    assert [round(values(store, p, "Value")[0], 2) for p in points] == [0.5, 0.29]
    assert values(store, held, "Value")[0] == 0.75


def test_stored_arrays_are_known_by_their_content(tmp_path):
    np.save(tmp_path / "shift.npy", np.float32(0.5))
    held = Analysis(of=Recentred(Stored("shift.npy", "0" * 64)), measure=(Value(),))
    with pytest.raises(RunError, match="is not the file that the spec names"):
        run([held], data=tmp_path)
    with pytest.raises(RunError, match="say which with --data"):
        run([held])


def test_points_that_read_other_files_do_not_share_their_arrays(tmp_path):
    import hashlib

    def held(name, value):
        np.save(tmp_path / name, np.float32(value))
        return Analysis(
            of=Recentred(Stored(name, hashlib.sha256((tmp_path / name).read_bytes()).hexdigest())), measure=(Value(),)
        )

    points = [held("a.npy", 0.25), held("b.npy", 0.5)]
    assert len(grouped(points)) == 1
    store, _ = run(points, data=tmp_path)
    assert [values(store, p, "Value")[0] for p in points] == [0.75, 0.5]


class Counting(Protocol):
    """A protocol whose model holds an integer, which counts its steps."""

    steps: int

    @property
    def last(self):
        return self.steps

    def init(self, experiment, streams):
        from dsl.protocols import TrainingState

        return TrainingState(jax.numpy.zeros((), "int32"), {"count": jax.numpy.zeros((), "int32")}, ())

    def step(self, experiment, state, streams):
        from dsl.protocols import TrainingState

        return TrainingState(state.step + 1, {"count": state.model["count"] + 2}, ())


class Counter(Model[Reals, Real]):
    def init(self, key, task):
        return {"count": jax.numpy.zeros((), "int32")}


class Count_(Measurement):
    def __call__(self, experiment, state, constants, key):
        return state.model["count"].astype(float)


def test_integers_of_a_model_are_state():
    point = replace(training(), model=Counter(), protocol=Counting(5), measure=(Count_() @ every(1),))
    store, events = run([point])
    assert not of(events, "error"), of(events, "error")
    assert values(store, point, "Count_").tolist() == [0, 2, 4, 6, 8, 10]


def test_a_solver_that_is_done_is_not_observed_again():
    point = Solving(Root(0.25), Halves(1000), (Answer() @ every(1), StepsTaken() @ at_end()))
    store, _ = run([point])
    rows = store.records[digest(point)].rows
    steps = rows.step[rows.name == "Answer"]
    assert steps.tolist() == [*range(11), 1000]
    assert values(store, point, "StepsTaken").tolist() == [10]


class Bound(Solver):
    """A solver whose best value starts at infinity, which is no divergence."""

    @property
    def last(self):
        return 2

    def init(self, problem, key):
        return jax.numpy.array(jax.numpy.inf)

    def step(self, problem, state, key):
        return jax.numpy.minimum(state, problem.a)

    def answer(self, problem, state):
        return state


def test_an_infinite_bound_is_no_divergence():
    point = Solving(Root(2.0), Bound(), (Answer() @ every(1),))
    store, _ = run([point])
    assert store.status(digest(point)) == "finished"
    assert values(store, point, "Answer").tolist() == [np.inf, 2.0, 2.0]


class Picky(Solver):
    """A host solver that cannot do every instance."""

    traced = False

    @property
    def last(self):
        return 0

    def init(self, problem, key):
        if float(problem.a) < 0:
            raise ArithmeticError("no root of a negative number")
        return float(problem.a) ** 0.5

    def answer(self, problem, state):
        return np.array(state)


def test_one_instance_that_a_host_solver_cannot_do_leaves_the_others():
    points = [Solving(Root(a), Picky(), (Answer(),)) for a in (-1.0, 4.0)]
    store, _ = run(points)
    assert store.status(digest(points[0])) == "failed: ArithmeticError: no root of a negative number"
    assert values(store, points[1], "Answer").tolist() == [2.0]


def test_what_reads_a_conflicting_point_waits_with_it(tmp_path, monkeypatch):
    inner = training()
    outer = replace(training(), model=Trained(inner))
    store = OnDisk.at(tmp_path, rerun=False, accept=False)
    store.records.prepare()
    run([inner], store)
    monkeypatch.setattr("runs.numerics.SAMPLERS", {"bits": "packed-2"})
    _, events = run([outer], store)
    assert [event["point"] for event in of(events, "conflict")] == [digest(inner), digest(outer)]
    assert store.status(digest(outer)) is None


def test_a_damaged_record_is_repaired_by_a_rerun(tmp_path):
    points = [training(seed=s) for s in range(3)]
    store = OnDisk.at(tmp_path, rerun=False, accept=False)
    store.records.prepare()
    run(points, store)
    folders = [tmp_path / "points" / digest(p) for p in points]
    (folders[0] / "environment.json").write_text("")
    (folders[1] / "STATUS").unlink()
    (folders[2] / "metrics.parquet").write_bytes(b"not a table")
    _, events = run(points, OnDisk.at(tmp_path, rerun=True, accept=False))
    assert len(of(events, "done")) == 3
    assert len(of(run(points, store)[1], "skipped")) == 3


def test_a_rerun_keeps_the_old_record_until_the_new_one_is_there(tmp_path, monkeypatch):
    point = training()
    store = OnDisk.at(tmp_path, rerun=False, accept=False)
    store.records.prepare()
    run([point], store)
    monkeypatch.setattr("runs.numerics.SAMPLERS", {"bits": "packed-2"})
    rerunning = OnDisk.at(tmp_path, rerun=True, accept=False)
    monkeypatch.setattr("runs.wave.Wave.run", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        run([point], rerunning)
    assert store.status(digest(point)) == "finished"


def test_a_part_that_the_model_does_not_have_is_told():
    run_ = training()
    point = replace(run_, model=Counter(), protocol=replace(run_.protocol, only="readout"))
    _, events = run([point])
    assert "has no weights in a part of that name" in of(events, "error")[0]["message"]
