"""Arithmetic modulo p, as a finite task."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from dsl.domains import Reals
from dsl.fields import Count
from dsl.laws import Nodes
from dsl.tasks import Task


class ModularAddition(Task[Reals, Reals]):
    """(a, b) uniform on pairs of residues, y = (a + b) mod p; x is two one-hot vectors in a row, y a third.

    Source: the grokking experiment of 2507.05644 with feature machines (from memory, unverified).
    """

    p: Count

    @property
    def shape(self) -> tuple[int, ...]:
        """(2 p,)."""
        return (2 * self.p,)

    @property
    def outputs(self) -> int:
        """One for each residue."""
        return self.p

    @property
    def exact(self) -> bool:
        """The p^2 pairs are the law."""
        return True

    def sample(self, key: Key[Array, ""], n: int) -> tuple[Any, Any]:
        """N independent pairs with their sums: shapes (n, 2 p) and (n, p)."""
        # the same draw at every precision
        return self._examples(jax.random.randint(key, (n,), 0, self.p**2, jnp.int32))

    def nodes(self) -> Nodes:
        """All p^2 pairs with equal weights; pair number p a + b is (a, b)."""
        return self._examples(jnp.arange(self.p**2)), jnp.full(self.p**2, 1.0 / self.p**2)

    def _examples(self, pair: Int[Array, "n"]) -> tuple[Float[Array, "n 2p"], Float[Array, "n p"]]:
        a, b = pair // self.p, pair % self.p
        hot = lambda residue: jax.nn.one_hot(residue, self.p, dtype=float)
        return jnp.concatenate([hot(a), hot(b)], axis=1), hot((a + b) % self.p)
