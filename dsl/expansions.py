"""Targets in an orthogonal basis, by the cheapest exact route: their weight on each level, and group alignment.

Functions of the sum of the bits and sparse polynomials have routes in any dimension; other functions on the cube are
transformed whole, up to d = 20. What is not known before a run is the weights of terms, which are knobs.
"""

import abc
import functools
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from dsl.groups import Group
from dsl.laws import Hypercube
from dsl.polynomials import FourierPolynomial, Polynomial
from dsl.support import Unknown
from dsl.symmetric import Symmetric, Zonal
from dsl.targets import Product, Scaled, Sum, Target
from dsl.tasks import Labelled
from theory import boolean, levels, sphere, symmetry

LARGEST_TABLE = 20
LARGEST_PERMUTED = 16
DEGREES = 20


class Expansion(abc.ABC):
    """A target in an orthogonal basis that has levels."""

    @abc.abstractmethod
    def level_weights(self) -> Float[Array, "levels"]:
        """W_0, W_1, ...: the sum of the squared coefficients on each level."""

    @abc.abstractmethod
    def alignment(self, group: Group) -> Float[Array, ""]:
        """C(f, G), where it is not `unfit`."""

    @abc.abstractmethod
    def unfit(self, group: Group) -> str | None:
        """Why the alignment with a group is not known; None where it is."""


@dataclass(frozen=True)
class Dense(Expansion):
    """Any function on the cube, by the table of its 2^d values."""

    target: Any
    d: int

    def level_weights(self) -> Float[Array, "levels"]:
        """W_0, ..., W_d."""
        return boolean.level_weights(self._coefficients())

    def alignment(self, group: Group) -> Float[Array, ""]:
        """By `theory.symmetry.alignment`."""
        return jnp.asarray(symmetry.alignment(self._coefficients(), group.action, group.known))  # type: ignore[arg-type]  # no rotations: `unfit`

    def unfit(self, group: Group) -> str | None:
        """Rotations, coordinates that are not there, and more dimensions than permutations alone allow."""
        if group.action == "permutations" and self.d > LARGEST_PERMUTED:
            return (
                f"permutations alone mix the characters: expected d <= {LARGEST_PERMUTED} for their table, got {self.d}"
            )
        return _unfit_for_cube(group, self.d)

    def _coefficients(self) -> Float[Array, "points"]:
        return boolean.walsh_transform(self.target(boolean.cube(self.d).astype(float)))


@dataclass(frozen=True)
class Sparse(Expansion):
    """A polynomial of bits, by its terms."""

    target: FourierPolynomial
    d: int

    def level_weights(self) -> Float[Array, "levels"]:
        """W_0, ..., W_d."""
        found = self._summed(len(term.on) for term in self.target.terms)
        return jnp.stack([jnp.asarray(found.get(k, 0.0), float) for k in range(self.d + 1)])

    def alignment(self, group: Group) -> Float[Array, ""]:
        """The largest mean of f^(S)^2 over a class of sets S that the group takes to each other."""
        if group.action == "permutations":
            return Dense(self.target, self.d).alignment(group)
        if group.action == "sign flips":
            return jnp.max(jnp.stack([*self._summed(range(len(self.target.terms))).values(), jnp.zeros(())]))
        inside = {*group.known}
        classes = [(frozenset({*term.on} & inside), len({*term.on} - inside)) for term in self.target.terms]
        sizes = {key: math.comb(self.d - len(inside), key[1]) for key in classes}
        # 1 / size: the size itself may be larger than any float
        return jnp.max(jnp.stack([w * (1 / sizes[key]) for key, w in self._summed(classes).items()] + [jnp.zeros(())]))

    def unfit(self, group: Group) -> str | None:
        """As for a table where permutations alone need one, else coordinates that are not there."""
        return Dense(self.target, self.d).unfit(group)

    def _summed(self, keys: Iterable[Any]) -> Mapping[Any, Float[Array, ""]]:
        """Sums of f^(S)^2 over terms of one key."""
        found = defaultdict[Any, Any](float)
        for key, term in zip(keys, self.target.terms, strict=True):
            found[key] += jnp.square(jnp.asarray(term.weight, float))
        return found


@dataclass(frozen=True)
class OfSum(Expansion):
    """A function of the sum of the bits: f^(S) depends on |S| alone."""

    target: Any
    d: int

    def level_weights(self) -> Float[Array, "levels"]:
        """W_0, ..., W_d."""
        values = _of_sum(self.target, self.d - 2.0 * np.arange(self.d + 1))
        return jnp.square(_krawtchouk(self.d) @ jnp.asarray(values, float))

    def alignment(self, group: Group) -> Float[Array, ""]:
        """|f|^2 for permutations, which f does not feel; else max_S f^(S)^2, whatever coordinates are known."""
        weights = self.level_weights()
        if group.action == "permutations":
            return jnp.sum(weights)
        return jnp.max(weights * np.array([1 / math.comb(self.d, k) for k in range(self.d + 1)]))

    def unfit(self, group: Group) -> str | None:
        """Rotations, and coordinates that are not there."""
        return _unfit_for_cube(group, self.d)


