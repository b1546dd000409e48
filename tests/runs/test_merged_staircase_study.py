"""The functions of the merged-staircase study, on tables made by hand."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest

from runs.studies import merged_staircase as study
from runs.table import Entry, Rows, Table
from theory import boolean, symmetry
from theory.leap import is_merged_staircase


def kernels(risks, seeds=(0, 1)):
    """A table of kernel points with these risks (of half of which the loss is), one for each sample size."""
    points = list(itertools.product(seeds, study.EXAMPLES))
    axes = [{"target": "leap 1", "d": "30", "seed": seed, "examples": n} for seed, n in points]
    entries = [Entry(f"point{i}", own, "finished") for i, own in enumerate(axes)]
    rows = {e.digest: Rows.of([(1, 0.0, {"TestLoss": risks[e.axes["examples"]] / 2})]) for e in entries}
    return Table.build(entries, rows)


def test_the_margin_is_the_least_distance_from_the_bound():
    bounds = {n: study.linear_bound(30, n) for n in study.EXAMPLES}
    found = kernels({n: bound + extra for (n, bound), extra in zip(bounds.items(), (0.3, 0.2, 0.4), strict=True)})
    np.testing.assert_allclose(study.margin(found).values, 0.2)
    assert study.margin(found).seeds.tolist() == [0, 1]


@pytest.mark.parametrize("features", [0, 3, 9])
def test_the_linear_bound_is_the_tail_of_the_spectrum_of_the_orbit(features):
    points = np.asarray(boolean.cube(4), float)
    orbit = symmetry.orbit(np.cumprod(points, axis=1).sum(axis=1), "signed permutations")
    eigenvalues = np.sort(np.linalg.eigvalsh(orbit.T @ orbit / orbit.size))[::-1]
    assert study.linear_bound(4, features) == pytest.approx(eigenvalues[features:].sum(), abs=1e-9)


def test_both_symmetric_and_generic_targets_are_merged_staircases_and_one_has_the_symmetry():
    for target in study.SYMMETRY.values():
        assert is_merged_staircase([dict.fromkeys(term.on, 1) for term in target.terms])
    points = boolean.cube(4)
    turned = points[:, jnp.array([1, 0, 2, 3])] * jnp.array([1.0, 1.0, -1.0, 1.0])
    values = {name: (target(points), target(turned)) for name, target in study.SYMMETRY.items()}
    np.testing.assert_array_equal(*values["degenerate"])
    assert not np.allclose(*values["generic"])
