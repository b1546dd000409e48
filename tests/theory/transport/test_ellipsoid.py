"""Numbers of the ellipsoid method that mean nothing; what it finds is in `test_solvers.py`."""

import math
from typing import Any

import pytest

from theory.transport import Ellipsoid


@pytest.mark.parametrize(
    ("options", "message"),
    [
        *(({"tol": tol}, f"tol is {tol}, expected a number of at least 0") for tol in (-1e-3, math.nan)),
        *(({"calls": calls}, f"calls is {calls}, expected at least 1") for calls in (0, -1)),
    ],
)
def test_numbers_that_mean_nothing_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"Ellipsoid: {message}"):
        Ellipsoid(**options)
