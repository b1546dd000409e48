"""Measurements of a target: its weight on each level, and its alignment with a group."""

from collections.abc import Iterable
from typing import Any, ClassVar

from jaxtyping import Array, Float, Key

from dsl.expansions import expansion
from dsl.faults import Fault
from dsl.groups import Group
from dsl.measurements import Measurement
from dsl.support import Unknown


class LevelWeights(Measurement):
    """W_k = sum_{|S| = k} f^(S)^2, the weight of a target of bits on each level, shape (d + 1,).

    Of a `Zonal` target: its weights |f_l|^2 on the levels l = 0, ..., 20 of the sphere. Exact to float64 rounding.
    """

    reads: ClassVar[tuple[str, ...]] = ("of",)

    def __call__(self, experiment: Any, state: Any, constants: Any, key: Key[Array, ""]) -> Float[Array, "levels"]:
        """W_0, W_1, ..."""
        return expansion(experiment.of).level_weights()

    def unfit(self, experiment: Any) -> Iterable[Fault]:
        """A noun that is no target with known levels, and float32."""
        return _unfit(experiment, None)


class Alignment(Measurement):
    """C(f, G) = sup over |h| = 1 of E_g <f o g, h>^2 (2208.03113), by closed forms; the mean of f counts.

    Exact to float64 rounding: from the terms of a polynomial or the values of a function of the sum of the bits in any
    dimension, else by a transform up to d = 20. `Permutations` of what is no function of the sum need d <= 16.
    """

    reads: ClassVar[tuple[str, ...]] = ("of",)
    group: Group

    def __call__(self, experiment: Any, state: Any, constants: Any, key: Key[Array, ""]) -> Float[Array, ""]:
        """C(f, G)."""
        return expansion(experiment.of).alignment(self.group)

    def unfit(self, experiment: Any) -> Iterable[Fault]:
        """A noun that is no target with known levels, a group that does not act on it, and float32."""
        return _unfit(experiment, self.group)


def _unfit(experiment: Any, group: Group | None) -> Iterable[Fault]:
    if experiment.precision != "float64":
        yield Fault((), f"expected an Analysis with precision='float64', got {experiment.precision!r}")
    try:
        problem = expansion(experiment.of).unfit(group) if group is not None else None
    except Unknown as reason:
        problem = str(reason)
    if problem is not None:
        yield Fault((), problem)
