"""A lower bound for sums of products: tangents of the exponential make them separable."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float64

from theory.transport.cost import Potentials

_SWEEPS = 3
_HALVINGS = 55


def tangent_bound(factors: Sequence[Float64[np.ndarray, "_ r"]], p: Potentials) -> float:
    """A lower bound of min_j (R_j - sum_i p_i[j_i]) for R_j = sum_l prod_i factors[i][j_i, l].

    Since exp(s) >= u (1 + s - log u) for every u > 0, it is at least

        sum_l u_l (1 - log u_l) + sum_i min_j (sum_l u_l log factors[i][j, l] - p_i[j]),

    which is concave in u and is maximised, one coordinate after the other. Any u gives a bound.

    Args:
        factors: positive, shape (n_i, r) each.
        p: potentials.

    Returns:
        The bound; at the potentials of Jensen's inequality it is 0, the best possible.
    """
    logs = [np.log(factor) for factor in factors]
    low, high = (np.prod([f(x, axis=0) for x in factors], axis=0) for f in (np.min, np.max))

    def bound(u: Float64[np.ndarray, "r"]) -> float:
        separate = sum(float(np.min(log @ u - q)) for log, q in zip(logs, p, strict=True))
        return float(np.sum(u * (1 - np.log(u)))) + separate

    def slope(u: Float64[np.ndarray, "r"], axis: int) -> float:
        chosen = sum(float(log[np.argmin(log @ u - q), axis]) for log, q in zip(logs, p, strict=True))
        return chosen - float(np.log(u[axis]))

    u = np.sqrt(low * high)
    for axis in [*range(len(u))] * (_SWEEPS if len(u) > 1 else 1):
        unit = np.arange(len(u)) == axis
        along = lambda x, at=u, unit=unit, axis=axis: slope(np.where(unit, x, at), axis)
        u = np.where(unit, _sign_change(along, float(low[axis]), float(high[axis])), u)
    return bound(u)


def _sign_change(slope: Callable[[float], float], low: float, high: float) -> float:
    """Where a decreasing function, which may jump, changes its sign; an end of the interval if it does not."""
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) > 0 else (low, middle)
    return (low + high) / 2
