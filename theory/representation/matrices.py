"""Distances between all pairs of many representations, and their embedding."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.sharding import AxisType, Mesh, PartitionSpec
from jaxtyping import Array, Float, Int

from theory.representation.spectra import Features, Spectrum, spectrum

PAIRS_AT_ONCE = 8
Metric = Callable[[Spectrum, Spectrum], Array]
"""A symmetric function of two spectra: a number, or an array of them."""


def distance_matrix(representations: Sequence[Features], metric: Metric) -> Float[Array, "*values m m"]:
    """The distances between all pairs: one decomposition for each representation, pairs spread over the devices.

    Args:
        representations: m arrays of units of the same n inputs, of any widths.
        metric: a symmetric function of two spectra, `gulp_between` at many ridges for example.

    Returns:
        Shape (*values, m, m), symmetric.

    Raises:
        ValueError: if there are none, or their inputs differ in number.

    Source: arXiv 2210.06545, with the decompositions shared by pairs and ridges.
    """
    stacked = stacked_spectra(representations)
    m = len(representations)
    rows, columns = np.triu_indices(m)
    found = _over_pairs(metric, stacked, rows, columns)
    whole = jnp.zeros((m, m, *found.shape[1:]), found.dtype).at[rows, columns].set(found).at[columns, rows].set(found)
    return jnp.moveaxis(whole, (0, 1), (-2, -1))


def stacked_spectra(representations: Sequence[Features]) -> Spectrum:
    """The spectra of m representations, filled up with zeros to one width: leading axes of length m."""
    if not representations:
        raise ValueError("no representations; expected at least one")
    sizes = [x.shape[0] for x in representations]
    if len(set(sizes)) > 1:
        i = next(i for i, size in enumerate(sizes) if size != sizes[0])
        raise ValueError(f"representation {i} has {sizes[i]} inputs and the first {sizes[0]}; expected the same ones")
    found = [spectrum(jnp.asarray(x)) for x in representations]
    width = max(len(one.values) for one in found)
    widest = max(one.units.shape[1] for one in found)

    def filled(one: Spectrum) -> Spectrum:
        more = width - len(one.values)
        units = jnp.pad(one.units, ((0, more), (0, widest - one.units.shape[1])))
        return Spectrum(jnp.pad(one.directions, ((0, 0), (0, more))), jnp.pad(one.values, (0, more)), units)

    return jax.tree.map(lambda *parts: jnp.stack(parts), *map(filled, found))


def classical_mds(distances: Features, dimensions: int = 2) -> Float[Array, "m k"]:
    """Points whose Euclidean distances are closest to the given ones in the sense of Torgerson.

    Args:
        distances: symmetric, zero on the diagonal, shape (m, m).
        dimensions: k, from 1 to m.

    Returns:
        Centred coordinates, by descending variance; the largest of each coordinate in size is positive.

    Raises:
        ValueError: if the matrix is not square, not symmetric or not finite, or k is not in 1..m.

    Source: standard; for Euclidean distances in k dimensions the configuration is exact.
    """
    m = _checked(np.asarray(distances), dimensions)
    centred = jnp.eye(m) - 1 / m
    values, vectors = jnp.linalg.eigh(-0.5 * centred @ jnp.square(jnp.asarray(distances)) @ centred)
    values, vectors = values[::-1][:dimensions], vectors[:, ::-1][:, :dimensions]
    largest = jnp.take_along_axis(vectors, jnp.argmax(jnp.abs(vectors), axis=0)[None, :], axis=0)
    return vectors * jnp.sign(largest) * jnp.sqrt(jnp.maximum(values, 0.0))[None, :]


def _checked(distances: np.ndarray, dimensions: int) -> int:
    """The number of points."""
    shape = distances.shape
    if distances.ndim != 2 or shape[0] != shape[1]:
        raise ValueError(f"distances have shape {shape}; expected (m, m)")
    if not np.isfinite(distances).all() or not np.allclose(distances, distances.T):
        raise ValueError("distances are not finite and symmetric")
    if not 1 <= dimensions <= shape[0]:
        raise ValueError(f"dimensions is {dimensions}; expected 1 to {shape[0]}, the number of points")
    return shape[0]


def _over_pairs(metric: Metric, stacked: Spectrum, rows: np.ndarray, columns: np.ndarray) -> Float[Array, "pairs ..."]:
    """The metric of each pair, shape (pairs, *values)."""

    def each(stacked: Spectrum, pairs: Int[Array, "pairs 2"]) -> Float[Array, "pairs ..."]:
        one = lambda pair: metric(_at(stacked, pair[0]), _at(stacked, pair[1]))
        return jax.lax.map(one, pairs, batch_size=PAIRS_AT_ONCE)

    pairs = np.stack([rows, columns], axis=1)
    if isinstance(stacked.values, Tracer):  # inside a program, which has its own devices
        return each(stacked, jnp.asarray(pairs))
    devices = np.array(jax.devices())
    mesh = Mesh(devices, ("pair",), axis_types=(AxisType.Auto,))
    specs = PartitionSpec(), PartitionSpec("pair")
    spread = jax.shard_map(each, mesh=mesh, in_specs=specs, out_specs=PartitionSpec("pair"), check_vma=False)
    size = -(-len(pairs) // len(devices)) * len(devices)
    return jax.jit(spread)(stacked, np.resize(pairs, (size, 2)))[: len(pairs)]


def _at(stacked: Spectrum, i: Int[Array, ""]) -> Spectrum:
    return jax.tree.map(lambda part: part[i], stacked)
