"""Costs that are sums of factors on few variables each: C_j = sum_S f_S(j_S)."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Float64, Int

from theory.arrays import Scalar
from theory.transport.cost import (
    Given,
    LogWeights,
    Minimum,
    Potentials,
    Pricing,
    SoftCost,
    Tuples,
    as_floats,
    exact_minimum,
    expect_finite,
    log_sum,
)
from theory.transport.elimination import Table, eliminate, elimination_order, largest_table, traced_back
from theory.transport.expected import written

MAX_TABLE = 2**26
"""The most entries of a table of variable elimination."""


class GraphicalCost(SoftCost):
    """C_j = sum_S f_S(j_S), with the cliques S of a graph whose treewidth is small.

    Attributes:
        cliques: the variables of each factor, distinct, in 0..k-1; at least one clique.
        factors: the values of each factor, one axis for each of its variables.

    Raises:
        ValueError: if cliques and factors do not match, a variable is negative or in no clique, an entry is not finite,
            or the tables of the elimination would have more than 2^26 entries.

    Source: arXiv 2008.03006, graphically structured costs (from memory, unverified); the elimination is standard.
    """

    cliques: tuple[tuple[int, ...], ...] = eqx.field(static=True)
    factors: tuple[Float[np.ndarray | Array, "..."], ...]

    def __init__(self, cliques: Sequence[Sequence[int]], factors: Sequence[Given]) -> None:
        for c, clique in enumerate(cliques):
            if not isinstance(clique, Sequence):
                raise ValueError(
                    f"GraphicalCost: cliques[{c}]: expected variables such as (0, 1), got {written(clique)}"
                )
        self.cliques = tuple(tuple(clique) for clique in cliques)
        self.factors = tuple(_floats(c, factor) for c, factor in enumerate(factors))
        if len(self.cliques) != len(self.factors) or not self.cliques:
            raise ValueError(f"GraphicalCost: {len(self.cliques)} cliques for {len(self.factors)} factors")
        for c, (clique, factor) in enumerate(zip(self.cliques, self.factors, strict=True)):
            _expect_clique(c, clique, factor)
        _expect_sizes(self.cliques, self.factors)
        largest = max(largest_table(self.cliques, self.shape, self.order(i)) for i in range(len(self.shape)))
        if largest > MAX_TABLE:
            raise ValueError(
                f"GraphicalCost: elimination needs a table of {largest:.3g} entries, more than {MAX_TABLE}: "
                f"the treewidth of the cliques is too large for n = {max(self.shape)}"
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes n_1, ..., n_k of the marginals."""
        sizes = _sizes(self.cliques, self.factors)
        return tuple(sizes[i] for i in range(len(sizes)))

    def order(self, last: int) -> list[int]:
        """An order of elimination that keeps the given variable to the end."""
        return elimination_order(self.cliques, self.shape, last)

    def at(self, tuples: Tuples) -> Float64[np.ndarray, "m"]:
        """The entries C_j at the given tuples."""
        values = np.zeros(len(tuples))
        for clique, factor in zip(self.cliques, self.factors, strict=True):
            values += np.asarray(factor)[tuple(tuples[:, v] for v in clique)]
        return values

    def argmin(self, p: Potentials) -> Minimum:
        """A tuple of least reduced cost, exactly, by elimination in (min, +)."""
        with jax.enable_x64(True):
            tuples, values = _best_through(self, tuple(p), (0,))
        best = int(np.asarray(values).argmin())
        return exact_minimum(tuple(map(int, tuples[best])), float(values[best]))

    def price(self, p: Potentials) -> Pricing:
        """For each point of each marginal, a tuple of least reduced cost through it."""
        with jax.enable_x64(True):
            tuples, values = _best_through(self, tuple(p), tuple(range(len(self.shape))))
        return Pricing(np.unique(np.asarray(tuples), axis=0), float(np.asarray(values).min()))

    def bounds(self) -> tuple[float, float]:
        """The sums of the least and of the largest values of the factors."""
        return float(sum(np.min(factor) for factor in self.factors)), float(sum(np.max(f) for f in self.factors))

    def log_marginal(self, log_weights: LogWeights, scale: Scalar, i: int) -> Float[Array, "_"]:
        """The logarithm of sum over tuples with j_i = v of exp(sum_l w_l[j_l] - scale C_j), for each v."""
        tables = self._tables(log_weights, -scale)
        return eliminate(tables, self.order(i), lambda values: log_sum(values, axis=0))[-1].values

    def _tables(self, unary: LogWeights, scale: Scalar) -> list[Table]:
        """The factors times a scale, and one table for each variable."""
        pairs = zip(self.cliques, self.factors, strict=True)
        tables = [Table(clique, scale * jnp.asarray(factor)) for clique, factor in pairs]
        return tables + [Table((v,), jnp.asarray(values)) for v, values in enumerate(unary)]


