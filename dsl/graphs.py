"""Graphs: what networks and hard problems are made of."""

import abc
from typing import Annotated

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int
from pydantic import Field

from dsl import keys
from dsl.keys import Streams
from dsl.realise import Random
from dsl.spec import Spec

Vertices = Annotated[int, Field(ge=1, le=512)]
"""A number of vertices: adjacency is written down."""


class Graph(Spec, abstract=True):
    """A graph without loops on the vertices 0..n-1."""

    @property
    @abc.abstractmethod
    def vertices(self) -> int:
        """The number n of vertices."""

    @property
    @abc.abstractmethod
    def edges(self) -> int | None:
        """The number of edges; None where it is drawn."""

    @property
    @abc.abstractmethod
    def adjacency(self) -> Int[np.ndarray, "n n"]:
        """0 and 1, symmetric, with a zero diagonal."""


class Complete(Graph):
    """All n vertices are adjacent to each other."""

    n: Vertices

    @property
    def vertices(self) -> int:
        """How many there are: n."""
        return self.n

    @property
    def edges(self) -> int:
        """All pairs: n (n - 1) / 2."""
        return self.n * (self.n - 1) // 2

    @property
    def adjacency(self) -> Int[np.ndarray, "n n"]:
        """1 but for the diagonal."""
        return 1 - np.eye(self.n, dtype=np.int64)


class Cycle(Graph):
    """Vertex i is adjacent to i + 1, modulo n."""

    n: Annotated[int, Field(ge=3, le=512)]

    @property
    def vertices(self) -> int:
        """How many there are: n."""
        return self.n

    @property
    def edges(self) -> int:
        """How many there are: n."""
        return self.n

    @property
    def adjacency(self) -> Int[np.ndarray, "n n"]:
        """1 beside the diagonal, and in two corners."""
        step = np.roll(np.eye(self.n, dtype=np.int64), 1, axis=1)
        return step + step.T


class RandomGraph(Graph, Random):
    """Each pair of n vertices is an edge with probability p, apart from the others; drawn once per run."""

    n: Vertices
    p: Annotated[float, Field(ge=0, le=1)]

    @property
    def vertices(self) -> int:
        """How many there are: n."""
        return self.n

    @property
    def edges(self) -> None:
        """Not known before it is drawn."""
        return None

    @property
    def adjacency(self) -> Int[np.ndarray, "n n"]:
        """Refused: the edges are known only in a run."""
        raise ValueError(f"{self!r} is drawn when a run starts; it has no edges before")

    def realise(self, streams: Streams) -> "DrawnGraph":
        """The edges, from the key for `data`."""
        u = jax.random.uniform(keys.fold(streams.data, "graph"), (self.n, self.n), jnp.float32)
        upper = jnp.triu(u < self.p, 1).astype(jnp.int32)
        return DrawnGraph(upper + upper.T)


class DrawnGraph(eqx.Module):
    """What a `RandomGraph` is in one run.

    Attributes:
        adjacency: 0 and 1, symmetric, with a zero diagonal.
    """

    adjacency: Int[Array, "n n"]

    @property
    def vertices(self) -> int:
        """How many there are: n."""
        return len(self.adjacency)

    @property
    def edges(self) -> int:
        """How many were drawn."""
        return int(self.adjacency.sum()) // 2
