"""Numbers of multiplicative weights that mean nothing; what it finds is in `test_solvers.py`."""

import math
from typing import Any

import pytest

from theory.transport import MultiplicativeWeights


@pytest.mark.parametrize(
    ("options", "message"),
    [
        *(({"eps": eps}, f"eps is {eps}, expected 0 < eps <= 1/2") for eps in (0.0, -0.1, 0.6, math.nan)),
        *(({"trials": trials}, f"trials is {trials}, expected at least 1") for trials in (0, -1)),
    ],
)
def test_numbers_that_mean_nothing_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"MultiplicativeWeights: {message}"):
        MultiplicativeWeights(**options)
