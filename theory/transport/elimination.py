"""Variable elimination on a junction tree, over any semiring whose product is + : the least sum, or its soft version.

A function of k variables that is a sum of tables, each on a few variables, is reduced one variable at a time: the
tables that hold the variable are joined into one, and the variable is reduced away. The largest joined table has
n^(w+1) entries for an order of induced width w, and the least such w over orders is the treewidth.
"""

import math
from collections.abc import Callable, Sequence
from functools import reduce
from typing import NamedTuple, TypeAlias

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

Reduction: TypeAlias = Callable[[Float[Array, "..."]], Float[Array, "..."]]
"""The sum of the semiring over the first axis: least entry, or soft least entry."""


class Table(NamedTuple):
    """A function of some of the variables."""

    scope: tuple[int, ...]
    """Its variables, one for each axis."""
    values: Float[Array, "..."]
    """Its values."""


def elimination_order(cliques: Sequence[tuple[int, ...]], shape: tuple[int, ...], last: int) -> list[int]:
    """A greedy order: always the variable whose joined table is smallest.

    Args:
        cliques: the scopes of the tables.
        shape: the number of values of each variable.
        last: the variable that is kept to the end.

    Returns:
        All variables, `last` at the end.
    """
    neighbours = _neighbours(cliques, len(shape))
    order, left = [], set(range(len(shape))) - {last}
    while left:
        v = min(left, key=lambda u: (math.prod(shape[w] for w in neighbours[u] | {u}), u))
        for u in neighbours[v]:
            neighbours[u] = (neighbours[u] | neighbours[v]) - {u, v}
        order.append(v)
        left.remove(v)
    return [*order, last]


def largest_table(cliques: Sequence[tuple[int, ...]], shape: tuple[int, ...], order: Sequence[int]) -> int:
    """The number of entries of the largest joined table of an order.

    Args:
        cliques: the scopes of the tables.
        shape: the number of values of each variable.
        order: all variables.

    Returns:
        The entries; for equal sizes n, n^(w+1) with w the induced width.
    """
    neighbours, largest = _neighbours(cliques, len(shape)), 1
    for v in order:
        largest = max(largest, math.prod(shape[w] for w in neighbours[v] | {v}))
        for u in neighbours[v]:
            neighbours[u] = (neighbours[u] | neighbours[v]) - {u, v}
    return largest


def eliminate(tables: Sequence[Table], order: Sequence[int], reduction: Reduction) -> list[Table]:
    """Reduces all variables but the last of the order.

    Args:
        tables: the terms of the sum; each variable is in one of them at least.
        order: all variables, the last one being kept.
        reduction: over the first axis.

    Returns:
        The joined table of each variable in the order, its own variable first. The last one is a function of the last
        variable alone; the others, traced back, give the minimiser.
    """
    left, joined = list(tables), []
    for v in order:
        joined.append(_joined([table for table in left if v in table.scope], v))
        left = [table for table in left if v not in table.scope]
        if v != order[-1]:
            left.append(Table(joined[-1].scope[1:], reduction(joined[-1].values)))
    scalars = [table.values for table in left if not table.scope]
    return [*joined[:-1], Table(joined[-1].scope, sum(scalars, joined[-1].values))]


def traced_back(joined: Sequence[Table]) -> dict[int, Int[Array, "n"]]:
    """The minimiser through each value of the last variable.

    Args:
        joined: what `eliminate` gives, with the least entry as its reduction.

    Returns:
        Variable -> its value in the minimiser, one for each of the n values of the last variable.
    """
    last = next(iter(joined[-1].scope))
    found = {last: jnp.arange(joined[-1].values.shape[0])}
    for (v, *others), values in reversed(joined[:-1]):
        rows = values[:, *[found[u] for u in others]] if others else values[:, None]
        found[v] = jnp.broadcast_to(jnp.argmin(rows, axis=0), found[last].shape)
    return found


def _neighbours(cliques: Sequence[tuple[int, ...]], k: int) -> list[set[int]]:
    neighbours: list[set[int]] = [set() for _ in range(k)]
    for clique in cliques:
        for v in clique:
            neighbours[v] |= set(clique) - {v}
    return neighbours


def _joined(tables: Sequence[Table], v: int) -> Table:
    """The sum of tables as one table, with v as its first axis."""
    others = sorted(set().union(*(table.scope for table in tables)) - {v})
    scope = (v, *others)
    return Table(scope, reduce(jnp.add, [_spread(table, scope) for table in tables]))


def _spread(table: Table, scope: tuple[int, ...]) -> Float[Array, "..."]:
    """The values with one axis for each variable of the scope, of length 1 where the table does not have it."""
    axes = sorted(range(len(table.scope)), key=lambda axis: scope.index(table.scope[axis]))
    missing = [axis for axis, u in enumerate(scope) if u not in table.scope]
    return jnp.expand_dims(jnp.transpose(table.values, axes), missing)
