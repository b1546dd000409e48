"""Activations: functions of one real number, as nouns, because a spec holds no functions."""

import abc
import math
from collections.abc import Iterable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dsl.faults import Fault
from dsl.spec import Spec
from theory import hermite


class Activation(Spec, abstract=True):
    """A pointwise nonlinearity; its knobs are not trained."""

    @abc.abstractmethod
    def __call__(self, z: Float[Array, "*any"]) -> Float[Array, "*any"]:
        """The values, of the same shape."""

    @property
    def degrees(self) -> tuple[float, float]:
        """Of its even and of its odd part: infinite for a part that is no polynomial (by default both), -1 for none."""
        return math.inf, math.inf


class Relu(Activation):
    """max(z, 0)."""

    def __call__(self, z: Float[Array, "*any"]) -> Float[Array, "*any"]:
        """max(z, 0), elementwise."""
        return jax.nn.relu(z)

    @property
    def degrees(self) -> tuple[float, float]:
        """Its odd part is z/2, its even part |z|/2."""
        return math.inf, 1


class Tanh(Activation):
    """tanh(z)."""

    def __call__(self, z: Float[Array, "*any"]) -> Float[Array, "*any"]:
        """tanh(z), elementwise."""
        return jnp.tanh(z)

    @property
    def degrees(self) -> tuple[float, float]:
        """It is odd."""
        return -1, math.inf


class Sigmoid(Activation):
    """gain / (1 + exp(-(slope * z + shift)))."""

    gain: float = 1.0
    slope: float = 1.0
    shift: float = 0.0

    def __call__(self, z: Float[Array, "*any"]) -> Float[Array, "*any"]:
        """The logistic function of slope * z + shift, times gain, elementwise."""
        return self.gain * jax.nn.sigmoid(self.slope * z + self.shift)

    @property
    def degrees(self) -> tuple[float, float]:
        """Without a shift its even part is a constant."""
        return (0 if self.shift == 0 else math.inf), math.inf


class HermiteSeries(Activation):
    """sum_k coefficients[k] he_k(z), with the orthonormal Hermite polynomials."""

    coefficients: tuple[float, ...]

    def check(self) -> Iterable[Fault]:
        """At least one coefficient."""
        return [Fault(("coefficients",), "expected at least one, got none")] if not self.coefficients else ()

    def __call__(self, z: Float[Array, "*any"]) -> Float[Array, "*any"]:
        """sum_k c_k he_k(z), of the shape of z."""
        weights = jnp.stack([jnp.asarray(c, z.dtype) for c in self.coefficients])
        return jnp.tensordot(weights, hermite.hermite_all(len(self.coefficients) - 1, z), axes=1)

    @property
    def degrees(self) -> tuple[float, float]:
        """The highest even and the highest odd degree with a coefficient that is not zero."""
        present = [k for k, c in enumerate(self.coefficients) if c != 0]
        highest = lambda parity: max((k for k in present if k % 2 == parity), default=-1)
        return highest(0), highest(1)
