"""Layer-wise stochastic coordinate descent, as a protocol for regular networks (2108.10573)."""

from collections.abc import Iterable
from typing import Annotated, Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int
from pydantic import Field

from dsl import keys
from dsl.dags import QuadraticDag, QuadraticNetwork
from dsl.domains import inner
from dsl.draws import Draw
from dsl.faults import Fault
from dsl.fields import Count
from dsl.keys import Streams
from dsl.protocols import Protocol, TrainingState, initial_model


class CoordinateDescent(Protocol):
    """The layers of a `QuadraticDag`, one after the other, each by `steps_per_layer` steps; then it is frozen.

    A layer starts from the model's initial weights; before its turn it is blank. In a step, every neuron of the layer
    moves one of its weights or its bias, chosen uniformly, by -lr times the derivative of the objective (mean loss plus
    penalty) of the former layers and this neuron alone. The mean of what is left belongs to the first neuron of a
    layer: the others see it taken off, because each would fit it, and a layer overshoot as often as it is wide.

    Examples are drawn once for each layer: `Exact()` gives population gradients, `Fresh(n)` a new sample a layer.
    Algorithm 2 of 2108.10573, from memory, unverified; the rule for the mean and one sample for each layer are ours.
    """

    steps_per_layer: Count
    draw: Draw
    lr: Annotated[float, Field(gt=0)]

    @property
    def last(self) -> int:
        """The number of steps of one layer; see `steps_on`."""
        return self.steps_per_layer

    def steps_on(self, model: Any) -> int:
        """The number of steps for all layers of a model."""
        return self.steps_per_layer * getattr(inner(model), "layers", 1)

    def init(self, experiment: Any, streams: Streams) -> TrainingState:
        """A blank network whose first layer has its initial weights."""
        start = initial_model(experiment, streams)
        blank = QuadraticNetwork(jnp.zeros_like(start.weight), start.bias, start.edges)
        model, memory = self._begun(experiment, blank, streams, jnp.zeros((), jnp.int32))
        return TrainingState(jnp.zeros((), jnp.int32), model, memory)

    def step(self, experiment: Any, state: TrainingState, streams: Streams) -> TrainingState:
        """One coordinate of each neuron of the current layer."""
        layer = state.step // self.steps_per_layer
        # a loop of at most one turn: under vmap the two sides of a `cond` would both be computed at every step
        model, memory = jax.lax.while_loop(
            lambda held: held[1].layer < layer,
            lambda held: self._begun(experiment, held[0], streams, held[1].layer + 1),
            (state.model, state.memory),
        )
        model, inside = self._moved(experiment, model, memory, keys.fold(streams.noise, state.step))
        memory = eqx.tree_at(lambda m: m.inside, memory, inside)
        return TrainingState(state.step + 1, model, memory)

    def unfit(self, task: Any) -> Iterable[Fault]:
        """A draw that does not fit the task."""
        return [fault.under("draw") for fault in self.draw.unfit(task)]

    def unfit_model(self, model: Any) -> Iterable[Fault]:
        """A model that is no `QuadraticDag`."""
        if not isinstance(inner(model), QuadraticDag):
            yield Fault((), f"CoordinateDescent trains a QuadraticDag, got {type(inner(model)).__name__}")

    def _begun(
        self, experiment: Any, model: QuadraticNetwork, streams: Streams, layer: Int[Array, ""]
    ) -> tuple[QuadraticNetwork, "LayerMemory"]:
        """The model with a layer no longer blank, and what its steps need."""
        batch = self.draw.batch(experiment.task, streams.data, layer)
        x, y = batch.points
        table = model.table(x, upto=layer)
        former = jnp.sum(table[1 + x.shape[1] :], axis=0)
        share = jnp.full(len(y), 1.0 / len(y)) if batch.weights is None else batch.weights
        first = jnp.arange(model.bias.shape[1]) == 0
        offset = jnp.where(first, 0.0, share @ (y - former))
        weight = initial_model(experiment, streams).weight[layer]
        order = jnp.argsort(~model.edges[layer], axis=1, stable=True).astype(jnp.int32)
        memory = LayerMemory(layer, table, y, share, former, offset, weight @ table, order)
        return eqx.tree_at(lambda m: m.weight, model, model.weight.at[layer].set(weight)), memory

    def _moved(
        self, experiment: Any, model: QuadraticNetwork, memory: "LayerMemory", key: Any
    ) -> tuple[QuadraticNetwork, Float[Array, "width m"]]:
        """The model and the sums inside the neurons after one step."""
        layer, inside = memory.layer, memory.inside
        neurons = LayerWeights(model.weight[layer], model.bias[layer])
        fitted = memory.former + memory.offset[:, None] + jnp.square(inside) + neurons.bias[:, None]
        of_fit = lambda f: jnp.sum(jax.vmap(experiment.loss, (0, None))(f, memory.y) @ memory.share)
        slope = jax.grad(of_fit)(fitted)
        parent, is_bias = memory.chosen(key, model.edges[layer])
        column = memory.table[parent]
        shrink = jax.grad(lambda w: jnp.asarray(experiment.loss.penalty(w), float))(neurons)
        by_weight = 2.0 * jnp.sum(slope * inside * column, axis=1) + _at(shrink.weight, parent)
        by_bias = jnp.sum(slope, axis=1) + shrink.bias
        change = -self.lr * jnp.where(is_bias, 0.0, by_weight)
        every = jnp.arange(len(change))
        weight = model.weight.at[layer, every, parent].add(change)
        bias = model.bias.at[layer].add(-self.lr * jnp.where(is_bias, by_bias, 0.0))
        return QuadraticNetwork(weight, bias, model.edges), inside + change[:, None] * column


class LayerWeights(eqx.Module):
    """The weights of one layer, as a penalty sees them."""

    weight: Float[Array, "width rows"]
    bias: Float[Array, "width"]


class LayerMemory(eqx.Module):
    """What the steps of one layer need of its examples.

    Attributes:
        layer: its number.
        table: the parents at each example.
        y: the labels.
        share: the weight of each example.
        former: the output of the former layers.
        offset: for each neuron, the mean of y - former that it does not see.
        inside: sum_e a_e parent_e of each neuron.
        order: the rows of each neuron's table, those with an edge first.
    """

    layer: Int[Array, ""]
    table: Float[Array, "rows m"]
    y: Float[Array, "m"]
    share: Float[Array, "m"]
    former: Float[Array, "m"]
    offset: Float[Array, "width"]
    inside: Float[Array, "width m"]
    order: Int[Array, "width rows"]

    def chosen(self, key: Any, edges: Any) -> tuple[Int[Array, "width"], Any]:
        """For each neuron the parent whose edge moves, and whether the bias moves instead."""
        degree = jnp.sum(edges, axis=1)
        place = jax.random.randint(key, degree.shape, 0, degree + 1)
        return _at(self.order, jnp.minimum(place, self.order.shape[1] - 1)), place == degree


def _at(table: Array, column: Int[Array, "width"]) -> Array:
    return jnp.take_along_axis(table, column[:, None], axis=1)[:, 0]
