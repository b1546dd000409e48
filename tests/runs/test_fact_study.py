"""The functions of the fact study, on a table made by hand."""

import pytest

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


def test_the_early_lead_is_that_of_the_ansatz_in_the_first_layer():
    step = fact.SETTINGS["small"]["steps"] // 5
    values = [
        (step, {"FactAlignment(layer=0)": 0.2, "NfaAlignment(layer=0)": 0.9}),
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


def test_the_names_of_measurements_are_those_of_the_table():
    for part in fact.HIDDEN:
        observed = fact.network(part, seed=0, scale="small").observed()
        layers = range(fact.HIDDEN[part] + 1)
        expected = {f"{name}(layer={layer})" for layer in layers for name in ("FactAlignment", "NfaAlignment")}
        assert set(observed) == expected | {"GradientNorm"}


def test_exponents_of_linear_networks():
    measured = [m.measurement for m in fact.network("linear", seed=0, scale="small").measure]
    powers = [m.power for m in measured if isinstance(m, NfaAlignment)]
    assert powers == pytest.approx([1 / 3, 1 / 2, 1])
