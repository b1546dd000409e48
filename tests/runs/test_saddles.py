"""Plateaus of made-up curves, against every stretch."""

import itertools

import numpy as np
import pytest

from runs import plateaus
from runs.table import Entry, Rows, Table


def table(*curves, every=10, status="finished"):
    digests = [f"point{i}" for i in range(len(curves))]
    entries = [Entry(digest, {"seed": i}, status) for i, digest in enumerate(digests)]
    rows = {
        digest: Rows.of((every * k, 0.0, {"Loss": value}) for k, value in enumerate(curve))
        for digest, curve in zip(digests, curves, strict=True)
    }
    return Table.build(entries, rows)


STAIRS = [4.0, 3.0, 2.05, 2.0, 2.0, 1.95, 1.5, 1.0, 1.0, 0.98, 0.96, 0.95, 0.95, 0.3, 0.0, 0.0]


def test_the_steps_of_a_staircase_are_found_in_order():
    (found,) = plateaus(table(STAIRS), "Loss", height=0.1, lasting=20).found
    assert [(p.start, p.end) for p in found] == [(20, 50), (70, 120)]
    assert [p.level for p in found] == pytest.approx([2.0, 0.97])
    assert found[1].length == 50


def test_short_and_sloping_stretches_are_no_plateaus():
    assert plateaus(table(STAIRS), "Loss", height=0.1, lasting=60).found == ((),)
    assert plateaus(table(np.linspace(4, 0, 30)), "Loss", height=0.1, lasting=20).found == ((),)


@pytest.mark.parametrize("seed", range(20))
def test_the_longest_is_the_longest_of_all_stretches(seed):
    rng = np.random.default_rng(seed)
    curve = np.round(np.cumsum(rng.normal(size=25)), 2)
    stretches = [(10 * (j - i), -i) for i in range(25) for j in range(i + 1, 25) if np.ptp(curve[i : j + 1]) <= 1.0]
    length, start = max(stretches)
    found = plateaus(table(curve), "Loss", height=1.0, lasting=10)
    assert found.longest("length").values == [length]
    assert found.longest("start").values == [-10 * start]
    for p in found.found[0]:
        assert np.ptp(curve[p.start // 10 : p.end // 10 + 1]) <= 1.0
    ends = [(p.start, p.end) for p in found.found[0]]
    assert all(before[1] < after[0] for before, after in itertools.pairwise(ends))


def test_each_seed_has_its_own_and_none_is_nan():
    found = plateaus(table(STAIRS, np.linspace(4, 0, 16)), "Loss", height=0.1, lasting=20)
    assert found.longest("level").values[0] == pytest.approx(0.97)
    assert np.isnan(found.longest("level").values[1])
    assert found.longest("end").seeds.tolist() == [0, 1]


def test_components_of_arrays_and_points_without_rows():
    pairs = [[value, 0.0] for value in STAIRS]
    assert plateaus(table(pairs), "Loss", 0.1, 20, index=1).found[0][0].length == 150
    assert plateaus(table([1.0], []), "Loss", 0.1, 20).found == ((), ())


def test_what_makes_no_sense_is_refused():
    for height, lasting in ((0.0, 10), (0.1, 0)):
        with pytest.raises(ValueError, match="expected a positive height"):
            plateaus(table(STAIRS), "Loss", height, lasting)
