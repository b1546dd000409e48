"""Targets: functions of x to be learned, and their algebra.

Sums, products and scalings are multiplied out and kept flat in canonical form (terms sorted, equal terms merged, zeros
dropped), so that `p + q` and `q + p` are one value with one digest.
"""

import abc
import itertools
import math
from collections import defaultdict
from collections.abc import Iterable
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


# ---------------------------------------------------------------- the canonical form

Form = dict[tuple[Any, ...], Any]
"""Polynomials by the other targets that they multiply, sorted by digest; () for a polynomial alone."""


def _scaled(by: float, target: Any) -> Any:
    return target.scaled(float(by)) if isinstance(target, Additive) else _times(_lifted(by), target)


def _plus(left: Any, right: Any) -> Any:
    if isinstance(left, Additive) and isinstance(right, Additive):
        return left.plus(right)
    return _built(_sum([_form(left), _form(right)]))


def _times(left: Any, right: Any) -> Any:
    if isinstance(left, Additive) and isinstance(right, Additive):
        return left.times(right)
    return _built(_product([_form(left), _form(right)]))


def _form(target: Any) -> Form:
    match target:
        case Additive():
            return {(): target}
        case Scaled():
            return _product([{(): _lifted(target.weight)}, _form(target.target)])
        case Sum():
            return _sum(_form(term) for term in target.terms)
        case Product():
            return _product(_form(factor) for factor in target.factors)
    return {(target,): _lifted(1.0)}


def _sum(forms: Iterable[Form]) -> Form:
    found: Form = defaultdict(lambda: _lifted(0.0))
    for form in forms:
        for others, polynomial in form.items():
            found[others] = found[others].plus(polynomial)
    return found


def _product(forms: Iterable[Form]) -> Form:
    found: Form = {(): _lifted(1.0)}
    for form in forms:
        pairs = itertools.product(found.items(), form.items())
        found = _sum({tuple(sorted((*a, *b), key=digest)): p.times(q)} for (a, p), (b, q) in pairs)
    return found


def _built(form: Form) -> Any:
    kept = [(others, p) for others, p in form.items() if p.terms]
    kept.sort(key=lambda item: [digest(other) for other in item[0]])
    terms = tuple(_term(others, polynomial) for others, polynomial in kept)
    return _lifted(0.0) if not terms else terms[0] if len(terms) == 1 else Sum(terms)


def _term(others: tuple[Any, ...], polynomial: Any) -> Any:
    """The product of a polynomial and other targets; a constant polynomial is a weight."""
    if not others:
        return polynomial
    if any(term.on for term in polynomial.terms):
        return Product((polynomial, *others))
    weight, bare = polynomial.terms[0].weight, others[0] if len(others) == 1 else Product(others)
    return bare if weight == 1 else Scaled(weight, bare)
