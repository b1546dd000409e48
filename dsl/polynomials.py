"""Polynomials on bits and on reals, sparse and in canonical form.

On `x = bits(30)`, x*x is 1 and a polynomial is a sum of characters chi_S(x) = prod_{i in S} x_i. On `z = reals(30)` a
term is a product of powers or of orthonormal Hermite polynomials he_k. Both are evaluated by one gathered product,
never by tables of size 2^d. A polynomial of reals that meets one of bits becomes one of bits.
"""

import functools
import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from dsl.domains import Bits, Real, Reals
from dsl.faults import Fault
from dsl.laws import Distribution
from dsl.spec import Spec
from dsl.targets import Additive, Target, prod
from theory import hermite, polynomials

# ---------------------------------------------------------------- on bits


class Character(Spec):
    """weight * chi_S(x), a term of a `FourierPolynomial`; `on` is S, sorted and without repetition."""

    on: tuple[int, ...]
    weight: float = 1.0

    def check(self) -> Iterable[Fault]:
        """Coordinates are sorted, distinct and >= 0."""
        return _coordinate_faults(self.on)


class FourierPolynomial(Additive[Bits]):
    """sum_S f^(S) chi_S(x) on {-1, +1}^d: written with `bits(d)`."""

    terms: tuple[Character, ...]

    def check(self) -> Iterable[Fault]:
        """Terms are in canonical order, so that equal polynomials are equal values."""
        return _disordered([_fourier_order(term.on) for term in self.terms])

    def __call__(self, x: Float[Array, "*batch d"]) -> Float[Array, "*batch"]:
        """sum_S f^(S) chi_S(x), shape (*batch)."""
        if not self.terms:
            return jnp.zeros(x.shape[:-1])
        index = polynomials.pad_supports([term.on for term in self.terms])
        return polynomials.characters(x, index) @ jnp.stack([jnp.asarray(term.weight, x.dtype) for term in self.terms])

    def misfits(self, law: Distribution[Any]) -> Iterable[Fault]:
        """Coordinates that the law does not have."""
        return _beyond(self.terms, law)

    def plus(self, other: Additive[Any]) -> Additive[Any]:
        """Coefficients add; a polynomial of reals is restricted to the cube."""
        return _in_one_form([*self.terms, *_on_bits(other).terms])

    def scaled(self, by: float) -> Additive[Any]:
        """Coefficients times a number."""
        return _in_one_form(Character(t.on, t.weight * by) for t in self.terms)

    def times(self, other: Additive[Any]) -> Additive[Any]:
        """chi_S chi_T is the character of the symmetric difference of S and T."""
        pairs = [(s, t) for s in self.terms for t in _on_bits(other).terms]
        return _in_one_form(Character(tuple(sorted({*s.on} ^ {*t.on})), s.weight * t.weight) for s, t in pairs)

    def renamed(self, place: Sequence[int], signs: Sequence[int]) -> Additive[Any]:
        """The polynomial with signs[i] * x[place[i]] for x_i; no two coordinates have one place."""
        return _in_one_form(
            Character(tuple(sorted(place[i] for i in t.on)), t.weight * math.prod(signs[i] for i in t.on))
            for t in self.terms
        )


def _fourier(terms: Iterable[Character]) -> FourierPolynomial:
    weights = defaultdict[tuple[int, ...], float](float)
    for term in terms:
        weights[term.on] += term.weight
    ordered = sorted((on for on, w in weights.items() if w != 0), key=_fourier_order)
    return FourierPolynomial(tuple(Character(on, weights[on]) for on in ordered))


def _fourier_order(on: tuple[int, ...]) -> Any:
    return len(on), on


def _in_one_form(terms: Iterable[Character]) -> Additive[Any]:
    """The polynomial of these terms; a constant is one value, whether bits or reals made it."""
    found = _fourier(terms)
    return found if any(term.on for term in found.terms) else constant(sum(term.weight for term in found.terms))


def bits(d: int) -> tuple[FourierPolynomial, ...]:
    """The coordinates x_0, ..., x_{d-1} of the cube, to build targets with: `x[0] + 0.5 * prod(x[:3])`."""
    return tuple(FourierPolynomial((Character((i,)),)) for i in range(d))


# ---------------------------------------------------------------- on reals


class Monomial(Spec):
    """weight * prod_j z_{on_j}^{degrees_j}, or with he_{degrees_j}(z_{on_j}) if `hermite`; a term of a `Polynomial`."""

    on: tuple[int, ...]
    degrees: tuple[int, ...]
    weight: float = 1.0
    hermite: bool = False

    def check(self) -> Iterable[Fault]:
        """Coordinates are sorted, distinct and >= 0, each with a degree >= 1."""
        yield from _coordinate_faults(self.on)
        if len(self.degrees) != len(self.on):
            yield Fault(("degrees",), f"expected {len(self.on)} degrees, one for each coordinate, got {self.degrees}")
        for i, degree in enumerate(self.degrees):
            if degree < 1:
                yield Fault(("degrees", i), f"expected a degree of at least 1, got {degree}")


