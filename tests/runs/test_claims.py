import io
import math
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runs.claims import claims_table, grade, grade_all
from runs.statistics import Interval, PerSeed, certain, per_seed
from runs.table import Entry, Rows, Table


@dataclass(frozen=True)
class Accept:
    low: float
    high: float
    around: bool = False

    def band(self, predicted):
        return (predicted + self.low, predicted + self.high) if self.around else (self.low, self.high)


@dataclass(frozen=True)
class Claim:
    measured: Any
    accept: Accept
    predicted: Any = None
    statement: str = "The exponent is 1 [in steps]"
    citation: str = "2108.10573, section 3"
    verified: bool = True


EMPTY = Table.build([], {})
UNIT = Accept(0.0, 1.0)


def graded(measured, accept=UNIT, predicted=None, table=EMPTY):
    return grade(Claim(lambda _: measured, accept, predicted), table)


def seeds(*values, notes=()):
    return PerSeed(np.array(values, float), np.arange(len(values)), notes)


def test_every_seed_inside_holds_and_says_so():
    verdict = graded(seeds(*np.linspace(0, 1, 8)))
    assert verdict.outcome == "holds"
    assert verdict.detail.startswith("8 of 8 seeds in [0, 1]; success rate [0.631, 1] (95% exact)")
    assert "median 0.5, 95% bootstrap interval" in verdict.detail


def test_fewer_than_eight_seeds_are_not_bootstrapped():
    assert "bootstrap" not in graded(seeds(*np.linspace(0, 1, 7))).detail


def test_one_seed_outside_fails_even_where_another_is_missing():
    assert graded(seeds(0.5, 1.5)).outcome == "fails"
    verdict = graded(seeds(0.5, 1.5, np.nan))
    assert verdict.outcome == "fails"
    assert "1 of 2 seeds" in verdict.detail


def test_missing_seeds_are_undecided_and_named():
    verdict = graded(seeds(0.5, np.nan, 0.2, np.nan, notes=("seed 1: diverged at step 4",)))
    assert verdict.outcome == "undecided"
    assert "2 of 2 seeds" in verdict.detail
    assert "no value for seed 1, 3; seed 1: diverged at step 4" in verdict.detail
    assert graded(seeds()).outcome == "undecided"
    assert graded(seeds(np.nan)).detail == "no seed has a value"


def test_infinite_passages_lie_above_every_finite_band():
    assert graded(seeds(np.inf)).outcome == "fails"
    assert graded(seeds(np.inf, 3.0), Accept(2, np.inf)).outcome == "holds"


@given(st.floats(-3, 3), st.floats(0, 3), st.floats(-3, 3), st.floats(0, 3))
def test_interval_rule(low, width, edge, room):
    verdict = graded(Interval(low, low, low + width, 9, "bootstrap"), Accept(edge, edge + room))
    inside = edge <= low and low + width <= edge + room
    apart = low + width < edge or low > edge + room
    assert verdict.outcome == ("holds" if inside else "fails" if apart else "undecided")


def test_interval_with_nan_is_undecided():
    assert graded(Interval(math.nan, math.nan, math.nan, 3, "least squares")).outcome == "undecided"


def test_band_around_a_prediction():
    around = Accept(-0.1, 0.1, around=True)
    verdict = graded(Interval(1.0, 0.95, 1.05, 9, "least squares"), around, 1.0)
    assert (verdict.outcome, verdict.predicted, verdict.band) == ("holds", 1.0, (0.9, 1.1))
    assert graded(seeds(1.3), around, lambda table: 1.25).outcome == "holds"
    assert graded(seeds(1.3), around, lambda table: Interval(1.25, 1, 2, 3, "x")).predicted == 1.25
    missing = graded(seeds(1.3), around)
    assert missing.outcome == "undecided"
    assert "the prediction is None; expected a number" in missing.detail
    assert graded(seeds(1.3), around, math.nan).outcome == "undecided"


def test_a_plain_number_is_exact():
    for value in (0.5, np.float64(0.5), 1):
        verdict = graded(value)
        assert verdict.outcome == "holds"
        assert verdict.measured == certain(value)
    assert graded(-0.5).outcome == "fails"


def test_what_cannot_be_measured_is_undecided():
    rows = Rows.of([(0, 0, {"loss": 1.0})])
    table = Table.build([Entry("0" * 64, {"seed": 0}, "finished")], {"0" * 64: rows})
    verdict = grade(Claim(lambda t: per_seed(t, "los", 0), UNIT), table)
    assert verdict.outcome == "undecided"
    assert "did you mean 'loss'" in verdict.detail
    assert verdict.measured is None
    assert grade(Claim(lambda t: per_seed(t, "loss", 0), UNIT), table).outcome == "holds"
    assert grade(Claim(lambda t: per_seed(t, "loss", 0), UNIT), EMPTY).outcome == "undecided"
    assert grade(Claim(lambda t: per_seed(t.where(seed=9), "loss", 0), UNIT), table).outcome == "undecided"
    assert "measured returned str; expected Interval, PerSeed or one exact number" in graded("0.5").detail
    assert "measured returned bool" in graded(True).detail
    assert "ZeroDivisionError" in grade(Claim(lambda t: 1 / 0, UNIT), table).detail


def test_an_interrupt_is_not_swallowed():
    def stop(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        grade(Claim(stop, UNIT), EMPTY)


def test_table_for_the_terminal():
    from rich.console import Console

    memory = Claim(lambda _: seeds(3.0), UNIT, verified=False)
    study = SimpleNamespace(claims=(Claim(lambda _: seeds(0.5), UNIT, 0.25), memory))
    verdicts = grade_all(study, EMPTY)
    assert [verdict.outcome for verdict in verdicts] == ["holds", "fails"]
    shown = claims_table(verdicts)
    assert [column.header for column in shown.columns] == ["claim", "predicted", "measured", "verdict"]
    out = io.StringIO()
    Console(file=out, width=300).print(shown)
    assert "The exponent is 1 [in steps]" in out.getvalue()
    assert "0.25" in out.getvalue()
    assert out.getvalue().count("[2108.10573]") == 2
    assert out.getvalue().count("(unverified)") == 1


def test_a_claim_takes_few_lines_of_a_terminal():
    from rich.console import Console

    statement = "The coefficients of S_10 are learned in the order of their degree: no inversion"
    sample = seeds(*np.linspace(0.0213, 0.0298, 8))
    claim = Claim(lambda _: sample, Accept(-math.inf, 0.1), statement=statement, verified=False)
    out = io.StringIO()
    Console(file=out, width=100).print(claims_table([grade(claim, EMPTY)]))
    assert len(out.getvalue().splitlines()) <= 4 + 4  # the frame and the header take four
