"""Group alignment on the cube: how much of a target one function can know when a symmetry hides it.

C(f, G) = sup over |h| = 1 of E_g <f o g, h>^2, the top eigenvalue of E_g[(f o g)(f o g)^T]. An algorithm that treats f
and f o g alike, as training a fully connected network does for signed permutations of the inputs, makes no progress
while C is negligible. Large C promises nothing. The mean of f counts (level 0): take it out where it should not.

`theory.levels` has the same for any dimension, from level weights or sparse coefficients; `theory.sphere` for O(d).
"""

import itertools
import math
from collections.abc import Collection, Iterator
from fractions import Fraction
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Float, Int

from theory.arrays import AnyArray, Scalar, library_of

Group: TypeAlias = Literal["sign flips", "permutations", "signed permutations"]
"""Of the coordinates: x_i -> +-x_i, their reorderings, or both."""

_MAX_DENSE = 20
_MAX_PERMUTED = 16
_MAX_ROWS = 1024
_MAX_ORBIT = 2**22


def alignment(coefficients: Float[AnyArray, "points"], group: Group, known: Collection[int] = ()) -> Scalar:
    """C(f, G) of a function on the cube, from all its Fourier coefficients.

    Sign flips: max_S f^(S)^2. Signed permutations: max over sets A of known coordinates and m of W_{A,m} / C(n, m),
    with W_{A,m} the sum of f^(A u B)^2 over sets B of m other coordinates, of which there are n. Permutations alone
    mix characters: see `_permutation_alignment`.

    Args:
        coefficients: f^(S) at index S (see `theory.boolean`), shape (2^d,); NumPy (then taken as float64) or JAX, whose
            permutations alone need float64: components are differences.
        group: the group; its permutations leave the known coordinates in place, its sign flips act on all.
        known: distinct coordinates in 0..d-1.

    Returns:
        The alignment, at most E f^2: a number, or a JAX scalar.

    Raises:
        ValueError: if the length is not a power of two, d is above 20 (16 for permutations alone, where
            2^|known| (n + 1) may not exceed 1024), or `known` is not a set of coordinates.

    Source: arXiv 2208.03113, definition of group alignment; closed forms derived, checked against `gram_alignment`.
    """
    d = _dimension(coefficients.size, _MAX_PERMUTED if group == "permutations" else _MAX_DENSE)
    fixed = _coordinates(known, d)
    if group == "sign flips":
        return library_of(coefficients).max(library_of(coefficients).square(coefficients.astype(float)))
    table = _split(coefficients.astype(float), fixed)
    return _permutation_alignment(table) if group == "permutations" else _signed_alignment(table)


def orbit(
    values: Float[np.ndarray, "points"], group: Group, known: Collection[int] = ()
) -> Float[np.ndarray, "elements points"]:
    """The functions f o g for every g of a group, for small dimensions.

    Args:
        values: f at the points of the cube, in the order of `theory.boolean.cube`, shape (2^d,).
        group: as for `alignment`.
        known: as for `alignment`.

    Returns:
        The values of each f o g, in the same order of points.

    Raises:
        ValueError: if the length is not a power of two, the orbit has more than 2^22 values (d = 6 for signed
            permutations), or `known` is not a set of coordinates.
    """
    d = _dimension(values.size, _MAX_DENSE)
    free = [i for i in range(d) if i not in _coordinates(known, d)]
    flips = 1 if group == "permutations" else 2**d
    orders = 1 if group == "sign flips" else math.factorial(len(free))
    if flips * orders * values.size > _MAX_ORBIT:
        raise ValueError(f"orbit: {flips * orders} functions on 2^{d} points are too many; sample the group instead")
    moves = [np.arange(values.size)] if group == "sign flips" else list(_reordered_points(d, free))
    return np.stack([values[points ^ flip] for points in moves for flip in range(flips)])


def gram_alignment(functions: Float[np.ndarray, "elements points"]) -> float:
    """C(f, G) from the functions f o g themselves: the top eigenvalue of the average of (f o g)(f o g)^T.

    Args:
        functions: the values of each f o g at equally likely points, shape (elements, points): a whole `orbit`, or a
            sample of one (N sampled functions give no less than E f^2 / N).

    Returns:
        The alignment, on functions with the norm of L2.

    Source: arXiv 2208.03113, definition of group alignment.
    """
    tall = functions.shape[0] > functions.shape[1]
    gram = functions.T @ functions if tall else functions @ functions.T
    return float(np.linalg.eigvalsh(gram)[-1]) / functions.size


