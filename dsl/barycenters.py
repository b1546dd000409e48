"""Wasserstein barycenters as a problem, and the measures of which they are one."""

import abc
import math
import reprlib
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Annotated, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from pydantic import Field

from dsl import keys
from dsl.faults import Fault, folded
from dsl.keys import Streams
from dsl.realise import Random
from dsl.results import Given, Stored
from dsl.sizes import TABLE, limit, written_size
from dsl.spec import Spec, rebuilt
from dsl.transport import Size, TransportProblem
from theory import transport

_SEED = 19238412
_SINGLE = 1e-6
_TOLD = 8  # faults of a file, of which there may be one for each measure


class MeasureFamily(Spec, abstract=True):
    """k discrete measures of at most n points; by default of n points with equal masses."""

    @property
    @abc.abstractmethod
    def shape(self) -> tuple[int, int, int] | None:
        """(k, n, d): measures, points, dimension; None where they are known only in a run."""

    @property
    @abc.abstractmethod
    def points(self) -> Float[np.ndarray, "k n d"]:
        """The points."""

    @property
    def masses(self) -> Float[np.ndarray, "k n"]:
        """Their masses; what has none pads a measure of fewer points."""
        return _equal(self.points)

    @property
    def sizes(self) -> tuple[int, ...] | None:
        """The number of points of each measure; None where it is known only in a run."""
        return None if self.shape is None else (self.shape[1],) * self.shape[0]


def _equal(points: Any) -> Float[np.ndarray, "k n"]:
    return np.full(points.shape[:2], 1 / points.shape[1])


def _too_many(shape: tuple[int, int, int]) -> Iterable[Fault]:
    k, n, d = shape
    if (size := k * n * d) > TABLE:
        says = f"{k} measures of n points have {written_size(size)} coordinates, more than {limit(TABLE)}"
        fits = TABLE // (k * d)
        yield Fault(("n",), f"{f'expected at most {fits}' if fits else 'expected fewer measures'}, got {n}: {says}")


class RandomMeasures(MeasureFamily, Random):
    """Points uniform on [-half_width, half_width]^d, drawn once per run.

    Squared distances of points beyond 1e15 may be more than single precision holds.
    """

    n: Size
    k: Size
    d: Size
    half_width: Annotated[float, Field(gt=0, le=1e15)]

    def check(self) -> Iterable[Fault]:
        """Points that fit."""
        yield from _too_many(self.shape)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(k, n, d)."""
        return self.k, self.n, self.d

    @property
    def points(self) -> Float[np.ndarray, "k n d"]:
        """Refused: the points are known only in a run."""
        raise ValueError(f"{folded(self)} is drawn when a run starts; it has no points before")

    def realise(self, streams: Streams) -> "DrawnMeasures":
        """The points, from the key for `data`."""
        u = jax.random.uniform(keys.fold(streams.data, "measures"), self.shape, jnp.float32, -1.0, 1.0)
        return DrawnMeasures(self.half_width * u.astype(float))


class DrawnMeasures(eqx.Module):
    """What `RandomMeasures` are in one run.

    Attributes:
        points: the points.
    """

    points: Float[Array, "k n d"]

    @property
    def masses(self) -> Float[np.ndarray, "k n"]:
        """Equal ones."""
        return _equal(self.points)


class SparseSquare(MeasureFamily):
    """The instance of the released code of 2006.08012: points uniform on [-1, 1]^2 by NumPy's seed 19238412.

    With n = k = 10 these are the bits of the file that it ships (as measured in our reference file).
    """

    n: Size = 10
    k: Size = 10

    def check(self) -> Iterable[Fault]:
        """Points that fit."""
        yield from _too_many(self.shape)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(k, n, 2)."""
        return self.k, self.n, 2

    @property
    def points(self) -> Float[np.ndarray, "k n d"]:
        """The points, one measure after the other."""
        return np.random.RandomState(_SEED).random_sample(self.shape) * 2 - 1


