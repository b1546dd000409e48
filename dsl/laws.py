"""Laws of x: where inputs come from."""

import abc
import functools
import itertools
from typing import Annotated, Any, Generic

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key
from pydantic import Field

from dsl.domains import Bits, Reals, X_co
from dsl.fields import Count
from dsl.spec import Spec
from theory import boolean, hermite

Nodes = tuple[Any, Float[Array, "q"]]
"""Points (a pytree with a leading axis) and their weights, which sum to 1."""


def support(law: Any) -> int:
    """The number of nodes of a law or task that has exact ones; a sample is not read for it."""
    return jax.eval_shape(law.nodes)[1].shape[0] if law.size is None else law.size


class Distribution(Spec, Generic[X_co], abstract=True):
    """A law of x."""

    @property
    @abc.abstractmethod
    def shape(self) -> tuple[int, ...]:
        """The shape of one x."""

    @abc.abstractmethod
    def sample(self, key: Key[Array, ""], n: int) -> Any:
        """Independent draws, with a leading axis of length n."""

    @property
    def exact(self) -> bool:
        """Whether `nodes` gives expectations exactly (to quadrature)."""
        return False

    @property
    def size(self) -> int | None:
        """The number of examples of a finite sample; None for a law."""
        return None

    def nodes(self) -> Nodes:
        """The whole law as weighted points, where `exact`."""
        raise ValueError(f"{self!r} has no exact nodes; draw with Fresh(n)")


class Hypercube(Distribution[Bits]):
    """Uniform on {-1, +1}^d; exact up to d = 20."""

    d: Count

    @property
    def shape(self) -> tuple[int, ...]:
        """(d,)."""
        return (self.d,)

    @property
    def exact(self) -> bool:
        """Whether the 2^d points are few enough to list: d <= 20."""
        return self.d <= 20

    def sample(self, key: Key[Array, ""], n: int) -> Float[Array, "n d"]:
        """Uniform points of the cube, shape (n, d)."""
        return boolean.sample_bits(key, n, self.d).astype(float)

    def nodes(self) -> Nodes:
        """All 2^d points, each with weight 2^-d."""
        points = jnp.asarray(boolean.cube(self.d), float)
        return points, jnp.full(len(points), 1.0 / len(points))


class Biased(Distribution[Reals]):
    """Independent biased bits, standardised: x_i = (Ber(p) - p) / sqrt(p (1 - p)); exact up to d = 20.

    Products of distinct coordinates are orthonormal, as on the uniform cube, which is p = 1/2.
    """

    d: Count
    p: Annotated[float, Field(gt=0, lt=1)]

    @property
    def shape(self) -> tuple[int, ...]:
        """(d,)."""
        return (self.d,)

    @property
    def exact(self) -> bool:
        """Whether the 2^d points are few enough to list: d <= 20."""
        return self.d <= 20

    def sample(self, key: Key[Array, ""], n: int) -> Float[Array, "n d"]:
        """Independent points, shape (n, d)."""
        # float32 draws at every precision: one seed gives one data set
        return self._values(jax.random.bernoulli(key, jnp.asarray(self.p, jnp.float32), (n, self.d)))

    def nodes(self) -> Nodes:
        """All 2^d points; one with k ones has weight p^k (1 - p)^(d - k)."""
        ones = boolean.cube(self.d) > 0
        return self._values(ones), jnp.prod(jnp.where(ones, self.p, 1.0 - self.p), axis=1)

    def _values(self, ones: Bool[Array, "n d"]) -> Float[Array, "n d"]:
        odds = jnp.asarray(self.p / (1.0 - self.p), float)
        return jnp.where(ones, 1.0 / jnp.sqrt(odds), -jnp.sqrt(odds))


class Gaussian(Distribution[Reals]):
    """N(0, scale^2 I) in d dimensions; for d <= 3 exact by a Gauss-Hermite grid (smooth integrands)."""

    d: Count
    scale: float = 1.0

    @property
    def shape(self) -> tuple[int, ...]:
        """(d,)."""
        return (self.d,)

    @property
    def exact(self) -> bool:
        """Whether the grid of 32^d nodes is small enough: d <= 3."""
        return self.d <= 3

    def sample(self, key: Key[Array, ""], n: int) -> Float[Array, "n d"]:
        """Normal draws times scale, shape (n, d)."""
        # float32 draws at every precision: one seed gives one data set
        return self.scale * jax.random.normal(key, (n, self.d), jnp.float32).astype(float)

    def nodes(self) -> Nodes:
        """The product grid of 32 Gauss-Hermite points per coordinate: exact to degree 63 in each."""
        points, weights = _gauss_hermite_grid(self.d)
        return self.scale * jnp.asarray(points, float), jnp.asarray(weights, float)


@functools.cache
def _gauss_hermite_grid(d: int, order: int = 32) -> tuple[np.ndarray, np.ndarray]:
    points, weights = hermite.gauss_hermite(order)
    grid = np.array(list(itertools.product(points, repeat=d)))
    return grid, np.prod(np.array(list(itertools.product(weights, repeat=d))), axis=-1)
