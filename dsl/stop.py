"""Early stopping: a rule that ends a training before its last step, decided from what a step computes anyway."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from dsl.draws import Batch
from dsl.measurements import mean_loss
from dsl.shards import averaged
from dsl.spec import Spec


class Stop(Spec):
    """The run ends with the first step whose batch has a mean loss below `loss_below`.

    The loss is that of the weights from which the step starts, on the examples of that step, without penalties: where
    the draw is `Exact()` it is `TrainLoss()` before the step; elsewhere it is as noisy as the batch. The step itself is
    made. From then on the model stands still, and what is observed at the last step is that model; `StepsMade()` says
    how many steps it took.
    """

    loss_below: float


class Watched(eqx.Module):
    """A protocol's memory beside the loss on the batch of the last step, by which a `Stop` is decided."""

    memory: Any
    loss: Float[Array, ""]


def watched(stop: Stop | None, memory: Any) -> Any:
    """The memory at step 0, when no loss is known; without a rule the memory alone."""
    return memory if stop is None else Watched(memory, jnp.full((), jnp.inf))


def unwatched(stop: Stop | None, memory: Any) -> Any:
    """The protocol's own part of a memory."""
    return memory if stop is None else memory.memory


def after_step(stop: Stop | None, memory: Any, experiment: Any, model: Any, batch: Batch) -> Any:
    """The memory after a step that started from `model`; without a rule nothing is computed for it."""
    return memory if stop is None else Watched(memory, averaged(mean_loss(experiment, model, batch)))


def reached(stop: Stop | None, memory: Any) -> Bool[Array, ""] | None:
    """Whether the rule ends the run; None without a rule. A loss that is NaN ends nothing: that is a divergence."""
    return None if stop is None else memory.loss < stop.loss_below
