"""Activations: functions of one real number, as nouns, because a spec holds no functions."""

import abc

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dsl.spec import Spec


class Activation(Spec, abstract=True):
    """A pointwise nonlinearity; its knobs are not trained."""

    @abc.abstractmethod
    def __call__(self, z: Float[Array, "*any"]) -> Float[Array, "*any"]:
        """The values, of the same shape."""


class Relu(Activation):
    """max(z, 0)."""

    def __call__(self, z: Float[Array, "*any"]) -> Float[Array, "*any"]:
        """max(z, 0), elementwise."""
        return jax.nn.relu(z)


class Tanh(Activation):
    """tanh(z)."""

    def __call__(self, z: Float[Array, "*any"]) -> Float[Array, "*any"]:
        """tanh(z), elementwise."""
        return jnp.tanh(z)


class Sigmoid(Activation):
    """gain / (1 + exp(-(slope * z + shift)))."""

    gain: float = 1.0
    slope: float = 1.0
    shift: float = 0.0

    def __call__(self, z: Float[Array, "*any"]) -> Float[Array, "*any"]:
        """The logistic function of slope * z + shift, times gain, elementwise."""
        return self.gain * jax.nn.sigmoid(self.slope * z + self.shift)
