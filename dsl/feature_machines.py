"""Kernel machines that learn features: ridge regression and an update of the kernel's metric, in turns."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

import jax.numpy as jnp
from jaxtyping import Array, Float
from pydantic import Field

from dsl.draws import Exact
from dsl.faults import Fault
from dsl.fields import Count
from dsl.kernels import KernelExpansion, KernelMachine, Radial
from dsl.keys import Streams
from dsl.models import architecture
from dsl.protocols import Protocol, TrainingState, initial_model
from dsl.updates import Update


class FeatureMachine(Protocol):
    """Recursive feature machine: a fit in the metric M, an update of M from the fit, a fit in the new M, and so on.

    A fit is kernel ridge regression on the whole sample, alpha = (K_M + ridge I)^-1 y, whatever the experiment's loss
    is; `ridge` is n lam of `Ridge(lam, Exact())`. Step 0 is the fit in M = I, and step t the fit after t updates.
    `normalise` scales M after each update: its trace to d, its largest entry to 1, or not at all; without it M shrinks
    or grows without end on modular addition (2507.05644; the normalisation is ours).
    """

    iterations: Count
    update: Update
    ridge: Annotated[float, Field(ge=0)]
    normalise: Literal["none", "trace", "max"]

    @property
    def last(self) -> int:
        """The number of updates."""
        return self.iterations

    def init(self, experiment: Any, streams: Streams) -> TrainingState:
        """The fit in the model's own metric."""
        return TrainingState(jnp.zeros((), jnp.int32), self._fitted(experiment, initial_model(experiment, streams)), ())

    def step(self, experiment: Any, state: TrainingState, streams: Streams) -> TrainingState:
        """The fit in the next metric."""
        metric = self.scaled(self.update(state.model))
        return TrainingState(state.step + 1, self._fitted(experiment, state.model.measured_by(metric)), ())

    def _fitted(self, experiment: Any, model: KernelExpansion) -> KernelExpansion:
        batch = Exact().batch(experiment.task, None)  # type: ignore[arg-type]  # no randomness
        return model.ridge(batch, jnp.asarray(self.ridge) / len(batch.points[1]))

    def scaled(self, metric: Float[Array, "d d"]) -> Float[Array, "d d"]:
        """The metric at the scale of `normalise`."""
        match self.normalise:
            case "trace":
                return metric * len(metric) / jnp.trace(metric)
            case "max":
                return metric / jnp.max(metric)
        return metric

    def unfit(self, task: Any) -> Iterable[Fault]:
        """Inputs that are no vectors, and a task that is neither a sample nor exact."""
        yield from Exact().unfit(task)
        if len(task.shape) != 1:
            yield Fault((), f"a metric is of vectors; the task has inputs of shape {task.shape}")

    def unfit_model(self, model: Any) -> Iterable[Fault]:
        """A model without a metric."""
        if (problem := without_metric(model)) is not None:
            yield Fault((), problem)


def without_metric(model: Any) -> str | None:
    """Why a model has no metric to learn; None where it has one."""
    found = architecture(model)
    if isinstance(found, KernelMachine) and isinstance(found.kernel, Radial):
        return None
    return f"expected a KernelMachine with a radial kernel, whose metric is learned, got {found!r}"
