"""Distances between all pairs of many representations, and their embedding."""

from collections.abc import Callable, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.sharding import AxisType, Mesh, PartitionSpec
from jaxtyping import Array, Float, Int

from theory.representation.inputs import Features
from theory.representation.spectra import Spectrum, spectrum

PAIRS_AT_ONCE = 8
"""On an accelerator; a CPU is fastest with one, whose matrices it reads where they are."""
Metric = Callable[[Spectrum, Spectrum], Array]
"""A distance of two spectra, symmetric and 0 between equal ones: a number, or an array of them."""


def distance_matrix(representations: Sequence[Features], metric: Metric) -> Float[Array, "*values m m"]:
    """The distances between all pairs: one decomposition for each representation, pairs spread over the devices.

    Inside a program that is being traced, all pairs are computed where that program runs.

    Args:
        representations: m arrays of units of the same n inputs, of any widths.
        metric: a distance of two spectra, `gulp_between` at many ridges for example. It is compiled once for each
            function: `jax.tree_util.Partial(gulp_between, lam=ridges)` is the same one at other ridges too.

    Returns:
        Shape (*values, m, m), symmetric, exactly 0 on the diagonal; inside a program, NaN in the row and the column of
        what is not usable.

    Raises:
        ValueError: if there are none, their inputs differ in number, or one is no matrix, not finite or constant; and
            what the metric raises.

    Source: arXiv 2210.06545, with the decompositions shared by pairs and ridges.
    """
    every = _spectra(representations)
    if full := next((one for one in every if _spans_all(one)), None):
        metric(full, full)  # outside of a program, where it can tell that it says little of such
    stacked, m = _stacked(every), len(every)
    rows, columns = np.triu_indices(m, 1)
    found = _over_pairs(metric, stacked, rows, columns)
    whole = jnp.zeros((m, m, *found.shape[1:]), found.dtype).at[rows, columns].set(found).at[columns, rows].set(found)
    unusable = jnp.where(jnp.isfinite(stacked.values[:, 0]), 0.0, jnp.nan)
    return jnp.moveaxis(whole, (0, 1), (-2, -1)) + jnp.diag(unusable)


def stacked_spectra(representations: Sequence[Features]) -> Spectrum:
    """The spectra of m representations, filled up with zeros to one width: leading axes of length m."""
    return _stacked(_spectra(representations))


def _spectra(representations: Sequence[Features]) -> list[Spectrum]:
    if not representations:
        raise ValueError("no representations; expected at least one")
    sizes = [x.shape[:1] for x in representations]
    if () not in sizes and len(set(sizes)) > 1:
        i = next(i for i, size in enumerate(sizes) if size != sizes[0])
        got = f"representation {i} has {sizes[i][0]} inputs and the first {sizes[0][0]}"
        raise ValueError(f"{got}; expected the same ones")
    return [spectrum(x, name=f"representation {i}") for i, x in enumerate(representations)]


def _spans_all(one: Spectrum) -> bool:
    """Whether the rank of a concrete representation is all that n centred inputs leave."""
    n, r = one.directions.shape
    return r >= n - 1 and not isinstance(one.values, Tracer) and int(jnp.sum(one.present)) >= n - 1


@jax.jit
def _stacked(every: Sequence[Spectrum]) -> Spectrum:
    width, widest = (max(one.units.shape[axis] for one in every) for axis in (0, 1))

    def filled(one: Spectrum) -> Spectrum:
        more = width - len(one.values)
        units = jnp.pad(one.units, ((0, more), (0, widest - one.units.shape[1])))
        return Spectrum(jnp.pad(one.directions, ((0, 0), (0, more))), jnp.pad(one.values, (0, more)), units)

    return jax.tree.map(lambda *parts: jnp.stack(parts), *map(filled, every))


def classical_mds(distances: Features, dimensions: int = 2) -> Float[Array, "m k"]:
    """Points whose Euclidean distances are closest to the given ones in the sense of Torgerson.

    Args:
        distances: symmetric, zero on the diagonal (up to a hundredth of the largest), shape (m, m).
        dimensions: k, from 1 to m.

    Returns:
        Centred coordinates, by descending variance; the largest of each coordinate in size is positive.

    Raises:
        ValueError: if the matrix is not square, not symmetric, not finite or not zero on the diagonal, or k is not in
            1..m.

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
    i = int(np.argmax(np.abs(np.diagonal(distances))))
    if abs(distances[i, i]) > 0.01 * np.abs(distances).max():
        raise ValueError(f"the distance of point {i} to itself is {distances[i, i]:.3g}; expected 0")
    if not 1 <= dimensions <= shape[0]:
        raise ValueError(f"dimensions is {dimensions}; expected 1 to {shape[0]}, the number of points")
    return shape[0]


def _over_pairs(metric: Metric, stacked: Spectrum, rows: np.ndarray, columns: np.ndarray) -> Float[Array, "pairs ..."]:
    """The metric of each pair, shape (pairs, *values)."""
    pairs = np.stack([rows, columns], axis=1)
    if isinstance(stacked.values, Tracer):  # inside a program, which has its own devices
        return _each(metric, stacked, jnp.asarray(pairs))
    devices = np.array(jax.devices())
    size = -(-len(pairs) // len(devices)) * len(devices)
    mesh = Mesh(devices, ("pair",), axis_types=(AxisType.Auto,))
    return _spread(metric, stacked, jnp.asarray(np.resize(pairs, (size, 2))), mesh)[: len(pairs)]


@eqx.filter_jit
def _spread(metric: Metric, stacked: Spectrum, pairs: Int[Array, "pairs 2"], mesh: Mesh) -> Float[Array, "pairs ..."]:
    """The metric of each pair, equally many on each device."""
    specs = PartitionSpec(), PartitionSpec(), PartitionSpec("pair")
    arrays, static = eqx.partition(metric, eqx.is_array)
    each = lambda arrays, *of: _each(eqx.combine(arrays, static), *of)
    found = jax.shard_map(each, mesh=mesh, in_specs=specs, out_specs=PartitionSpec("pair"), check_vma=False)
    return found(arrays, stacked, pairs)


def _each(metric: Metric, stacked: Spectrum, pairs: Int[Array, "pairs 2"]) -> Float[Array, "pairs ..."]:
    # matrices with the inputs last are multiplied without being moved
    turned = stacked._replace(directions=jnp.swapaxes(stacked.directions, 1, 2))
    one = lambda pair: metric(_at(turned, pair[0]), _at(turned, pair[1]))
    return jax.lax.map(one, pairs, batch_size=None if jax.default_backend() == "cpu" else PAIRS_AT_ONCE)


def _at(turned: Spectrum, i: Int[Array, ""]) -> Spectrum:
    return Spectrum(turned.directions[i].T, turned.values[i], turned.units[i])
