"""Cost tensors that are too large to write down: what a cost must know of itself, and the tensor that is written down.

Multimarginal transport with marginals mu_1, ..., mu_k minimises <C, P> over P >= 0 with these marginals. Its dual is
over potentials p = (p_1, ..., p_k), and the reduced cost of a tuple j is C_j - sum_i p_i[j_i]. All that a solver asks
of a cost is the least reduced cost, or sums of exponentials of reduced costs (`SoftCost`).
"""

import abc
import math
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float64, Int

from theory.arrays import Scalar
from theory.transport.expected import expect_a, expect_arrays, written

Tuples: TypeAlias = Int[np.ndarray, "m k"]
"""Index tuples j, one a row."""

Potentials: TypeAlias = Sequence[Float64[np.ndarray, "_"]]
"""One array for each marginal, of its size; -inf excludes a point."""

LogWeight: TypeAlias = Float[Array, "_"] | Float[np.ndarray, "_"]
"""One of them, also inside compiled functions."""

LogWeights: TypeAlias = tuple[LogWeight, ...]
"""The same of all marginals."""

Given: TypeAlias = np.ndarray | Array | Sequence[Any]
"""What is made an array: one already, or nested lists."""

MAX_DENSE = 2**22
"""The most entries of a tensor that is written down."""

MAX_LISTED = 2**20
"""The most entries of a tensor that are columns of a linear program, and the most answers that are gone through."""

_NEAREST = 10  # entries of a row to begin with: with 20 of 500 it is no faster


