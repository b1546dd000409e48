"""Flows: gradient descent in continuous time, on an exact or a fixed expectation."""

from collections.abc import Iterable
from typing import Annotated, Any

import equinox as eqx
import jax
import jax.numpy as jnp
from pydantic import Field

from dsl.draws import Draw
from dsl.faults import Fault
from dsl.fields import Count
from dsl.keys import Streams
from dsl.measurements import objective
from dsl.modules import moving
from dsl.protocols import Part, Protocol, TrainingState, initial_model
from theory.integrators import rk4_step


class Flow(Protocol):
    """w' = -(time scale) * gradient of the objective, from time 0 to `until` in `steps` Runge-Kutta steps of order 4.

    A step that is too long for the stiffest direction stays finite and is wrong: the exact risk of a flow never rises,
    so a rising `TestLoss(Exact())` asks for more steps.
    """

    until: Annotated[float, Field(gt=0)]
    steps: Count
    draw: Draw
    only: Part = "all"

    @property
    def last(self) -> int:
        """The number of steps."""
        return self.steps

    def init(self, experiment: Any, streams: Streams) -> TrainingState:
        """The initial model; a flow remembers nothing."""
        return TrainingState(jnp.zeros((), jnp.int32), initial_model(experiment, streams), ())

    def step(self, experiment: Any, state: TrainingState, streams: Streams) -> TrainingState:
        """One Runge-Kutta step of length until / steps, all four stages on one batch."""
        batch = self.draw.batch(experiment.task, streams.data, state.step)
        weights, rest = moving(state.model, self.only)
        gradient = jax.grad(lambda w: objective(experiment, eqx.combine(w, rest), batch))
        velocity = lambda w: jax.tree.map(lambda g: -experiment.model.time_scale * g, gradient(w))
        moved = rk4_step(velocity, weights, jnp.asarray(self.until) / self.steps)
        return TrainingState(state.step + 1, eqx.combine(moved, rest), ())

    def unfit(self, task: Any) -> Iterable[Fault]:
        """A draw that does not fit the task."""
        return [fault.under("draw") for fault in self.draw.unfit(task)]
