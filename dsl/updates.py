"""Updates of a feature machine: from a fit in the metric M, the next M."""

import abc
from typing import Annotated

import jax.numpy as jnp
from jaxtyping import Array, Float
from pydantic import Field

from dsl.kernels import KernelExpansion
from dsl.spec import Spec
from theory import features


class Update(Spec, abstract=True):
    """What a feature machine learns from a fit; the scale of M is the protocol's."""

    @abc.abstractmethod
    def __call__(self, fit: KernelExpansion) -> Float[Array, "d d"]:
        """The next metric, symmetric and positive semidefinite, from a kernel ridge regression in the last one."""


class FactUpdate(Update, version=2):
    """M <- (F F^T)^(1/2) with F = FACT of the fit (2507.05644; the algorithm from memory, unverified)."""

    def __call__(self, fit: KernelExpansion) -> Float[Array, "d d"]:
        """(F F^T)^(1/2), fixed where F = M."""
        return features.fact_update(*_arrays(fit))


class FactMean(Update):
    """M <- (F M M^T F^T)^(1/4): the geometric mean of FACT and the last M (2507.05644, from memory, unverified)."""

    def __call__(self, fit: KernelExpansion) -> Float[Array, "d d"]:
        """|M S M|^(1/2), where F = M S: the same in one eigendecomposition."""
        return features.fact_mean_update(*_arrays(fit))


class NfaUpdate(Update):
    """M <- AGOP^power, the neural feature ansatz: the update of recursive feature machines.

    `centre` takes the mean gradient off first, as the public code for modular arithmetic does.
    """

    power: Annotated[float, Field(gt=0)]
    centre: bool = False

    def __call__(self, fit: KernelExpansion) -> Float[Array, "d d"]:
        """The power of the average gradient outer product over the inputs of the fit."""
        power = jnp.asarray(self.power)
        return features.nfa_update(*_arrays(fit), power, self.centre)


def _arrays(
    fit: KernelExpansion,
) -> tuple[Float[Array, "n d"], Float[Array, "n c"], Float[Array, "d d"], Float[Array, "n n"]]:
    """(inputs, dual coefficients, M, slopes of the kernel)."""
    x = fit.inputs.arrays
    moved = x @ fit.root.arrays
    slope = features.slopes(fit.kernel.profile, features.clean_distances(moved, moved))
    return x, fit.dual.reshape(len(fit.dual), -1), fit.metric, slope
