"""Transport between two weighted point clouds for the squared distance: plans, rounding and certified intervals.

What solvers keep (those of `theory.transport.ott_solvers` and `theory.transport.quantiles`) is turned into plans with
exact marginals, and what is certain about them is said. Everything may be traced, and mapped by `vmap` over problems of
equal shape.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from theory.arrays import Scalar
from theory.transport.distances import squared
from theory.transport.rows import Rows

_ENTRIES = 2**22  # of the cost matrix that are made at a time


class Pair(NamedTuple):
    """Two measures."""

    x: Float[Array, "n d"]
    """The points of one."""
    y: Float[Array, "m d"]
    """The points of the other."""
    a: Float[Array, "n"]
    """The masses of x, with sum 1."""
    b: Float[Array, "m"]
    """The masses of y, with sum 1."""


class Scalings(NamedTuple):
    """The plan exp(eta (f_i + g_j - |x_i - y_j|^2))."""

    f: Float[Array, "n"]
    """Potentials of x; -inf where there is no mass."""
    g: Float[Array, "m"]
    """Potentials of y."""
    eta: Scalar
    """The inverse temperature."""
    iterations: Int[Array, ""]
    """Updates of both potentials."""

    def dense(self, pair: Pair) -> Float[Array, "n m"]:
        """The plan with all its entries, rounded to exact marginals."""
        plan = jnp.exp(self.eta * (self.f[:, None] + self.g - squared(pair.x, pair.y)))
        return rounded(plan, pair.a, pair.b)


class Factors(NamedTuple):
    """The plan q diag(1 / weights) r^T."""

    q: Float[Array, "n rank"]
    """Rows for the points of x."""
    r: Float[Array, "m rank"]
    """Rows for the points of y."""
    weights: Float[Array, "rank"]
    """The sums of the columns of both."""
    iterations: Int[Array, ""]
    """Steps of mirror descent."""
    change: Float[Array, ""]
    """How much the factors changed in the end, as the solver measures it."""

    def dense(self, pair: Pair) -> Float[Array, "n m"]:
        """The plan with all its entries, rounded to exact marginals."""
        return rounded((self.q / self.weights) @ self.r.T, pair.a, pair.b)


class Pairing(NamedTuple):
    """A plan with few atoms, and potentials."""

    i: Int[Array, "atoms"]
    """Their points of x."""
    j: Int[Array, "atoms"]
    """Their points of y."""
    masses: Float[Array, "atoms"]
    """Their masses, some of them zero."""
    g: Float[Array, "m"]
    """Potentials of y."""

    def dense(self, pair: Pair) -> Float[Array, "n m"]:
        """The plan with all its entries."""
        return jnp.zeros((len(pair.x), len(pair.y)), self.masses.dtype).at[self.i, self.j].add(self.masses)


class Coupling(NamedTuple):
    """A plan between two clouds with exact marginals, and what is certain about it."""

    value: Float[Array, ""]
    """Its cost."""
    lower: Float[Array, ""]
    """A lower bound of the least cost, certified up to rounding errors."""
    upper: Float[Array, ""]
    """The value: an upper bound."""
    marginal_error: Float[Array, ""]
    """The larger of |P 1 - a|_1 and |P^T 1 - b|_1 of the plan before it was rounded."""
    support_size: Int[Array, ""] | Float[Array, ""]
    """The number of pairs of points that have mass."""
    oracle_calls: Int[Array, ""]
    """Iterations."""
    pair: Pair
    """The measures."""
    found: Scalings | Factors | Pairing
    """The plan before it is rounded."""

    def dense(self) -> Float[Array, "n m"]:
        """The plan with all its entries."""
        return self.found.dense(self.pair)


def entropic(pair: Pair, found: Scalings, rows: Rows | None = None) -> Coupling:
    """The plan of Sinkhorn's potentials, rounded to exact marginals, with the bound of its potentials.

    Args:
        pair: the measures.
        found: the potentials.
        rows: how the rows of the cost matrix are split; by default as `split`.

    Returns:
        The coupling; its value is within log(n m) / eta of the least cost, and twice the marginal errors times its
        range.

    Source: Altschuler, Weed and Rigollet 2017, algorithm 2 (from memory, unverified).
    """
    rows = split(pair) if rows is None else rows
    f, g, eta = found.f, found.g, found.eta

    def plan(x: Array, f: Array) -> Array:
        return jnp.exp(eta * (f[:, None] + g - squared(x, pair.y)))

    sums = rows.each(lambda *row: plan(*row).sum(axis=1), pair.x, f)
    columns = rows.summed(lambda live, *row: live @ plan(*row), pair.x, f)
    error = jnp.maximum(_distance(sums, pair.a), _distance(columns, pair.b))
    u = _shrink(pair.a, sums)
    columns = rows.summed(lambda live, x, f, u: (live * u) @ plan(x, f), pair.x, f, u)
    v = _shrink(pair.b, columns)
    left, right = _lacking(pair.a - u * rows.each(lambda *row: plan(*row) @ v, pair.x, f), pair.b - v * columns)
    spent = lambda live, x, f, u: jnp.sum((live * u)[:, None] * plan(x, f) * v * squared(x, pair.y))
    moved = rows.each(lambda x: squared(x, pair.y) @ right, pair.x)
    value = rows.summed(spent, pair.x, f, u) + left @ moved
    lower = jnp.minimum(bounded(pair, g, rows), value)
    support = _pairs_with_mass(pair)
    return Coupling(value, lower, value, error, support, found.iterations, pair, found)


def factored(pair: Pair, found: Factors) -> Coupling:
    """The plan of low-rank factors, rounded to exact marginals, with Gelbrich's bound.

    Args:
        pair: the measures.
        found: the factors.

    Returns:
        The coupling; no potentials belong to it, so that its interval does not close.
    """
    rows, left, right = split(pair), found.q / found.weights, found.r
    sums, columns = left @ right.sum(axis=0), right @ left.sum(axis=0)
    error = jnp.maximum(_distance(sums, pair.a), _distance(columns, pair.b))
    left = left * _shrink(pair.a, sums)[:, None]
    right = right * _shrink(pair.b, right @ left.sum(axis=0))[:, None]
    more = _lacking(pair.a - left @ right.sum(axis=0), pair.b - right @ left.sum(axis=0))
    left, right = (jnp.column_stack(both) for both in zip((left, right), more, strict=True))
    value = jnp.sum(left * rows.each(lambda x: squared(x, pair.y) @ right, pair.x))
    support = _pairs_with_mass(pair)
    lower = jnp.minimum(gelbrich_bound(pair), value)
    return Coupling(value, lower, value, error, support, found.iterations, pair, found)


def _pairs_with_mass(pair: Pair) -> Float[Array, ""]:
    """A number that integers of 32 bits may not hold."""
    return jnp.sum(pair.a > 0).astype(float) * jnp.sum(pair.b > 0)


def paired(pair: Pair, found: Pairing) -> Coupling:
    """What is certain about a plan with few atoms.

    Args:
        pair: the measures.
        found: the atoms, with exact marginals, and potentials.

    Returns:
        The coupling, with the bound of these potentials.
    """
    value = jnp.sum(found.masses * jnp.sum((pair.x[found.i] - pair.y[found.j]) ** 2, axis=1))
    sums, columns = (jnp.zeros_like(mu).at[at].add(found.masses) for mu, at in ((pair.a, found.i), (pair.b, found.j)))
    error = jnp.maximum(_distance(sums, pair.a), _distance(columns, pair.b))
    lower = jnp.minimum(bounded(pair, found.g, split(pair)), value)
    return Coupling(value, lower, value, error, jnp.sum(found.masses > 0), jnp.asarray(1), pair, found)


def bounded(pair: Pair, g: Float[Array, "m"], rows: Rows) -> Float[Array, ""]:
    """The lower bound that potentials of y give: f_i = min_j (C_ij - g_j), then g_j = min_i (C_ij - f_i).

    Args:
        pair: the measures.
        g: any potentials; -inf excludes a point.
        rows: how the rows of the cost matrix are split.

    Returns:
        The bound <f, a> + <g, b>.
    """
    g = jnp.where(pair.b > 0, g, -jnp.inf)
    g = g - jnp.max(g)  # entropic potentials may be far larger than costs; now f is of their size
    f = rows.each(lambda x: jnp.min(squared(x, pair.y) - g, axis=1), pair.x)
    f = jnp.where(pair.a > 0, f, -jnp.inf)
    kept = lambda live, x, f: jnp.min(jnp.where(live[:, None] > 0, squared(x, pair.y) - f[:, None], jnp.inf), axis=0)
    g = rows.least(kept, pair.x, f)
    return jnp.sum(jnp.where(pair.a > 0, f, 0.0) * pair.a) + g @ pair.b


def gelbrich_bound(pair: Pair) -> Float[Array, ""]:
    """|m_x - m_y|^2 plus the squared Bures distance of the covariances: no plan costs less.

    With S = R^T R and T = Q^T Q, that distance is |R|^2 + |Q|^2 - 2 |R Q^T|_* in Frobenius and nuclear norms. The roots
    of S and T are not taken, which would have half of the digits where they are singular.

    Args:
        pair: the measures.

    Returns:
        The bound.

    Source: Gelbrich 1990 (from memory, unverified).
    """
    pair, unit = standard(pair)
    (m, r), (n, q) = (_moments(z, w) for z, w in ((pair.x, pair.a), (pair.y, pair.b)))
    shared = jnp.linalg.svd(r @ q.T, compute_uv=False).sum()
    return unit**2 * (jnp.sum((m - n) ** 2) + jnp.sum(r**2) + jnp.sum(q**2) - 2 * shared)


def _moments(z: Float[Array, "n d"], w: Float[Array, "n"]) -> tuple[Float[Array, "d"], Float[Array, "r d"]]:
    """The mean, and R for the covariance R^T R."""
    mean = w @ z
    return mean, jnp.linalg.qr(jnp.sqrt(w)[:, None] * (z - mean), mode="r")


def standard(pair: Pair) -> tuple[Pair, Float[Array, ""]]:
    """The measures with the origin between their means and coordinates within [-1, 1], and the unit of length.

    What a solver does then depends neither on the origin nor on the unit of the points. Points without mass lie at the
    origin.

    Args:
        pair: the measures.

    Returns:
        The measures, and the length that is 1; squared distances are those of the pair after unit^2.
    """
    centre = (pair.a @ pair.x + pair.b @ pair.y) / 2
    x, y = (jnp.where(w[:, None] > 0, z - centre, 0.0) for z, w in ((pair.x, pair.a), (pair.y, pair.b)))
    extent = jnp.maximum(jnp.max(jnp.abs(x)), jnp.max(jnp.abs(y)))
    unit = jnp.where(extent > 0, extent, 1.0)
    return Pair(x / unit, y / unit, pair.a, pair.b), unit


def split(pair: Pair) -> Rows:
    """The split of rows for one device: 2^22 entries of the cost matrix are made at a time."""
    return Rows(max(1, _ENTRIES // len(pair.y)))


def rounded(plan: Float[Array, "n m"], a: Float[Array, "n"], b: Float[Array, "m"]) -> Float[Array, "n m"]:
    """The plan scaled down until no point has too much, with a product that brings what is missing.

    Args:
        plan: not negative.
        a: the sums of rows that are wanted.
        b: those of columns.

    Returns:
        A plan with these sums.

    Source: Altschuler, Weed and Rigollet 2017, algorithm 2 (from memory, unverified).
    """
    plan = plan * _shrink(a, plan.sum(axis=1))[:, None]
    plan = plan * _shrink(b, plan.sum(axis=0))
    return plan + jnp.outer(*_lacking(a - plan.sum(axis=1), b - plan.sum(axis=0)))


def _lacking(left: Float[Array, "n"], right: Float[Array, "m"]) -> tuple[Float[Array, "n"], Float[Array, "m"]]:
    """Two factors of a product whose sums of rows and columns are at most `left` and `right`, and agree with one."""
    left, right = jnp.maximum(left, 0.0), jnp.maximum(right, 0.0)
    # of a plan that is right these are rounding errors, whose sums need not agree
    total = jnp.maximum(left.sum(), right.sum())
    return left / jnp.where(total > 0, total, 1.0), right


def _shrink(wanted: Float[Array, "n"], held: Float[Array, "n"]) -> Float[Array, "n"]:
    return jnp.where(held > wanted, wanted / jnp.where(held > 0, held, 1.0), 1.0)


def _distance(p: Float[Array, "n"], q: Float[Array, "n"]) -> Float[Array, ""]:
    return jnp.sum(jnp.abs(p - q))
