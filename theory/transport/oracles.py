"""The oracles of a cost, and how one gives another.

For potentials p, with C_j - sum_i p_i[j_i] the reduced cost of a tuple j:

    MIN(p) = min_j (C_j - sum_i p_i[j_i]),    SMIN(p) = -(1/eta) log sum_j exp(-eta (C_j - sum_i p_i[j_i])),

and MIN - (1/eta) log prod_i n_i <= SMIN <= MIN. Exact transport is as hard as MIN, approximate transport as hard as its
approximation, and Sinkhorn's algorithm needs SMIN, which can be strictly harder (arXiv 2008.03006; from memory,
unverified): for network reliability SMIN counts connected subgraphs.
"""

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from jaxtyping import Float64

from theory.transport.cost import Cost, Minimum, Potentials, SoftCost, expect_sizes, expect_soft
from theory.transport.expected import expect_a, expect_arrays, expect_function, expect_number
from theory.transport.plan import log_marginals, log_mass

MinOracle: TypeAlias = Callable[[Potentials], float]
"""p -> MIN(p), or SMIN(p)."""

_EXACT = 1e-9
_LARGEST = math.log(np.finfo(float).max)


def argmin_oracle(cost: Cost, p: Potentials) -> Minimum:
    """A tuple of least reduced cost, or the best one found, with a certified lower bound.

    Args:
        cost: any cost.
        p: potentials, one array for each marginal.

    Returns:
        The tuple, its reduced cost, and the lower bound.
    """
    expect_potentials(cost, p)
    return cost.argmin(p)


def min_oracle(cost: Cost, p: Potentials) -> float:
    """The least reduced cost.

    Args:
        cost: any cost.
        p: potentials.

    Returns:
        MIN(p), to 1e-9 of the range of the cost.

    Raises:
        ValueError: if the cost does not know it so exactly.
    """
    expect_potentials(cost, p)
    low, high = cost.bounds()
    return approximate_min_oracle(cost, p, _EXACT * max(high - low, np.finfo(float).tiny))


def approximate_min_oracle(cost: Cost, p: Potentials, eps: float) -> float:
    """A value within eps of the least reduced cost.

    Args:
        cost: any cost.
        p: potentials.
        eps: the additive error.

    Returns:
        The reduced cost of a tuple.

    Raises:
        ValueError: if the search leaves a larger gap.
    """
    found = argmin_oracle(cost, p)
    if found.value - found.lower > eps:
        kind = type(cost).__name__
        raise ValueError(
            f"{kind}: the least reduced cost is known to {found.value - found.lower:.3g}, expected {eps:.3g}"
        )
    return found.value


def soft_min_oracle(cost: SoftCost, p: Potentials, eta: float) -> float:
    """The soft least reduced cost.

    Args:
        cost: one that has soft sums.
        p: potentials.
        eta: the inverse temperature, positive.

    Returns:
        SMIN(p), of a cost that differs by at most `cost.soft_error()`.

    Raises:
        ValueError: if eta is not positive, or potentials do not match.
    """
    _expect_eta("soft_min_oracle", eta)
    expect_potentials(expect_soft("soft_min_oracle", cost), p)
    return -float(log_mass(cost, [eta * q for q in p], eta)) / eta


def marginals(cost: SoftCost, p: Potentials, eta: float) -> tuple[Float64[np.ndarray, "_"], ...]:
    """The marginals of the tensor exp(-eta (C_j - sum_i p_i[j_i])).

    Args:
        cost: one that has soft sums.
        p: potentials.
        eta: the inverse temperature, positive.

    Returns:
        One array for each marginal.

    Raises:
        ValueError: if eta is not positive, potentials do not match, or a sum overflows.
    """
    _expect_eta("marginals", eta)
    expect_potentials(expect_soft("marginals", cost), p)
    return tuple(_exponentials("marginals", m) for m in log_marginals(cost, [eta * q for q in p], eta))


