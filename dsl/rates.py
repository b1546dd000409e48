"""Rates: learning rates that change with the step."""

import abc
from collections.abc import Iterable

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from dsl.faults import Fault
from dsl.fields import Count
from dsl.spec import Spec


class Rate(Spec, abstract=True):
    """A number that depends on the step."""

    @abc.abstractmethod
    def __call__(self, step: Int[Array, ""], steps: int) -> Float[Array, ""]:
        """The rate of step 0, ..., steps - 1."""


class Piecewise(Rate):
    """base * factors[step // every], and the last factor ever after."""

    base: float
    every: Count
    factors: tuple[float, ...]

    def __call__(self, step: Int[Array, ""], steps: int) -> Float[Array, ""]:
        """The factor of piece min(step // every, last), times base."""
        piece = jnp.minimum(step // self.every, len(self.factors) - 1)
        return self.base * jnp.stack([jnp.asarray(f, float) for f in self.factors])[piece]

    def check(self) -> Iterable[Fault]:
        """At least one factor."""
        return [Fault(("factors",), "expected at least one factor, got none")] if not self.factors else ()


class Cosine(Rate):
    """A linear rise to `peak` over the first share `warmup` of the steps, then half a cosine down to 0."""

    peak: float
    warmup: float = 0.0

    def __call__(self, step: Int[Array, ""], steps: int) -> Float[Array, ""]:
        """The rise min((step + 1) / (warmup * steps), 1), then (1 + cos(pi t)) / 2 for t from 0 to 1, times peak."""
        done = step / steps
        rise = (step + 1) / jnp.maximum(self.warmup * steps, 1.0)
        fall = (1.0 + jnp.cos(jnp.pi * (done - self.warmup) / (1.0 - self.warmup))) / 2.0
        return self.peak * jnp.where(done < self.warmup, jnp.minimum(rise, 1.0), fall)

    def check(self) -> Iterable[Fault]:
        """0 <= warmup < 1."""
        if not 0.0 <= self.warmup < 1.0:
            yield Fault(("warmup",), f"expected a share of the steps in [0, 1), got {self.warmup}")
