"""Noise: what an optimizer adds to its steps."""

import abc
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key
from pydantic import Field

from dsl import keys
from dsl.spec import Spec


class Noise(Spec, abstract=True):
    """A law of trees in the shape of a model's weights."""

    @abc.abstractmethod
    def draw(self, key: Key[Array, ""], weights: Any) -> Any:
        """One draw, with an array for each array of `weights`, in its shape and dtype."""


class Isotropic(Noise):
    """N(0, sigma^2) in every coordinate, independently."""

    sigma: Annotated[float, Field(ge=0)]

    def draw(self, key: Key[Array, ""], weights: Any) -> Any:
        """Normal draws times sigma, each array from the key folded by its place in the tree."""
        leaves, structure = jax.tree.flatten(weights)
        return jax.tree.unflatten(structure, [self._normal(keys.fold(key, i), w) for i, w in enumerate(leaves)])

    def _normal(self, key: Key[Array, ""], weight: Array) -> Array:
        # float32 draws at every precision: one seed gives one noise
        return self.sigma * jax.random.normal(key, weight.shape, jnp.float32).astype(weight.dtype)
