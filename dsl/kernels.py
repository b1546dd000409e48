"""Kernel machines: models of dual coefficients over the inputs that they are trained on."""

import abc
from collections.abc import Iterable
from typing import Annotated, Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Key
from pydantic import Field

from dsl.domains import Y
from dsl.draws import Batch
from dsl.faults import Fault
from dsl.models import Model
from dsl.modules import Fixed
from dsl.spec import Spec
from theory import kernels

Bandwidth = Annotated[float, Field(gt=0)]


class Kernel(Spec, abstract=True):
    """A positive semidefinite function of two inputs."""

    @abc.abstractmethod
    def __call__(self, x: Any, z: Any) -> Float[Array, "n m"]:
        """k(x_i, z_j) for n inputs x and m inputs z, each with a leading axis."""


class Rbf(Kernel):
    """exp(-|x - z|^2 / (2 bandwidth^2))."""

    bandwidth: Bandwidth

    def __call__(self, x: Float[Array, "n *shape"], z: Float[Array, "m *shape"]) -> Float[Array, "n m"]:
        """The values for all pairs of inputs; an input is flattened."""
        return kernels.gaussian_kernel(_squared_distances(x, z), jnp.asarray(self.bandwidth))


class Laplace(Kernel):
    """exp(-|x - z| / bandwidth), with the Euclidean norm."""

    bandwidth: Bandwidth

    def __call__(self, x: Float[Array, "n *shape"], z: Float[Array, "m *shape"]) -> Float[Array, "n m"]:
        """The values for all pairs of inputs; an input is flattened."""
        return kernels.laplace_kernel(_squared_distances(x, z), jnp.asarray(self.bandwidth))


def _squared_distances(x: Any, z: Any) -> Float[Array, "n m"]:
    return kernels.squared_distances(x.reshape(len(x), -1), z.reshape(len(z), -1))


class KernelMachine(Model[Any, Y]):
    """f(x) = sum_j alpha_j k(x_j, x) over the inputs x_j of the task's sample; the weights alpha start at 0.

    Trained by `Ridge(lam, Exact())`, which is kernel ridge regression.
    """

    kernel: Kernel

    def init(self, key: Key[Array, ""], task: Any) -> eqx.Module:
        """No coefficients yet: f = 0; nothing is random."""
        (x, _), weights = task.nodes()
        outputs = () if task.outputs is None else (task.outputs,)
        return KernelExpansion(jnp.zeros((len(weights), *outputs)), Fixed(x), self.kernel)

    def unfit(self, task: Any) -> Iterable[Fault]:
        """A task that is no sample: there are no inputs to expand in."""
        if not task.exact:
            yield Fault((), "a kernel machine expands in the inputs of a sample; wrap the task: Sample(..., n=...)")


class KernelExpansion(eqx.Module):
    """A function in the span of k(x_j, .)."""

    dual: Float[Array, "n *outputs"]
    inputs: Fixed
    kernel: Any

    def __call__(self, x: Any) -> Float[Array, "m *outputs"]:
        """F at each of m inputs."""
        return self.kernel(x, self.inputs.arrays) @ self.dual

    def ridge(self, batch: Batch, lam: Float[Array, ""]) -> "KernelExpansion":
        """Kernel ridge regression on the examples of a batch, whose inputs become those of the expansion."""
        x, y = batch.points
        share = jnp.full(len(y), 1.0 / len(y)) if batch.weights is None else batch.weights
        return KernelExpansion(kernels.kernel_ridge(self.kernel(x, x), y, share, lam), Fixed(x), self.kernel)
