"""Wasserstein barycenters as a problem, and the measures of which they are one."""

import abc
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from pydantic import Field

from dsl import keys
from dsl.faults import Fault
from dsl.keys import Streams
from dsl.realise import Random
from dsl.results import Stored
from dsl.spec import Spec
from dsl.transport import Size, TransportProblem
from theory import transport

_SEED = 19238412
_SINGLE = 1e-6


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


class RandomMeasures(MeasureFamily, Random):
    """Points uniform on [-half_width, half_width]^d, drawn once per run."""

    n: Size
    k: Size
    d: Size
    half_width: Annotated[float, Field(gt=0)]

    @property
    def shape(self) -> tuple[int, int, int]:
        """(k, n, d)."""
        return self.k, self.n, self.d

    @property
    def points(self) -> Float[np.ndarray, "k n d"]:
        """Refused: the points are known only in a run."""
        raise ValueError(f"{self!r} is drawn when a run starts; it has no points before")

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
    def shape(self) -> None:
        """Not known before the file is read."""
        return None

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
            ValueError: as `points`, or if there are not as many as points.
        """
        if "masses" not in self._arrays():
            return _equal(self.points)
        masses = self._array("masses", 2)
        if masses.shape != (expected := self.points.shape[:2]):
            raise ValueError(f"StoredMeasures: the masses have shape {masses.shape}, expected {expected}")
        return masses

    def _arrays(self) -> Mapping[str, Any]:
        if isinstance(self.data, Stored):
            raise ValueError(f"{self!r} is read when a run starts; it has no points before")
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
            ValueError: if masses are negative or do not sum to 1, or a point occurs twice in a measure.
        """
        weights = None if self.weights is None else np.array(self.weights, np.float64)
        # in float32 the weights no longer sum to 1 exactly
        normal = None if weights is None else weights / weights.sum()
        points, masses = (np.asarray(a, np.float64) for a in (self.measures.points, self.measures.masses))
        cost = transport.BarycenterCost([x[mu != 0] for x, mu in zip(points, masses, strict=True)], normal)
        return transport.Problem(cost, [_normal(i, mu[mu != 0]) for i, mu in enumerate(masses)])


def _normal(i: int, mu: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
    """Masses whose sum is 1 to the precision in which they may be stored."""
    if abs(mu.sum() - 1) > _SINGLE:
        raise ValueError(f"measures.masses[{i}]: the masses sum to {mu.sum()}, expected 1")
    return mu / mu.sum()