class Ellipses(MeasureFamily):
    """Images of two nested ellipses, `side` pixels wide: equal masses on the pixels of their outlines, in [0, 1]^2.

    Fixed, by a generator of our own; 10 images of 60 pixels are of the size of those of 2006.08012.
    """

    images: Size
    side: Annotated[int, Field(ge=4, le=1024)]

    @property
    def shape(self) -> tuple[int, int, int]:
        """(images, pixels of the largest, 2)."""
        return self.images, max(self.sizes), 2

    @property
    def sizes(self) -> tuple[int, ...]:
        """The pixels of each image."""
        return tuple(map(len, transport.nested_ellipses(self.images, self.side)))

    @property
    def points(self) -> Float[np.ndarray, "k n d"]:
        """The centres of pixels, one image after the other; zeros fill up."""
        padded = np.zeros(self.shape)
        for row, image in zip(padded, transport.nested_ellipses(self.images, self.side), strict=True):
            row[: len(image)] = image
        return padded

    @property
    def masses(self) -> Float[np.ndarray, "k n"]:
        """Equal ones within an image."""
        sizes = np.array(self.sizes)[:, None]
        return np.where(np.arange(sizes.max()) < sizes, 1 / sizes, 0.0)


class StoredMeasures(MeasureFamily):
    """Measures of a stored file with the arrays `points`, shape (k, n, d), and `masses`, shape (k, n).

    Measures of fewer points are filled up with points of mass 0; without `masses`, masses are equal.
    """

    data: Stored

    @property
    def shape(self) -> tuple[int, int, int] | None:
        """(k, n, d); None before the file is read."""
        if not isinstance(self.data, Given):
            return None
        k, n, d = self.points.shape
        return k, n, d

    @property
    def sizes(self) -> tuple[int, ...] | None:
        """The number of points of each measure that have mass; None before the file is read."""
        return tuple((self.masses > 0).sum(axis=1).tolist()) if isinstance(self.data, Given) else None

    @property
    def points(self) -> Float[np.ndarray, "k n d"]:
        """The points, in a run.

        Raises:
            ValueError: before a run, or if the file has no such array.
        """
        return self._array("points", 3)

    @property
    def masses(self) -> Float[np.ndarray, "k n"]:
        """The masses, in a run.

        Raises:
            ValueError: as `points`.
        """
        return self._array("masses", 2) if "masses" in self._arrays() else _equal(self.points)

    def misfits(self, arrays: Mapping[str, Any]) -> Iterable[Fault]:
        """Why the arrays of a file are not measures, each fault with its place there."""
        found = rebuilt(self, data=Given(dict(arrays)))
        try:
            whole = found.points, found.masses
        except ValueError as error:
            yield Fault(("data",), str(error))
        else:
            yield from (Fault(("data",), misfit) for misfit in islice(_misfits(*whole, distinct=True), _TOLD))

    def _arrays(self) -> Mapping[str, Any]:
        if isinstance(self.data, Stored):
            raise ValueError(f"{folded(self)} is read when a run starts; it has no points before")
        return self.data.arrays

    def _array(self, name: str, axes: int) -> Float[np.ndarray, "..."]:
        arrays = self._arrays()
        if name not in arrays:
            raise ValueError(f"StoredMeasures: the file has the arrays {sorted(arrays)}, expected {name!r}")
        if (found := np.asarray(arrays[name], np.float64)).ndim != axes:
            raise ValueError(f"StoredMeasures: {name} have shape {found.shape}, expected {axes} axes")
        return found


class Barycenter(TransportProblem):
    """min over measures nu of sum_i lambda_i W_2^2(mu_i, nu), with equal weights where none are given.

    As transport: C_j is the weighted variance of the points of a tuple, and nu has its mass at their means.
    """

    measures: MeasureFamily
    weights: tuple[Annotated[float, Field(gt=0)], ...] | None = None

    def check(self) -> Iterable[Fault]:
        """A weight for each measure, with sum 1."""
        if self.weights is None:
            return
        if self.measures.shape is not None and len(self.weights) != self.measures.shape[0]:
            yield Fault(("weights",), f"expected {self.measures.shape[0]}, one a measure, got {len(self.weights)}")
        elif abs(sum(self.weights) - 1) > 1e-9:
            yield Fault(("weights",), f"expected the sum 1, got {sum(self.weights)}")

    @property
    def shape(self) -> tuple[int, ...] | None:
        """The number of points of each measure."""
        return self.measures.sizes

    def posed(self) -> transport.Problem:
        """The variance of tuples of points that have mass.

        Raises:
            ValueError: as `checked_measures`, or if there are not as many weights as measures of a file.
        """
        points, masses = supports(self.measures)
        weights = None if self.weights is None else np.array(self.weights, np.float64)
        if weights is not None and len(weights) != len(points):
            raise ValueError(f"weights: expected {len(points)}, one a measure, got {len(weights)}")
        # in float32 the weights no longer sum to 1 exactly
        shares = None if weights is None else weights / weights.sum()
        return transport.Problem(transport.BarycenterCost(points, shares), masses)