def csq_bound(alignment: Fraction | float | int, success: Fraction | float | int = Fraction(1, 2)) -> Fraction:
    """The least q / tau^2 for q correlational queries of tolerance tau to notice which f o g is the target.

    A query h with |h| = 1 has a correlation above tau with f o g for a part of at most C / tau^2 of the group
    (Chebyshev). Until one has, every answer may be 0: the queries, and the outcome, do not depend on g.

    Args:
        alignment: C(f, G), positive, of the part of the target that is asked for.
        success: the least probability over g that some query has such a correlation, in (0, 1].

    Returns:
        success / C, as an exact rational; 1 / C is Theta(d^leap) for the residual of a target whose earlier
        coordinates are known.

    Raises:
        ValueError: if the alignment is not positive or success is not in (0, 1].

    Source: derived; for the target with a leap it is the bound of arXiv 2302.11055 (from memory, unverified).
    """
    if not alignment > 0:
        raise ValueError(f"csq_bound: the alignment is {alignment}, expected a positive number: f must not be 0")
    if not 0 < success <= 1:
        raise ValueError(f"csq_bound: success is {success}, expected a probability in (0, 1]")
    return Fraction(success) / Fraction(alignment)


def noisy_descent_bound(
    alignment: float, epsilon: float, *, steps: int, lr: float, radius: float, noise: float
) -> float:
    """A bound on P(E (f - y)^2 <= |f|^2 - epsilon) after steps of noisy gradient descent that treats f and f o g alike.

    lr radius sqrt(steps) / (2 noise) sqrt(C) + C / epsilon. The first term is the total variation between training on f
    and on 0, by Pinsker's inequality; the second is the chance that what was trained on 0 knows f.

    Args:
        alignment: C(f, G), for a group under which start and noise have one law.
        epsilon: how much must have been learned, positive.
        steps: the number of steps.
        lr: the factor on the gradient of E (f - y)^2 / 2.
        radius: a bound on the root mean square, over x, of the Euclidean norm of the network's gradient in its weights.
        noise: the standard deviation of what is added to each weight in a step, positive.

    Returns:
        The bound, which says something where it is below 1.

    Source: arXiv 2208.03113, with a noise of variance lr^2 tau^2 (from memory, unverified); derived here for `noise`.
    """
    return lr * radius * math.sqrt(steps * alignment) / (2 * noise) + alignment / epsilon


def _signed_alignment(table: Float[AnyArray, "subsets points"]) -> Scalar:
    """Max over rows A and levels m of the weight there, divided by the number of characters at level m."""
    n = table.shape[1].bit_length() - 1
    weights = _row_levels(table) / np.array([math.comb(n, m) for m in range(n + 1)], table.dtype)
    return library_of(table).max(weights)


def _row_levels(table: Float[AnyArray, "subsets points"]) -> Float[AnyArray, "subsets levels"]:
    """The weight of each level in each row, by the folding of `theory.boolean.level_weights`."""
    xp = library_of(table)
    weights = xp.square(table)[:, :, None]
    while weights.shape[1] > 1:
        low, high = xp.split(weights, 2, axis=1)
        weights = xp.pad(low, ((0, 0), (0, 0), (0, 1))) + xp.pad(high, ((0, 0), (0, 0), (1, 0)))
    return weights[:, 0]