class Polynomial(Additive[Reals]):
    """A sparse polynomial of real coordinates: written with `reals(d)`, `prod` and `he`."""

    terms: tuple[Monomial, ...]

    def check(self) -> Iterable[Fault]:
        """Terms are in canonical order, so that equal polynomials are equal values."""
        return _disordered([_order((term.on, term.degrees, term.hermite)) for term in self.terms])

    def __call__(self, x: Float[Array, "*batch d"]) -> Float[Array, "*batch"]:
        """The sum of the terms at each point, shape (*batch)."""
        groups = [[t for t in self.terms if t.hermite == kind] for kind in (False, True)]
        values = [_evaluated(x, group) for group in groups if group]
        return functools.reduce(jnp.add, values) if values else jnp.zeros(x.shape[:-1])

    def misfits(self, law: Distribution[Any]) -> Iterable[Fault]:
        """Coordinates that the law does not have."""
        return _beyond(self.terms, law)

    def plus(self, other: Additive[Any]) -> Additive[Any]:
        """Weights of equal terms add; with a polynomial of bits the sum is one of bits."""
        if not isinstance(other, Polynomial):
            return other.plus(self)
        return _polynomial([*self.terms, *other.terms])

    def scaled(self, by: float) -> Additive[Any]:
        """Weights times a number."""
        return _polynomial(Monomial(t.on, t.degrees, t.weight * by, t.hermite) for t in self.terms)

    def times(self, other: Additive[Any]) -> Additive[Any]:
        """Powers multiply as powers; where a he_k with k > 1 meets anything, in the Hermite basis."""
        if not isinstance(other, Polynomial):
            return other.times(self)
        return _polynomial(term for s in self.terms for t in other.terms for term in _multiplied(s, t))

    def renamed(self, place: Sequence[int], signs: Sequence[int]) -> Additive[Any]:
        """The polynomial with signs[i] * z[place[i]] for z_i; no two coordinates have one place."""
        found = []
        for t in self.terms:
            degrees = dict(zip(t.on, t.degrees, strict=True))
            sign = math.prod(signs[i] ** k for i, k in degrees.items())  # he_k has the parity of k
            found.append(_monomial({place[i]: k for i, k in degrees.items()}, sign * t.weight, t.hermite))
        return _polynomial(found)

    def hermite_terms(self) -> dict[tuple[tuple[int, int], ...], float]:
        """The Hermite coefficients: {((coordinate, degree), ...): weight}, the constant under ()."""
        found = defaultdict[tuple[tuple[int, int], ...], float](float)
        for term in self.terms:
            for key, weight in _in_hermite(term).items():
                found[key] += weight
        return {key: weight for key, weight in found.items() if weight != 0}


def _evaluated(x: Float[Array, "*batch d"], terms: list[Monomial]) -> Float[Array, "*batch"]:
    on, degrees = polynomials.pad_exponents([dict(zip(t.on, t.degrees, strict=True)) for t in terms])
    evaluate = polynomials.hermite_products if terms[0].hermite else polynomials.monomials
    return evaluate(x, on, degrees) @ jnp.stack([jnp.asarray(t.weight, x.dtype) for t in terms])


def _polynomial(terms: Iterable[Monomial]) -> Polynomial:
    weights = defaultdict[tuple[tuple[int, ...], tuple[int, ...], bool], float](float)
    for t in terms:
        # he_1(z) = z: a term of first degrees is written in powers
        weights[t.on, t.degrees, t.hermite and any(k > 1 for k in t.degrees)] += t.weight
    kept = [key for key, weight in weights.items() if weight != 0]
    ordered = sorted(kept, key=_order)
    return Polynomial(tuple(Monomial(on, degrees, weights[on, degrees, h], h) for on, degrees, h in ordered))


def _multiplied(s: Monomial, t: Monomial) -> list[Monomial]:
    if not (_strictly_hermite(s) or _strictly_hermite(t)):
        degrees = Counter(dict(zip(s.on, s.degrees, strict=True))) + Counter(dict(zip(t.on, t.degrees, strict=True)))
        return [_monomial(degrees, s.weight * t.weight, False)]
    found = []
    for a, u in _in_hermite(s).items():
        for b, v in _in_hermite(t).items():
            found.extend(_linearized(dict(a), dict(b), u * v))
    return found


def _strictly_hermite(term: Monomial) -> bool:
    return term.hermite and any(k > 1 for k in term.degrees)


