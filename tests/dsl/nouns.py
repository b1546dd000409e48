"""Nouns of a user, for the tests of the language: one of each shape that a field may have."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float
from pydantic import Field

from dsl import Activation, Bits, Count, Fault, Knob, Measurement, Real, Seed, Spec, Static, Target


class Majority(Target[Bits, Real]):
    """sign(sum_i x_i), ties to -1."""

    d: int

    def __call__(self, x: Float[Array, "*batch d"]) -> Float[Array, "*batch"]:
        return jnp.where(jnp.sum(x, axis=-1) > 0, 1.0, -1.0)


class Kitchen(Spec):
    """Every type of the language."""

    count: Count
    text: Annotated[str, Field(pattern=r"^[a-z]*$")]
    flag: bool = False
    size: int = 0
    rate: float = 1.0
    choice: Literal["left", "right"] = "left"
    fixed: Static[float] = 0.5
    shift: Knob[int] = 0
    seed: Seed = 0
    rates: tuple[float, ...] = ()
    pair: tuple[int, str] = (1, "a")
    maybe: float | None = None
    noun: Activation | None = None
    either: float | Activation = 2.0
    nouns: tuple[Activation, ...] = ()
    any_noun: Spec | tuple[Spec, ...] = ()


class Ordered(Spec):
    """Two numbers in order: a rule across fields."""

    low: float
    high: float

    def check(self) -> Iterable[Fault]:
        if self.low > self.high:
            yield Fault(("low",), f"expected at most {self.high}, got {self.low}")


class Nest(Spec):
    """Itself inside itself."""

    inside: "Nest | None" = None
    rate: float = 0.0


class Size(Measurement):
    """The squared norm of the arrays that an analysis reads."""

    def __call__(self, experiment: Any, state: Any, constants: Any, key: Any) -> Float[Array, ""]:
        return optax.tree.norm([noun.arrays for noun in experiment.of], squared=True)


def evaluated(text: str, **names: Any) -> Any:
    """What a repr means where everything of the language and these nouns is imported."""
    import dsl

    return eval(text, {**vars(dsl), **globals(), **names})
