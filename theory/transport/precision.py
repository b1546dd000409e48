"""How well a plan exp(sum_i w_i[j_i] - eta C_j) is known: masses are as wrong as its exponents, which may be large.

Functions of numbers and arrays that are known or traced.
"""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from theory.arrays import Scalar, library_of
from theory.transport.cost import LogWeights, SoftCost
from theory.transport.plan import Marginals

_KNOWN = 0.5  # the mass in doubt above which errors are not of first order


def upper_bound(
    kernel: SoftCost,
    value: Scalar,
    got: Sequence[Float[Array | np.ndarray, "_"]],
    wanted: Marginals,
    log_weights: LogWeights,
    scale: Scalar,
) -> Float[Array | np.ndarray, ""]:
    """A certified upper bound of the least cost, from a scaled plan that has its marginals up to rounding errors.

    Until they are exact the plan changes by twice sum_i |m_i - mu_i|_1 at most (as for `round_sparse`); no mass is
    known better than its exponent, neither in the marginals nor in the cost.

    Args:
        kernel: the cost C.
        value: the cost of the plan as it is computed.
        got: m, its marginals as they are computed.
        wanted: mu.
        log_weights: w of the plan.
        scale: eta.

    Returns:
        The value, what the sums of the cost may be wrong by, and what the masses may be; the largest entry where the
        plan is not known at all.
    """
    size, xp = largest_entry(kernel), library_of(log_weights[0])
    errors = sum(abs(m - mu).sum() for m, mu in zip(got, wanted, strict=True))
    moved = errors + (len(got) + 1) * rounding(log_weights, 1 + scale * size)  # 1 for the masses themselves
    return xp.where(moved < _KNOWN, value + kernel.soft_error() + 2 * size * moved, size)


def rounding(log_weights: LogWeights, exponent: Scalar) -> Scalar:
    """By how much the exponents sum_i w_i[j_i] - eta C_j may be wrong, in the precision of w.

    They pass through about 4 k sums, each of them wrong by half a unit in its last place.

    Args:
        log_weights: w, k arrays; -inf excludes a point.
        exponent: the largest |eta C_j|.

    Returns:
        The error, which is one of masses relative to themselves.
    """
    xp = library_of(log_weights[0])
    largest = sum((abs(xp.where(xp.isfinite(w), w, 0.0)).max() for w in log_weights), exponent)
    return 2 * len(log_weights) * float(jnp.finfo(log_weights[0].dtype).eps) * largest


def largest_entry(kernel: SoftCost) -> float:
    """A bound of |C_j|, for the cost that the sums use."""
    return max(map(abs, kernel.bounds())) + kernel.soft_error()