def chain_cost(
    steps: Sequence[Given] | Float[np.ndarray | Array, "k n m"], closing: Given | None = None
) -> GraphicalCost:
    """The cost sum_t steps[t][j_t, j_{t+1}], with closing[j_0, j_{k-1}] added where the chain is a cycle.

    Args:
        steps: k - 1 matrices.
        closing: a matrix between the first and the last variable; it makes the treewidth 2.

    Returns:
        The cost, of k marginals.

    Raises:
        ValueError: if there is no step, or as `GraphicalCost`.
    """
    if not len(steps):
        raise ValueError("chain_cost: expected at least one step, got none")
    cliques = [(t, t + 1) for t in range(len(steps))]
    if closing is None:
        return GraphicalCost(tuple(cliques), tuple(steps))
    return GraphicalCost((*cliques, (0, len(steps))), (*steps, closing))


@eqx.filter_jit
def _best_through(
    cost: GraphicalCost, p: LogWeights, roots: tuple[int, ...]
) -> tuple[Int[Array, "m k"], Float[Array, "m"]]:
    """The best tuple through each value of each root, and its reduced cost."""
    tables = cost._tables(tuple(-jnp.asarray(values) for values in p), 1.0)
    tuples, values = [], []
    for root in roots:
        joined = eliminate(tables, cost.order(root), lambda table: jnp.min(table, axis=0))
        found = traced_back(joined)
        tuples.append(jnp.stack([found[v] for v in range(len(found))], axis=1))
        values.append(joined[-1].values)
    return jnp.concatenate(tuples), jnp.concatenate(values)


def _floats(c: int, factor: Given) -> Float[np.ndarray | Array, "..."]:
    """The factor as an array; one of JAX stays, since it may be traced."""
    if isinstance(factor, jax.Array):
        return factor
    return as_floats(f"GraphicalCost: factors[{c}]", factor)


def _sizes(cliques: Sequence[tuple[int, ...]], factors: Sequence[Float[np.ndarray | Array, "..."]]) -> dict[int, int]:
    pairs = zip(cliques, factors, strict=True)
    return {v: n for clique, factor in pairs for v, n in zip(clique, factor.shape, strict=True)}


def _expect_clique(c: int, clique: tuple[int, ...], factor: Float[np.ndarray | Array, "..."]) -> None:
    if len(set(clique)) < len(clique) or not clique or min(clique) < 0:
        raise ValueError(f"GraphicalCost: cliques[{c}] is {clique}, expected distinct variables of 0, 1, ...")
    if factor.ndim != len(clique):
        raise ValueError(f"GraphicalCost: factors[{c}] has {factor.ndim} axes for the {len(clique)} of {clique}")
    if not factor.size:
        raise ValueError(f"GraphicalCost: factors[{c}] has shape {factor.shape}, expected points on each axis")
    if not isinstance(factor, Tracer):
        expect_finite(f"GraphicalCost: factors[{c}]", np.asarray(factor))


def _expect_sizes(cliques: Sequence[tuple[int, ...]], factors: Sequence[Float[np.ndarray | Array, "..."]]) -> None:
    sizes = _sizes(cliques, factors)
    if missing := sorted(set(range(max(sizes, default=0) + 1)) - set(sizes)):
        raise ValueError(f"GraphicalCost: variables {missing} are in no clique")
    for c, (clique, factor) in enumerate(zip(cliques, factors, strict=True)):
        expected = tuple(sizes[v] for v in clique)
        if factor.shape != expected:
            raise ValueError(f"GraphicalCost: factors[{c}] has shape {factor.shape}, other factors say {expected}")
