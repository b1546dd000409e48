"""The functions of the symmetry study, on a table made by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from dsl import *
from runs.studies import symmetry
from runs.table import Entry, Rows, Table


def table(risks):
    """One point for each (network, k, seed) with its risk; the loss is half of it."""
    entries, rows = [], {}
    for i, (network, k, seed, risk) in enumerate(risks):
        entries.append(Entry(f"{i:064}", {"network": network, "k": k, "seed": seed}, "finished"))
        rows[entries[-1].digest] = Rows.of([(0, 0, {"TestLoss": 0.5}), (400, 1, {"TestLoss": risk / 2})])
    return Table.build(entries, rows)


def test_risks_shares_and_gaps():
    made = table([("much noise", 1, 0, 0.5), ("much noise", 1, 1, 0.95), ("much noise", 2, 0, 0.7)])
    assert symmetry.risk(made, "much noise", 1).values.tolist() == pytest.approx([0.5, 0.95])
    share = symmetry.success(made, "much noise", 1)
    assert (share.estimate, share.n) == (0.5, 2)
    signs = table([("sign start", k, 0, r) for k, r in ((6, 0.9), (11, 0.6), (12, 0.7))])
    assert symmetry.gap(signs, 6, (11, 12)).values == pytest.approx([0.2])
    assert symmetry.extreme_risk(signs, "sign start", (6, 11), np.min).values == pytest.approx([0.6])


def test_the_bound_is_that_of_its_formula():
    # R sqrt(T) / (2 sigma) sqrt(C) + C / epsilon, the rate cancels
    assert symmetry.bound("much noise", 6) == pytest.approx(3 * 10 / 2 / 924**0.5 + 10 / 924)
    assert symmetry.bound("much noise", 12) > 1


def test_every_degree_of_a_network_is_one_program():
    from dsl.program import structure

    runs = [symmetry.noisy("sign start", k, seed=0) for k in range(13)]
    assert len({structure(run) for run in runs}) == 1
    x = np.asarray(Hypercube(4).nodes()[0])
    wide = jnp.concatenate([x, np.ones((16, 8))], axis=1)
    assert np.asarray(runs[3].task.y(wide)).tolist() == np.prod(x[:, :3], axis=1).tolist()
    assert not np.any(runs[0].task.y(wide))