@dataclass(frozen=True)
class OnSphere(Expansion):
    """A function of the latitude on the unit sphere, by its Gegenbauer levels 0, ..., 20."""

    target: Zonal

    def level_weights(self) -> Float[Array, "levels"]:
        """|f_l|^2 for l = 0, ..., 20, by the quadrature of `theory.sphere`, exact across a kink at 0."""
        points, weights = sphere.sphere_law(self.target.d)
        basis = sphere.gegenbauer(DEGREES, self.target.d, points) * weights
        return jnp.square(basis @ self._values(points))

    def alignment(self, group: Group) -> Float[Array, ""]:
        """max_l |f_l|^2 / dim H_l; NaN if a level above 20 might have the maximum."""
        points, weights = sphere.sphere_law(self.target.d)
        of_levels = self.level_weights()
        dimensions = [sphere.harmonic_dimension(level, self.target.d) for level in range(DEGREES + 2)]
        found = jnp.max(of_levels / np.array(dimensions[:-1], float))
        rest = weights @ jnp.square(self._values(points)) - jnp.sum(of_levels)
        return jnp.where(rest / dimensions[-1] > found, jnp.nan, found)

    def unfit(self, group: Group) -> str | None:
        """Groups of the cube."""
        return None if group.action == "rotations" else f"on the sphere the group is Rotations(), got {group!r}"

    def _values(self, points: np.ndarray) -> Float[Array, "n"]:
        return self.target.activation(jnp.asarray(math.sqrt(self.target.d) * points, float))


def expansion(of: Any) -> Expansion:
    """The expansion of what an analysis is of: a target that knows its dimension, or one on the bits of a task.

    Raises:
        Unknown: with the reason, where no route is known.
    """
    target, d = (of.y, _dimension(of.x)) if isinstance(of, Labelled) else (of, _own_dimension(of))
    if isinstance(target, Zonal) and not isinstance(of, Labelled):
        return OnSphere(target)
    if not isinstance(target, Target):
        raise Unknown(f"expected a target, or Labelled(Hypercube(d), target), got {type(of).__name__}")
    if d is None:
        raise Unknown("the target does not say in how many dimensions it is: expected Labelled(Hypercube(d), target)")
    return _on_cube(target, d)


def _on_cube(target: Any, d: int) -> Expansion:
    if _is_of_sum(target, d):
        return OfSum(target, d)
    if isinstance(target, FourierPolynomial):
        return Sparse(target, d)
    if d > LARGEST_TABLE:
        raise Unknown(
            f"d = {d} is too large for a table of 2^d values (at most {LARGEST_TABLE}): expected a polynomial of "
            "bits(d), whose nonzero coefficients are enough, or a function of the sum of the bits"
        )
    return Dense(target, d)


def _dimension(law: Any) -> int:
    if not isinstance(law, Hypercube):
        raise Unknown(f"the levels of a target on {type(law).__name__} are not known: expected Hypercube(d)")
    return law.d


def _own_dimension(target: Any) -> int | None:
    """The dimension of a target that has one, through sums, products and scalings."""
    match target:
        case Symmetric() | Zonal():
            return target.d  # type: ignore[union-attr]  # every Symmetric noun has the field
        case Scaled():
            return _own_dimension(target.target)
        case Sum(terms=parts) | Product(factors=parts):
            return next((d for d in map(_own_dimension, parts) if d is not None), None)
    return None


def _is_of_sum(target: Any, d: int) -> bool:
    """Whether a target is made of functions of the sum of the same d bits, and constants."""
    if isinstance(target, Symmetric):
        return target.d == d  # type: ignore[attr-defined]  # every Symmetric noun has the field
    if isinstance(target, Scaled):
        return _is_of_sum(target.target, d)
    if isinstance(target, Sum):
        return all(_is_of_sum(term, d) or _is_constant(term) for term in target.terms)
    return False


def _is_constant(target: Any) -> bool:
    return isinstance(target, (FourierPolynomial, Polynomial)) and not any(term.on for term in target.terms)


def _of_sum(target: Any, total: np.ndarray) -> Any:
    """The values of such a target by the sum of the bits."""
    match target:
        case Symmetric():
            return target.of_sum(total)
        case Scaled():
            return target.weight * _of_sum(target.target, total)
        case Sum():
            return functools.reduce(jnp.add, [_of_sum(term, total) for term in target.terms])
    return sum(term.weight for term in target.terms)


@functools.cache
def _krawtchouk(d: int) -> np.ndarray:
    return levels.krawtchouk_functions(d)


def _unfit_for_cube(group: Group, d: int) -> str | None:
    if group.action == "rotations":
        return "rotations do not keep the cube: expected a group of sign flips and permutations"
    beyond = [i for i in group.known if i >= d]
    return f"{beyond[0]} in {group!r} is not a coordinate of {d} bits" if beyond else None
