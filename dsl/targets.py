"""Targets: functions of x to be learned, and their algebra.

Sums, products and scalings are kept flat and in canonical form (terms sorted, equal terms merged, zeros dropped), so
that `p + q` and `q + p` are one value with one digest.
"""

import abc
import functools
import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Generic, TypeVar

from jaxtyping import Array, Float

from dsl.domains import Real, X_contra, Y_co
from dsl.faults import Fault
from dsl.identity import digest
from dsl.laws import Distribution
from dsl.spec import Spec

D = TypeVar("D")


class Target(Spec, Generic[X_contra, Y_co], abstract=True):
    """A function of x, with values in Real unless its domain says otherwise."""

    @abc.abstractmethod
    def __call__(self, x: Any) -> Any:
        """Values at a batch of inputs: x of shape (*batch, *shape of x), result (*batch) for Real."""

    @property
    def outputs(self) -> int | None:
        """The length of a value (the number of classes, or of coordinates); None for one real number."""
        return None

    def misfits(self, law: Distribution[Any]) -> Iterable[Fault]:
        """What keeps this target from reading the inputs of a law: coordinates that it lacks."""
        return ()

    def __add__(self: "Target[D, Real]", other: "Target[D, Real] | float") -> "Target[D, Real]":
        """The sum, flat."""
        return _plus(self, _lifted(other))

    def __radd__(self: "Target[D, Real]", other: float) -> "Target[D, Real]":
        """The sum, flat."""
        return _plus(_lifted(other), self)

    def __sub__(self: "Target[D, Real]", other: "Target[D, Real] | float") -> "Target[D, Real]":
        """The difference."""
        return _plus(self, _scaled(-1.0, _lifted(other)))

    def __rsub__(self: "Target[D, Real]", other: float) -> "Target[D, Real]":
        """The difference."""
        return _plus(_lifted(other), _scaled(-1.0, self))

    def __neg__(self: "Target[D, Real]") -> "Target[D, Real]":
        """The target times -1."""
        return _scaled(-1.0, self)

    def __mul__(self: "Target[D, Real]", other: "Target[D, Real] | float") -> "Target[D, Real]":
        """The pointwise product; with a number, the scaling."""
        return _times(self, other) if isinstance(other, Target) else _scaled(other, self)

    def __rmul__(self: "Target[D, Real]", other: float) -> "Target[D, Real]":
        """The scaling by a number."""
        return _scaled(other, self)

    def __truediv__(self: "Target[D, Real]", other: float) -> "Target[D, Real]":
        """The scaling by 1 / number."""
        return _scaled(1.0 / other, self)


class Additive(Target[X_contra, Real], abstract=True):
    """Interface of targets that add, scale and multiply within their own class: polynomials."""

    @abc.abstractmethod
    def plus(self, other: "Additive[Any]") -> "Additive[Any]":
        """The sum of two polynomials."""

    @abc.abstractmethod
    def times(self, other: "Additive[Any]") -> "Additive[Any]":
        """The product of two polynomials."""

    @abc.abstractmethod
    def scaled(self, by: float) -> "Additive[Any]":
        """The polynomial times a number."""


class Scaled(Target[X_contra, Real]):
    """weight * target(x)."""

    weight: float
    target: Target[X_contra, Real]

    def __call__(self, x: Any) -> Float[Array, "*batch"]:
        """The target times weight, shape (*batch)."""
        return self.weight * self.target(x)

    def misfits(self, law: Distribution[Any]) -> Iterable[Fault]:
        """Those of the target."""
        return [f.under("target") for f in self.target.misfits(law)]


class Sum(Target[X_contra, Real]):
    """The sum of its terms."""

    terms: tuple[Target[X_contra, Real], ...]

    def __call__(self, x: Any) -> Float[Array, "*batch"]:
        """The sum of the terms' values, shape (*batch)."""
        return sum(term(x) for term in self.terms)  # type: ignore[return-value]  # never empty

    def misfits(self, law: Distribution[Any]) -> Iterable[Fault]:
        """Those of each term."""
        return [f.under("terms", i) for i, term in enumerate(self.terms) for f in term.misfits(law)]

    def check(self) -> Iterable[Fault]:
        """At least one term."""
        return [Fault(("terms",), "expected at least one term, got none")] if not self.terms else ()


