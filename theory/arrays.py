"""What the functions take: numbers known or traced, arrays of NumPy or JAX."""

from types import ModuleType
from typing import TypeAlias, TypeVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

Scalar: TypeAlias = float | Float[Array, ""]
"""A knob: a number that is known or traced."""

AnyArray = TypeVar("AnyArray", np.ndarray, Array)
"""An array of either library, where the answer is one of the same."""


def library_of(array: np.ndarray | Array) -> ModuleType:
    """`numpy` for a NumPy array, `jax.numpy` for a JAX array or a tracer."""
    return np if isinstance(array, np.ndarray) else jnp
