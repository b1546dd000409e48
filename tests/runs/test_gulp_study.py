"""The functions of the gulp study, on matrices made by hand."""

import numpy as np
import pytest

from runs.studies import gulp
from runs.table import Entry, Rows, Table

OF = np.array(gulp.nets("smoke"))
STEP = gulp.STEPS["smoke"]


def table(of_step, gaps):
    """Distance matrices by step (GULP 0.01 as it is, all others of shuffled networks), and gaps by seed."""
    entries = [Entry(f"{i:064}", {"part": "distances", "trained": step}, "finished") for i, step in enumerate(of_step)]
    entries += [
        Entry(f"{i + 100:064}", {"part": "random tasks", "lam": 0.01, "seed": i}, "finished") for i in range(len(gaps))
    ]
    order = np.random.default_rng(0).permutation(len(OF))
    other = lambda m: m[np.ix_(order, order)]
    names = [f"DistanceMatrix(distance={name}())" for name in ("Cca", "Cka", "Procrustes")]
    ridges = lambda m: np.stack([m if lam == 0.01 else other(m) for lam in gulp.LAMS])
    values = [{"DistanceMatrix": ridges(m), **dict.fromkeys(names, other(m))} for m in of_step.values()]
    values += [{"PredictionGap": gap} for gap in gaps]
    return Table.build(entries, {e.digest: Rows.of([(0, 0, v)]) for e, v in zip(entries, values, strict=True)})


def test_the_rate_of_the_plug_in_estimator_is_that_of_its_errors():
    """Squared GULP 1 that is off by n^-1/2 times a factor of the draw; all other ridges by n^-1."""
    law, sizes = np.array([[0.0, 1.0], [1.0, 0.0]]), gulp.SIZES["smoke"]
    rates = np.where(np.array(gulp.LAMS) == 1.0, -0.5, -1.0)
    made = {(gulp.Digits().size, 0): np.tile(law, (len(rates), 1, 1))}
    for n in sizes:
        for seed, factor in enumerate((0.5, -0.5, 0.25, -0.25)):
            made[n, seed] = law * np.sqrt(1 + factor * n**rates)[:, None, None]
    entries = [Entry(f"{i:064}", {"part": "plug-in", "n": n, "seed": s}, "finished") for i, (n, s) in enumerate(made)]
    values = {e.digest: Rows.of([(0, 0, {"DistanceMatrix": v})]) for e, v in zip(entries, made.values(), strict=True)}
    found = Table.build(entries, values)
    errors = gulp.plug_in_errors(found, "smoke", 1.0)
    np.testing.assert_allclose(errors[sizes[0]].values, np.array([0.5, 0.5, 0.25, 0.25]) * sizes[0] ** -0.5)
    assert gulp.plug_in_rate(found, "smoke", 1.0).estimate == pytest.approx(-0.5)
    assert gulp.plug_in_rate(found, "smoke", 0.01).estimate == pytest.approx(-1.0)


def depth_distance():
    """Networks lie where their depth says, and by a little where their number says."""
    place = OF[:, 1] * 10.0 + np.arange(len(OF)) / 10 + OF[:, 2] / 7
    return np.abs(place[:, None] - place[None, :])


@pytest.mark.parametrize("scale", ["smoke", "small", "paper"])
def test_figures_know_their_scale(scale):
    axes = [{"part": "distances", "trained": step} for step in gulp.TRAINED[scale]] + [{"part": "random tasks"}]
    entries = [Entry(f"{i:064}", of, "finished") for i, of in enumerate(axes)]
    assert gulp._scale(Table.build(entries, {})) == scale


def test_the_nearest_network_of_another_width_is_found():
    made = table({0: depth_distance(), STEP: depth_distance()}, [])
    found = gulp.depth_recovered(made, "smoke", "GULP 0.01")
    assert (found.estimate, found.n) == (1.0, len(OF))
    flipped = np.where(OF[:, 1][:, None] == OF[:, 1][None, :], 100.0, 1.0) - 99.0 * np.eye(len(OF))
    assert gulp.depth_recovered(table({STEP: flipped}, []), "smoke", "GULP 0.01").estimate == 0.0


def test_correlations_are_of_ranks_over_pairs():
    matrix = depth_distance()
    made = table({STEP: matrix}, [matrix**2, -matrix])
    found = gulp.correlations(made, "smoke", 0.01)
    assert found["GULP 0.01"].values.tolist() == pytest.approx([1.0, -1.0])
    assert found["Cca"].values[0] < 0.99


def test_the_lead_is_the_mean_over_draws_of_that_over_the_best_rival():
    matrix = depth_distance()
    made = table({STEP: matrix}, [matrix**2] * 7 + [matrix])
    rival = gulp.correlations(made, "smoke", 0.01)["Cca"].values
    lead = gulp.lead(made, "smoke", 0.01, over=("Cca", "Cka"))
    assert lead.estimate == pytest.approx(np.mean(1.0 - rival))
    assert lead.low <= lead.estimate <= lead.high


def test_squared_gulp_is_compared_with_other_distances_over_pairs():
    matrix = depth_distance()
    made = table({STEP: matrix}, [])
    pairs = np.triu_indices(len(OF), 1)
    other = gulp.distances(made, STEP)["Cka"]
    expected = np.corrcoef(matrix[pairs] ** 2, other[pairs])[0, 1]
    assert gulp.resemblance(made, "smoke", 0.01, "Cka").estimate == pytest.approx(expected)
    widths = OF[:, 0]
    each = []
    for width in np.unique(widths):
        rows = [(i, j) for i in range(len(OF)) for j in range(i) if widths[i] == widths[j] == width]
        zero = gulp.distances(made, STEP)["GULP 0"]
        each.append(np.corrcoef([zero[r] ** 2 for r in rows], [other[r] for r in rows])[0, 1])
    assert gulp.resemblance_at_zero(made, "smoke").estimate == pytest.approx(min(each))


def test_the_approach_is_of_pairs_that_differ_in_the_seed():
    before = depth_distance()
    made = table({0: before, STEP: before / 4}, [])
    assert gulp.approach(made, "smoke", "GULP 0.01").estimate == pytest.approx(0.25)
    same = [(a, b) for a, b in zip(OF[::2], OF[1::2], strict=True)]
    assert all(tuple(a[:2]) == tuple(b[:2]) and a[2] != b[2] for a, b in same)
