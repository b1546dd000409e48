"""Flows: gradient descent in continuous time, on an exact or a fixed expectation."""

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar

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
from dsl.shards import averaged, part
from dsl.stop import Stop, after_step, reached, watched
from theory.integrators import rk4_step


class Flow(Protocol):
    """w' = -(time scale) * gradient of the objective, from time 0 to `until` in `steps` Runge-Kutta steps of order 4.

    A step that is too long for the stiffest direction stays finite and is wrong: the exact risk of a flow never rises,
    so a rising `TestLoss(Exact())` asks for more steps.
    """

    averages: ClassVar[bool] = True
    until: Annotated[float, Field(gt=0)]
    steps: Count
    draw: Draw
    only: Part = "all"
    stop: Stop | None = None

    @property
    def last(self) -> int:
        """The number of steps."""
        return self.steps

    def init(self, experiment: Any, streams: Streams) -> TrainingState:
        """The initial model; a flow remembers nothing but what its rule `stop` watches."""
        return TrainingState(jnp.zeros((), jnp.int32), initial_model(experiment, streams), watched(self.stop, ()))

    def step(self, experiment: Any, state: TrainingState, streams: Streams) -> TrainingState:
        """One Runge-Kutta step of length until / steps, all four stages on one batch."""
        batch = part(self.draw.batch(experiment.task, streams.data, state.step))
        weights, rest = moving(state.model, self.only)
        gradient = jax.grad(lambda w: objective(experiment, eqx.combine(w, rest), batch))
        velocity = lambda w: jax.tree.map(lambda g: -experiment.model.time_scale * g, averaged(gradient(w)))
        moved = rk4_step(velocity, weights, jnp.asarray(self.until) / self.steps)
        memory = after_step(self.stop, (), experiment, state.model, batch)
        return TrainingState(state.step + 1, eqx.combine(moved, rest), memory)

    def finished(self, experiment: Any, state: TrainingState) -> Any:
        """Whether the rule `stop` ends the run here."""
        return reached(self.stop, state.memory)

    def unfit(self, task: Any) -> Iterable[Fault]:
        """A draw that does not fit the task."""
        return [fault.under("draw") for fault in self.draw.unfit(task)]
