"""Finite tasks whose examples are listed: data sets."""

import abc
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, Key

from dsl.domains import X_co, Y_co
from dsl.laws import Nodes
from dsl.tasks import Task


class Listed(Task[X_co, Y_co], abstract=True):
    """A finite task of examples with numbers 0, ..., size - 1 and equal weights, in the order of their source."""

    @property
    @abc.abstractmethod
    def size(self) -> int:
        """The number of examples."""

    @abc.abstractmethod
    def take(self, index: Int[Array, "n"]) -> tuple[Any, Any]:
        """The examples with these numbers: x and y, each with a leading axis of length n."""

    @property
    def exact(self) -> bool:
        """The examples are the law."""
        return True

    def sample(self, key: Key[Array, ""], n: int) -> tuple[Any, Any]:
        """N examples, with replacement."""
        return self.take(jax.random.randint(key, (n,), 0, self.size, jnp.int32))  # the same draw at every precision

    def nodes(self) -> Nodes:
        """All examples, with equal weights."""
        return self.take(jnp.arange(self.size)), jnp.full(self.size, 1.0 / self.size)