def supports(measures: Any) -> tuple[list[Float[np.ndarray, "_ d"]], list[Float[np.ndarray, "_"]]]:
    """The points of each measure that have mass, and their masses, in double precision on the host.

    Args:
        measures: a family with its arrays, of a spec or of a run.

    Returns:
        One array of points and one of masses, with the sum 1, for each measure.

    Raises:
        ValueError: as `checked_measures`.
    """
    drawn = isinstance(measures, DrawnMeasures)  # on a line some of many single numbers are equal
    points, masses = checked_measures(measures.points, measures.masses, distinct=not drawn)
    return [x[mu > 0] for x, mu in zip(points, masses, strict=True)], [
        normalised(i, mu[mu > 0]) for i, mu in enumerate(masses)
    ]


def checked_measures(
    points: Any, masses: Any, distinct: bool = True
) -> tuple[Float[np.ndarray, "k n d"], Float[np.ndarray, "k n"]]:
    """The arrays of a family in double precision, as they are.

    Args:
        points: shape (k, n, d); those without mass are not read.
        masses: shape (k, n), each with the sum 1 to single precision.
        distinct: whether points of a measure have to be.

    Returns:
        Both.

    Raises:
        ValueError: with the place, if the arrays are not of these shapes, masses are negative, not finite or of another
            sum, or points with mass are not finite, too large to be squared, or occur twice in a measure.
    """
    found = np.asarray(points, np.float64), np.asarray(masses, np.float64)
    for misfit in _misfits(*found, distinct):
        raise ValueError(f"measures.{misfit}")
    return found


def normalised(i: int, mu: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
    """The masses of measure i divided by their sum, which is 1 to the precision in which they may be stored.

    Raises:
        ValueError: if a mass is negative or not finite, or the sum is not 1.
    """
    if misfit := _unlike_masses(i, mu):
        raise ValueError(f"measures.{misfit}")
    return mu / mu.sum()


def _misfits(points: Float[np.ndarray, "..."], masses: Float[np.ndarray, "..."], distinct: bool) -> Iterator[str]:
    """Why arrays are not measures: of the masses, or else of the points, one for each measure."""
    if points.ndim != 3 or not points.size:
        yield f"points have shape {points.shape}, expected (k, n, d), each at least 1"
    elif masses.shape != points.shape[:2]:
        yield f"masses have shape {masses.shape}, expected {points.shape[:2]}, one a point"
    elif wrong := [misfit for i, mu in enumerate(masses) if (misfit := _unlike_masses(i, mu))]:
        yield from wrong
    else:
        for i, (x, mu) in enumerate(zip(points, masses, strict=True)):
            held = np.flatnonzero(mu)
            if misfit := _unlike_points(i, x, held) or (_repeated(i, x, held) if distinct else None):
                yield misfit


def _unlike_masses(i: int, mu: Float[np.ndarray, "n"]) -> str | None:
    if not (good := np.isfinite(mu) & (mu >= 0)).all():
        v = int(good.argmin())
        return f"masses[{i}][{v}] is {mu[v]}, expected masses that are finite and not negative"
    return f"masses[{i}]: the masses sum to {mu.sum():.7g}, expected 1" if abs(mu.sum() - 1) > _SINGLE else None


def _unlike_points(i: int, x: Float[np.ndarray, "n d"], held: Int[np.ndarray, "m"]) -> str | None:
    """The first of the points with mass that is not finite, or too large."""
    most = math.sqrt(np.finfo(np.float64).max / (16 * x.shape[1]))  # differences of two are squared and summed
    if not (near := (np.abs(x[held]) <= most).all(axis=1)).all():
        v = held[near.argmin()]
        return f"points[{i}][{v}] = {reprlib.repr(x[v].tolist())}, expected finite numbers up to {most:.1g}"
    return None


def _repeated(i: int, x: Float[np.ndarray, "n d"], held: Int[np.ndarray, "m"]) -> str | None:
    """The first point with mass that is an earlier one again."""
    _, first = np.unique(x[held], axis=0, return_index=True)
    if len(again := np.delete(held, first)):
        earlier = held[(x[held] == x[again[0]]).all(axis=1).argmax()]
        where = f"points[{i}][{again[0]}] = {reprlib.repr(x[again[0]].tolist())} occurs twice"
        return f"{where}, at points[{i}][{earlier}] too; add the masses"
    return None
