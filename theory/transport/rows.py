"""Matrices of which only some rows are made at a time, and of which each device of a mesh axis makes its part."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


class Rows(NamedTuple):
    """How the rows of a matrix are split.

    A row is a function of what belongs to it, such as a point of a cloud. Inside a function that is mapped over a mesh
    axis, the devices along it make parts of equal length and share their results; every device has all that the rows
    are made of, and none has the matrix.
    """

    block: int | None = None
    """The number of rows that a device makes at a time; None is all of its part."""
    axis: str | None = None
    """The name of the mesh axis; None on one device."""
    parts: int = 1
    """The number of devices along it."""

    def each(self, made: Callable[..., Array], *of: Float[Array, "n ..."]) -> Float[Array, "n ..."]:
        """One result for each row.

        Args:
            made: from a block of rows to their results.
            of: what the rows are made of.

        Returns:
            All results, on every device.
        """
        found = self._mapped(made, of)
        flat = found.reshape(-1, *found.shape[2:])
        if self.axis is not None:
            flat = jax.lax.all_gather(flat, self.axis, tiled=True)
        return flat[: len(of[0])]

    def summed(self, made: Callable[..., Array], *of: Float[Array, "n ..."]) -> Float[Array, "..."]:
        """The sum over all rows.

        Args:
            made: from a block of rows to its sum; first, it is given 1 for each row, and 0 for one that only pads.
            of: what the rows are made of.

        Returns:
            The sum, on every device.
        """
        total = jnp.sum(self._mapped(made, (_ones(of[0]), *of)), 0)
        return total if self.axis is None else jax.lax.psum(total, self.axis)

    def least(self, made: Callable[..., Array], *of: Float[Array, "n ..."]) -> Float[Array, "..."]:
        """The minimum over all rows, on every device; arguments as for `summed`."""
        best = jnp.min(self._mapped(made, (_ones(of[0]), *of)), 0)
        return best if self.axis is None else jax.lax.pmin(best, self.axis)

    def log_summed(self, made: Callable[..., Array], *of: Float[Array, "n ..."]) -> Float[Array, "..."]:
        """The logarithm of the sum of exponentials over all rows, on every device; arguments as for `summed`."""
        logs = jax.nn.logsumexp(self._mapped(made, (_ones(of[0]), *of)), 0)
        if self.axis is None:
            return logs
        largest = jax.lax.pmax(logs, self.axis)
        return jnp.log(jax.lax.psum(jnp.exp(logs - largest), self.axis)) + largest

    def _mapped(self, made: Callable[..., Array], of: tuple[Float[Array, "n ..."], ...]) -> Array:
        """The results of this device's blocks; zeros fill up the last ones."""
        part = -(-len(of[0]) // self.parts)
        block = min(part, self.block or part)
        part = -(-part // block) * block
        first = 0 if self.axis is None else jax.lax.axis_index(self.axis) * part

        def mine(leaf: Array) -> Array:
            padded = jnp.pad(leaf, [(0, part * self.parts - len(leaf)), *((0, 0) for _ in leaf.shape[1:])])
            held = jax.lax.dynamic_slice_in_dim(padded, first, part)
            return held.reshape(part // block, block, *leaf.shape[1:])

        return jax.lax.map(lambda rows: made(*rows), tuple(mine(leaf) for leaf in of))


def _ones(leaf: Float[Array, "n ..."]) -> Float[Array, "n"]:
    return jnp.ones(len(leaf), leaf.dtype)
