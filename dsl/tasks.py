"""Tasks: laws of pairs (x, y)."""

import abc
from collections.abc import Iterable
from typing import Any, Generic

import jax
from jaxtyping import Array, Key

from dsl.domains import X, X_co, Y, Y_co
from dsl.faults import Fault
from dsl.laws import Distribution, Nodes
from dsl.spec import Spec
from dsl.targets import Target


class Task(Spec, Generic[X_co, Y_co], abstract=True):
    """A law of pairs (x, y)."""

    @property
    @abc.abstractmethod
    def shape(self) -> tuple[int, ...]:
        """The shape of one x."""

    @property
    def outputs(self) -> int | None:
        """What a model puts out: None for one real number, else the length of the vector (or number of classes)."""
        return None

    @abc.abstractmethod
    def sample(self, key: Key[Array, ""], n: int) -> tuple[Any, Any]:
        """Independent pairs, each array with a leading axis of length n."""

    @property
    def exact(self) -> bool:
        """Whether `nodes` gives expectations exactly (to quadrature)."""
        return False

    @property
    def size(self) -> int | None:
        """The number of examples of a finite sample; None for a law."""
        return None

    def nodes(self) -> Nodes:
        """The whole law as weighted points ((x, y), weights), where `exact`."""
        raise ValueError(f"{self!r} has no exact nodes; draw with Fresh(n)")


class Labelled(Task[X, Y]):
    """x from a law, y = target(x)."""

    x: Distribution[X]
    y: Target[X, Y]

    def check(self) -> Iterable[Fault]:
        """The target reads the inputs of the law."""
        return [fault.under("y") for fault in self.y.misfits(self.x)]

    @property
    def shape(self) -> tuple[int, ...]:
        """That of the law."""
        return self.x.shape

    @property
    def outputs(self) -> int | None:
        """That of the target."""
        return self.y.outputs

    @property
    def exact(self) -> bool:
        """Whether the law is."""
        return self.x.exact

    def sample(self, key: Key[Array, ""], n: int) -> tuple[Any, Any]:
        """(x, y(x)) for n draws of x."""
        x = self.x.sample(key, n)
        return x, self._labels(x)

    def nodes(self) -> Nodes:
        """((x, y(x)), weights) for the nodes of the law."""
        x, weights = self.x.nodes()
        return (x, self._labels(x)), weights

    def _labels(self, x: Any) -> Any:
        """y(x), refused where its shape would only broadcast against predictions."""
        y = self.y(x)
        n, given = leading(x), tuple(getattr(y, "shape", ()))
        if given[:1] != (n,) or (self.outputs is None and given != (n,)):
            wanted = f"({n},)" if self.outputs is None else f"({n}, ...)"
            raise TypeError(f"{type(self.y).__name__} returned shape {given} for {n} inputs, expected {wanted}")
        return y


def leading(points: Any) -> int:
    """The length of the leading axis of a pytree of arrays."""
    return jax.tree.leaves(points)[0].shape[0]
