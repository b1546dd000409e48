"""The functions of the fact study, on a table made by hand."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from dsl import *
from runs.studies import fact
from runs.table import Entry, Rows, Table


def table(points):
    """One point for each (axes, values by step)."""
    entries = [Entry(f"{i:064}", axes, "finished") for i, (axes, _) in enumerate(points)]
    return Table.build(
        entries,
        {
            e.digest: Rows.of([(step, 0, v) for step, v in values])
            for e, (_, values) in zip(entries, points, strict=True)
        },
    )


def cosines(at, *values):
    return at, {f"FactAlignment(layer={i})": value for i, value in enumerate(values)}


def test_the_least_cosine_is_over_the_layers_at_the_end():
    made = table(
        [({"part": "linear", "seed": s}, [cosines(0, 0.1, 0.1, 0.1), cosines(9, 0.9, 0.7 + s, 1.0)]) for s in (0, 1)]
    )
    assert fact.least(made, "linear", "FactAlignment").values.tolist() == pytest.approx([0.7, 0.9])


def test_a_cosine_counts_where_the_gradient_has_vanished_alone():
    points = [({"part": "linear", "seed": s}, [cosines(9, 0.9, 0.7 + s / 10, 1.0)]) for s in (0, 1)]
    for (_, values), norm in zip(points, (2e-3, 1e-4), strict=True):
        values[0][1]["GradientNorm"] = norm
    found = fact.least_at_convergence(table(points), "linear")
    np.testing.assert_allclose(found.values, [np.nan, 0.8])
    assert found.notes == ("seed 0: the gradient has norm 0.002, and the theorem says nothing",)


def test_the_early_lead_is_that_of_the_ansatz_in_the_first_layer():
    step = fact.SETTINGS["small"]["steps"] // 5
    values = [
        (step, {"FactAlignment(layer=0)": 0.2, "NfaAlignment(layer=0)[0]": 0.9}),
        (2 * step, {"FactAlignment(layer=0)": 1.0}),
    ]
    made = table([({"part": "relu", "seed": 0}, values)])
    assert fact.early_lead(made, "small").values.tolist() == pytest.approx([0.7])


def test_errors_are_those_of_one_update():
    points = [
        ({"part": "modular", "update": repr(update), "seed": 0}, [(5, {"TestError": early}), (90, {"TestError": late})])
        for update, early, late in ((FactUpdate(), 1.0, 0.1), (FactMean(), 0.9, 0.2))
    ]
    made = table(points)
    assert fact.early_error(made, FactMean()).values.tolist() == [0.9]
    assert fact.last(made, "TestError", part="modular", update=FactUpdate()).values.tolist() == [0.1]


@pytest.mark.parametrize("part", fact.HIDDEN)
def test_the_names_of_measurements_are_those_of_the_table(part):
    observed = set(fact.network(part, seed=0, scale="small").observed())
    layers = range(fact.HIDDEN[part] + 1)
    expected = {fact.column(name, part, layer) for layer in layers for name in ("FactAlignment", "NfaAlignment")}
    twice = {f"NfaAlignment(layer={layer})[1]" for layer in (range(1) if part in fact.LINEAR else layers)}
    assert observed - expected == {"GradientNorm"} | twice
    assert expected < observed


def test_exponents_of_linear_networks():
    powers = {
        part: [m.measurement.power for m in fact.network(part, seed=0, scale="small").measure if "Nfa" in repr(m)]
        for part in ("linear", "deep linear", "tanh")
    }
    assert powers["linear"] == pytest.approx([1 / 3, 1 / 2, 1, 1 / 2])
    assert powers["deep linear"] == pytest.approx([1 / 4, 1 / 3, 1 / 2, 1, 1 / 2])
    assert powers["tanh"] == [0.5] * 4 + [1.0] * 4


def test_the_lead_of_a_linear_networks_own_power_is_over_one_half():
    names = ("NfaAlignment(layer=0)[0]", "NfaAlignment(layer=0)[1]")
    made = table([({"part": "linear", "seed": 3}, [(9, dict(zip(names, (0.9, 0.4), strict=True)))])])
    assert fact.own_lead(made, "linear").values.tolist() == pytest.approx([0.5])


def test_the_feature_matrix_is_drawn_of_the_last_iteration():
    matrix = np.arange(4 * fact.P**2, dtype=float).reshape(2 * fact.P, -1)
    made = table(
        [
            ({"part": "modular", "update": repr(u), "seed": 0}, [(90, {"FeatureMatrix": value})])
            for u, value in ((FactUpdate(), matrix), (FactMean(), -matrix))
        ]
    )
    figure = Figure()
    axes = figure.add_subplot()
    fact.feature_matrix(made, axes)
    np.testing.assert_array_equal(axes.images[0].get_array(), matrix)
    assert axes.images[0].get_clim()[1] == matrix[fact.P - 1, -1]
