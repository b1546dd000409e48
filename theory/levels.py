"""Level weights W_k = sum_{|S| = k} f^(S)^2 in exact rationals, and the lower bounds that they give in any dimension.

All bounds here are for the group of signed permutations of the coordinates (`theory.symmetry` says what alignment is):
permutations without sign flips mix the characters, and level weights do not decide theirs. Numbers may be integers,
fractions or floats, each taken as the rational that it is: C(d, k) exceeds every float from d about 1000 on.
"""

import math
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from fractions import Fraction
from typing import SupportsFloat, TypeAlias

import numpy as np
from jaxtyping import Array, Float, Float64

Number: TypeAlias = Fraction | SupportsFloat
Weights: TypeAlias = Sequence[Number] | Float[np.ndarray, "levels"] | Float[Array, "levels"]


def level_alignment(weights: Weights, d: int) -> Fraction:
    """C(f, signed permutations) = max_k W_k / C(d, k).

    Args:
        weights: W_0, ..., W_d, such as `theory.boolean.level_weights` or the functions below give them.
        d: the dimension.

    Returns:
        The alignment, exact.

    Raises:
        ValueError: if there are not d + 1 weights, or one is negative or not finite.

    Source: arXiv 2208.03113, definition of group alignment; closed form derived, checked by brute force.
    """
    return max(weight / math.comb(d, k) if weight else Fraction(0) for k, weight in enumerate(_checked(weights, d)))


def sparse_alignment(terms: Mapping[Collection[int], Number], d: int, known: Collection[int] = ()) -> Fraction:
    """C(f, signed permutations that leave known coordinates in place), from the nonzero Fourier coefficients.

    It is max over sets A of known coordinates and m of W_{A,m} / C(d - |known|, m), with W_{A,m} the sum of
    f^(A u B)^2 over sets B of m other coordinates.

    Args:
        terms: S -> f^(S), each S a collection of distinct coordinates.
        d: the dimension.
        known: distinct coordinates in 0..d-1, that permutations do not move (sign flips do).

    Returns:
        The alignment, exact; 0 without terms.

    Raises:
        ValueError: if a coordinate is not in 0..d-1 or occurs twice, or a coefficient is not finite.

    Source: as `level_alignment`.
    """
    inside = _coordinate_set(known, d)
    coefficients: dict[frozenset[int], Fraction] = defaultdict(Fraction)
    for term, coefficient in terms.items():
        coefficients[_coordinate_set(term, d)] += _exact(coefficient)
    weights: dict[tuple[frozenset[int], int], Fraction] = defaultdict(Fraction)
    for term, coefficient in coefficients.items():
        weights[term & inside, len(term - inside)] += coefficient**2
    ratios = (weight / math.comb(d - len(inside), m) for (_, m), weight in weights.items())
    return max(ratios, default=Fraction(0))


def linear_method_bound(weights: Weights, d: int, features: int) -> Fraction:
    """The least mean squared error of the best N-dimensional space of features, on average over the orbit of f.

    It is |f|^2 less the N largest eigenvalues of E_g[(f o g)(f o g)^T]: W_k / C(d, k), C(d, k) times for each k. Every
    kernel or linear method with N features, or with N samples, has at least this error on some signed permutation of f.

    Args:
        weights: W_0, ..., W_d.
        d: the dimension.
        features: N, at least 0.

    Returns:
        The bound, exact; attained by the span of the leading characters.

    Raises:
        ValueError: as `level_alignment`, or if N is negative.

    Source: derived; arXiv 2202.08658 has a bound of this kind (from memory, unverified).
    """
    if features < 0:
        raise ValueError(f"linear_method_bound: features is {features}, expected at least 0")
    exact = _checked(weights, d)
    left, error = features, sum(exact, Fraction(0))
    spectrum = [(weight / math.comb(d, k), math.comb(d, k)) for k, weight in enumerate(exact) if weight]
    for eigenvalue, multiplicity in sorted(spectrum, reverse=True):
        error -= eigenvalue * min(left, multiplicity)
        left -= min(left, multiplicity)
    return error


def monomial_level_weights(d: int, degree: int) -> list[Fraction]:
    """Level weights of one character chi_S with |S| = degree; degree d is the full parity.

    Args:
        d: the dimension.
        degree: 0 <= degree <= d.

    Returns:
        W_0, ..., W_d.

    Raises:
        ValueError: if the degree is not in 0..d.
    """
    if not 0 <= degree <= d:
        raise ValueError(f"monomial_level_weights: degree is {degree}, expected 0 <= degree <= {d}")
    return [Fraction(k == degree) for k in range(d + 1)]


def staircase_level_weights(d: int, depth: int) -> list[Fraction]:
    """Level weights of the staircase x_1 + x_1 x_2 + ... + x_1 ... x_depth.

    Args:
        d: the dimension.
        depth: 0 <= depth <= d.

    Returns:
        W_0, ..., W_d: 1 on levels 1 to depth.

    Raises:
        ValueError: if the depth is not in 0..d.

    Source: the staircase S_k of arXiv 2108.10573.
    """
    if not 0 <= depth <= d:
        raise ValueError(f"staircase_level_weights: depth is {depth}, expected 0 <= depth <= {d}")
    return [Fraction(1 <= k <= depth) for k in range(d + 1)]


