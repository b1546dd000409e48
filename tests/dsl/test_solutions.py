"""Measurements of an answer that is not what they are of."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dsl import *
from theory.transport import SparsePlan

SQUARE = Solving(Barycenter(SparseSquare(2, 2)), ColumnGeneration(), (Atoms(),), precision="float64")
FOUR = SparsePlan((2, 2), np.argwhere(np.ones((2, 2))), np.full(4, 0.25))


@pytest.mark.parametrize("measurement", [Plan(), Atoms()], ids=repr)
def test_a_plan_of_more_atoms_than_a_vertex_says_how_many_and_at_which_step(measurement):
    state = SimpleNamespace(step=jnp.asarray(7), answer=SimpleNamespace(plan=FOUR))
    with pytest.raises(
        ValueError, match=r"the plan at step 7 has 4 atoms, and a vertex has at most 3: it is no vertex"
    ):
        measurement(SQUARE, state, None, jax.random.key(0))


def test_rows_of_zeros_fill_a_plan_up():
    plan = SparsePlan((2, 2), np.array([[0, 1], [1, 0]]), np.array([0.5, 0.5]))
    state = SimpleNamespace(step=jnp.asarray(0), answer=SimpleNamespace(plan=plan))
    found = Plan()(SQUARE, state, None, jax.random.key(0))
    np.testing.assert_array_equal(found, [[0, 1, 0.5], [1, 0, 0.5], [0, 0, 0]])