def _permutation_alignment(table: Float[AnyArray, "subsets points"]) -> Scalar:
    """C(f, S_n): the top eigenvalue of a small Gram matrix for each shape (n - j, j).

    The functions on level k are the sum of one irreducible space for each j <= min(k, n - k), of dimension
    C(n, j) - C(n, j - 1), and those of one j on different levels are copies: U^(k-j) h, with U f(S) the sum of f over
    S without one element, and h on level j with D h = 0 for the adjoint D of U. By Schur's lemma the average over S_n
    is, on the copies of one j, the Gram matrix of the components of f over that dimension.

    D^(k-j) brings level k to level j. There the copies of i <= j are still mixed; their share is known from the Gram
    matrices of smaller i, since |U^(k-i) h|^2 = (k-i)! (n-2i)! / (n-k-i)! |h|^2.

    Source: standard (the decomposition of the cube under S_n); derived.
    """
    n = table.shape[1].bit_length() - 1
    if len(table) * (n + 1) > _MAX_ROWS:
        raise ValueError(f"alignment: {len(table)} subsets of known coordinates are too many for permutations alone")
    xp = library_of(table)
    dimensions = np.diff([0, *(math.comb(n, j) for j in range(n // 2 + 1))])
    tops = [xp.linalg.eigvalsh(gram)[-1] for gram in _component_grams(table)]
    return xp.max(xp.stack(tops) / dimensions)


def _component_grams(table: Float[AnyArray, "subsets points"]) -> list[Float[AnyArray, "rows rows"]]:
    """For each shape (n - j, j), the Gram matrix of the components of f on the rows (A, k)."""
    n = table.shape[1].bit_length() - 1
    lowered = _lowered_grams(table)
    norms = [_raised_norms(n, j) for j in range(n // 2 + 1)]
    grams: list[AnyArray] = []
    for j, norm in enumerate(norms):
        others = (_scaled(gram, norms[i] / norms[i][j]) for i, gram in enumerate(grams))
        inverse = np.divide(1, norm, where=norm > 0, out=np.zeros_like(norm))
        grams.append(_scaled(lowered[j] - sum(others), inverse))
    return grams


def _lowered_grams(table: Float[AnyArray, "subsets points"]) -> list[Float[AnyArray, "rows rows"]]:
    """For each level j, the Gram matrix of D^(k-j) f on the rows (A, k); rows with k < j are 0."""
    xp, n = library_of(table), table.shape[1].bit_length() - 1
    lowered = xp.zeros((len(table), n + 1, table.shape[1]), table.dtype)
    grams = []
    for j in range(n, -1, -1):
        entering = (np.arange(n + 1) == j)[:, None] & (_levels(n) == j)
        lowered = xp.where(entering, table[:, None, :], _lower(lowered, n))
        rows = lowered.reshape(-1, table.shape[1])
        grams.append(rows @ rows.T)
    return grams[::-1]


def _lower(functions: Float[AnyArray, "*rows points"], n: int) -> Float[AnyArray, "*rows points"]:
    """D f(S) = sum of f(S u {i}) over i outside S."""
    xp = library_of(functions)
    lowered = xp.zeros_like(functions)
    for i in range(n):
        high = functions.reshape(*functions.shape[:-1], 2 ** (n - 1 - i), 2, 2**i)[..., 1, :]
        lowered = lowered + xp.stack((high, xp.zeros_like(high)), axis=-2).reshape(functions.shape)
    return lowered


def _raised_norms(n: int, i: int) -> Float[np.ndarray, "levels"]:
    """|U^(k-i) h| / |h| for k = 0, ..., n; 0 where level k has no copy of the space of i."""
    squares = [math.factorial(k - i) * math.perm(n - 2 * i, k - i) if i <= k <= n - i else 0 for k in range(n + 1)]
    # perm(a, b) = a! / (a-b)!, and (n-2i)! / (n-k-i)! is that for b = k - i: the factor (k-i)! stands beside it
    return np.sqrt(np.array(squares, dtype=np.float64))


def _scaled(gram: Float[AnyArray, "rows rows"], by: Float[np.ndarray, "levels"]) -> Float[AnyArray, "_ _"]:
    """A Gram matrix on rows (A, k) with row k scaled by by[k]."""
    scale = np.tile(by, len(gram) // len(by))
    return gram * (scale[:, None] * scale)


def _split(coefficients: Float[AnyArray, "points"], known: list[int]) -> Float[AnyArray, "subsets others"]:
    """The table with a row for each set of known coordinates and a column for each set of others."""
    d = coefficients.size.bit_length() - 1
    cube = coefficients.reshape((2,) * d)
    # bit i of the index is axis d - 1 - i
    xp = library_of(coefficients)
    return xp.moveaxis(cube, [d - 1 - i for i in known], range(len(known))).reshape(2 ** len(known), -1)


def _levels(n: int) -> Int[np.ndarray, "points"]:
    return np.bitwise_count(np.arange(2**n)).astype(np.int64)


def _reordered_points(d: int, free: list[int]) -> Iterator[Int[np.ndarray, "points"]]:
    """For each permutation of the free coordinates, where it sends each point."""
    points = np.arange(2**d)
    for order in itertools.permutations(free):
        source = np.arange(d)
        source[free] = order
        yield (points[:, None] >> source & 1) @ (1 << np.arange(d))


def _dimension(size: int, most: int) -> int:
    d = size.bit_length() - 1
    if size < 1 or size != 2**d:
        raise ValueError(f"a function on the cube has 2^d values, got {size}: not a power of two")
    if d > most:
        raise ValueError(
            f"d is {d}, expected d <= {most} for a table of 2^d. In many coordinates use theory.levels: "
            "level_alignment, from level weights, or sparse_alignment, from the nonzero coefficients."
        )
    return d


def _coordinates(known: Collection[int], d: int) -> list[int]:
    if len(set(known)) < len(known) or not set(known) <= set(range(d)):
        raise ValueError(f"known: {sorted(known)} are not distinct coordinates in 0..{d - 1}")
    return sorted(known)
