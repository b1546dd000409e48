"""Sizes as a reader writes them, and the largest that fits."""

import numpy as np
import pytest

from dsl.sizes import SEARCHED, TABLE, TENSOR, largest, limit, written_size
from theory import transport
from theory.transport.cost import expect_dense
from theory.transport.euler_flow import euler_flow


@pytest.mark.parametrize(
    ("size", "text"),
    [(7, "7"), (595665, "5.96e+05"), (10**6, "1e+06"), (2**99, "6.34e+29"), (2**100, "2^100"), (3 * 2**5000, "2^5001")],
)
def test_sizes_are_written_to_three_digits_or_as_powers_of_two(size, text):
    assert written_size(size) == text


def test_limits_are_powers_of_two():
    assert [limit(most) for most in (1, 2**20, TABLE)] == ["2^0", "2^20", "2^26"]


@pytest.mark.parametrize("most", [0, 1, 2, 9, 10, 11, 1000])
def test_the_largest_that_fits_is_found_by_halves(most):
    assert largest(lambda n: n**3 <= 1000, most) == max(n for n in range(most + 1) if n**3 <= 1000)
    assert largest(lambda n: False, most) == 0


def test_limits_are_those_of_the_algorithms():
    expect_dense("it", (SEARCHED,))
    with pytest.raises(ValueError, match=f"more than {SEARCHED}"):
        expect_dense("it", (SEARCHED + 1,))
    listed = transport.Problem(transport.TensorCost(np.zeros((TENSOR + 1, 1))), transport.uniform((TENSOR + 1, 1)))
    with pytest.raises(ValueError, match=f"more than {TENSOR}"):
        transport.NaiveLp().solve(listed)
    n = largest(lambda n: n**3 <= TABLE, 2**10)
    assert euler_flow(n, 3, "id").shape == (n, n, n)
    with pytest.raises(ValueError, match=f"more than {TABLE}"):
        euler_flow(n + 1, 3, "id")
