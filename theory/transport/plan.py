"""Transport plans: sparse ones as atoms, dense ones as scalings of exp(-eta C), and rounding to exact marginals."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Float64, Int

from theory.arrays import AnyArray, Scalar, library_of
from theory.transport.cost import (
    Cost,
    LogWeight,
    LogWeights,
    SoftCost,
    Tuples,
    every_tuple,
    expect_dense,
    expect_sizes,
    expect_soft,
    gathered,
)
from theory.transport.expected import expect_a, expect_arrays

Marginals: TypeAlias = Sequence[Float64[np.ndarray, "_"]]
"""One array for each marginal."""

_NEGLIGIBLE = 1e-14  # mass below which an atom is rounding error


@dataclass(frozen=True, eq=False)
class SparsePlan:
    """Masses on a list of tuples.

    Attributes:
        shape: the sizes n_1, ..., n_k.
        tuples: the atoms, distinct.
        masses: their masses, positive.
    """

    shape: tuple[int, ...]
    tuples: Tuples
    masses: Float64[np.ndarray, "m"]

    @property
    def support_size(self) -> int:
        """The number of atoms."""
        return len(self.masses)

    def marginals(self) -> tuple[Float64[np.ndarray, "_"], ...]:
        """The marginals m_1, ..., m_k."""
        return tuple(np.bincount(self.tuples[:, i], self.masses, n) for i, n in enumerate(self.shape))

    def cost(self, cost: Cost) -> float:
        """<C, P>."""
        return math.fsum(cost.at(self.tuples) * self.masses)

    def dense(self) -> Float64[np.ndarray, "..."]:
        """The tensor P, for small instances.

        Raises:
            ValueError: if it has more than 2^22 entries.
        """
        expect_dense("SparsePlan", self.shape)
        tensor = np.zeros(self.shape)
        np.add.at(tensor, tuple(self.tuples.T), self.masses)
        return tensor

    def pair(self, i: int, j: int) -> Float64[np.ndarray, "n m"]:
        """The joint law of two marginals, shape (n_i, n_j); of one with itself, its masses on the diagonal."""
        joint = np.zeros((self.shape[i], self.shape[j]))
        np.add.at(joint, (self.tuples[:, i], self.tuples[:, j]), self.masses)
        return joint


class ScaledPlan(eqx.Module):
    """P_j = exp(sum_i w_i[j_i] - scale C_j) + mass prod_i q_i[j_i]: what rounding a Sinkhorn iterate gives.

    Of NumPy arrays everything is computed on the host, in double precision; arrays of JAX may be traced, and everything
    is in their precision.

    Attributes:
        kernel: the cost C, which is taken as its soft sums take it.
        scale: eta.
        log_weights: w, the logarithms of the scalings.
        correction: q_i, distributions.
        mass: of the correction.
    """

    kernel: SoftCost
    scale: Scalar
    log_weights: LogWeights
    correction: LogWeights
    mass: Scalar

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes n_1, ..., n_k."""
        return self.kernel.shape

    @property
    def support_size(self) -> Scalar:
        """The number of tuples of points that have mass; inf where the precision ends."""
        xp = library_of(self.log_weights[0])
        with np.errstate(over="ignore"):
            return xp.prod(xp.stack([xp.sum(xp.isfinite(w).astype(float)) for w in self.log_weights]))

    def marginals(self) -> LogWeights:
        """The marginals m_1, ..., m_k."""
        xp, scaled = library_of(self.log_weights[0]), _summed(_log_marginals, self.kernel, self.log_weights, self.scale)
        return tuple(xp.exp(m) + self.mass * q for m, q in zip(scaled, self.correction, strict=True))

    def cost(self, cost: SoftCost | None = None) -> Scalar:
        """<C, P>, for the cost that the plan scales.

        Raises:
            ValueError: if another cost is given.
        """
        if cost is not None and cost is not self.kernel:
            raise ValueError("ScaledPlan: its cost is known for the cost that it scales, got another one")
        xp = library_of(self.log_weights[0])
        with np.errstate(divide="ignore"):
            apart = tuple(xp.log(q) for q in self.correction)
        scaled, mean = _summed(_mean_cost, self.kernel, self.log_weights, self.scale)
        _, rest = _summed(_mean_cost, self.kernel, apart, 0.0)
        return xp.exp(scaled) * mean + self.mass * rest

    def dense(self) -> Float64[np.ndarray, "..."]:
        """The tensor P, for small instances; not inside programs.

        Raises:
            ValueError: if it has more than 2^22 entries.
        """
        expect_dense("ScaledPlan", self.shape)
        tuples = every_tuple(self.shape)
        weights, each = gathered([np.asarray(w, float) for w in self.log_weights], tuples), range(len(self.shape))
        apart = np.prod([np.asarray(self.correction[i], float)[tuples[:, i]] for i in each], axis=0)
        kernel = jax.tree.map(np.asarray, self.kernel)  # what a program gives has arrays of JAX
        scaled = np.exp(weights - float(self.scale) * kernel.soft_at(tuples))
        return (scaled + float(self.mass) * apart).reshape(self.shape)

    def pair(self, i: int, j: int) -> Float[np.ndarray | Array, "n m"]:
        """As `SparsePlan.pair`: one point of marginal i after the other is kept alone, and marginal j is summed."""
        xp, (q, r) = library_of(self.log_weights[0]), (self.correction[i], self.correction[j])
        scaled = xp.exp(_summed(_log_pair, self.kernel, self.log_weights, self.scale, i, j))
        return scaled + self.mass * (xp.diag(q) if i == j else xp.outer(q, r))


