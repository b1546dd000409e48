"""`Rest`: what a sample without replacement left of its law."""

from collections.abc import Iterable
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from dsl.domains import inner
from dsl.faults import Fault, folded
from dsl.laws import Nodes, support
from dsl.tasks import Task

HALVES = {"all": slice(None), "validation": slice(0, None, 2), "test": slice(1, None, 2)}
ALONE = "Rest() is what another task left: it is the `on` of a measurement, not a task to train on"


class Left(eqx.Module):
    """What `Rest` is in one run.

    Attributes:
        points: the pairs (x, y), with a leading axis.
        shares: their weights, with sum 1.
    """

    points: Any
    shares: Float[Array, "n"]

    def nodes(self) -> Nodes:
        """All of it."""
        return self.points, self.shares

    def sample(self, key: Key[Array, ""], n: int) -> Any:
        """Draw n of them with replacement."""
        p = self.shares.astype(jnp.float32)  # the same draw at every precision
        chosen = jax.random.choice(key, len(p), (n,), p=p)
        return jax.tree.map(lambda leaf: leaf[chosen], self.points)


class Rest(Task[Any, Any]):
    """The examples of the law that the experiment's task, a `Sample(..., replace=False)`, did not draw.

    A test set: the `on` of `TestLoss` and `TestError`. `part` takes half of it: "validation" the first, third, ...
    example in the order of the law, by which something is chosen, and "test" the others, on which it is judged.
    """

    part: Literal["all", "validation", "test"] = "all"

    @property
    def shape(self) -> tuple[int, ...]:
        """Refused: known only beside a task."""
        raise ValueError(ALONE)

    def sample(self, key: Key[Array, ""], n: int) -> tuple[Any, Any]:
        """Refused: known only beside a task."""
        raise ValueError(ALONE)

    def beside(self, task: Any) -> Left:
        """The nodes of the law that a drawn sample left, with their weights in the law."""
        points, weights = task.law.nodes()
        taken = jnp.zeros(len(weights), bool).at[task.chosen].set(True)
        left = jnp.flatnonzero(~taken, size=len(weights) - task.size)[HALVES[self.part]]
        return Left(jax.tree.map(lambda leaf: leaf[left], points), weights[left] / jnp.sum(weights[left]))

    def unfit(self, task: Any) -> Iterable[Fault]:
        """A task that is no sample without replacement, or one that leaves nothing."""
        if not hasattr(task, "noun") or getattr(task, "replace", True):
            yield Fault((), f"Rest() is what a Sample(..., replace=False) left; the task is {folded(task)}")
        elif (left := support(task.noun) - task.n) < (1 if self.part == "all" else 2):
            yield Fault((), f"{self!r} is empty: {task.n} of the {task.n + left} points of the law are drawn")


def is_rest(task: Any) -> bool:
    """Whether a task, perhaps inside combinators, is `Rest()`."""
    return isinstance(inner(task), Rest)
