"""The functions of the leap study, on tables made by hand."""

import numpy as np
import pytest

from runs.statistics import FirstPassage, scaling_exponent


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


def test_a_median_that_is_infinite_is_refused():
    with pytest.raises(ValueError, match="half of the points with d=16 never passed"):
        scaling_exponent(passages(1.0, lost=11), against="d")
