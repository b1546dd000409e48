"""Regular networks: random layered graphs of quadratic neurons, as a model (2108.10573)."""

from collections.abc import Iterable
from typing import Annotated, Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key
from pydantic import Field

from dsl.domains import Real, Reals
from dsl.faults import Fault
from dsl.fields import Count
from dsl.models import Model
from theory import quadratic_dag

Share = Annotated[float, Field(ge=0, le=1)]


class QuadraticDag(Model[Reals, Real]):
    """Neurons (sum_e a_e parent_e)^2 + b in layers, their sum as output; which edges exist is random, and not trained.

    A neuron has an edge from each neuron of the former layers with probability `from_hidden`, and from each input and
    the constant 1 with probability `from_input`. Weights start at +-scale, biases at 0. Regular networks of 2108.10573,
    from memory, unverified; whether edges come from all former layers or from the last one alone is our reading.
    """

    layers: Count
    width: Count
    from_hidden: Share
    from_input: Share
    scale: Annotated[float, Field(gt=0)] = 0.01

    def init(self, key: Key[Array, ""], task: Any) -> "QuadraticNetwork":
        """Random edges with weights of random signs."""
        of_edges, of_signs = jax.random.split(key)
        (d,) = task.shape
        edges = quadratic_dag.random_edges(of_edges, self.layers, self.width, d, self.from_hidden, self.from_input)
        signs = jax.random.rademacher(of_signs, edges.shape, jnp.float32).astype(float)
        return QuadraticNetwork(jnp.where(edges, self.scale * signs, 0.0), jnp.zeros(edges.shape[:2]), edges)

    def unfit(self, task: Any) -> Iterable[Fault]:
        """A task of vectors to vectors: a neuron is one number."""
        if task.outputs is not None:
            yield Fault((), f"QuadraticDag puts out one real number; the task has outputs of length {task.outputs}")


class QuadraticNetwork(eqx.Module):
    """The network of a `QuadraticDag`, in the layout of `theory.quadratic_dag`.

    Attributes:
        weight: a of each edge, 0 where there is none.
        bias: b of each neuron.
        edges: where there is an edge.
    """

    weight: Float[Array, "layers width rows"]
    bias: Float[Array, "layers width"]
    edges: Bool[Array, "layers width rows"]

    def __call__(self, x: Float[Array, "*batch d"]) -> Float[Array, "*batch"]:
        """The sum of all neurons at each point."""
        points = x.reshape(-1, x.shape[-1])
        return jnp.sum(self.table(points)[1 + x.shape[-1] :], axis=0).reshape(x.shape[:-1])

    def table(self, x: Float[Array, "m d"], upto: Int[Array, ""] | None = None) -> Float[Array, "rows m"]:
        """The constant, the inputs and the neurons at each point; those of layers from `upto` on are 0."""
        return quadratic_dag.neuron_values(x, jnp.where(self.edges, self.weight, 0.0), self.bias, upto)
