"""Measurements of the gradient of a network's output in its weights."""

from collections.abc import Iterable
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from dsl.draws import Batch, Draw
from dsl.faults import Fault
from dsl.measurements import Measurement, examples
from dsl.modules import split


class TangentNorm(Measurement):
    """sqrt(E |grad_w f(x)|^2) of a network with one real output, over all its weights.

    Its square is the mean of the diagonal of the tangent kernel. It bounds what a target of unit norm can add to the
    gradient of E (f - y)^2 / 2, which is E y grad_w f.
    """

    reads: ClassVar[tuple[str, ...]] = ("task", "model")
    draw: Draw

    def constants(self, experiment: Any, key: Key[Array, ""]) -> Batch:
        """The points, drawn once."""
        return examples(self.draw, experiment, None, key)

    def __call__(self, experiment: Any, state: Any, constants: Batch, key: Key[Array, ""]) -> Float[Array, ""]:
        """The root of the weighted mean of |grad_w f(x)|^2."""
        weights, rest = split(state.model)
        output = lambda w, x: jnp.squeeze(eqx.combine(w, rest)(x[None]), axis=0)
        gradients = jax.vmap(jax.grad(output), in_axes=(None, 0))(weights, constants.points[0])
        squares = [jnp.sum(jnp.square(g), axis=tuple(range(1, g.ndim))) for g in jax.tree.leaves(gradients)]
        return jnp.sqrt(constants.mean(jnp.sum(jnp.stack(squares), axis=0)))

    def unfit(self, experiment: Any) -> Iterable[Fault]:
        """A draw that does not fit the task, and outputs that are no single numbers."""
        yield from (fault.under("draw") for fault in self.draw.unfit(experiment.task))
        if experiment.task.outputs is not None:
            yield Fault((), f"expected a task with one real output, got outputs of length {experiment.task.outputs}")
