"""What the devices hold while a large study runs."""

import gc

import jax
import numpy as np
import pytest

from dsl import *
from runs.execute import execute
from runs.layout import layout
from runs.options import RunOptions
from runs.plan import stages
from runs.store import InMemory

X = bits(6)


def training(seed: int) -> Training:
    return Training(
        task=Labelled(Hypercube(6), X[0] + X[0] * X[1]),
        model=TwoLayer(8, Relu(), Standard()),
        loss=SquaredLoss(),
        protocol=Descent(4, Fresh(8), by=Sgd(0.05)),
        measure=(TestLoss(Fresh(32)) @ every(2),),
        seed=seed,
    )


def held(points: int) -> tuple[int, int, int]:
    """The most bytes of arrays that are alive at once, beyond those before, in a run; those after it; its points."""
    gc.collect()
    before, most = alive(), 0

    def tell(event):
        nonlocal most
        if event["event"] == "steps":  # after every dispatch
            most = max(most, alive())

    store = InMemory()
    for stage in stages([training(seed) for seed in range(points)]):
        execute(stage.groups, store, RunOptions(), tell)
    finished = sum(record.status == "finished" for record in store.records.values())
    return most - before, alive() - before, finished


def alive() -> int:
    """Bytes of all arrays on devices: each has its parts there, and shared arrays a copy on every device."""
    arrays = [array for array in jax.live_arrays() if not jax.numpy.issubdtype(array.dtype, jax.dtypes.prng_key)]
    return sum(part.data.nbytes for array in arrays for part in array.addressable_shards)


def wave() -> tuple[int, int]:
    """The points of the largest wave, and the bytes that the plan gives it."""
    point = training(0)
    program = compile(point)
    place = layout(program, program.knobs(point), {})
    return place.devices * place.blocks * place.lanes, place.memory


@pytest.mark.slow
def test_many_waves_hold_no_more_than_one():
    size, planned = wave()
    one, _, done = held(size)
    many, after, all_done = held(3 * size + 1)
    assert (done, all_done) == (size, 3 * size + 1)
    assert 0 < one <= planned
    assert many <= 1.05 * one  # the last wave pads, so its arrays are as large
    assert after == 0


@pytest.mark.slow
def test_10_000_points_hold_no_more_than_their_largest_wave():
    size, planned = wave()
    one, _, _ = held(size)
    many, after, done = held(10_000)
    assert done == 10_000 > 10 * size
    assert many <= min(1.05 * one, planned)
    assert after == 0


def test_what_stays_alive_is_counted():
    before = alive()
    kept = jax.device_put(np.zeros(1000, np.float32))
    assert alive() - before == 4000
    del kept
