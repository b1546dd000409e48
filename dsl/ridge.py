"""Ridge regression of the part of a model in which it is linear, as a protocol of one step."""

from collections.abc import Iterable
from typing import Annotated, Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from pydantic import Field

from dsl.draws import Batch, Draw, Exact, Whole
from dsl.faults import Fault
from dsl.kernels import KernelExpansion
from dsl.keys import Streams
from dsl.modules import moving
from dsl.protocols import Part, Protocol, TrainingState, initial_model


class Ridge(Protocol):
    """The minimiser of mean (f - y)^2 + lam |w|^2 over the weights w of a part in which f is linear, in one step.

    Whatever the experiment's loss is: ridge regression is its own. The model's other weights stand still. Of a
    `KernelMachine`, |w| is the norm of f in the kernel's space, and the draw is `Exact()`: on n examples the dual
    coefficients are (K + n lam I)^-1 y.
    """

    lam: Annotated[float, Field(ge=0)]
    draw: Draw
    only: Part = "all"

    @property
    def last(self) -> int:
        """One step: before it the model is as it was, after it the part is solved for."""
        return 1

    def init(self, experiment: Any, streams: Streams) -> TrainingState:
        """The initial model."""
        return TrainingState(jnp.zeros((), jnp.int32), initial_model(experiment, streams), ())

    def step(self, experiment: Any, state: TrainingState, streams: Streams) -> TrainingState:
        """Solve (J^T D J + lam I) w = J^T D (y - f_0), with f = f_0 + J w on the batch and D its weights."""
        batch = self.draw.batch(experiment.task, streams.data, state.step)
        if isinstance(state.model, KernelExpansion):
            if not isinstance(self.draw, (Exact, Whole)):
                raise ValueError(
                    f"Ridge: a KernelMachine is solved on its own sample: draw with Exact(), got {self.draw!r}"
                )
            return TrainingState(state.step + 1, state.model.ridge(batch, jnp.asarray(self.lam)), ())
        return TrainingState(state.step + 1, self._solved(state.model, batch), ())

    def _solved(self, model: Any, batch: Batch) -> Any:
        (x, y), (weights, rest) = batch.points, moving(model, self.only)
        flat, unravel = ravel_pytree(weights)
        f = lambda w: eqx.combine(unravel(w), rest)(x)
        offset, jacobian = f(jnp.zeros_like(flat)), jax.jacfwd(f)(flat)
        share = jnp.full(len(y), 1.0 / len(y)) if batch.weights is None else batch.weights
        weighted = share[:, None] * jacobian
        matrix = weighted.T @ jacobian + self.lam * jnp.eye(len(flat), dtype=flat.dtype)
        return eqx.combine(unravel(jnp.linalg.solve(matrix, weighted.T @ (y - offset))), rest)

    def unfit(self, task: Any) -> Iterable[Fault]:
        """A draw that does not fit the task, or labels that are no single numbers."""
        yield from (fault.under("draw") for fault in self.draw.unfit(task))
        if task.outputs is not None:
            yield Fault((), f"ridge regression of one real number; the task has outputs of length {task.outputs}")
