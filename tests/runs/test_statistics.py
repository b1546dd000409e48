import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runs.statistics import PerSeed, binomial_interval, bootstrap_interval, first_passage, median, per_seed, power_law
from runs.table import Entry, Rows, Table

DIGESTS = [f"{i:064x}" for i in range(6)]


def study(curves, statuses=None, axes=None):
    """One point per curve: a mapping from step to the value of `loss`."""
    statuses = statuses or ["finished"] * len(curves)
    axes = axes or [{"seed": i} for i in range(len(curves))]
    entries = [Entry(DIGESTS[i], axes[i], statuses[i]) for i in range(len(curves))]
    rows = {DIGESTS[i]: Rows.of([(s, s, {"loss": v}) for s, v in c.items()]) for i, c in enumerate(curves)}
    return Table.build(entries, rows)


def test_per_seed_at_a_step_at_the_end_and_of_one_observation():
    table = study([{0: 4.0, 10: 2.0}, {0: 5.0, 10: 3.0, 20: 1.0}])
    assert per_seed(table, "loss", step=10).values.tolist() == [2, 3]
    assert per_seed(table, "loss", step="last").values.tolist() == [2, 1]
    assert per_seed(table.at(0), "loss").values.tolist() == [4, 5]
    assert per_seed(table, "wall_s", step="last").values.tolist() == [10, 20]
    assert per_seed(table, "loss", step=0).seeds.tolist() == [0, 1]


def test_absent_seeds_are_nan_with_their_reason():
    curves = [{0: 4.0, 10: 2.0}, {0: 5.0}, {}]
    table = study(curves, ["finished", "diverged at step 5", "missing"])
    for sample in (per_seed(table, "loss", step=10), per_seed(table.at(10), "loss"), per_seed(table, "loss", "last")):
        np.testing.assert_array_equal(sample.values, [2, np.nan, np.nan])
        assert sample.notes == ("seed 1: diverged at step 5", "seed 2: missing")


def test_last_is_the_last_observation_of_that_measurement():
    rows = {DIGESTS[0]: Rows.of([(0, 0, {"a": 1.0, "b": 2.0}), (1, 0, {"b": 3.0})])}
    table = Table.build([Entry(DIGESTS[0], {"seed": 0}, "finished")], rows)
    assert per_seed(table, "a", "last").values.tolist() == [1]
    observed_nan = study([{0: 1.0, 1: np.nan}])
    assert np.isnan(per_seed(observed_nan, "loss", "last").values).all()


def test_per_seed_refuses_what_is_ambiguous():
    twice = study([{0: 1.0}, {0: 2.0}], axes=[{"seed": 0, "lr": 0.1}, {"seed": 0, "lr": 0.2}])
    with pytest.raises(ValueError, match=r"seed 0 occurs 2 times, expected once; fix lr with table.where"):
        per_seed(twice, "loss", "last")
    with pytest.raises(ValueError, match="several observations"):
        per_seed(study([{0: 1.0, 1: 2.0}]), "loss")
    with pytest.raises(ValueError, match=r"not observed at step 7; observed steps lie in 0..1"):
        per_seed(study([{0: 1.0, 1: 2.0}]), "loss", 7)
    with pytest.raises(ValueError, match="expected one named seed"):
        per_seed(study([{0: 1.0}], axes=[{"lr": 0.1}]), "loss", 0)
    with pytest.raises(KeyError, match="did you mean 'loss'"):
        per_seed(study([{0: 1.0}]), "lossy", 0)


def test_components_of_arrays():
    table = study([{0: [[1.0, 2.0], [3.0, 4.0]]}])
    assert per_seed(table, "loss", 0, index=2).values.tolist() == [3]
    with pytest.raises(ValueError, match=r"got index None, expected one of 0..3"):
        per_seed(table, "loss", 0)


curve = st.dictionaries(st.integers(0, 30), st.floats(-2, 2), max_size=8)


@settings(max_examples=60, deadline=None)
@given(st.lists(curve, min_size=1, max_size=5), st.floats(-2, 2), st.booleans())
def test_first_passage_agrees_with_loops(curves, level, rising):
    if not any(curves):
        return
    found = first_passage(study(curves), "loss", **{"above" if rising else "below": level})
    for steps, one in zip(found.steps, curves, strict=True):
        reached = [s for s, value in sorted(one.items()) if (value >= level if rising else value <= level)]
        expected = reached[0] if reached else math.inf if one else math.nan
        assert steps == expected or (math.isnan(steps) and math.isnan(expected))


def test_first_passage_of_unfinished_points_is_unknown_not_infinite():
    table = study([{0: 1.0}, {0: 1.0}, {0: 0.1}], ["finished", "diverged at step 3", "diverged at step 3"])
    passage = first_passage(table, "loss", below=0.5)
    np.testing.assert_array_equal(passage.steps, [np.inf, np.nan, 0])
    assert passage.per_seed().notes == ("seed 1: diverged at step 3",)
    assert passage["seed"].tolist() == [0, 1, 2]