def _monomial(degrees: Mapping[int, int], weight: float, is_hermite: bool) -> Monomial:
    on = tuple(sorted(i for i, k in degrees.items() if k))
    return Monomial(on, tuple(degrees[i] for i in on), weight, is_hermite)


def _in_hermite(term: Monomial) -> dict[tuple[tuple[int, int], ...], float]:
    """A term in the Hermite basis."""
    pairs = list(zip(term.on, term.degrees, strict=True))
    if term.hermite:
        return {tuple(pairs): term.weight}
    found: dict[tuple[tuple[int, int], ...], float] = {(): term.weight}
    for i, k in pairs:
        parts = hermite.power_to_hermite(k).items()
        found = {(*key, (i, j)) if j else key: w * c for key, w in found.items() for j, c in parts}
    return found


def _linearized(a: dict[int, int], b: dict[int, int], weight: float) -> list[Monomial]:
    """A product of Hermite terms in the Hermite basis: he_j he_k = sum_l c_l he_l on each shared coordinate."""
    found = [({**a, **b}, weight)]
    for i in sorted(a.keys() & b.keys()):
        parts = hermite.hermite_linearization(a[i], b[i]).items()
        found = [({**degrees, i: level}, w * c) for degrees, w in found for level, c in parts]
    return [_monomial(degrees, w, True) for degrees, w in found]


def reals(d: int) -> tuple[Polynomial, ...]:
    """The coordinates z_0, ..., z_{d-1} of real inputs, to build targets with: `he(2, z[0]) * z[1]`."""
    return tuple(Polynomial((Monomial((i,), (1,)),)) for i in range(d))


def he(degree: int, z: Polynomial) -> Target[Reals, Real]:
    """he_degree(z), the orthonormal Hermite polynomial of a coordinate of `reals(d)`.

    Raises:
        ValueError: if z is not a bare coordinate or the degree is negative.
    """
    bare = isinstance(z, Polynomial) and [(t.degrees, t.weight) for t in z.terms] == [((1,), 1.0)]
    if not bare or degree < 0:
        raise ValueError(f"he({degree}, {z!r}): expected a degree >= 0 and a coordinate of reals(d)")
    return _polynomial([_monomial({z.terms[0].on[0]: degree}, 1.0, True)])


def prefixes(x: Iterable[FourierPolynomial], depth: int) -> tuple[Target[Bits, Real], ...]:
    """prod(x[:k]) for k = 1, ..., depth: the monomials of a staircase."""
    coordinates = list(x)
    if not 1 <= depth <= len(coordinates):
        raise ValueError(f"prefixes: depth {depth} of {len(coordinates)} coordinates; expected 1 to {len(coordinates)}")
    return tuple(prod(coordinates[:k]) for k in range(1, depth + 1))


# ---------------------------------------------------------------- between them


def constant(value: float) -> Polynomial:
    """The constant target, on every domain of reals."""
    return _polynomial([Monomial((), (), value)])


def _on_bits(target: Additive[Any]) -> FourierPolynomial:
    return fourier(target) if isinstance(target, Polynomial) else target  # type: ignore[return-value]  # two kinds only


def fourier(target: Polynomial) -> FourierPolynomial:
    """A polynomial of reals restricted to the cube, where z^k is z^(k mod 2) and he_k(+-1) is linear in z."""
    return _fourier(_restricted(term) for term in target.terms)


def _restricted(term: Monomial) -> Character:
    on = tuple(i for i, k in zip(term.on, term.degrees, strict=True) if k % 2)
    factors = [hermite.hermite(k, np.ones(1)).item() for k in term.degrees] if term.hermite else []
    return Character(on, term.weight * math.prod(factors))


def _order(key: tuple[tuple[int, ...], tuple[int, ...], bool]) -> Any:
    return sum(key[1]), *key


def _disordered(order: list[Any]) -> Iterable[Fault]:
    for i, (before, after) in enumerate(itertools.pairwise(order), start=1):
        if not before < after:
            yield Fault(
                ("terms", i), "out of canonical order, or twice; write it with bits(d) or reals(d) and operators"
            )


def _coordinate_faults(on: tuple[int, ...]) -> Iterable[Fault]:
    for i, coordinate in enumerate(on):
        if coordinate < 0:
            yield Fault(("on", i), f"expected a coordinate, counted from 0, got {coordinate}")
    if list(on) != sorted(set(on)):
        yield Fault(("on",), f"expected sorted coordinates without repetition, got {on}")


def _beyond(terms: tuple[Any, ...], law: Distribution[Any]) -> Iterable[Fault]:
    for i, term in enumerate(terms):
        for j, coordinate in enumerate(term.on):
            if coordinate >= law.shape[0]:
                yield Fault(("terms", i, "on", j), f"{coordinate} is not a coordinate of {law!r}")
