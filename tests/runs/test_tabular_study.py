"""The functions of the tabular study, on a table made by hand."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from dsl import *
from runs.studies import tabular
from runs.table import Entry, Rows, Table

VALIDATION, TEST = (f"(draw=Exact(), on={part!r})" for part in tabular.PARTS)


def table(*points):
    """One point for each (kind of error and axes, {step: (validation, test)})."""
    entries = [Entry(f"{i:064}", axes, "finished") for i, ((_, axes), _) in enumerate(points)]
    rows = {
        entry.digest: Rows.of([(step, 0, {kind + VALIDATION: a, kind + TEST: b}) for step, (a, b) in values.items()])
        for entry, ((kind, _), values) in zip(entries, points, strict=True)
    }
    return Table.build(entries, rows)


def machine(update, bandwidth, seed, data=Iris()):  # noqa: B008 # a spec is a frozen value
    axes = {"part": "machine", "data": repr(data), "update": repr(update), "bandwidth": bandwidth, "seed": seed}
    return "TestError" if data.outputs else "TestLoss", axes


def trees(seed, rate=0.05):
    return "PredictionError", {"part": "trees", "data": repr(Iris()), "rate": rate, "seed": seed}


MADE = table(
    (machine(FactUpdate(), 0.5, 0), {0: (0.1, 0.2), 1: (0.3, 0.8), 2: (0.2, 0.6)}),
    (machine(FactUpdate(), 1.5, 0), {0: (0.1, 0.4), 1: (0.2, 0.4), 2: (np.nan, 0.0)}),
    (machine(FactUpdate(), 0.5, 1), {0: (0.5, 0.9), 1: (0.0, 0.3), 2: (0.4, 0.7)}),
    (machine(NfaUpdate(1.0), 0.5, 0), {0: (0.0, 0.0), 1: (0.3, 0.25)}),
    (machine(NfaUpdate(1.0), 0.5, 1), {0: (0.0, 0.0), 1: (0.3, 0.35)}),
    (trees(0), {0: (0.4, 0.1)}),
    (trees(0, 0.2), {0: (0.3, 0.2)}),
    (trees(1), {0: (0.3, 0.5)}),
    (machine(FactUpdate(), 0.5, 0, Diabetes()), {0: (0.9, 0.7), 1: (0.8, 0.6)}),
)


@pytest.mark.parametrize(
    ("method", "expected"),
    [("FACT", [0.5, 0.3]), ("ansatz", [0.25, 0.35]), ("kernel ridge", [0.3, 0.9]), ("boosted trees", [0.2, 0.5])],
)
def test_the_settings_are_those_of_the_least_validation_error_and_ties_are_means(method, expected):
    found = tabular.tuned(MADE, Iris(), method)
    assert found.values.tolist() == pytest.approx(expected)
    assert found.seeds.tolist() == [0, 1]


def test_numbers_have_losses():
    assert tabular.tuned(MADE, Diabetes(), "FACT").values.tolist() == pytest.approx([0.6])


def test_a_split_without_a_number_has_none():
    made = table((machine(FactUpdate(), 0.5, 0), {1: (np.nan, 0.2)}))
    assert np.isnan(tabular.tuned(made, Iris(), "FACT").values).tolist() == [True]


def test_differences_are_of_the_same_split():
    found = tabular.difference(MADE, Iris(), "boosted trees")
    assert (found.low, found.estimate, found.high) == pytest.approx((-0.2, 0.05, 0.3))


def test_the_figure_shows_the_tables_there_are_with_every_method():
    axes = Figure().add_subplot()
    tabular.classes(MADE, axes)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["Iris"]
    centres = [container[0].get_ydata()[0] for container in axes.containers]
    assert centres == pytest.approx([0.4, 0.3, 0.6, 0.35])


def test_the_names_of_measurements_are_those_of_the_table():
    settings = {"part": "machine", "update": FactUpdate(), "bandwidth": 1.0, "ridge": 0.1, "seed": 0}
    assert set(tabular.machine(data=Iris(), **settings).observed()) == {"TestError" + VALIDATION, "TestError" + TEST}
    assert set(tabular.machine(data=Diabetes(), **settings).observed()) == {"TestLoss" + VALIDATION, "TestLoss" + TEST}
    found = tabular.trees(part="trees", data=Iris(), rate=0.1, leaves=4, seed=0).observed()
    assert set(found) == {"PredictionError" + VALIDATION, "PredictionError" + TEST}
