"""Prints one digest of all results of a small study with Adam: `python -P -m tests.runs.adam MAPPER`."""

import hashlib
import sys

from dsl import *
from runs.execute import execute
from runs.options import RunOptions
from runs.plan import stages
from runs.records import PointRecord
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


def found(points: list[Training], mapper: str) -> dict[str, PointRecord]:
    store = InMemory()
    for stage in stages(points):
        execute(stage.groups, store, RunOptions(mapper=mapper), lambda event: None)
    return store.records


def hashed(record: PointRecord) -> bytes:
    parts = [record.rows.value, *(record.arrays[part] for part in sorted(record.arrays))]
    return hashlib.sha256(b"".join(part.tobytes() for part in parts)).digest()


def main(mapper: str) -> None:
    # a narrow network runs in lanes, a wide one alone
    points = [training(width, seed) for width in (4, 400) for seed in range(5)]
    records = found(points, mapper)
    (alone,) = found(points[3:4], mapper).items()
    same = "the same" if hashed(alone[1]) == hashed(records[alone[0]]) else "another"
    digest = hashlib.sha256(b"".join(hashed(records[name]) for name in sorted(records))).hexdigest()
    lanes = sorted({record.environment["numerics"]["lanes"] for record in records.values()})
    print(len(records), lanes, "alone", same, digest)


if __name__ == "__main__":
    main(sys.argv[1])