def test_first_passage_of_components():
    table = study([{0: [0.0, 1.0], 5: [1.0, 1.0]}, {0: [0.0, 0.0], 5: [0.0, 1.0]}])
    passage = first_passage(table, "loss", above=0.5)
    np.testing.assert_array_equal(passage.steps, [[5, 0], [np.inf, 5]])
    np.testing.assert_array_equal(first_passage(table, "loss", above=0.5, index=1).per_seed().values, [0, 5])
    with pytest.raises(ValueError, match="expected one a seed"):
        passage.per_seed()
    with pytest.raises(ValueError, match="exactly one"):
        first_passage(table, "loss")
    with pytest.raises(ValueError, match="exactly one"):
        first_passage(table, "loss", above=1, below=0)


def test_below_eight_seeds_there_is_no_bootstrap():
    interval = median(PerSeed(np.array([3.0, 1.0, 2.0]), np.arange(3)))
    assert (interval.estimate, interval.low, interval.high) == (2, 1, 3)
    assert interval.method == "every seed"
    assert interval.confidence is None
    assert median(np.arange(8)).method == "bootstrap"


def test_bootstrap_is_repeatable_and_brackets_the_estimate():
    values = np.random.default_rng(0).normal(size=40)
    one = bootstrap_interval(values, np.mean)
    assert one == bootstrap_interval(values, np.mean)
    assert one.low < one.estimate < one.high
    half_width = 1.96 * values.std() / math.sqrt(40)
    assert (one.high - one.low) / 2 == pytest.approx(half_width, rel=0.05)


def trimmed(values):
    return np.sort(values)[2:-2].mean()


@pytest.mark.parametrize("statistic", [np.median, np.mean, trimmed])
def test_bootstrap_has_the_numbers_of_scipy(statistic):
    from scipy.stats import bootstrap

    values = np.random.default_rng(3).normal(size=11)
    theirs = bootstrap((values,), statistic, n_resamples=500, method="percentile", rng=0).bootstrap_distribution
    tails = np.quantile(theirs, [0.05, 0.95], method="inverted_cdf")
    ours = bootstrap_interval(values, statistic, confidence=0.9, resamples=500)
    assert (ours.low, ours.high) == (tails[0], tails[1])


@pytest.mark.parametrize(("successes", "n"), [(0, 5), (3, 8), (8, 8), (40, 500)])
def test_binomial_interval_is_that_of_scipy(successes, n):
    from scipy.stats import binomtest

    theirs = binomtest(successes, n).proportion_ci(0.9, method="exact")
    ours = binomial_interval(successes, n, 0.9)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), rel=1e-9)


def test_bootstrap_of_constant_and_infinite_values():
    constant = median(np.full(9, 2.5))
    assert (constant.low, constant.estimate, constant.high) == (2.5, 2.5, 2.5)
    passages = median(np.array([10.0, 20, 30, 40, 50, np.inf, np.inf, np.inf]))
    assert (passages.estimate, passages.high) == (45, np.inf)
    assert passages.low < 45
    assert median(np.full(8, np.inf)).low == np.inf


@pytest.mark.parametrize("values", [[], [1.0, np.nan], [[1.0]]])
def test_bootstrap_refuses(values):
    with pytest.raises(ValueError, match="expected at least one number, no NaN"):
        median(np.array(values))


@given(st.integers(1, 200))
def test_binomial_interval_closed_forms(n):
    every, none = binomial_interval(n, n), binomial_interval(0, n)
    assert every.low == pytest.approx(0.025 ** (1 / n))
    assert (every.estimate, every.high) == (1, 1)
    assert none.high == pytest.approx(1 - 0.025 ** (1 / n))
    assert none.low == 0


def test_binomial_interval_refuses():
    for successes, n in ((0, 0), (3, 2), (-1, 2)):
        with pytest.raises(ValueError, match="binomial_interval"):
            binomial_interval(successes, n)


@given(st.floats(-3, 3), st.floats(0.1, 10))
def test_power_law_of_exact_data(exponent, factor):
    x = np.array([1.0, 2, 4, 8, 16])
    fit = power_law(x, factor * x**exponent)
    assert fit.estimate == pytest.approx(exponent, abs=1e-9)
    assert fit.high - fit.low == pytest.approx(0, abs=1e-5)


def test_power_law_interval_covers_as_often_as_it_says():
    rng, x = np.random.default_rng(1), np.geomspace(1, 100, 12)
    fits = [power_law(x, x**1.5 * np.exp(0.3 * rng.normal(size=12))) for _ in range(400)]
    assert 0.92 <= np.mean([fit.low <= 1.5 <= fit.high for fit in fits]) <= 0.98


def test_power_law_refuses():
    for x, y, reason in (
        ([1, 2], [1, 2], "at least 3"),
        ([1, 2, 3], [1, 2, 0], "positive"),
        ([1, 2, 3], [1, 2, np.inf], "positive"),
        ([2, 2, 2], [1, 2, 3], "all x are 2"),
    ):
        with pytest.raises(ValueError, match=reason):
            power_law(x, y)


def test_per_seed_checks_its_shapes():
    with pytest.raises(ValueError, match="expected one a seed"):
        PerSeed(np.zeros(3), np.arange(2))
