"""How examples are drawn: one choice, for protocols and measurements alike."""

import abc
from collections.abc import Iterable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from dsl import keys
from dsl.faults import Fault
from dsl.fields import Count
from dsl.sample import Drawn
from dsl.spec import Spec
from theory.permutation import permuted_index


class Batch(NamedTuple):
    """Examples and their weights; None weighs them equally."""

    points: Any
    weights: Float[Array, "n"] | None = None

    def mean(self, values: Float[Array, "n *value"]) -> Float[Array, "*value"]:
        """The weighted mean over the examples."""
        return jnp.mean(values, axis=0) if self.weights is None else jnp.tensordot(self.weights, values, axes=(0, 0))


class Draw(Spec, abstract=True):
    """How examples of a task, or points of a law, are drawn."""

    @abc.abstractmethod
    def batch(self, law: Any, key: Key[Array, ""], step: Int[Array, ""] | int = 0) -> Batch:
        """The examples of one step, from the key of their purpose."""

    def prepared(self, law: Any) -> "Draw | Whole":
        """This draw with what it can compute once for all steps."""
        return self

    def unfit(self, law: Any) -> Iterable[Fault]:
        """Why examples of this law cannot be drawn like this."""
        return ()


class Fresh(Draw):
    """n new examples at each step."""

    n: Count

    def batch(self, law: Any, key: Key[Array, ""], step: Int[Array, ""] | int = 0) -> Batch:
        """Draws from the key of the purpose folded by the step."""
        return Batch(law.sample(keys.fold(key, step), self.n))


class Cyclic(Draw):
    """Passes over a sample in its order, n examples a step; the first is number `start`."""

    n: Count
    start: int = 0

    def batch(self, law: Drawn, key: Key[Array, ""], step: Int[Array, ""] | int = 0) -> Batch:
        """Examples (start + step * n + i) mod size for i = 0, ..., n - 1."""
        first = _product(jnp.asarray(step) % law.size, self.n, law.size) + self.start % law.size
        return Batch(law.take((first + jnp.arange(self.n)) % law.size))

    def unfit(self, law: Any) -> Iterable[Fault]:
        """A law without a size has no order to follow."""
        return _needs_sample(self, law)


class Shuffled(Draw):
    """Passes over a sample, each in a new random order, n examples a step; a pass leaves out the remainder."""

    n: Count

    def batch(self, law: Drawn, key: Key[Array, ""], step: Int[Array, ""] | int = 0) -> Batch:
        """Examples number n * place, ... in the permutation of this pass."""
        in_pass = law.size // self.n
        order = keys.fold(key, jnp.asarray(step) // in_pass)
        place = (jnp.asarray(step) % in_pass) * self.n + jnp.arange(self.n)
        return Batch(law.take(permuted_index(order, place, law.size)))

    def unfit(self, law: Any) -> Iterable[Fault]:
        """A law without a size has no passes, and a sample smaller than n has no batch."""
        yield from _needs_sample(self, law)
        if law.size is not None and law.size < self.n:
            yield Fault(("n",), f"expected at most {law.size}, the size of the sample, got {self.n}")


class Exact(Draw):
    """The whole law with its weights: a finite sample, the cube up to d = 20, a Gauss-Hermite grid."""

    def batch(self, law: Any, key: Key[Array, ""], step: Int[Array, ""] | int = 0) -> Batch:
        """All nodes with their weights, at every step."""
        return Batch(*law.nodes())

    def prepared(self, law: Any) -> "Draw | Whole":
        """The nodes of a law, computed once; those of a sample are arrays already."""
        return self if isinstance(law, Drawn) else Whole(self.batch(law, None))  # type: ignore[arg-type]  # no randomness

    def unfit(self, law: Any) -> Iterable[Fault]:
        """A law without exact nodes."""
        if not law.exact:
            yield Fault((), f"{law!r} has no exact expectations; draw with Fresh(n), or from a Sample")


class Whole(NamedTuple):
    """`Exact` after its nodes were computed."""

    examples: Batch

    def batch(self, law: Any, key: Any, step: Any = 0) -> Batch:
        """All nodes."""
        return self.examples


def _product(step: Int[Array, ""], n: int, size: int) -> Int[Array, ""]:
    """(step * n) mod size for step < size, in 32 bits."""
    n = n % size
    if size * n < 2**31:
        return step * n % size
    result = jnp.zeros_like(step)
    for bit in f"{n:b}":  # the product passes 2^31: double and add
        result = (2 * result + (step if bit == "1" else 0)) % size
    return result


def _needs_sample(draw: Draw, law: Any) -> Iterable[Fault]:
    if law.size is None:
        yield Fault((), f"{draw!r} passes over a sample; wrap the task: Sample(..., n=...), or draw with Fresh(n)")
