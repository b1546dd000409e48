"""The staircase study: its settings against the authors' table, its claims and figures on a table made by hand."""

import numpy as np
import pytest

from dsl import *
from runs.claims import grade_all
from runs.figures import svg
from runs.studies.staircase import BIASED, GAUSS, MAIN, MULTI, REDUCED, setting, staircase, study
from runs.table import Entry, Rows, Table

AUTHORS = {  # network "layers x width" counts all linear maps; batch 20; rates per 15 000 (Gaussian: 10 000) iterations
    MAIN: (Hypercube(30), 5, 40, 60_000, 100_000, 0.01, [1, 2, 4, 8, 16, 32, 64]),
    BIASED: (Biased(30, 0.75), 5, 40, 60_000, 100_000, 0.01, [1, 2, 2, 4, 4, 8, 16]),
    GAUSS: (Gaussian(100), 8, 50, 300_000, 100_000, 0.01, [1, 1, 1, 2, 2, 4, 4]),
    MULTI: (Hypercube(30), 5, 50, 100_000, 50_000, 0.004, [1, 2, 2, 4, 4, 8, 16]),
}


@pytest.mark.parametrize("variant", AUTHORS)
def test_the_settings_are_those_of_the_authors(variant):
    law, maps, width, n, steps, base, shares = AUTHORS[variant]
    run = staircase(variant, parity=False, seed=0)
    assert (run.task.x, run.task.n, run.model.width, run.model.depth + 1) == (law, n, width, maps)
    assert run.protocol.steps == steps
    rate, every_ = run.protocol.by.lr, 10_000 if variant == GAUSS else 15_000
    for piece, share in enumerate(shares):
        assert float(rate((piece + 1) * every_ - 1, steps)) == pytest.approx(base / share)


def test_the_targets_have_the_norms_of_the_paper_and_their_parities_norm_one():
    for variant, norm in ((MAIN, 1), (BIASED, 1), (GAUSS, 1), (MULTI, 13)):
        run = staircase(variant, parity=False, seed=0)
        assert sum(term.weight**2 for term in run.task.y.terms) == pytest.approx(norm)
        assert [term.weight for term in staircase(variant, parity=True, seed=0).task.y.terms] == [1.0]


def test_the_two_staircases_share_their_first_step():
    sets = [{*character.on} for monomial in setting(MULTI).chain for character in monomial.terms]
    first = [set(range(k)) for k in range(1, 8)]
    assert sets == first + [{0, *range(7, 7 + j)} for j in range(1, 7)]


def ended(points, loss, coefficient):
    """A table in which every point ends with a loss and with coefficients of one size, which were zero before."""
    entries, rows = [], {}
    for number, point in enumerate(points):
        basis = len(point.spec.measure[1].measurement.basis)
        last = point.spec.last
        seen = [0, 30_000, last] if last > 30_000 else [0, last]
        rows[str(number)] = Rows.of(
            (step, 0.0, {"TestLoss": loss(point.axes), "Coefficients": np.full(basis, coefficient * (i > 0))})
            for i, step in enumerate(seen)
        )
        entries.append(Entry(str(number), point.axes, "finished"))
    return Table.build(entries, rows)


@pytest.mark.parametrize("scale", ["small", "paper"])
def test_claims_hold_where_staircases_are_learned_and_parities_are_not_and_fail_elsewhere(scale):
    made = study(scale)
    learned = ended(made.points, lambda axes: 1.0 if axes["parity"] else 0.01, coefficient=1.0)
    assert {verdict.outcome for verdict in grade_all(made, learned)} == {"holds"}
    other = ended(made.points, lambda axes: 0.01 if axes["parity"] else 1.0, coefficient=0.0)
    assert "holds" not in {verdict.outcome for verdict in grade_all(made, other)}


def test_every_figure_draws_and_says_what_it_shows():
    made = study("small")
    table = ended(made.points, lambda axes: 0.5, coefficient=1.0)
    drawn = [svg(figure, table) for figure in made.figures]
    assert all(text.startswith("<svg") for text in drawn)
    assert len({figure.__doc__ for figure in made.figures}) == 11
    assert [text.count(">degree ") for text in drawn] == [0, 10, 10, 0, 7, 0, 5, 0, 7, 0, 5]
    assert drawn[8].count(">second, ") == 6


def test_the_small_scale_cuts_the_variants_short_and_leaves_the_main_experiment():
    points = study("small").points
    assert sum(point.axes["variant"] == MAIN for point in points) == 16
    assert {p.spec.last for p in points if p.axes["variant"] == MAIN} == {100_000}
    assert {p.spec.last for p in points if p.axes["variant"] == BIASED} == {REDUCED[BIASED]["steps"]}
