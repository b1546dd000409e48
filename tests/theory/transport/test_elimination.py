"""Orders and tables of variable elimination."""

import numpy as np
import pytest

from theory.transport.elimination import Table, eliminate, elimination_order, largest_table, traced_back

CYCLE = tuple((t, (t + 1) % 6) for t in range(6))
TREE = ((0, 1), (0, 2), (2, 3), (2, 4), (4, 5))


@pytest.mark.parametrize("last", range(6))
def test_orders_are_permutations_that_find_the_width(last: int) -> None:
    for cliques, width in ((TREE, 1), (CYCLE, 2)):
        order = elimination_order(cliques, (5,) * 6, last)
        assert sorted(order) == list(range(6))
        assert order[-1] == last
        assert largest_table(cliques, (5,) * 6, order) == 5 ** (width + 1)


def test_a_bad_order_has_a_larger_table() -> None:
    star = tuple((0, v) for v in range(1, 5))
    assert largest_table(star, (3,) * 5, [0, 1, 2, 3, 4]) == 3**5
    assert largest_table(star, (3,) * 5, elimination_order(star, (3,) * 5, 0)) == 3**2


def test_elimination_over_another_semiring_counts() -> None:
    """With maxima instead of minima, and components that are not joined."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(3, 4)), rng.normal(size=2)
    joined = eliminate([Table((1, 0), a), Table((2,), b)], [2, 1, 0], lambda values: values.max(axis=0))
    np.testing.assert_allclose(joined[-1].values, a.max(axis=0) + b.max(), rtol=1e-6)


def test_tracing_back_gives_the_minimiser_through_each_value() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(3, 4)), rng.normal(size=(4, 2))
    joined = eliminate([Table((0, 1), a), Table((1, 2), b)], [0, 1, 2], lambda values: values.min(axis=0))
    found = traced_back(joined)
    whole = a[:, :, None] + b
    for v in range(2):
        best = np.unravel_index(whole[:, :, v].argmin(), (3, 4))
        assert (int(found[0][v]), int(found[1][v]), int(found[2][v])) == (*map(int, best), v)