Plan: TypeAlias = SparsePlan | ScaledPlan
"""What a solver gives."""


def marginal_error(got: Sequence[LogWeight], wanted: Marginals) -> float:
    """How far marginals are from others.

    Args:
        got: m_i.
        wanted: mu_i.

    Returns:
        max_i |m_i - mu_i|_1.
    """
    return max(float(np.abs(m - mu).sum()) for m, mu in zip(got, wanted, strict=True))


def monotone_plan(marginals: Marginals) -> SparsePlan:
    """The plan that moves through all marginals in step, from the first point of each to the last.

    It is the north-west corner walk; where the points lie on a line in increasing order it is optimal for every cost
    that is a convex function of differences.

    Args:
        marginals: k distributions.

    Returns:
        A plan with at most sum_i n_i - k + 1 atoms and these marginals.

    Raises:
        ValueError: if there is no marginal.
    """
    expect_arrays("monotone_plan: marginals", marginals)
    ends = [np.cumsum(mu) for mu in marginals]
    total = min(float(end[-1]) for end in ends)
    stops = np.unique(np.minimum(np.concatenate(ends), total))
    starts = np.concatenate([[0.0], stops[:-1]])
    kept = stops - starts > _NEGLIGIBLE
    middles = (starts[kept] + stops[kept]) / 2
    tuples = np.stack([np.searchsorted(end, middles, side="right") for end in ends], axis=1)
    masses = np.diff(stops[kept], prepend=0.0)
    return SparsePlan(tuple(len(mu) for mu in marginals), tuples, masses)


def recoupled(
    plan: SparsePlan, some: Bool[np.ndarray, "k"], kept: Int[np.ndarray, "m"], given: Int[np.ndarray, "m"]
) -> SparsePlan:
    """The plan with some marginals taken apart from the others, and paired with them anew, in step along two orders.

    Args:
        plan: any plan.
        some: the marginals that are taken apart.
        kept: an order of the atoms, for the other marginals.
        given: an order of the atoms, for these.

    Returns:
        A plan with the same marginals, with at most m - 1 atoms more.
    """
    pairs = monotone_plan([plan.masses[kept] / plan.masses.sum(), plan.masses[given] / plan.masses.sum()])
    tuples = np.where(some, plan.tuples[given[pairs.tuples[:, 1]]], plan.tuples[kept[pairs.tuples[:, 0]]])
    return _merged(SparsePlan(plan.shape, tuples, pairs.masses))


def round_sparse(plan: SparsePlan, marginals: Marginals) -> SparsePlan:
    """The nearest plan, in a sense, that has the given marginals.

    Atoms are scaled down until no point has too much, and a monotone plan brings what is missing.

    Args:
        plan: not negative.
        marginals: k distributions.

    Returns:
        A plan with these marginals (to 1e-13); its tuples are distinct. It differs from the given one by at most twice
        the sum over i of |m_i - mu_i|_1, in the sum of absolute values.

    Raises:
        ValueError: if the plan is not sparse, or the marginals have other sizes.

    Source: Altschuler, Weed and Rigollet 2017 for two marginals (from memory, unverified), extended.
    """
    expect_a("round_sparse: plan", plan, SparsePlan)
    expect_arrays("round_sparse: marginals", marginals)
    if (sizes := tuple(map(len, marginals))) != plan.shape:
        raise ValueError(f"round_sparse: got marginals of sizes {sizes}, expected {plan.shape} for this plan")
    masses = np.maximum(plan.masses, 0.0)
    for i, mu in enumerate(marginals):
        held = np.bincount(plan.tuples[:, i], masses, len(mu))
        masses = masses * np.minimum(1.0, _ratio(mu, held))[plan.tuples[:, i]]
    scaled = SparsePlan(plan.shape, plan.tuples, masses)
    missing = [np.maximum(mu - m, 0.0) for mu, m in zip(marginals, scaled.marginals(), strict=True)]
    mass = min(float(part.sum()) for part in missing)
    if mass <= 10 * _NEGLIGIBLE:
        return _merged(scaled)
    rest = monotone_plan([part / part.sum() for part in missing])
    tuples = np.concatenate([plan.tuples, rest.tuples])
    return _merged(SparsePlan(plan.shape, tuples, np.concatenate([masses, mass * rest.masses])))


