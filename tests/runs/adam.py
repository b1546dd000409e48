"""Prints one digest of all results of a small study with Adam: `python -P -m tests.runs.adam MAPPER`."""

import hashlib
import sys

from dsl import *
from runs.execute import execute
from runs.options import RunOptions
from runs.plan import stages
from runs.store import InMemory

X = bits(12)


def training(width: int, seed: int) -> Training:
    return Training(
        task=Sample(Labelled(Hypercube(12), X[0] + X[0] * X[1]), n=256),
        model=TwoLayer(width, Relu(), Standard()),
        loss=SquaredLoss(),
        protocol=Descent(200, Cyclic(16), by=Adam(lr=1e-2)),
        measure=(TestLoss(Fresh(100)) @ at_end(), Weights() @ at_end()),
        seed=seed,
    )


def answer(mapper: str) -> str:
    """The number of points, the lanes and the digest."""
    store = InMemory()
    # a narrow network runs in lanes, a wide one alone
    points = [training(width, seed) for width in (4, 400) for seed in range(5)]
    for stage in stages(points):
        execute(stage.groups, store, RunOptions(mapper=mapper), lambda event: None)
    hashed = hashlib.sha256()
    for name in sorted(store.records):
        record = store.records[name]
        hashed.update(record.rows.value.tobytes())
        for part in sorted(record.arrays):
            hashed.update(record.arrays[part].tobytes())
    lanes = sorted({record.environment["numerics"]["lanes"] for record in store.records.values()})
    return f"{len(store.records)} {lanes} {hashed.hexdigest()}"


if __name__ == "__main__":
    print(answer(sys.argv[1]))
