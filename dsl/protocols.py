"""Protocols: how a model is trained, one step after another."""

import abc
from collections.abc import Iterable
from typing import Any, ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int

from dsl import keys
from dsl.draws import Draw
from dsl.faults import Fault
from dsl.fields import Count
from dsl.keys import Streams
from dsl.measurements import objective
from dsl.modules import moving
from dsl.optimizers import Optimizer
from dsl.shards import averaged, part
from dsl.spec import Spec
from dsl.stop import Stop, after_step, reached, unwatched, watched

Part = Literal["all", "hidden", "readout"]


class TrainingState(eqx.Module):
    """Where a training is: the step, the model, and the protocol's memory (an optimizer's state)."""

    step: Int[Array, ""]
    model: Any
    memory: Any


def initial_model(experiment: Any, streams: Streams) -> Any:
    """The model of an experiment at step 0."""
    return experiment.model.init(streams.init, experiment.task)


class Protocol(Spec, abstract=True):
    """A training procedure; experiments arrive with their random nouns realised.

    `averages` is True where a step averages over a batch that many devices may share (`dsl.shards`).
    """

    averages: ClassVar[bool] = False

    @property
    @abc.abstractmethod
    def last(self) -> int:
        """The number of steps."""

    def steps_on(self, model: Any) -> int:
        """The number of steps on a model: `last`, unless the protocol counts by the model's parts."""
        return self.last

    @abc.abstractmethod
    def init(self, experiment: Any, streams: Streams) -> TrainingState:
        """The state at step 0, from the keys of the run."""

    @abc.abstractmethod
    def step(self, experiment: Any, state: TrainingState, streams: Streams) -> TrainingState:
        """One step, from the keys of the run."""

    def finished(self, experiment: Any, state: TrainingState) -> Any:
        """Whether to stop before the last step; None where that never happens."""
        return None

    def unfit(self, task: Any) -> Iterable[Fault]:
        """Why a task cannot be trained on like this."""
        return ()

    def unfit_model(self, model: Any) -> Iterable[Fault]:
        """Why a model cannot be trained like this."""
        return ()


class Descent(Protocol):
    """`steps` of an optimizer on gradients of the objective, over all weights or those of one part of the model.

    A model's `hidden` part is all but its `readout`, the last linear map.
    """

    averages: ClassVar[bool] = True
    steps: Count
    draw: Draw
    by: Optimizer
    only: Part = "all"
    stop: Stop | None = None

    @property
    def last(self) -> int:
        """The number of steps."""
        return self.steps

    def init(self, experiment: Any, streams: Streams) -> TrainingState:
        """The initial model, and the optimizer's state for the weights that move."""
        model = initial_model(experiment, streams)
        memory = self._transformation().init(moving(model, self.only)[0])
        return TrainingState(jnp.zeros((), jnp.int32), model, watched(self.stop, memory))

    def step(self, experiment: Any, state: TrainingState, streams: Streams) -> TrainingState:
        """One update from the gradient of the objective on one batch, times the model's time scale."""
        batch = part(self.draw.batch(experiment.task, streams.data, state.step))
        weights, rest = moving(state.model, self.only)
        gradient = averaged(jax.grad(lambda w: objective(experiment, eqx.combine(w, rest), batch))(weights))
        scale = experiment.model.time_scale  # an array where it comes from a knob
        if not isinstance(scale, float) or scale != 1.0:
            gradient = jax.tree.map(lambda g: scale * g, gradient)
        extra = {"key": keys.fold(streams.noise, state.step), "step": state.step}
        before = unwatched(self.stop, state.memory)
        updates, memory = self._transformation().update(gradient, before, weights, **extra)
        model = eqx.combine(optax.apply_updates(weights, updates), rest)
        return TrainingState(state.step + 1, model, after_step(self.stop, memory, experiment, state.model, batch))

    def finished(self, experiment: Any, state: TrainingState) -> Any:
        """Whether the rule `stop` ends the run here."""
        return reached(self.stop, state.memory)

    def unfit(self, task: Any) -> Iterable[Fault]:
        """A draw that does not fit the task."""
        return [fault.under("draw") for fault in self.draw.unfit(task)]

    def _transformation(self) -> optax.GradientTransformationExtraArgs:
        return optax.with_extra_args_support(self.by.transformation(self.steps))
