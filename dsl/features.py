"""Measurements of what the first layer of a network looks at."""

from collections.abc import Iterable
from typing import Any, ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from dsl.faults import Fault
from dsl.measurements import Measurement


class SupportMass(Measurement):
    """The share of the squared first-layer weights that lies on these coordinates, averaged over the neurons."""

    reads: ClassVar[tuple[str, ...]] = ("task", "model")
    coordinates: tuple[int, ...]

    def __call__(self, experiment: Any, state: Any, constants: Any, key: Key[Array, ""]) -> Float[Array, ""]:
        """mean_j sum_{i in S} w_ji^2 / |w_j|^2."""
        squared = jnp.square(state.model.hidden[0].weight)
        return jnp.mean(jnp.sum(squared[:, self.coordinates], axis=1) / jnp.sum(squared, axis=1))

    def unfit(self, experiment: Any) -> Iterable[Fault]:
        """Coordinates that the task's inputs do not have."""
        for i, coordinate in enumerate(self.coordinates):
            if not 0 <= coordinate < experiment.task.shape[0]:
                problem = f"{coordinate} is not a coordinate of inputs of shape {experiment.task.shape}"
                yield Fault(("coordinates", i), problem)
