"""Data that ships inside packages, and its division into parts."""

import functools
from collections.abc import Iterable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Key

from dsl.domains import Reals, X, Y
from dsl.faults import Fault
from dsl.laws import Nodes
from dsl.tasks import Task

TEST_EVERY = 5
PIXEL = 16.0


class Digits(Task[Reals, Reals]):
    """The 1797 handwritten digits that scikit-learn ships: x the 64 pixels in [0, 1], y a one-hot vector of length 10.

    A finite sample, in the order of the package. Needs the extra `data`.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """(64,)."""
        return (64,)

    @property
    def outputs(self) -> int:
        """10 classes."""
        return 10

    @property
    def exact(self) -> bool:
        """The examples are the law."""
        return True

    @property
    def size(self) -> int:
        """1797."""
        return 1797

    def sample(self, key: Key[Array, ""], n: int) -> tuple[Any, Any]:
        """N examples, with replacement."""
        return self.take(jax.random.randint(key, (n,), 0, self.size, jnp.int32))  # the same draw at every precision

    def take(self, index: Int[Array, "n"]) -> tuple[Any, Any]:
        """The examples with these numbers."""
        pixels, labels = _digits()
        return jnp.asarray(pixels, float)[index] / PIXEL, jax.nn.one_hot(jnp.asarray(labels)[index], 10, dtype=float)

    def nodes(self) -> Nodes:
        """All examples, with equal weights."""
        return self.take(jnp.arange(self.size)), jnp.full(self.size, 1.0 / self.size)


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
        elif (n := _support(self.task)) < TEST_EVERY:
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
        return jax.tree.map(lambda leaf: leaf[index], self.nodes()[0])

    def nodes(self) -> Nodes:
        """The examples of the part, with their weights in the task."""
        (points, weights), kept = self.task.nodes(), self._numbers()
        return jax.tree.map(lambda leaf: leaf[kept], points), weights[kept] / jnp.sum(weights[kept])

    def _numbers(self) -> np.ndarray:
        number = np.arange(_support(self.task))
        held_out = number % TEST_EVERY == TEST_EVERY - 1
        return number[held_out if self.part == "test" else ~held_out]


def _support(task: Any) -> int:
    return jax.eval_shape(task.nodes)[1].shape[0]
