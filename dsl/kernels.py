"""Kernel machines: models of dual coefficients over the inputs that they are trained on."""

import abc
import math
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
from theory.features import clean_distances, psd_power

Bandwidth = Annotated[float, Field(gt=0)]


class Kernel(Spec, abstract=True):
    """A positive semidefinite function of two inputs."""

    @abc.abstractmethod
    def __call__(self, x: Any, z: Any) -> Float[Array, "n m"]:
        """k(x_i, z_j) for n inputs x and m inputs z, each with a leading axis."""


class Radial(Kernel, abstract=True):
    """A function k(q) of the squared distance q of two inputs."""

    @abc.abstractmethod
    def profile(self, squared: Float[Array, "*any"]) -> Float[Array, "*any"]:
        """k(q), elementwise."""

    def __call__(self, x: Float[Array, "n *shape"], z: Float[Array, "m *shape"]) -> Float[Array, "n m"]:
        """The values for all pairs of inputs; an input is flattened."""
        return self.profile(kernels.squared_distances(_flat(x), _flat(z)))


class Rbf(Radial):
    """exp(-|x - z|^2 / (2 bandwidth^2))."""

    bandwidth: Bandwidth

    def profile(self, squared: Float[Array, "*any"]) -> Float[Array, "*any"]:
        """exp(-q / (2 bandwidth^2))."""
        return kernels.gaussian_kernel(squared, jnp.asarray(self.bandwidth))


class Laplace(Radial):
    """exp(-|x - z| / bandwidth), with the Euclidean norm."""

    bandwidth: Bandwidth

    def profile(self, squared: Float[Array, "*any"]) -> Float[Array, "*any"]:
        """exp(-sqrt(q) / bandwidth)."""
        return kernels.laplace_kernel(squared, jnp.asarray(self.bandwidth))


def _flat(x: Any) -> Float[Array, "n d"]:
    return x.reshape(len(x), -1)


class KernelMachine(Model[Any, Y]):
    """f(x) = sum_j alpha_j k(x_j, x) over the inputs x_j of the task's sample; the weights alpha start at 0.

    Trained by `Ridge(lam, Exact())`, which is kernel ridge regression, or by a `FeatureMachine`, which also learns the
    metric M in which a `Radial` kernel measures distances, (x - z)^T M (x - z).
    """

    kernel: Kernel

    def init(self, key: Key[Array, ""], task: Any) -> eqx.Module:
        """No coefficients yet: f = 0; nothing is random."""
        (x, _), weights = task.nodes()
        outputs = () if task.outputs is None else (task.outputs,)
        root = jnp.eye(math.prod(task.shape)) if isinstance(self.kernel, Radial) else None
        return KernelExpansion(jnp.zeros((len(weights), *outputs)), Fixed(x), self.kernel, Fixed(root))

    def unfit(self, task: Any) -> Iterable[Fault]:
        """A task that is no sample: there are no inputs to expand in."""
        if not task.exact:
            yield Fault((), "a kernel machine expands in the inputs of a sample; wrap the task: Sample(..., n=...)")


class KernelExpansion(eqx.Module):
    """A function in the span of k(x_j, .); a radial kernel is of the inputs times `root`, the square root of M."""

    dual: Float[Array, "n *outputs"]
    inputs: Fixed
    kernel: Any
    root: Fixed

    def __call__(self, x: Any) -> Float[Array, "m *outputs"]:
        """F at each of m inputs."""
        return self.gram(x, self.inputs.arrays) @ self.dual

    @property
    def metric(self) -> Float[Array, "d d"]:
        """M, the identity until it is learned."""
        return self.root.arrays @ self.root.arrays

    def measured_by(self, metric: Float[Array, "d d"]) -> "KernelExpansion":
        """The same coefficients with another M, positive semidefinite."""
        return KernelExpansion(self.dual, self.inputs, self.kernel, Fixed(psd_power(metric, 0.5)))

    def gram(self, x: Any, z: Any) -> Float[Array, "n m"]:
        """The kernel for all pairs of inputs."""
        if self.root.arrays is None:
            return self.kernel(x, z)
        return self.kernel.profile(clean_distances(_flat(x) @ self.root.arrays, _flat(z) @ self.root.arrays))

    def ridge(self, batch: Batch, lam: Float[Array, ""]) -> "KernelExpansion":
        """Kernel ridge regression on the examples of a batch, whose inputs become those of the expansion."""
        x, y = batch.points
        share = jnp.full(len(y), 1.0 / len(y)) if batch.weights is None else batch.weights
        return KernelExpansion(kernels.kernel_ridge(self.gram(x, x), y, share, lam), Fixed(x), self.kernel, self.root)
