"""Transport on a line: quantiles are paired."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from theory.transport.pairs import Pair, Pairing


def quantiles(pair: Pair) -> Pairing:
    """The optimal plan on a line: points are paired in step, from left to right.

    A step goes on to the next point of x, or of y, where the masses of x, or of y, so far are used up: there are
    n + m - 2 steps, also where masses are zero or less than rounding errors. From y to y' beside x, the potential of y
    rises by |x - y'|^2 - |x - y|^2.

    Args:
        pair: measures of dimension 1.

    Returns:
        The plan and its potentials.

    Source: standard.
    """
    n, m = len(pair.x), len(pair.y)
    right, up = jnp.argsort(pair.x[:, 0]), jnp.argsort(pair.y[:, 0])
    (a, more_a), (b, more_b) = _sums(pair.a[right]), _sums(pair.b[up])
    levels, more = jnp.concatenate([a[:-1], b[:-1]]), jnp.concatenate([more_a[:-1], more_b[:-1]])
    order = jnp.lexsort((more, levels))
    masses = jnp.diff(levels[order], prepend=0.0, append=1.0) + jnp.diff(more[order], prepend=0.0, append=0.0)
    i, j = (at[jnp.pad(jnp.cumsum(step), (1, 0))] for at, step in ((right, order < n - 1), (up, order >= n - 1)))
    x, y = pair.x[i, 0], pair.y[j, 0]
    rises = (y[1:] - y[:-1]) * ((y[1:] - x[:-1]) + (y[:-1] - x[:-1]))
    g = jnp.pad(jnp.cumsum(rises), (1, 0))
    return Pairing(i, j, jnp.maximum(masses, 0.0), jnp.zeros(m, g.dtype).at[j].set(g))


def _sums(masses: Float[Array, "n"]) -> tuple[Float[Array, "n"], Float[Array, "n"]]:
    """Sums of the masses so far, and what rounding took from them: masses are their differences to all digits.

    Each pair is its own rounded sum first, so that equal levels of two measures compare by what is left.
    """
    sums = jnp.cumsum(masses)
    more = jnp.cumsum(masses - jnp.diff(sums, prepend=0.0))
    rounded = sums + more
    return rounded, more - (rounded - sums)
