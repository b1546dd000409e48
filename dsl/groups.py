"""Groups that act on the coordinates of an input, and single elements of them."""

import abc
from collections.abc import Iterable
from typing import Any, ClassVar, Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from dsl.faults import Fault
from dsl.spec import Spec

Action = Literal["sign flips", "permutations", "signed permutations", "rotations"]


class Group(Spec, abstract=True):
    """A group of symmetries: what training a fully connected network cannot tell apart."""

    action: ClassVar[Action]

    @property
    def known(self) -> tuple[int, ...]:
        """Coordinates that permutations leave in place."""
        return ()


class SignFlips(Group):
    """x_i -> +-x_i, each coordinate by itself."""

    action: ClassVar[Action] = "sign flips"


class Permutations(Group):
    """Reorderings of the coordinates, without sign flips."""

    action: ClassVar[Action] = "permutations"


class SignedPermutations(Group):
    """Reorderings of the coordinates and sign flips: the symmetries of the cube."""

    action: ClassVar[Action] = "signed permutations"


class Stabiliser(Group):
    """The signed permutations that leave the coordinates `of` in place (their signs may flip)."""

    action: ClassVar[Action] = "signed permutations"
    of: tuple[int, ...]

    def check(self) -> Iterable[Fault]:
        """Coordinates are distinct and counted from 0."""
        return _not_distinct("of", self.of)

    @property
    def known(self) -> tuple[int, ...]:
        """The coordinates `of`."""
        return self.of


class Rotations(Group):
    """O(d): rotations and reflections of the sphere."""

    action: ClassVar[Action] = "rotations"


# ---------------------------------------------------------------- elements

Parts = tuple[Int[np.ndarray, "d"], Int[np.ndarray, "d"]]


class GroupElement(Spec, abstract=True):
    """A signed permutation g: coordinate i of g x is signs[i] * x[order[i]]."""

    @abc.abstractmethod
    def parts(self, d: int) -> Parts:
        """`order` and `signs` in d dimensions, for a d without `misfits`."""

    @abc.abstractmethod
    def misfits(self, d: int) -> Iterable[Fault]:
        """What keeps the element from acting on d coordinates."""

    def __call__(self, x: Float[Array, "*batch d"]) -> Float[Array, "*batch d"]:
        """The points g x for a batch of x.

        Raises:
            ValueError: if the element does not act on vectors of this length.
        """
        order, signs = self._fitting(x.shape[-1])
        return jnp.asarray(signs, x.dtype) * x[..., order]

    def undone(self, x: Float[Array, "*batch d"]) -> Float[Array, "*batch d"]:
        """The points g^-1 x for a batch of x.

        Raises:
            ValueError: if the element does not act on vectors of this length.
        """
        order, signs = self._fitting(x.shape[-1])
        return (jnp.asarray(signs, x.dtype) * x)[..., np.argsort(order)]

    def _fitting(self, d: int) -> Parts:
        for fault in self.misfits(d):
            raise ValueError(f"{self!r}: {fault.problem}")
        return self.parts(d)


class SignFlip(GroupElement):
    """x_i -> -x_i for the coordinates `on`."""

    on: tuple[int, ...]

    def check(self) -> Iterable[Fault]:
        """Coordinates are distinct and counted from 0."""
        return _not_distinct("on", self.on)

    def parts(self, d: int) -> Parts:
        """The order of before; -1 on the coordinates that flip."""
        return np.arange(d), np.where(np.isin(np.arange(d), self.on), -1, 1)

    def misfits(self, d: int) -> Iterable[Fault]:
        """Coordinates beyond the last."""
        for i, coordinate in enumerate(self.on):
            if coordinate >= d:
                yield Fault(("on", i), f"{coordinate} is not a coordinate of {d}")


class Permutation(GroupElement):
    """Coordinate i of g x is x[order[i]]."""

    order: tuple[int, ...]

    def check(self) -> Iterable[Fault]:
        """Every coordinate once."""
        return _not_an_order(self.order)

    def parts(self, d: int) -> Parts:
        """The order; no sign flips."""
        return np.array(self.order, int), np.ones(d, int)

    def misfits(self, d: int) -> Iterable[Fault]:
        """An order of another number of coordinates."""
        return _another_length(self.order, d)


class SignedPermutation(GroupElement):
    """Coordinate i of g x is signs[i] * x[order[i]]."""

    order: tuple[int, ...]
    signs: tuple[int, ...]

    def check(self) -> Iterable[Fault]:
        """Every coordinate once, and a sign for each."""
        yield from _not_an_order(self.order)
        if len(self.signs) != len(self.order) or not {*self.signs} <= {-1, 1}:
            yield Fault(("signs",), f"expected {len(self.order)} signs, each 1 or -1, got {self.signs}")

    def parts(self, d: int) -> Parts:
        """The order and the signs."""
        return np.array(self.order, int), np.array(self.signs, int)

    def misfits(self, d: int) -> Iterable[Fault]:
        """An order of another number of coordinates."""
        return _another_length(self.order, d)


def _not_distinct(field: str, coordinates: tuple[int, ...]) -> Iterable[Fault]:
    if len({*coordinates}) < len(coordinates) or min(coordinates, default=0) < 0:
        yield Fault((field,), f"expected distinct coordinates, counted from 0, got {coordinates}")


def _not_an_order(order: tuple[int, ...]) -> Iterable[Fault]:
    if sorted(order) != list(range(len(order))):
        yield Fault(("order",), f"expected each of 0..{len(order) - 1} once, got {order}")


def _another_length(order: tuple[Any, ...], d: int) -> Iterable[Fault]:
    if len(order) != d:
        yield Fault(("order",), f"expected an order of {d} coordinates, got one of {len(order)}")
