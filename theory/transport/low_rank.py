"""Costs C = R + S: R of low rank with positive factors, S with few entries that are not zero."""

import heapq
import itertools
import math
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Float64

from theory.arrays import Scalar
from theory.transport.cost import (
    Given,
    LogWeights,
    Minimum,
    Potentials,
    Pricing,
    SoftCost,
    TensorCost,
    Tuples,
    as_floats,
    every_tuple,
    expect_finite,
    gathered,
    log_sum,
)
from theory.transport.log_grid import LogGrid, least, log_grid, log_sums, moved
from theory.transport.plan import Marginals, SparsePlan, monotone_plan, recoupled
from theory.transport.tangents import tangent_bound
from theory.transport.unlisted import log_sums_unlisted

_SMALL = 2**17
_COLUMNS = 64
_SWEEPS = 50
_BINS = (4096, 128, 32)  # for rank 1, 2 and more


class LowRankPlusSparseCost(SoftCost):
    """C_j = sum_l prod_i factors[i][j_i, l] + S_j.

    The search for the least reduced cost is exact on tensors of up to 2^17 entries. On larger ones it gives tuples of
    small reduced cost, and a lower bound: what rounding to a grid allows, or, better near an optimum, that of tangents
    of the exponential, exp(s) >= u (1 + s - log u), which leave a separable problem.

    Attributes:
        factors: f_i, shape (n_i, r), positive.
        entries: the tuples where S is not zero, distinct, shape (s, k).
        values: S there, shape (s,).
        grid: the logarithms of the products, rounded; made with `bins` points in each of the r directions.
        table: the tensor, where it is small.

    Raises:
        ValueError: if ranks differ, a factor is not positive and finite, or entries are not distinct tuples of the
            tensor with one finite value each, or there are fewer than 2 bins.

    Source: arXiv 2008.03006, low-rank plus sparse costs (from memory, unverified); the dynamic program is ours.
    """

    factors: tuple[Float64[np.ndarray, "_ _"], ...]
    entries: Tuples
    values: Float64[np.ndarray, "s"]
    grid: LogGrid
    table: TensorCost | None

    def __init__(
        self,
        factors: Sequence[Given],
        entries: Tuples | Sequence[Sequence[int]] | None = None,
        values: Given | None = None,
        bins: int | None = None,
    ) -> None:
        self.factors = tuple(as_floats(f"LowRankPlusSparseCost: factors[{i}]", f) for i, f in enumerate(factors))
        self.entries = np.empty((0, len(factors)), np.int64) if entries is None else np.asarray(entries)
        self.values = np.empty(0) if values is None else as_floats("LowRankPlusSparseCost: values", values)
        _expect_factors(self.factors)
        _expect_entries(self.entries, self.values, self.shape)
        rank = self.factors[0].shape[1]
        self.grid = log_grid(self.factors, _BINS[min(rank, len(_BINS)) - 1] if bins is None else bins)
        self.table = None
        if math.prod(self.shape) <= _SMALL:
            self.table = TensorCost(self.at(every_tuple(self.shape)).reshape(self.shape))

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes n_1, ..., n_k of the marginals."""
        return tuple(len(factor) for factor in self.factors)

    def at(self, tuples: Tuples) -> Float64[np.ndarray, "m"]:
        """The entries C_j at the given tuples."""
        total = self.low_rank(tuples)
        for entry, value in zip(self.entries, self.values, strict=True):
            total += np.where((tuples == entry).all(axis=1), value, 0.0)
        return total

    def low_rank(self, tuples: Tuples) -> Float64[np.ndarray, "m"]:
        """The entries R_j at the given tuples."""
        return self._products(tuples).sum(axis=1)

    def bounds(self) -> tuple[float, float]:
        """From the products of the least factors to those of the largest, and the entries of S."""
        low, high = (float(np.prod([f(x, axis=0) for x in self.factors], axis=0).sum()) for f in (np.min, np.max))
        return low + float(self.values.min(initial=0.0)), high + float(self.values.max(initial=0.0))

    def argmin(self, p: Potentials) -> Minimum:
        """The best tuple found, with a certified lower bound."""
        found = self.price(p)
        reduced = self.at(found.tuples) - gathered(p, found.tuples)
        best = int(reduced.argmin())
        return Minimum(tuple(map(int, found.tuples[best])), float(reduced[best]), found.lower)

    def price(self, p: Potentials) -> Pricing:
        """Tuples of small reduced cost: the best at the best grid points, and those where S is not zero."""
        if self.table is not None:
            return self.table.price(p)
        tuples, lower = self._unlisted(p)
        if len(self.entries):
            tuples = np.concatenate([tuples, self.entries])
            listed = self.at(self.entries) - gathered(p, self.entries)
            lower = min(lower, float(listed.min()))
        reduced = self.at(tuples) - gathered(p, tuples)
        return Pricing(np.unique(tuples, axis=0), min(lower, float(reduced.min())))

    def initial_potentials(self, marginals: Marginals) -> tuple[Float64[np.ndarray, "_"], ...]:
        """The tangent of the exponential at the mean logarithms: without S their lower bound is Jensen's.

        Jensen's bound is sum_l exp(sum_i E log f_il).
        """
        means = np.array([mu @ np.log(f) for mu, f in zip(marginals, self.factors, strict=True)])
        slopes = np.exp(means.sum(axis=0))
        each = zip(self.factors, means, strict=True)
        return tuple((np.log(f) - mean) @ slopes + slopes.sum() / len(means) for f, mean in each)

    def rearrangement(self, marginals: Marginals) -> SparsePlan:
        """A plan in which products over some marginals are paired counter-monotonely with those over the others.

        Each marginal against all others, then random halves of the marginals, until that lowers the cost no more.

        Args:
            marginals: k distributions.

        Returns:
            A plan with these marginals.

        Source: the rearrangement algorithm of Puccetti and Rueschendorf and its variant with blocks by Bernard and
        McLeish (both from memory, unverified), here with masses.
        """
        plan, k = monotone_plan(marginals), len(marginals)
        best, choose = plan, np.random.default_rng(0)
        for _ in range(_SWEEPS):
            for some in np.concatenate([np.eye(k, dtype=bool), choose.random((2 * k, k)) < 0.5]):
                plan = self._paired(plan, some)
            if plan.support_size > 10 * sum(self.shape) or plan.cost(self) >= best.cost(self) * (1 - 1e-12):
                break
            best = plan
        return best

    def soft_at(self, tuples: Tuples) -> Float64[np.ndarray, "m"]:
        """The entries with R taken from the grid."""
        at = np.sum([step[tuples[:, i]] for i, step in enumerate(self.grid.steps)], axis=0)
        return self.grid.values[tuple(at.T)] + self.at(tuples) - self.low_rank(tuples)

    def soft_error(self) -> float:
        """How far R may be from R on the grid."""
        return self.grid.error

    def log_marginal(self, log_weights: LogWeights, scale: Scalar, i: int) -> Float[Array, "_"]:
        """The logarithm of sum over tuples with j_i = v of exp(sum_l w_l[j_l] - scale C_j), with R on the grid."""
        if not len(self.entries):
            arrived = moved(self.grid, log_sums(self.grid, log_weights, skipped=i), i)
            return self._summed(arrived, scale) + jnp.asarray(log_weights[i])
        entries = jnp.asarray(self.entries)
        total = self._summed(log_sums_unlisted(self.grid, log_weights, entries, i), scale)
        weights = sum(jnp.asarray(w)[v] for w, v in zip(log_weights, entries.T, strict=True))
        at = jnp.stack([jnp.asarray(step)[v] for step, v in zip(self.grid.steps, entries.T, strict=True)]).sum(axis=0)
        listed = weights - scale * (jnp.asarray(self.grid.values)[tuple(at.T)] + jnp.asarray(self.values))
        apart = jnp.where(entries[:, i, None] == jnp.arange(len(total)), listed[:, None], -jnp.inf)
        return log_sum(jnp.concatenate([total[None], apart]), axis=0)

    def _summed(self, sums: Float[Array, "n ..."], scale: Scalar) -> Float[Array, "n"]:
        """The sums over grid points, weighted by exp(-scale R)."""
        return log_sum((sums - scale * jnp.asarray(self.grid.values)).reshape(len(sums), -1), axis=1)

    def _paired(self, plan: SparsePlan, some: Bool[np.ndarray, "k"]) -> SparsePlan:
        """The plan with the products over some marginals against those over the others, counter-monotonely."""
        parts = np.array([np.log(f[plan.tuples[:, i]]).mean(axis=1) for i, f in enumerate(self.factors)])
        return recoupled(plan, some, np.argsort(-parts[~some].sum(axis=0)), np.argsort(parts[some].sum(axis=0)))

    def _products(self, tuples: Tuples) -> Float64[np.ndarray, "m r"]:
        return np.prod([factor[tuples[:, i]] for i, factor in enumerate(self.factors)], axis=0)

    def _unlisted(self, p: Potentials) -> tuple[Tuples, float]:
        """Good tuples of R, and a lower bound over all tuples but those where S > 0."""
        avoided = {tuple(e) for e, v in zip(self.entries.tolist(), self.values, strict=True) if v > 0}
        tuples, reduced = least(self.grid, p, _COLUMNS)
        found, order = [tuples], itertools.count()
        regions = [(float(reduced[0]), next(order), tuple(tuples[0].tolist()), list(p))]
        while regions[0][2] in avoided:
            _, _, index, within = heapq.heappop(regions)
            for region in _without(index, within):
                tuples, reduced = least(self.grid, region, 1)
                found.append(tuples)
                heapq.heappush(regions, (float(reduced[0]), next(order), tuple(tuples[0].tolist()), region))
        bounds = [max(value - self.grid.error, tangent_bound(self.factors, region)) for value, _, _, region in regions]
        return np.concatenate(found), min(bounds)


def _without(index: tuple[int, ...], p: list[Float64[np.ndarray, "_"]]) -> list[list[Float64[np.ndarray, "_"]]]:
    """The other tuples of a region, in parts: those that leave the index at marginal 0, 1, ... for the first time."""
    parts = []
    for i, v in enumerate(index):
        only = [np.where(np.arange(len(q)) == index[a], q, -np.inf) if a < i else q for a, q in enumerate(p)]
        only[i] = np.where(np.arange(len(p[i])) == v, -np.inf, p[i])
        if np.isfinite(only[i]).any():
            parts.append(only)
    return parts


def _expect_factors(factors: Sequence[Float64[np.ndarray, "..."]]) -> None:
    if not factors:
        raise ValueError("LowRankPlusSparseCost: expected factors for each marginal, got none")
    for i, factor in enumerate(factors):
        rank = factors[0].shape[1] if factors[0].ndim == 2 else "r"
        if not factor.size or factor.ndim != 2 or factor.shape[1] != rank:
            raise ValueError(f"LowRankPlusSparseCost: factors[{i}] has shape {factor.shape}, expected (n, {rank})")
        expect_finite(f"LowRankPlusSparseCost: factors[{i}]", factor)
        if (factor <= 0).any():
            where = np.argwhere(factor <= 0)[0].tolist()
            raise ValueError(f"LowRankPlusSparseCost: factors[{i}]{where} is {factor[tuple(where)]}, expected positive")


def _expect_entries(entries: Tuples, values: Float64[np.ndarray, "_"], shape: tuple[int, ...]) -> None:
    if entries.shape != (len(values), len(shape)):
        wanted = f"{len(values)} tuples of {len(shape)}, one for each value"
        raise ValueError(f"LowRankPlusSparseCost: entries have shape {entries.shape}, expected {wanted}")
    expect_finite("LowRankPlusSparseCost: values", values)
    if len(np.unique(entries, axis=0)) < len(entries):
        raise ValueError("LowRankPlusSparseCost: entries name a tuple twice; add its values")
    if ((entries < 0) | (entries >= np.array(shape))).any():
        raise ValueError(f"LowRankPlusSparseCost: entries are not all within a tensor of shape {shape}")
