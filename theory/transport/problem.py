"""The multimarginal transport problem, and the answer that every solver gives."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from theory.transport.cost import Cost, Given, Potentials, as_floats, expect_finite, expect_sizes
from theory.transport.expected import expect_a, expect_arrays, expect_count, written
from theory.transport.plan import Plan

_SUM = 1e-9
_SINGLE = 1e-6  # in single precision


@dataclass(frozen=True, eq=False)
class Problem:
    """min <C, P> over tensors P >= 0 with marginals mu_1, ..., mu_k.

    Attributes:
        cost: of shape (n_1, ..., n_k).
        marginals: mu_i, shape (n_i,), not negative, with sum 1 (to 1e-9, those in single precision to 1e-6; they are
            divided by their sums).

    Raises:
        ValueError: if the cost is no `Cost`, or the marginals do not match it, are negative or not finite, or do not
            sum to 1.
    """

    cost: Cost
    marginals: tuple[Float64[np.ndarray, "_"], ...]

    def __init__(self, cost: Cost, marginals: Sequence[Given]) -> None:
        if isinstance(marginals, Cost):
            raise ValueError("Problem: the second argument is the cost; expected Problem(cost, marginals)")
        expect_a("Problem: cost", cost, Cost)
        expect_arrays("Problem: marginals", marginals)
        if len(marginals) != len(cost.shape):
            raise ValueError(f"marginals: got {len(marginals)}, expected {len(cost.shape)} for a cost of {cost.shape}")
        checked = tuple(_checked(i, mu, n) for i, (mu, n) in enumerate(zip(marginals, cost.shape, strict=True)))
        object.__setattr__(self, "cost", cost)
        object.__setattr__(self, "marginals", checked)

    @property
    def support_bound(self) -> int:
        """The most atoms of a vertex of the primal: sum_i n_i - k + 1."""
        return sum(self.cost.shape) - len(self.cost.shape) + 1

    def paired(self, p: Potentials) -> float:
        """sum_i <p_i, mu_i>, where points without mass do not count."""
        masses = zip(p, self.marginals, strict=True)
        return float(sum(np.sum(np.where(mu > 0, potential, 0.0) * mu) for potential, mu in masses))


def uniform(shape: Sequence[int]) -> tuple[Float64[np.ndarray, "_"], ...]:
    """Uniform marginals.

    Args:
        shape: their sizes n_1, ..., n_k.

    Returns:
        Masses of 1 / n_i.

    Raises:
        ValueError: if these are not sizes of at least 1.
    """
    if not isinstance(shape, Sequence | np.ndarray) or isinstance(shape, str):
        raise ValueError(
            f"uniform: expected the sizes of the marginals, such as (6, 6) or cost.shape, got {written(shape)}"
        )
    for i, n in enumerate(shape):
        expect_count(f"uniform: shape[{i}]", n, 1, "point")
    return tuple(np.full(n, 1 / n) for n in shape)


def dual_value(problem: Problem, p: Potentials) -> float:
    """The certified lower bound that potentials give: sum_i <p_i, mu_i> + min_j (C_j - sum_i p_i[j_i]).

    Args:
        problem: with any cost.
        p: potentials.

    Returns:
        A lower bound of the least cost.

    Raises:
        ValueError: if the potentials do not match.
    """
    expect_a("dual_value: problem", problem, Problem)
    expect_sizes(problem.cost, p)
    return problem.paired(p) + problem.cost.argmin(p).lower


class Solution(NamedTuple):
    """A plan, and what is certain about it."""

    plan: Plan
    """The plan, with exact marginals."""
    potentials: tuple[Float64[np.ndarray, "_"], ...]
    """Those that gave the lower bound."""
    value: float
    """The cost of the plan."""
    lower: float
    """A certified lower bound of the least cost."""
    upper: float
    """A certified upper bound: the value, and what the plan's cost may be wrong by."""
    marginal_error: float
    """max_i |m_i - mu_i|_1 of the plan before it was rounded."""
    support_size: float
    """The number of atoms; the number of tuples where the plan is dense."""
    oracle_calls: int
    """How often the cost was searched or summed."""

    @property
    def gap(self) -> float:
        """How far the value may be from the least cost."""
        return self.upper - self.lower


def _checked(i: int, given: Given, n: int) -> Float64[np.ndarray, "_"]:
    mu, single = as_floats(f"marginals[{i}]", given), getattr(given, "dtype", None) == np.float32
    if mu.ndim != 1:
        raise ValueError(f"marginals[{i}] has shape {mu.shape}, expected ({n},)")
    if len(mu) != n:
        raise ValueError(f"marginals[{i}]: got {mu.size} masses, the cost has {n} points there")
    expect_finite(f"marginals[{i}]", mu)
    if (mu < 0).any():
        v = int(np.argmax(mu < 0))
        raise ValueError(f"marginals[{i}][{v}] is {mu[v]}, expected masses that are not negative")
    if abs(mu.sum() - 1) > (_SINGLE if single else _SUM):
        raise ValueError(f"marginals[{i}]: the masses sum to {mu.sum()}, expected 1")
    return mu / mu.sum()