def majority_level_weights(d: int) -> list[Fraction]:
    """Level weights of the majority sign(x_1 + ... + x_d) for odd d.

    With m = (d - 1) / 2, f^(S)^2 = (C(m, (k-1)/2) C(2m, m) / (C(2m, k-1) 2^(2m)))^2 at odd k = |S|, and 0 at even k.

    Args:
        d: the dimension, odd. Ties make even d another function: see `symmetric_level_weights`.

    Returns:
        W_0, ..., W_d.

    Raises:
        ValueError: if d is not odd and positive.

    Source: standard.
    """
    if d < 1 or d % 2 == 0:
        raise ValueError(f"majority_level_weights: d is {d}, expected an odd number: even d has ties")
    m = (d - 1) // 2
    central = Fraction(math.comb(2 * m, m), 4**m)
    squares = [(central * math.comb(m, k // 2) / math.comb(2 * m, k - 1)) ** 2 for k in range(1, d + 1, 2)]
    weights = [Fraction(0)] * (d + 1)
    weights[1::2] = [math.comb(d, k) * square for k, square in zip(range(1, d + 1, 2), squares, strict=True)]
    return weights


def symmetric_level_weights(values: Weights) -> list[Fraction]:
    """Level weights of a function of the number of coordinates that are -1: of the sum, its sign, the sum mod m.

    f^(S) for |S| = k is 2^-d sum_j values[j] K_j(k), with the Krawtchouk polynomials K_j(k), the coefficients of z^j
    in (1 - z)^k (1 + z)^(d-k).

    Args:
        values: the value where j coordinates are -1 (the sum is then d - 2j), for j = 0, ..., d.

    Returns:
        W_0, ..., W_d.

    Raises:
        ValueError: if there are no values or one is not finite.

    Source: standard.
    """
    exact = [_exact(value) for value in values]
    d = len(exact) - 1
    if d < 0:
        raise ValueError("symmetric_level_weights: expected d + 1 values, got none")
    # integers over one denominator: rationals would be reduced in each of d^2 products
    denominator = math.lcm(*(value.denominator for value in exact))
    scaled = [int(value * denominator) for value in exact]
    weights, row = [], [math.comb(d, j) for j in range(d + 1)]
    for k in range(d + 1):
        coefficient = Fraction(sum(map(int.__mul__, scaled, row)), denominator * 2**d)
        weights.append(math.comb(d, k) * coefficient**2)
        row = _next_krawtchouk(row)
    return weights


def krawtchouk_functions(d: int) -> Float64[np.ndarray, "levels values"]:
    """The matrix Q with W_k = (Q values)_k^2, for functions of the number of coordinates that are -1.

    Its rows are orthonormal under the law of that number, so that a float64 product is accurate in any dimension.

    Args:
        d: the dimension, at least 0.

    Returns:
        Q[k, j] = sqrt(C(d, k)) K_j(k) / 2^d, with K as in `symmetric_level_weights`, shape (d + 1, d + 1).

    Source: standard.
    """
    rows, row, points = [], [math.comb(d, j) for j in range(d + 1)], 4**d
    for k in range(d + 1):
        count = math.comb(d, k)
        # a ratio of integers is rounded once, however large they are
        rows.append([math.copysign(math.sqrt(count * value**2 / points), value) for value in row])
        row = _next_krawtchouk(row)
    return np.array(rows)


def _next_krawtchouk(row: list[int]) -> list[int]:
    """The coefficients of p(z) (1 - z) / (1 + z), for p(z) with a factor 1 + z."""
    quotient, product = 0, []
    for coefficient in row:
        product.append(coefficient - 2 * quotient)
        quotient = coefficient - quotient
    return product


def _checked(weights: Weights, d: int) -> list[Fraction]:
    exact = [_exact(weight) for weight in weights]
    if len(exact) != d + 1:
        raise ValueError(f"{len(exact)} level weights do not match d = {d}: expected W_0, ..., W_{d}")
    for k, weight in enumerate(exact):
        if weight < 0:
            raise ValueError(f"the weight of level {k} is {float(weight)}: a sum of squares is not negative")
    return exact


def _exact(number: Number) -> Fraction:
    if isinstance(number, (int, Fraction)):
        return Fraction(number)
    if not math.isfinite(value := float(number)):
        raise ValueError(f"expected finite numbers, got {value}")
    return Fraction(value)


def _coordinate_set(coordinates: Collection[int], d: int) -> frozenset[int]:
    found = frozenset(coordinates)
    if len(found) < len(coordinates) or not all(0 <= i < d for i in found):
        raise ValueError(f"{sorted(coordinates)} are not distinct coordinates in 0..{d - 1}")
    return found
