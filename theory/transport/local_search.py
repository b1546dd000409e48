"""Least reduced cost of the barycenter problem in any dimension: a local search from many starts, and a lower bound.

In growing dimension the minimum is NP-hard to find (arXiv 2101.01100), so the two need not meet: what a search finds is
certified only as far as the bound says.
"""

import itertools
import zlib

import numpy as np
from jaxtyping import Float64, Int

from theory.transport.cost import Potentials
from theory.transport.distances import squared
from theory.transport.expected import expect_arrays
from theory.transport.power_diagram import Sites, cells

_STARTS = 256
_ROUNDS = 50
_SWEEPS = 20


def local_minima(sites: Sites, y: Float64[np.ndarray, "m d"]) -> Int[np.ndarray, "s k"]:
    """Tuples that no exchange of one point improves.

    Alternately every measure takes its best point for the mean, and the mean moves; then single points are exchanged,
    with the mean moving along, as long as that helps.

    Args:
        sites: of k measures.
        y: where to begin, beside random places and tuples, which differ from one choice of potentials to another.

    Returns:
        Distinct tuples.
    """
    tuples = _starts(sites, y)
    for _ in range(_ROUNDS):
        moved, _ = cells(sites, _means(sites, tuples))
        if (moved == tuples).all():
            break
        tuples = np.unique(moved, axis=0)
    for _ in range(_ROUNDS):
        exchanged = _exchanged(sites, tuples)
        if (exchanged == tuples).all():
            break
        tuples = np.unique(exchanged, axis=0)
    return tuples


def pairwise_bound(
    points: tuple[Float64[np.ndarray, "_ _"], ...], weights: Float64[np.ndarray, "k"], p: Potentials
) -> float:
    """A lower bound of min_j (sum_{i < i'} lambda_i lambda_i' |x_i,j_i - x_i',j_i'|^2 - sum_i p_i[j_i]).

    Potentials are shared out among pairs of measures, each of which is minimised by itself; shares are improved by
    coordinate ascent. Any shares give a bound; the best ones need not give the minimum.

    Args:
        points: the support of each measure.
        weights: lambda, with sum 1.
        p: potentials; points of -inf are excluded.

    Returns:
        The bound.

    Source: max-product linear programming of Globerson and Jaakkola (from memory, unverified; the bound is derived).
    """
    expect_arrays("pairwise_bound: points", points)
    if (sizes := tuple(map(len, points))) != (got := tuple(map(len, p))) or len(weights) != len(points):
        raise ValueError(f"pairwise_bound: {len(weights)} weights and potentials of sizes {got}, expected {sizes}")
    held = [np.isfinite(q) for q in p]
    beliefs = [-q[h] for q, h in zip(p, held, strict=True)]
    supports = [x[h] for x, h in zip(points, held, strict=True)]
    pairs = list(itertools.combinations(range(len(points)), 2))
    costs = {(a, b): weights[a] * weights[b] * squared(supports[a], supports[b]) for a, b in pairs}
    shares = {(a, b): (np.zeros(len(supports[a])), np.zeros(len(supports[b]))) for a, b in pairs}
    for _ in range(_SWEEPS):
        for a, b in pairs:
            left, right = beliefs[a] - shares[a, b][0], beliefs[b] - shares[a, b][1]
            to_left = (np.min(costs[a, b] + right, axis=1) - left) / 2
            to_right = (np.min(costs[a, b] + left[:, None], axis=0) - right) / 2
            shares[a, b] = (to_left, to_right)
            beliefs[a], beliefs[b] = left + to_left, right + to_right
    return float(sum(belief.min() for belief in beliefs))


def _starts(sites: Sites, y: Float64[np.ndarray, "m d"]) -> Int[np.ndarray, "s k"]:
    """The tuples of the cells of y and of random places in the box around them, and random tuples."""
    rng, finite = np.random.default_rng(zlib.crc32(sites.offsets.tobytes())), np.isfinite(sites.offsets)
    places = rng.uniform(y.min(axis=0), y.max(axis=0), size=(_STARTS, y.shape[1]))
    random = np.array([rng.choice(np.flatnonzero(each), _STARTS) for each in finite]).T
    return np.unique(np.concatenate([cells(sites, np.concatenate([y, places]))[0], random]), axis=0)


def _means(sites: Sites, tuples: Int[np.ndarray, "m k"]) -> Float64[np.ndarray, "m d"]:
    return sites.slopes[np.arange(tuples.shape[1]), tuples].sum(axis=1) / -2


def _exchanged(sites: Sites, tuples: Int[np.ndarray, "m k"]) -> Int[np.ndarray, "m k"]:
    """Each tuple with the one point exchanged that lowers its reduced cost most, if one does."""
    each, rows = np.arange(tuples.shape[1]), np.arange(len(tuples))
    chosen, offsets = sites.slopes[each, tuples], sites.offsets[each, tuples]
    others = chosen.sum(axis=1, keepdims=True) - chosen
    squares = np.sum(others**2, axis=2)[:, :, None] + np.sum(sites.slopes**2, axis=2)
    cross = np.einsum("mkd,knd->mkn", others, sites.slopes)
    values = (offsets.sum(axis=1, keepdims=True) - offsets)[:, :, None] + sites.offsets - (squares + 2 * cross) / 4
    best = values.reshape(len(tuples), -1).argmin(axis=1)
    i, v = np.unravel_index(best, values.shape[1:])
    now = values[rows, 0, tuples[:, 0]]
    better = values[rows, i, v] < now - 1e-12 * np.maximum(1.0, np.abs(now))
    exchanged = tuples.copy()
    exchanged[rows[better], i[better]] = v[better]
    return exchanged
