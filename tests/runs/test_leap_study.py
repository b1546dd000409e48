"""The functions of the leap study, on tables made by hand."""

import numpy as np
import pytest

from runs.statistics import FirstPassage, scaling_exponent
from runs.studies import leap
from runs.table import Entry, Rows, Table


def passages(exponent, d=(16, 32, 64, 128), replicas=20, lost=0, noise=0.0):
    rng = np.random.default_rng(1)
    steps, sizes = [], []
    for size in d:
        times = 3.0 * size**exponent * np.exp(noise * rng.normal(size=replicas))
        times[:lost] = np.inf
        steps.extend(times)
        sizes.extend([size] * replicas)
    points = {"d": np.array(sizes), "seed": np.tile(np.arange(replicas), len(d))}
    return FirstPassage(np.array(steps), points)


@pytest.mark.parametrize("exponent", [1.0, 2.0])
def test_the_exponent_of_a_pure_power_is_found(exponent):
    found = scaling_exponent(passages(exponent), against="d")
    assert found.estimate == pytest.approx(exponent)
    assert found.low == pytest.approx(exponent)


def test_the_interval_covers_the_exponent_and_points_that_never_pass_are_late_not_lost():
    found = scaling_exponent(passages(1.5, noise=0.3, lost=7), against="d")
    assert found.low < 1.5 < found.high
    assert found.high - found.low < 0.6


def test_an_axis_that_other_points_of_a_study_lack_is_still_an_axis_of_numbers():
    found = passages(1.0)
    points = {axis: column.astype(object) for axis, column in found.points.items()}
    assert scaling_exponent(FirstPassage(found.steps, points), against="d").estimate == pytest.approx(1.0)


def test_a_median_that_is_infinite_is_refused():
    with pytest.raises(ValueError, match="half of the points with d=16 never passed"):
        scaling_exponent(passages(1.0, lost=11), against="d")


def table(**points):
    """A table of one point for each keyword, given as (axes, [(step, {measurement: value}), ...])."""
    entries = [Entry(name, axes, "finished") for name, (axes, _) in points.items()]
    rows = {name: Rows.of((step, 0.0, seen) for step, seen in seens) for name, (_, seens) in points.items()}
    return Table.build(entries, rows)


def test_blocks_are_found_at_half_of_what_the_clip_allows():
    z0, others = (f"SupportMass(coordinates={block})" for block in ("(0,)", "(1, 2)"))
    seen = [(0, 0.0, 0.0), (64, 0.12, 0.1), (128, 0.13, 0.2), (640, 0.25, 0.26), (1280, 0.25, 0.4)]
    nested = {"part": "nested", "d": 64, "seed": 0}
    found = table(a=(nested, [(step, {z0: a, others: b}) for step, a, b in seen]))
    assert leap.found(found, "z0", 64).values == [2.0]
    assert leap.found(found, "z1 and z2", 64).values == [10.0]
    assert leap.later(found, 64).values == [5.0]
    assert leap.share_found(found, 64).values == [0.8]


@pytest.mark.parametrize(
    ("times", "expected"), [((1, 2, 10), 5.0), ((2, 1, 10), 0.0), ((1, 2, 99), np.inf), ((1, 1, 1), 1.0)]
)
def test_the_last_term_is_compared_with_the_one_before_and_the_order_counts(times, expected):
    seen = [(step, {"Coefficients": [0.9 * (step >= time) for time in times]}) for step in range(20)]
    found = leap.later_than_before(table(a=({"part": "hierarchy", "seed": 0}, seen)))
    assert found.values == [expected]


def test_the_plateau_of_the_flow_is_told_in_its_time():
    half = [2.0 - 0.02 * t if t < 70 else 0.6 - 0.0004 * t if t < 220 else 0.001 for t in range(301)]
    seen = [(leap.FLOW_UNIT * t, {"TestLoss": value}) for t, value in enumerate(half)]
    found = table(a=({"part": "saddle", "seed": 0}, seen))
    assert 145 < leap.flat_time(found).values[0] < 155
    assert leap.flow_risk(found, 300.0).values == [0.002]


@pytest.mark.slow
def test_the_points_of_the_escape_times_come_first_and_all_claims_are_of_parts_that_are_there():
    study = leap.study("small")
    escapes = [point for point in study.points if "leap" in point.axes]
    assert list(study.points[: len(escapes)]) == escapes
    assert {point.axes.get("part") for point in study.points[len(escapes) :]} == {
        "nested",
        "readout",
        "initial readout",
        "saddle",
        "hierarchy",
        "attempt",
    }
    assert sum(claim.statement.startswith("open:") for claim in study.claims) == len(leap.ATTEMPTS)
