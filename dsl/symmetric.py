"""Targets that depend on the sum of the bits alone, centring, and functions of one coordinate on the sphere."""

import abc
import math
from collections.abc import Iterable
from fractions import Fraction
from typing import Annotated, Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from pydantic import Field

from dsl.activations import Activation
from dsl.domains import Bits, Real, Reals
from dsl.faults import Fault
from dsl.fields import Count
from dsl.laws import Distribution
from dsl.polynomials import FourierPolynomial, Polynomial, fourier
from dsl.targets import Scaled, Sum, Target
from theory.arrays import AnyArray


class Symmetric(Target[Bits, Real], abstract=True):
    """A function of x_1 + ... + x_d on {-1, +1}^d; a noun has the field `d`."""

    @abc.abstractmethod
    def of_sum(self, total: Float[AnyArray, "*batch"]) -> Float[AnyArray, "*batch"]:
        """The values by the sum of the bits, for arrays of NumPy or JAX."""

    def __call__(self, x: Float[Array, "*batch d"]) -> Float[Array, "*batch"]:
        """The values at each point, shape (*batch)."""
        return self.of_sum(jnp.sum(x, axis=-1))

    def misfits(self, law: Distribution[Any]) -> Iterable[Fault]:
        """A law in another number of dimensions."""
        return _another_dimension(self, law)


class Majority(Symmetric):
    """The sign of x_1 + ... + x_d, ties to -1."""

    d: Count

    def of_sum(self, total: Float[AnyArray, "*batch"]) -> Float[AnyArray, "*batch"]:
        """1 where the sum is positive, else -1."""
        return 2.0 * (total > 0) - 1.0


class SumMod(Symmetric):
    """x_1 + ... + x_d modulo an integer, in 0, ..., modulus - 1; with modulus 8 the f_mod8 of 2208.03113."""

    d: Count
    modulus: Count

    def of_sum(self, total: Float[AnyArray, "*batch"]) -> Float[AnyArray, "*batch"]:
        """The sum modulo `modulus`."""
        return total % self.modulus


class Zonal(Target[Reals, Real]):
    """activation(sqrt(d) x_0): on the unit sphere a function of the latitude, whose argument is of order 1."""

    activation: Activation
    d: Annotated[int, Field(ge=2)]

    def __call__(self, x: Float[Array, "*batch d"]) -> Float[Array, "*batch"]:
        """The values at each point, shape (*batch)."""
        return self.activation(math.sqrt(self.d) * x[..., 0])

    def misfits(self, law: Distribution[Any]) -> Iterable[Fault]:
        """A law in another number of dimensions."""
        return _another_dimension(self, law)


def centred(target: Target[Bits, Real]) -> Target[Bits, Real]:
    """The target minus its mean over the cube, which is taken exactly and rounded once.

    Raises:
        ValueError: if the target is no polynomial, no function of the sum of the bits, and no combination of these.
    """
    return target - float(_mean(target))


def _mean(target: Any) -> Fraction:
    match target:
        case Polynomial():
            return _mean(fourier(target))
        case FourierPolynomial():
            return sum((Fraction(term.weight) for term in target.terms if not term.on), Fraction(0))
        case Symmetric():
            return sum(map(Fraction.__mul__, _binomial(target), _values(target)), Fraction(0))
        case Scaled():
            return Fraction(target.weight) * _mean(target.target)
        case Sum():
            return sum(map(_mean, target.terms), Fraction(0))
    raise ValueError(f"centred: the mean of {target!r} over the cube is not known; subtract it as a number")


def _values(target: Any) -> list[Fraction]:
    """The values where 0, ..., d coordinates are -1."""
    return [Fraction(value) for value in target.of_sum(target.d - 2.0 * np.arange(target.d + 1)).tolist()]


def _binomial(target: Any) -> list[Fraction]:
    return [Fraction(math.comb(target.d, j), 2**target.d) for j in range(target.d + 1)]


def _another_dimension(target: Any, law: Distribution[Any]) -> Iterable[Fault]:
    if law.shape != (target.d,):
        yield Fault(("d",), f"expected {law.shape[0]}, the dimension of {law!r}, got {target.d}")