def argmin_by_min(minimum: MinOracle, p: Potentials, tol: float = 1e-9) -> tuple[int, ...]:
    """A minimiser from values alone: coordinates are fixed one by one, where the value stays.

    Args:
        minimum: p -> MIN(p).
        p: potentials.
        tol: how far values of one minimum may differ.

    Returns:
        A tuple, after at most sum_i n_i + 1 calls.

    Raises:
        ValueError: if no point of a marginal keeps the value, so that the oracle contradicts itself.

    Source: arXiv 2008.03006 (from memory, unverified).
    """
    expect_function("argmin_by_min: minimum", minimum, "lambda p: min_oracle(cost, p)")
    value, clamped, index = minimum(p), list(p), []
    for i, potential in enumerate(p):
        for v in range(len(potential)):
            clamped[i] = clamped_to(potential, v)
            if minimum(clamped) <= value + tol:
                index.append(v)
                break
        else:
            raise ValueError(f"argmin_by_min: no point of marginal {i} keeps the least value {value}")
    return tuple(index)


def marginals_by_soft_min(soft: MinOracle, p: Potentials, eta: float) -> tuple[Float64[np.ndarray, "_"], ...]:
    """The marginals from soft minima with one coordinate held: n calls for each marginal.

    Args:
        soft: p -> SMIN(p) at this eta.
        p: potentials.
        eta: the inverse temperature, positive.

    Returns:
        As `marginals`.

    Raises:
        ValueError: if eta is not positive, or a sum overflows.
    """
    _expect_eta("marginals_by_soft_min", eta)
    expect_function("marginals_by_soft_min: soft", soft, "lambda p: soft_min_oracle(cost, p, eta)")
    found = []
    for i, potential in enumerate(p):
        held = [[*p[:i], clamped_to(potential, v), *p[i + 1 :]] for v in range(len(potential))]
        logs = np.array([-eta * soft(q) if np.isfinite(q[i]).any() else -np.inf for q in held])
        found.append(_exponentials("marginals_by_soft_min", logs))
    return tuple(found)


def soft_min_by_marginals(found: Sequence[Float64[np.ndarray, "_"]], eta: float) -> float:
    """The soft minimum from any of the marginals, by summing it.

    Args:
        found: as `marginals` gives them.
        eta: the inverse temperature.

    Returns:
        SMIN(p).
    """
    expect_arrays("soft_min_by_marginals: found", found)
    return -math.log(found[0].sum()) / eta


def min_by_soft_min(cost: SoftCost, p: Potentials, eps: float) -> float:
    """The least reduced cost to within eps, by a soft minimum at eta = log(prod_i n_i) / eps.

    Args:
        cost: one that has soft sums.
        p: potentials.
        eps: the additive error, positive.

    Returns:
        A value in [MIN - eps, MIN], up to `cost.soft_error()`.

    Raises:
        ValueError: if eps is not positive, or potentials do not match.

    Source: arXiv 2008.03006 (from memory, unverified).
    """
    if not eps > 0:
        raise ValueError(f"min_by_soft_min: eps is {eps}, expected a positive error")
    return soft_min_oracle(cost, p, max(1.0, float(np.log(cost.shape).sum())) / eps)


def clamped_to(potential: Float64[np.ndarray, "n"], v: int) -> Float64[np.ndarray, "n"]:
    """The potential with every point but one excluded.

    Args:
        potential: of a marginal.
        v: the point that stays.

    Returns:
        The potential, -inf at all other points.
    """
    return np.where(np.arange(len(potential)) == v, potential, -np.inf)


def expect_potentials(cost: Cost, p: Potentials) -> None:
    """Refuses what is no cost, potentials that do not match it, NaN and +inf."""
    expect_a("cost", cost, Cost)
    expect_sizes(cost, p)
    for i, potential in enumerate(p):
        if (bad := ~(potential < np.inf)).any():
            v = int(np.argmax(bad))
            raise ValueError(f"potentials[{i}][{v}] is {potential[v]}, expected a number, or -inf to exclude a point")


def _expect_eta(where: str, eta: float) -> None:
    expect_number(f"{where}: eta", eta)
    if not 0 < eta < np.inf:
        raise ValueError(f"{where}: eta is {eta}, expected a positive inverse temperature")


def _exponentials(where: str, logs: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    if (largest := float(logs.max())) > _LARGEST:
        raise ValueError(
            f"{where}: a marginal is exp({largest:.4g}), expected at most exp({_LARGEST:.4g}); "
            "subtract a constant from a potential"
        )
    return np.exp(logs)