class Product(Target[X_contra, Real]):
    """The product of its factors."""

    factors: tuple[Target[X_contra, Real], ...]

    def __call__(self, x: Any) -> Float[Array, "*batch"]:
        """The product of the factors' values, shape (*batch)."""
        return math.prod(factor(x) for factor in self.factors)  # type: ignore[return-value]  # never empty

    def misfits(self, law: Distribution[Any]) -> Iterable[Fault]:
        """Those of each factor."""
        return [f.under("factors", i) for i, factor in enumerate(self.factors) for f in factor.misfits(law)]

    def check(self) -> Iterable[Fault]:
        """At least one factor."""
        return [Fault(("factors",), "expected at least one factor, got none")] if not self.factors else ()


def total(targets: "Iterable[Target[D, Real]]") -> "Target[D, Real]":
    """The sum of targets (the built-in `sum` would be typed `Target | int`).

    Raises:
        ValueError: of nothing.
    """
    return _folded(_plus, targets, "total")


def prod(targets: "Iterable[Target[D, Real]]") -> "Target[D, Real]":
    """The pointwise product of targets.

    Raises:
        ValueError: of nothing.
    """
    return _folded(_times, targets, "prod")


def _folded(join: Any, targets: Iterable[Any], name: str) -> Any:
    given = list(targets)
    if not given:
        raise ValueError(f"{name}() of no targets; expected at least one")
    result = given[0]
    for target in given[1:]:
        result = join(result, target)
    return result


def _lifted(value: Any) -> Any:
    from dsl.polynomials import constant  # polynomials are written in terms of this module

    return value if isinstance(value, Target) else constant(float(value))


def _scaled(by: float, target: Any) -> Any:
    if isinstance(target, Additive):
        return target.scaled(float(by))
    if isinstance(target, Sum):
        return _sum_of(_scaled(by, term) for term in target.terms)
    weight, inner = (target.weight, target.target) if isinstance(target, Scaled) else (1.0, target)
    return _lifted(0.0) if by * weight == 0 else inner if by * weight == 1 else Scaled(float(by) * weight, inner)


def _plus(left: Any, right: Any) -> Any:
    if isinstance(left, Additive) and isinstance(right, Additive):
        return left.plus(right)
    return _sum_of([*_terms(left), *_terms(right)])


def _terms(target: Any) -> tuple[Any, ...]:
    return target.terms if isinstance(target, Sum) else (target,)


def _sum_of(terms: Iterable[Any]) -> Any:
    """Polynomials become one, equal targets one with their weights added; the rest is sorted by digest."""
    polynomial, weights, bare = _lifted(0.0), defaultdict[str, float](float), dict[str, Any]()
    for term in terms:
        if isinstance(term, Additive):
            polynomial = polynomial.plus(term)
        else:
            weight, target = (term.weight, term.target) if isinstance(term, Scaled) else (1.0, term)
            weights[digest(target)] += weight
            bare[digest(target)] = target
    kept = [_scaled(weights[name], bare[name]) for name in sorted(bare) if weights[name] != 0]
    weight, unit = _weight_and_unit(polynomial)
    if weight != 0 or not kept:
        kept.insert(0, _scaled(weight, unit))
    return kept[0] if len(kept) == 1 else Sum(tuple(kept))


def _weight_and_unit(polynomial: Any) -> tuple[float, Any]:
    """A constant or a single term is a weight times a unit, so that `2 * (p * m)` and `(2 * p) * m` are one value."""
    if not polynomial.terms:
        return 0.0, _lifted(1.0)
    first, *others = polynomial.terms
    if others:
        return 1.0, polynomial
    return first.weight, type(polynomial)((replace(first, weight=1.0),)) if first.on else _lifted(1.0)


def _times(left: Any, right: Any) -> Any:
    if isinstance(left, Additive) and isinstance(right, Additive):
        return left.times(right)
    weight, factors = _factors(Product((left, right)))
    polynomial = functools.reduce(_times, [f for f in factors if isinstance(f, Additive)], _lifted(1.0))
    factors = [f for f in factors if not isinstance(f, Additive)]
    more, unit = _weight_and_unit(polynomial)
    weight *= more
    if unit != _lifted(1.0) or not factors:
        factors.append(unit)
    ordered = tuple(sorted(factors, key=digest))
    return _scaled(weight, ordered[0] if len(ordered) == 1 else Product(ordered))


def _factors(target: Any) -> tuple[float, list[Any]]:
    """A weight and the factors that it multiplies, neither scaled nor products themselves."""
    if isinstance(target, Scaled):
        weight, found = _factors(target.target)
        return target.weight * weight, found
    if not isinstance(target, Product):
        return 1.0, [target]
    parts = [_factors(factor) for factor in target.factors]
    return math.prod(weight for weight, _ in parts), [factor for _, found in parts for factor in found]