def as_floats(name: str, given: Given) -> Float64[np.ndarray, "..."]:
    """An array in double precision.

    Args:
        name: what it is, for the message.
        given: an array, or nested lists.

    Returns:
        The array; the same one where it is in double precision.

    Raises:
        ValueError: if these are not numbers, or rows have different lengths.
    """
    try:
        return np.asarray(given, np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: expected an array of numbers, got {type(given).__name__}: {error}") from error


class Minimum(NamedTuple):
    """What a search for the least reduced cost found."""

    at: tuple[int, ...]
    """The tuple."""
    value: float
    """Its reduced cost: an upper bound of the minimum."""
    lower: float
    """A certified lower bound of the minimum; `value` itself where the search is exact."""


class Pricing(NamedTuple):
    """What a search for tuples of small reduced cost found."""

    tuples: Tuples
    """Distinct tuples, one of the least reduced cost found among them."""
    lower: float
    """A certified lower bound of the least reduced cost."""


class Cost(eqx.Module):
    """A cost tensor given implicitly."""

    @property
    @abc.abstractmethod
    def shape(self) -> tuple[int, ...]:
        """The sizes n_1, ..., n_k of the marginals."""

    @abc.abstractmethod
    def at(self, tuples: Tuples) -> Float64[np.ndarray, "m"]:
        """The entries C_j at the given tuples."""

    @abc.abstractmethod
    def argmin(self, p: Potentials) -> Minimum:
        """A tuple of least reduced cost, or the best one found with a lower bound."""

    @abc.abstractmethod
    def bounds(self) -> tuple[float, float]:
        """An interval that contains every entry."""

    def price(self, p: Potentials) -> Pricing:
        """The minimiser, and other tuples of small reduced cost where they come with it."""
        found = self.argmin(p)
        return Pricing(np.array([found.at]), found.lower)

    def initial_potentials(self, marginals: Sequence[Float64[np.ndarray, "_"]]) -> tuple[Float64[np.ndarray, "_"], ...]:
        """Potentials to begin a search with: by default zero."""
        return tuple(np.zeros(n) for n in self.shape)

    def initial_tuples(self, marginals: Sequence[Float64[np.ndarray, "_"]]) -> Tuples:
        """Tuples that a good plan may have, to begin column generation with: by default none."""
        return np.empty((0, len(self.shape)), np.int64)


class SoftCost(Cost):
    """A cost whose sums of exponentials can be computed."""

    @abc.abstractmethod
    def log_marginal(self, log_weights: LogWeights, scale: Scalar, i: int) -> Float[Array, "_"]:
        """The logarithm of sum over tuples with j_i = v of exp(sum_l w_l[j_l] - scale C_j), for each v; traceable."""

    def soft_at(self, tuples: Tuples) -> Float64[np.ndarray, "m"]:
        """The entries of the cost that these sums use, which may be rounded."""
        return self.at(tuples)

    def soft_error(self) -> float:
        """How far the cost that these sums use may be from the true one, in any entry."""
        return 0.0


class TensorCost(SoftCost):
    """A cost tensor with all its entries.

    Attributes:
        tensor: C, one axis for each marginal.

    Raises:
        ValueError: if it has no axis, an axis without points, or an entry that is not finite.
    """

    tensor: Float64[np.ndarray, "..."]

    def __init__(self, tensor: Given) -> None:
        self.tensor = as_floats("TensorCost: tensor", tensor)
        if not self.tensor.ndim:
            raise ValueError("TensorCost: the tensor has no axis, expected one for each marginal")
        if not self.tensor.size:
            raise ValueError(f"TensorCost: the tensor has shape {self.tensor.shape}, expected points on each axis")
        expect_finite("TensorCost: tensor", self.tensor)

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes n_1, ..., n_k of the marginals."""
        return self.tensor.shape

    def at(self, tuples: Tuples) -> Float64[np.ndarray, "m"]:
        """The entries C_j at the given tuples."""
        return self.tensor[tuple(tuples.T)]

    def argmin(self, p: Potentials) -> Minimum:
        """The first tuple of least reduced cost, exactly."""
        reduced = self.tensor - outer_sum(p)
        best = np.unravel_index(np.argmin(reduced), self.shape)
        return exact_minimum(tuple(map(int, best)), float(reduced[best]))

    def price(self, p: Potentials) -> Pricing:
        """For each point of each marginal, a tuple of least reduced cost through it."""
        reduced = self.tensor - outer_sum(p)
        positions, found = np.arange(reduced.size).reshape(self.shape), []
        for i, n in enumerate(self.shape):
            best = np.moveaxis(reduced, i, 0).reshape(n, -1).argmin(axis=1)
            found.append(np.moveaxis(positions, i, 0).reshape(n, -1)[np.arange(n), best])
        tuples = np.stack(np.unravel_index(np.unique(np.concatenate(found)), self.shape), axis=1)
        return Pricing(tuples, float(reduced.min()))

    def bounds(self) -> tuple[float, float]:
        """The least and the largest entry."""
        return float(self.tensor.min()), float(self.tensor.max())

    def initial_potentials(self, marginals: Sequence[Float64[np.ndarray, "_"]]) -> tuple[Float64[np.ndarray, "_"], ...]:
        """Of a matrix, the least entry of each row, and of each column of what that leaves; else zero."""
        if self.tensor.ndim != 2:
            return super().initial_potentials(marginals)
        rows = self.tensor.min(axis=1)
        return rows, (self.tensor - rows[:, None]).min(axis=0)

    def initial_tuples(self, marginals: Sequence[Float64[np.ndarray, "_"]]) -> Tuples:
        """Of a matrix, the ten entries in each row and column that these potentials leave least; else none."""
        if self.tensor.ndim != 2:
            return super().initial_tuples(marginals)
        left = self.tensor - outer_sum(self.initial_potentials(marginals))
        count = [min(_NEAREST, n) for n in self.shape[::-1]]
        least = [np.argpartition(s, n - 1, axis=1)[:, :n] for s, n in zip((left, left.T), count, strict=True)]
        found = [np.stack([np.repeat(np.arange(len(near)), near.shape[1]), near.ravel()], axis=1) for near in least]
        return np.unique(np.concatenate([found[0], found[1][:, ::-1]]), axis=0)

    def log_marginal(self, log_weights: LogWeights, scale: Scalar, i: int) -> Float[Array, "_"]:
        """The logarithm of sum over tuples with j_i = v of exp(sum_l w_l[j_l] - scale C_j), for each v."""
        exponents = -scale * jnp.asarray(self.tensor)
        for axis, weights in enumerate(log_weights):
            exponents += jnp.expand_dims(weights, [a for a in range(self.tensor.ndim) if a != axis])
        return log_sum(exponents, axis=tuple(a for a in range(self.tensor.ndim) if a != i))


def log_sum(values: Float[Array, "..."], axis: int | tuple[int, ...]) -> Float[Array, "..."]:
    """The logarithm of a sum of exponentials.

    Args:
        values: the exponents.
        axis: over which to sum.

    Returns:
        The logarithms; -inf, with a gradient of zero, where every term is zero.
    """
    empty = jnp.all(values == -jnp.inf, axis=axis, keepdims=True)
    found = jax.nn.logsumexp(jnp.where(empty, 0.0, values), axis=axis)
    return jnp.where(jnp.squeeze(empty, axis), -jnp.inf, found)


def outer_sum(p: Potentials) -> Float64[np.ndarray, "..."]:
    """The tensor sum_i p_i[j_i].

    Args:
        p: potentials.

    Returns:
        All its entries, one axis for each marginal.
    """
    total = np.zeros(())
    for potential in p:
        total = total[..., None] + potential
    return total


def gathered(p: Potentials, tuples: Tuples) -> Float64[np.ndarray, "m"]:
    """sum_i p_i[j_i] at given tuples.

    Args:
        p: potentials.
        tuples: j, one a row.

    Returns:
        One number for each tuple.
    """
    return sum((potential[tuples[:, i]] for i, potential in enumerate(p)), np.zeros(len(tuples)))


def every_tuple(shape: tuple[int, ...]) -> Tuples:
    """All tuples of a tensor.

    Args:
        shape: n_1, ..., n_k.

    Returns:
        The n_1 ... n_k tuples, in lexicographic order.
    """
    return np.stack(np.unravel_index(np.arange(math.prod(shape)), shape), axis=1)


def dense(cost: Cost) -> TensorCost:
    """The cost with all its entries, for small instances.

    Args:
        cost: any cost.

    Returns:
        The same cost as a tensor.

    Raises:
        ValueError: if it has more than 2^22 entries, or is no cost.
    """
    expect_a("dense: cost", cost, Cost)
    if isinstance(cost, TensorCost):
        return cost
    expect_dense("dense", cost.shape)
    return TensorCost(cost.at(every_tuple(cost.shape)).reshape(cost.shape))


def written_size(size: int) -> str:
    """About how many: `3.3e+06`, or `2^1200` where that is shorter."""
    return f"{size:.3g}" if size < 10**30 else f"2^{size.bit_length() - 1}"


def expect_dense(where: str, shape: tuple[int, ...]) -> None:
    """Refuses a tensor of more than `MAX_DENSE` entries, and names what fits."""
    size = math.prod(shape)
    if size > MAX_DENSE:
        raise ValueError(
            f"{where}: a tensor of shape {shape} has {written_size(size)} entries, more than {MAX_DENSE}; "
            f"ColumnGeneration needs one row for each of the {sum(shape)} points instead"
        )


def exact_minimum(index: tuple[int, ...], value: float) -> Minimum:
    """A minimum that is known exactly."""
    return Minimum(index, value, value)


def expect_finite(name: str, array: Float[np.ndarray, "..."]) -> None:
    """Refuses infinite entries and NaN, and says where the first one is."""
    if not np.isfinite(array).all():
        where = tuple(map(int, np.argwhere(~np.isfinite(array))[0]))
        raise ValueError(f"{name}{list(where)} is {array[where]}, expected finite entries")


def expect_soft(where: str, cost: Cost) -> SoftCost:
    """The cost, if it has soft sums; the message names solvers that do without."""
    expect_a(f"{where}: cost", cost, Cost)
    if not isinstance(cost, SoftCost):
        raise ValueError(
            f"{where}: a {type(cost).__name__} has no soft sums (they can be hard where minima are easy); "
            "use ColumnGeneration, or `dense` on a small instance"
        )
    return cost


def expect_sizes(cost: Cost, p: Sequence[LogWeight]) -> None:
    """Refuses what are not arrays of the sizes of a cost, one for each marginal."""
    expect_arrays("potentials", p)
    for i, potential in enumerate(p):
        if not isinstance(potential, np.ndarray | Array):
            raise ValueError(f"potentials[{i}]: expected an array, got {written(potential)}")
    got = tuple(potential.size for potential in p)
    if got != cost.shape or any(potential.ndim != 1 for potential in p):
        sizes = got if all(potential.ndim == 1 for potential in p) else tuple(potential.shape for potential in p)
        raise ValueError(f"potentials of sizes {sizes} do not match a cost of shape {cost.shape}")
