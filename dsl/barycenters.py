"""Wasserstein barycenters as a problem, and the measures of which they are one."""

import abc
from collections.abc import Iterable
from typing import Annotated

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
from dsl.spec import Spec
from dsl.transport import Size, TransportProblem
from theory import transport

_SEED = 19238412


class MeasureFamily(Spec, abstract=True):
    """k discrete measures of n points with equal masses."""

    @property
    @abc.abstractmethod
    def shape(self) -> tuple[int, int, int]:
        """(k, n, d): measures, points, dimension."""

    @property
    @abc.abstractmethod
    def points(self) -> Float[np.ndarray, "k n d"]:
        """The points."""


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
        if len(self.weights) != self.measures.shape[0]:
            yield Fault(("weights",), f"expected {self.measures.shape[0]}, one a measure, got {len(self.weights)}")
        elif abs(sum(self.weights) - 1) > 1e-9:
            yield Fault(("weights",), f"expected the sum 1, got {sum(self.weights)}")

    @property
    def shape(self) -> tuple[int, ...]:
        """N for each measure."""
        k, n, _ = self.measures.shape
        return (n,) * k

    def posed(self) -> transport.Problem:
        """The variance of tuples, with uniform marginals."""
        weights = None if self.weights is None else np.array(self.weights, np.float64)
        # in float32 the weights no longer sum to 1 exactly
        normal = None if weights is None else weights / weights.sum()
        cost = transport.BarycenterCost(list(np.asarray(self.measures.points, np.float64)), normal)
        return transport.Problem(cost, transport.uniform(cost.shape))
