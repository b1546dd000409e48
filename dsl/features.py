"""Measurements of what a model looks at: the first layer of a network, the metric of a kernel machine."""

from collections.abc import Iterable
from typing import Any, ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from dsl.faults import Fault
from dsl.feature_machines import without_metric
from dsl.kernels import KernelExpansion
from dsl.measurements import Measurement
from theory.features import block_circulance


class SupportMass(Measurement):
    """The share of the squared first-layer weights that lies on these coordinates, averaged over the neurons.

    Of a `KernelMachine`, the share of the diagonal of its metric M, which stands for W^T W of a first layer.
    """

    reads: ClassVar[tuple[str, ...]] = ("task", "model")
    coordinates: tuple[int, ...]

    def __call__(self, experiment: Any, state: Any, constants: Any, key: Key[Array, ""]) -> Float[Array, ""]:
        """mean_j sum_{i in S} w_ji^2 / |w_j|^2; of a kernel machine sum_{i in S} M_ii / tr M."""
        if isinstance(state.model, KernelExpansion):
            diagonal = jnp.diagonal(state.model.metric)
            return jnp.sum(diagonal[jnp.asarray(self.coordinates, int)]) / jnp.sum(diagonal)
        squared = jnp.square(state.model.hidden[0].weight)
        return jnp.mean(jnp.sum(squared[:, self.coordinates], axis=1) / jnp.sum(squared, axis=1))

    def unfit(self, experiment: Any) -> Iterable[Fault]:
        """Coordinates that the task's inputs do not have."""
        for i, coordinate in enumerate(self.coordinates):
            if not 0 <= coordinate < experiment.task.shape[0]:
                problem = f"{coordinate} is not a coordinate of inputs of shape {experiment.task.shape}"
                yield Fault(("coordinates", i), problem)


class FeatureMatrix(Measurement):
    """The metric M of a kernel machine, which stands for W^T W of a first layer; shape (d, d)."""

    reads: ClassVar[tuple[str, ...]] = ("task", "model")

    def __call__(self, experiment: Any, state: Any, constants: Any, key: Key[Array, ""]) -> Float[Array, "d d"]:
        """M, at the scale of the protocol."""
        return state.model.metric

    def unfit(self, experiment: Any) -> Iterable[Fault]:
        """A model without a metric."""
        if (problem := without_metric(experiment.model)) is not None:
            yield Fault((), problem)


class BlockCirculance(Measurement):
    """How circulant the off-diagonal block of a kernel machine's metric is, for pairs of one-hot inputs.

    The block is M[:p, p:] for inputs of length 2 p; the value is the share of its centred energy that is constant in
    (i - j) mod p or in (i + j) mod p, whichever is more: 1 for the feature matrix that solves modular addition, 0 at
    the identity (2507.05644; the measure is derived).
    """

    reads: ClassVar[tuple[str, ...]] = ("task", "model")

    def __call__(self, experiment: Any, state: Any, constants: Any, key: Key[Array, ""]) -> Float[Array, ""]:
        """The share, in [0, 1]."""
        metric = state.model.metric
        p = len(metric) // 2
        return block_circulance(metric[:p, p:])

    def unfit(self, experiment: Any) -> Iterable[Fault]:
        """A model without a metric, and inputs that are no pairs."""
        if (problem := without_metric(experiment.model)) is not None:
            yield Fault((), problem)
        if len(experiment.task.shape) != 1 or experiment.task.shape[0] % 2:
            yield Fault((), f"expected a pair of one-hot inputs, of shape (2 p,), got {experiment.task.shape}")
