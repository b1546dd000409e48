"""`Sample`: a finite sample of a law or a task, drawn once per run."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, Key

from dsl import keys
from dsl.faults import Fault
from dsl.fields import Count
from dsl.keys import Streams
from dsl.laws import Distribution, Nodes, support
from dsl.realise import Combinator, N, realised
from dsl.tasks import Task, leading


class Drawn(eqx.Module):
    """What a `Sample` is in one run: its examples, and the law from which they came.

    Attributes:
        points: x, or the pair (x, y), with a leading axis of length n.
        law: the realised law or task.
        chosen: which nodes of the law the examples are, where they were drawn without replacement.
    """

    points: Any
    law: Any
    chosen: Int[Array, "n"] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one x."""
        return self.law.shape

    @property
    def outputs(self) -> int | None:
        """What a model puts out, as for a task."""
        return self.law.outputs

    @property
    def size(self) -> int:
        """The number of examples."""
        return leading(self.points)

    @property
    def exact(self) -> bool:
        """A finite sample is known whole."""
        return True

    def take(self, index: Int[Array, "n"]) -> Any:
        """The examples with these numbers."""
        return jax.tree.map(lambda leaf: leaf[index], self.points)

    def sample(self, key: Key[Array, ""], n: int) -> Any:
        """Draw n examples with replacement."""
        return self.take(jax.random.randint(key, (n,), 0, self.size, jnp.int32))  # the same draw at every precision

    def nodes(self) -> Nodes:
        """The whole sample, every example with weight 1/n."""
        return self.points, jnp.full(self.size, 1.0 / self.size)


if TYPE_CHECKING:  # to a type checker, a function from a noun to its type

    def Sample(noun: N, n: int, replace: bool = True) -> N:
        """A sample of a law or task, drawn once per run; without replacement (`replace=False`) from its nodes."""
        ...

else:

    class Sample(Combinator[N]):
        """A sample of a law or task, drawn once per run; without replacement (`replace=False`) from its nodes."""

        noun: N
        n: Count
        replace: bool = True

        @property
        def size(self) -> int:
            """The number of examples."""
            return self.n

        @property
        def exact(self) -> bool:
            """A finite sample is known whole."""
            return True

        def check(self) -> Iterable[Fault]:
            """A law or a task; without replacement, a finite one with at least n points."""
            law: Any = self.noun
            if not isinstance(law, (Distribution, Task)) and not hasattr(law, "sample"):
                yield Fault(("noun",), f"expected a Distribution or a Task to draw from, got {type(law).__name__}")
            elif not self.replace and not law.exact:
                yield Fault(("replace",), f"without replacement needs a finite law, got {law!r}")
            elif not self.replace and self.n > support(law):
                yield Fault(("n",), f"expected at most {support(law)}, the size of the law's support, got {self.n}")

        def realise(self, streams: Streams) -> Drawn:
            """Draw n examples of the realised law, from the key for `data`."""
            law, key = realised(self.noun, streams), keys.fold(streams.data, "sample")
            if self.replace:
                return Drawn(law.sample(key, self.n), law)
            points, weights = law.nodes()
            p = weights.astype(jnp.float32)  # the same draw at every precision
            chosen = jax.random.choice(key, weights.shape[0], (self.n,), replace=False, p=p)
            return Drawn(jax.tree.map(lambda leaf: leaf[chosen], points), law, chosen)


def law_of(task: Any) -> Any:
    """The law behind a sample; what is no sample is its own law. Test losses see this."""
    return law_of(task.law) if isinstance(task, Drawn) else task