def round_scaled(kernel: SoftCost, scale: Scalar, log_weights: Sequence[LogWeight], marginals: Marginals) -> ScaledPlan:
    """Scales slices down until no point has too much, and adds a product of distributions that brings what is missing.

    Args:
        kernel: the cost C.
        scale: eta.
        log_weights: w of the plan exp(sum_i w_i[j_i] - eta C_j); NumPy arrays for double precision on the host, arrays
            of JAX where they or eta are traced.
        marginals: k distributions.

    Returns:
        A plan with these marginals, of arrays of the same kind.

    Raises:
        ValueError: if the cost has no soft sums, or sizes do not match.

    Source: as `round_sparse`.
    """
    expect_sizes(expect_soft("round_scaled", kernel), log_weights)
    xp, weights = library_of(log_weights[0]), list(log_weights)
    for i, mu in enumerate(marginals):
        held = _summed(_log_marginal, kernel, weights, scale, i)
        excess = xp.where(mu > 0, held - np.log(np.where(mu > 0, mu, 1.0)), np.inf)
        weights[i] = weights[i] - xp.maximum(0.0, excess)
    held = _summed(_log_marginals, kernel, weights, scale)
    missing = [xp.maximum(mu - xp.exp(m), 0.0) for mu, m in zip(marginals, held, strict=True)]
    mass = xp.min(xp.stack([xp.sum(part) for part in missing]))
    lacking = mass > _NEGLIGIBLE
    parts = [xp.where(lacking, part, mu) for part, mu in zip(missing, marginals, strict=True)]
    correction = tuple(part / xp.sum(part) for part in parts)
    return ScaledPlan(kernel, scale, tuple(weights), correction, xp.where(lacking, mass, 0.0)[()])


def log_marginals(kernel: SoftCost, log_weights: Sequence[AnyArray], scale: Scalar) -> tuple[AnyArray, ...]:
    """The logarithms of the marginals of exp(sum_i w_i[j_i] - scale C_j).

    Args:
        kernel: the cost C.
        log_weights: w.
        scale: eta.

    Returns:
        One array for each marginal: of NumPy arrays in float64, else as they are.
    """
    return tuple(_summed(_log_marginals, kernel, log_weights, scale))


def log_mass(kernel: SoftCost, log_weights: Sequence[LogWeight], scale: Scalar) -> Scalar:
    """The logarithm of the sum of exp(sum_i w_i[j_i] - scale C_j) over all tuples; precision as in `log_marginals`.

    Args:
        kernel: the cost C.
        log_weights: w.
        scale: eta.

    Returns:
        The logarithm; -inf where every tuple is excluded.
    """
    return _summed(_log_mass, kernel, log_weights, scale)[()]


def _summed(
    sums: Callable[..., Any], kernel: SoftCost, log_weights: Sequence[LogWeight], scale: Scalar, *where: int
) -> Any:
    """Sums of NumPy arrays in double precision, as NumPy arrays; those of JAX as they are."""
    if library_of(log_weights[0]) is jnp:
        return sums(kernel, tuple(log_weights), scale, *where)
    with jax.enable_x64(True):
        return jax.tree.map(np.asarray, sums(kernel, tuple(log_weights), jnp.float64(scale), *where))


@jax.jit
def _log_mass(kernel: SoftCost, log_weights: LogWeights, scale: Scalar) -> Float[Array, ""]:
    return jax.nn.logsumexp(kernel.log_marginal(log_weights, scale, 0))


@partial(jax.jit, static_argnums=3)
def _log_marginal(kernel: SoftCost, log_weights: LogWeights, scale: Scalar, i: int) -> Float[Array, "_"]:
    return kernel.log_marginal(log_weights, scale, i)


@jax.jit
def _log_marginals(kernel: SoftCost, log_weights: LogWeights, scale: Scalar) -> list[Float[Array, "_"]]:
    return [kernel.log_marginal(log_weights, scale, i) for i in range(len(log_weights))]


@partial(jax.jit, static_argnums=(3, 4))
def _log_pair(kernel: SoftCost, log_weights: LogWeights, scale: Scalar, i: int, j: int) -> Float[Array, "n m"]:
    """Row by row: all rows at once would multiply the memory of an elimination by n."""
    points = jnp.arange(len(log_weights[i]))

    def through(v: Int[Array, ""]) -> Float[Array, "m"]:
        alone = jnp.where(points == v, jnp.asarray(log_weights[i]), -jnp.inf)
        return kernel.log_marginal((*log_weights[:i], alone, *log_weights[i + 1 :]), scale, j)

    return jax.lax.map(through, points)


@jax.jit
def _mean_cost(kernel: SoftCost, log_weights: LogWeights, scale: Scalar) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """The logarithm of the mass of a scaled plan, and its mean cost per mass."""
    total = lambda t: jax.nn.logsumexp(kernel.log_marginal(log_weights, t, 0))
    mass, slope = jax.value_and_grad(total)(jnp.asarray(scale, float))
    return mass, -slope


def _ratio(mu: Float64[np.ndarray, "n"], held: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    return np.divide(mu, held, out=np.ones_like(mu), where=held > 0)


def _merged(plan: SparsePlan) -> SparsePlan:
    """The same plan with distinct tuples and positive masses."""
    tuples, where = np.unique(plan.tuples, axis=0, return_inverse=True)
    masses = np.bincount(where.ravel(), plan.masses, len(tuples))
    return SparsePlan(plan.shape, tuples[masses > _NEGLIGIBLE], masses[masses > _NEGLIGIBLE])
