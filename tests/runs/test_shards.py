"""The data axis: devices that share the batch of one training."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec

from dsl import *
from dsl.draws import Batch
from dsl.shards import averaged, part, split_over
from runs.execute import execute
from runs.mapping import Mapped
from runs.options import RunError, RunOptions
from runs.plan import stages
from runs.store import InMemory, OnDisk

X = bits(6)
TOLERANCE = 1e-5
"""Of weights of order 1 in float32 after 40 steps: the parts of a sum are added in another order."""


def training(seed: int = 0, draw=None, by=None, **more) -> Training:
    return Training(
        task=Sample(Labelled(Hypercube(6), X[0] + X[0] * X[1]), n=64),
        model=TwoLayer(16, Relu(), Standard()),
        loss=SquaredLoss(),
        protocol=Descent(40, draw or Fresh(8), by=by or Sgd(0.05)),
        measure=(TestLoss(Exact()) @ every(20), Weights() @ at_end()),
        seed=seed,
        **more,
    )


def run(points, shards, store=None):
    store, events = store or InMemory(), list[dict]()
    for stage in stages(points):
        execute(stage.groups, store, RunOptions(data_shards=shards), events.append)
    assert not [event for event in events if event["event"] == "error"], events
    return store, events


def weights(store, point):
    return {name: array for name, array in store.records[digest(point)].arrays.items()}


def split(values, shards=2):
    """What each of two devices has as its part of a batch, stacked, and the averages of their means."""
    mesh = Mesh(np.array(jax.devices()[:shards]), ("data",))

    def inside(batch):
        with split_over("data", shards):
            mine = part(batch)
            return mine.points, averaged(mine.mean(mine.points))[None]

    return jax.shard_map(inside, mesh=mesh, in_specs=PartitionSpec(), out_specs=PartitionSpec("data"), check_vma=False)(
        values
    )


def test_the_parts_are_the_batch_and_the_average_of_their_means_its_mean():
    x = jnp.arange(6.0)
    parts, means = split(Batch(x))
    np.testing.assert_array_equal(parts, x)
    np.testing.assert_allclose(means, [2.5, 2.5])


def test_the_average_of_weighted_parts_is_the_weighted_mean():
    x, w = jnp.arange(4.0), jnp.array([0.1, 0.2, 0.3, 0.4])
    np.testing.assert_allclose(split(Batch(x, w))[1], [2.0, 2.0], rtol=1e-6)


def test_without_a_data_axis_a_batch_is_whole():
    batch = Batch(jnp.arange(3.0))
    assert part(batch) is batch
    with split_over("data", 1):
        assert part(batch) is batch


@pytest.mark.slow
@pytest.mark.parametrize(
    ("draw", "by"),
    [
        (Exact(), Sgd(0.05)),
        pytest.param(Fresh(8), Adam(0.01), marks=pytest.mark.slow),
        pytest.param(Cyclic(8), Sgd(0.05), marks=pytest.mark.slow),
        pytest.param(Shuffled(8), Adam(0.01), marks=pytest.mark.slow),
    ],
)
def test_two_devices_find_what_one_finds(draw, by):
    points = [training(seed, draw, by) for seed in range(2)]
    alone, shared = run(points, 1)[0], run(points, 2)[0]
    for point in points:
        a, b = weights(alone, point), weights(shared, point)
        for name in a:
            np.testing.assert_allclose(a[name], b[name], atol=TOLERANCE, rtol=0)
        rows = [store.records[digest(point)].rows for store in (alone, shared)]
        np.testing.assert_allclose(rows[0].value, rows[1].value, atol=TOLERANCE, rtol=0)


@pytest.mark.slow
def test_a_flow_is_shared_too():
    point = replace(training(), protocol=Flow(until=1.0, steps=20, draw=Exact()))
    a, b = weights(run([point], 1)[0], point), weights(run([point], 2)[0], point)
    for name in a:
        np.testing.assert_allclose(a[name], b[name], atol=TOLERANCE, rtol=0)


@pytest.mark.slow
def test_a_rule_that_stops_sees_the_whole_batch():
    stopped = replace(training(), protocol=Descent(400, Exact(), by=Sgd(0.1), stop=Stop(loss_below=0.05)))
    point = replace(stopped, measure=(StepsMade() @ at_end(),))
    steps = [run([point], shards)[0].records[digest(point)].rows.value[-1] for shards in (1, 2)]
    assert steps[0] == steps[1] < 400


def test_each_device_works_on_half_of_the_examples():
    point = training(draw=Fresh(64))
    program = compile(point)
    mapped = Mapped(program, (1, 1, 1), "shard_map", 2)
    seen = []

    class Told(type(program)):
        def advance(self, state, knobs, inputs, constants, n):
            new = super().advance(state, knobs, inputs, constants, n)
            jaxpr = jax.make_jaxpr(lambda s: type(program).advance(self, s, knobs, inputs, constants, 1))(state)
            seen.append(str(jaxpr))
            return new

    mapped.program = Told(program.experiment, program.last, program.measurements, program.schedule)
    from runs.wave import Block, Wave

    Wave(mapped, [Block("", "", [program.knobs(point)], [{}])], {}, 40).run(lambda _: None)
    assert "psum" in seen[0]
    assert "f32[32,16]" in seen[0]  # the hidden layer on half of the batch
    assert "f32[64,16]" not in seen[0]


def test_the_numerics_name_the_shards_and_other_shards_are_a_conflict(tmp_path):
    point = training()
    store = OnDisk.at(tmp_path, rerun=False, accept=False)
    store.records.prepare()
    run([point], 2, store)
    assert store.records.environment(digest(point))["numerics"]["data_shards"] == 2
    (conflict,) = [event for event in run([point], 1, store)[1] if event["event"] == "conflict"]
    assert "data_shards: 2 then, None now" in conflict["message"]


def test_what_cannot_be_shared_is_refused_before_anything_runs():
    ridge = replace(training(), protocol=Ridge(0.1, Exact(), only="readout"), measure=(TestLoss(Exact()) @ at_end(),))
    with pytest.raises(RunError, match="--data-shards 2: Ridge averages over no batch that devices could share"):
        run([training(), ridge], 2)
    with pytest.raises(RunError, match="--data-shards 2: a batch of 7 examples cannot be split evenly over 2 devices"):
        run([training(draw=Fresh(7))], 2)
    with pytest.raises(RunError, match="--data-shards 3: expected a divisor of the number of devices, 2"):
        run([training()], 3)
    with pytest.raises(RunError, match="--data-shards 2 needs --mapper shard_map"):
        execute(stages([training()])[0].groups, InMemory(), RunOptions(mapper="pmap", data_shards=2), print)


@pytest.mark.slow
def test_the_rows_of_one_large_sinkhorn_are_shared():
    measure = (Objective(), DualBound(), MarginalError())
    problem = Wasserstein(RandomMeasures(n=65, k=2, d=2, half_width=1.0))
    point = Solving(problem, Sinkhorn(eta=20.0, tol=1e-3), measure, seed=3)
    rows = [run([point], shards)[0].records[digest(point)].rows for shards in (1, 2)]
    np.testing.assert_allclose(rows[0].value, rows[1].value, atol=TOLERANCE, rtol=0)


def test_a_solver_that_is_not_shared_is_refused():
    point = Solving(Wasserstein(RandomMeasures(n=4, k=2, d=1, half_width=1.0)), Quantiles(), (Objective(),))
    with pytest.raises(RunError, match="--data-shards 2: Quantiles averages over no batch that devices could share"):
        run([point], 2)
