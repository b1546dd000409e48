"""The leap of a target on Gaussian inputs in its worst coordinates: the isoleap.

On Gaussian inputs a rotation changes neither the law nor the difficulty, but it changes the leap, which is read off in
coordinates. The isoleap is the largest leap over all rotations. It cannot be found by sampling them: z1 + z2 + z1 z2
has leap 2 in coordinates turned by 45 degrees and leap 1 in almost all others, since a generic rotation spreads every
term over every coordinate and gives the smallest leap. It is found without rotations, from Hermite tensors.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Float, Float64

Tensors: TypeAlias = Mapping[int, Float[np.ndarray, "..."]]
"""Degree k -> the symmetric tensor C_k = E[grad^k h] / k!, shape (P,) * k."""

HermiteTerms: TypeAlias = Mapping[tuple[tuple[int, int], ...], float]
"""((coordinate, degree), ...) -> the coefficient of that product of orthonormal he_degree; the constant under ()."""

_MAX_ENTRIES = 2**24
_SYMMETRY = 1e-9


@dataclass(frozen=True, eq=False)
class Stage:
    """One stage of `subspace_flow`: the step to a larger span, and the span.

    Attributes:
        leap: how many legs outside the previous span it takes to leave it.
        basis: orthonormal columns, shape (P, r), of the span after the stage; those of earlier stages come first.
    """

    leap: int
    basis: Float64[np.ndarray, "P r"]


def iso_leap(tensors: Tensors, tolerance: float = 1e-8) -> int:
    """The isoleap of a target, max over rotations U of Leap(h o U): the largest step of `subspace_flow`.

    Args:
        tensors: degree k -> C_k, a symmetric array of shape (P,) * k; see `hermite_tensors`.
        tolerance: as for `subspace_flow`.

    Returns:
        The isoleap; 0 for a target without a nonconstant term.

    Raises:
        ValueError: as `subspace_flow`.

    Source: arXiv 2302.11055, definition of isoLeap (from memory, unverified). That the flow attains it is derived: in
    a basis adapted to the span where the flow with steps below the isoleap is stuck, every term that leaves the span
    has that many legs outside; and in any coordinates the flow stays within what the greedy order reaches.
    """
    return max((stage.leap for stage in subspace_flow(tensors, tolerance)), default=0)


def subspace_flow(tensors: Tensors, tolerance: float = 1e-8) -> list[Stage]:
    """The spans V_1 < V_2 < ... in which the directions of a target can be found, in any coordinates.

    From the span V, a step of size s adds N_s, spanned by all C_k with s legs projected on the complement of V and
    k - s legs on V, along a leg of the complement. The least s with N_s nonzero is taken, until no direction is left.

    Args:
        tensors: degree k -> C_k, a symmetric array of shape (P,) * k; degree 0 is ignored.
        tolerance: a direction counts where it carries more than this part of the norm of h, constant excluded.

    Returns:
        The stages in order; none for a target without a nonconstant term.

    Raises:
        ValueError: if a tensor has the wrong shape for its degree, is not symmetric or not finite, or if the tensors
            differ in dimension.

    Source: derived (see `iso_leap`); it equals the largest leap over all angles on two-dimensional targets.
    """
    adapted = _checked(tensors)
    threshold = tolerance * math.sqrt(sum(np.sum(tensor**2) for tensor in adapted.values()))
    basis, found = np.eye(_dimension(adapted)), 0
    stages: list[Stage] = []
    while threshold > 0 and (step := _next_step(adapted, found, threshold)):
        leap, outside, rank = step
        # The tensors are kept in a basis adapted to V: its first directions span V, the others the complement.
        turn = np.eye(len(basis))
        turn[found:, found:] = outside
        adapted = {k: _turned(tensor, turn) for k, tensor in adapted.items()}
        basis, found = basis @ turn, found + rank
        stages.append(Stage(leap, basis[:, :found]))
    return stages


def hermite_tensors(terms: HermiteTerms, dimension: int) -> dict[int, Float64[np.ndarray, "..."]]:
    """The Hermite tensors of a polynomial given by its coefficients in orthonormal products of Hermite polynomials.

    The entry at (i_1, ..., i_k) is c_a sqrt(prod_i a_i!) / k!, with a_i the number of times that i occurs, so that
    h(x) = sum_k <C_k, He_k(x)>.

    Args:
        terms: ((coordinate, degree), ...) -> coefficient, degrees >= 1, the constant under ().
        dimension: P, the number of coordinates. The isoleap needs only the coordinates that occur.

    Returns:
        Degree k -> C_k, float64, shape (P,) * k, for the degrees of the terms.

    Raises:
        ValueError: if a coordinate is not in 0..P-1 or occurs twice in a term, a degree is not positive, or a tensor
            would have more than 2^24 entries.

    Source: standard; conventions of arXiv 2302.11055 (the targets; from memory, unverified).
    """
    tensors: dict[int, np.ndarray] = {}
    for term, coefficient in terms.items():
        degrees = _checked_term(term, dimension)
        order = sum(degrees.values())
        tensor = tensors.setdefault(order, np.zeros((dimension,) * order))
        root = math.sqrt(math.prod(map(math.factorial, degrees.values())))
        index = tuple(np.array(list(_orderings(degrees)), dtype=np.intp).T)
        tensor[index] += coefficient * root / math.factorial(order)
    return tensors


def rotated(tensors: Tensors, orthogonal: Float[np.ndarray, "P P"]) -> dict[int, Float64[np.ndarray, "..."]]:
    """The Hermite tensors of x -> h(U x): each leg is multiplied by U transposed.

    Args:
        tensors: degree k -> C_k, shape (P,) * k.
        orthogonal: U, shape (P, P).

    Returns:
        Degree k -> the tensor of h o U, float64, of the same shape.

    Raises:
        ValueError: if U is not orthogonal (to 1e-9), or as `subspace_flow` for the tensors.

    Source: standard.
    """
    _checked(tensors)
    if not np.allclose(orthogonal.T @ orthogonal, np.eye(len(orthogonal)), rtol=0, atol=_SYMMETRY):
        raise ValueError("rotated: the columns of the matrix are not orthonormal")
    for degree, tensor in tensors.items():
        if degree and len(tensor) != len(orthogonal):
            sides = f"{len(tensor)} and the matrix {len(orthogonal)}"
            raise ValueError(f"rotated: the tensor of degree {degree} has dimension {sides}")
    return {degree: _turned(np.asarray(tensor, np.float64), orthogonal) for degree, tensor in tensors.items()}


def _next_step(
    adapted: Mapping[int, Float64[np.ndarray, "..."]], found: int, threshold: float
) -> tuple[int, Float64[np.ndarray, "n n"], int] | None:
    """The least step s, a basis of the complement that begins with N_s, and the rank of N_s; None if all is found."""
    for s in range(1, max(adapted, default=0) + 1):
        unfolded = [_unfolded(tensor, s, found) for degree, tensor in adapted.items() if degree >= s]
        # Only the column span is asked for: the triangular factor of each wide matrix has it, and is small.
        factors = [np.linalg.qr(matrix.T).R.T for matrix in unfolded]
        outside, sizes, _ = np.linalg.svd(np.concatenate(factors, axis=1))
        if rank := int(np.sum(sizes > threshold)):
            return s, outside, rank
    return None


def _unfolded(tensor: Float64[np.ndarray, "..."], s: int, found: int) -> Float64[np.ndarray, "n m"]:
    """The block with s legs outside the first `found` directions and the others inside, as a matrix along one leg."""
    block = tensor[(slice(found, None),) * s + (slice(found),) * (tensor.ndim - s)]
    return block.reshape(len(block), math.prod(block.shape[1:]))


def _turned(tensor: Float64[np.ndarray, "..."], orthogonal: Float[np.ndarray, "P P"]) -> Float64[np.ndarray, "..."]:
    """The tensor with the transposed matrix on each leg."""
    for _ in range(tensor.ndim):
        # The first leg is contracted and the new one put last: after as many rounds the order is restored.
        tensor = np.tensordot(tensor, orthogonal, axes=(0, 0))
    return tensor


def _checked(tensors: Tensors) -> dict[int, Float64[np.ndarray, "..."]]:
    """The nonconstant parts, each scaled by sqrt(k!): its norm is then that of <C_k, He_k> in L2."""
    checked = {}
    for degree, tensor in tensors.items():
        if tensor.shape != tensor.shape[:1] * degree:
            raise ValueError(f"the tensor of degree {degree} has shape {tensor.shape}, expected {degree} equal sides")
        _check_symmetric(degree, tensor)
        if degree:
            checked[degree] = math.sqrt(math.factorial(degree)) * np.asarray(tensor, np.float64)
    dimensions = {degree: len(tensor) for degree, tensor in checked.items()}
    if len(set(dimensions.values())) > 1:
        raise ValueError(f"the tensors differ in dimension (degree: dimension): {dimensions}")
    return checked


def _check_symmetric(degree: int, tensor: Float[np.ndarray, "..."]) -> None:
    if not np.isfinite(tensor).all():
        raise ValueError(f"the tensor of degree {degree} has entries that are not finite")
    size = np.max(np.abs(tensor), initial=0)
    # Transpositions of neighbours generate all permutations of the legs.
    for leg in range(degree - 1):
        if np.max(np.abs(tensor - np.swapaxes(tensor, leg, leg + 1)), initial=0) > _SYMMETRY * size:
            raise ValueError(f"the tensor of degree {degree} is not symmetric in legs {leg} and {leg + 1}")


def _dimension(tensors: Mapping[int, Float64[np.ndarray, "..."]]) -> int:
    return max((len(tensor) for tensor in tensors.values()), default=0)


def _checked_term(term: tuple[tuple[int, int], ...], dimension: int) -> dict[int, int]:
    """Coordinate -> degree."""
    degrees = dict(term)
    if len(degrees) < len(term):
        raise ValueError(f"term {term}: a coordinate occurs twice")
    for coordinate, degree in term:
        if not 0 <= coordinate < dimension:
            raise ValueError(f"term {term}: {coordinate} is not a coordinate of dimension {dimension}")
        if degree < 1:
            raise ValueError(f"term {term}: degree {degree} is not positive")
    if dimension ** sum(degrees.values()) > _MAX_ENTRIES:
        raise ValueError(
            f"term {term}: a tensor of {sum(degrees.values())} legs in dimension {dimension} has more than "
            f"{_MAX_ENTRIES} entries. The isoleap needs only the coordinates that occur: number those from 0."
        )
    return degrees


def _orderings(degrees: Mapping[int, int]) -> Iterator[tuple[int, ...]]:
    """The distinct orders of a multiset, given by its multiplicities."""
    if not any(degrees.values()):
        yield ()
    for coordinate, degree in degrees.items():
        if degree:
            for rest in _orderings({**degrees, coordinate: degree - 1}):
                yield (coordinate, *rest)
