"""`StoredExamples`: a user's own data as a finite task."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from dsl.domains import Reals
from dsl.faults import Fault, nearest
from dsl.fields import Count
from dsl.laws import Nodes
from dsl.listed import Listed
from dsl.results import Stored


class StoredExamples(Listed[Reals, Reals]):
    """The n examples of a stored file, in its order: `stepwell add` prints this noun for a file.

    `x` names the array of inputs, or the columns that are their coordinates; each x is scaled and has the shape
    `x_shape`, whatever the shape of as many numbers in the file. `y` names the array of one real number for each
    example, or with `y_length=k` of vectors of length k; classes (integers, truth values) become one-hot.
    """

    data: Stored
    n: Count
    x_shape: tuple[Count, ...]
    y_length: Count | None = None
    x: str | tuple[str, ...] = "x"
    y: str = "y"
    scale: float = 1.0

    @property
    def shape(self) -> tuple[int, ...]:
        """`x_shape`."""
        return self.x_shape

    @property
    def outputs(self) -> int | None:
        """`y_length`."""
        return self.y_length

    @property
    def size(self) -> int:
        """The number of examples."""
        return self.n

    def take(self, index: Int[Array, "n"]) -> tuple[Any, Any]:
        """The examples with these numbers."""
        return self._at(index)

    def nodes(self) -> Nodes:
        """All examples, with equal weights; arrays are not indexed."""
        return self._at(slice(None)), jnp.full(self.n, 1.0 / self.n)

    def misfits(self, arrays: Mapping[str, np.ndarray]) -> Iterable[Fault]:
        """Why the arrays of a file are not the examples that this noun says they are."""
        if unknown := [(f, name) for f, name in self._named() if name not in arrays]:
            yield from (Fault((f,), f"the file has no array {name!r}{nearest(name, arrays)}") for f, name in unknown)
            return
        for field, name in self._named():
            if arrays[name].shape[:1] != (self.n,):
                yield Fault(("n",), f"expected {self.n} examples in {name!r}, got shape {arrays[name].shape}")
            elif bad := np.size(arrays[name]) - np.count_nonzero(np.isfinite(arrays[name])):
                yield Fault((field,), f"{bad} of the {arrays[name].size} numbers of {name!r} are NaN or infinite")
            elif field == "y":
                yield from self._unfit_labels(arrays[name])
        got = sum(arrays[name].size for name in self._columns()) // self.n
        if got != math.prod(self.x_shape):
            yield Fault(("x_shape",), f"expected {math.prod(self.x_shape)} numbers for each example, got {got}")

    def _unfit_labels(self, y: np.ndarray) -> Iterable[Fault]:
        expected = [(self.n,)] if self.y_length is None else [(self.n, self.y_length)]
        if self.y_length is not None and y.shape == (self.n,) and y.dtype.kind in "biu":
            if y.min() < 0 or y.max() >= self.y_length:
                yield Fault(("y_length",), f"expected labels 0 to {self.y_length - 1}, got {y.min()} to {y.max()}")
        elif y.shape not in expected:
            yield Fault(("y_length",), f"expected y of shape {expected[0]}, got {y.shape} of {y.dtype}")

    def _columns(self) -> tuple[str, ...]:
        return (self.x,) if isinstance(self.x, str) else self.x

    def _named(self) -> list[tuple[str, str]]:
        return [*(("x", name) for name in self._columns()), ("y", self.y)]

    def _at(self, index: Any) -> tuple[Any, Any]:
        if isinstance(self.data, Stored):
            raise ValueError(f"the arrays of {self.data!r} are known only when the experiment runs")
        parts = [self.data.arrays[name][index] for name in self._columns()]
        x = parts[0] if isinstance(self.x, str) else jnp.stack(parts, axis=-1)
        x = self.scale * x.reshape(len(x), *self.x_shape).astype(float)
        y = self.data.arrays[self.y][index]
        if self.y_length is not None and y.ndim == 1:
            return x, jax.nn.one_hot(y.astype(int), self.y_length, dtype=float)
        return x, y.astype(float)
