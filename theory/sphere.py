"""Zonal functions f(x) = g(x_1) on the sphere |x| = 1 in d dimensions: spherical harmonics by level, and alignment.

x_1 has the density (1 - t^2)^((d-3)/2) up to a constant. The part of f of level l is its projection on one function
of x_1, the orthonormal Gegenbauer polynomial p_l of index (d - 2) / 2.
"""

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from jaxtyping import Float64

Points = Float64[np.ndarray, "n"]
Profile = Callable[[Points], Points]
# x_1 is of order 1 / sqrt(d): beyond this many of it, there is no mass to integrate in float64
_WIDTH = 16.0


def harmonic_dimension(level: int, d: int) -> int:
    """The dimension of H_l, the spherical harmonics of level l: C(l+d-1, l) - C(l+d-3, l-2).

    Args:
        level: l, at least 0.
        d: the dimension of the space around the sphere, at least 2.

    Returns:
        1, d, (d - 1)(d + 2) / 2, ...

    Raises:
        ValueError: if l is negative or d is below 2.

    Source: standard.
    """
    _check_sphere(level, d)
    return math.comb(level + d - 1, level) - (math.comb(level + d - 3, level - 2) if level >= 2 else 0)


def gegenbauer(degree: int, d: int, t: Points) -> Float64[np.ndarray, "degrees n"]:
    """The polynomials p_0, ..., p_degree, orthonormal under the law of x_1 for x uniform on the sphere.

    t p_l = b_{l+1} p_{l+1} + b_l p_{l-1} with b_l^2 = l (l+d-3) / ((2l+d-2)(2l+d-4)).

    Args:
        degree: at least 0.
        d: the dimension of the space around the sphere, at least 2.
        t: points in [-1, 1], shape (n,).

    Returns:
        Shape (degree + 1, n).

    Raises:
        ValueError: if the degree is negative or d is below 2.

    Source: standard.
    """
    _check_sphere(degree, d)
    return np.stack(list(_recurrence(degree, d, t)))


def sphere_law(d: int, breaks: Sequence[float] = (0.0,), nodes: int = 400) -> tuple[Points, Points]:
    """Quadrature for the law of x_1, x uniform on the sphere: E g(x_1) = sum_i weights[i] g(points[i]).

    Args:
        d: the dimension of the space around the sphere, at least 2.
        breaks: where g is not smooth, as relu at 0: the rule is applied to the pieces in between.
        nodes: points on each piece.

    Returns:
        Points in increasing order and weights that sum to 1.

    Raises:
        ValueError: if d is below 2, a break is not in [-1, 1] or nodes is not positive.

    Source: standard: Gauss-Legendre in the angle, where the density sin^(d-2) is smooth for every d.
    """
    _check_sphere(0, d)
    if nodes < 1 or not all(-1 <= cut <= 1 for cut in breaks):
        raise ValueError(f"sphere_law: expected breaks in [-1, 1] and nodes >= 1, got breaks {breaks}, nodes {nodes}")
    limit = min(math.pi / 2, _WIDTH / math.sqrt(d))
    ends = np.clip(sorted({-limit, *np.arcsin(np.asarray(breaks, dtype=np.float64)), limit}), -limit, limit)
    unit, weights = _legendre(nodes)
    centres, radii = (ends[1:] + ends[:-1]) / 2, (ends[1:] - ends[:-1]) / 2
    latitude = (centres[:, None] + radii[:, None] * unit).ravel()
    mass = (radii[:, None] * weights).ravel() * np.cos(latitude) ** (d - 2)
    return np.sin(latitude), mass / mass.sum()


def sphere_level_weights(
    profile: Profile, d: int, degree: int = 20, breaks: Sequence[float] = (0.0,), nodes: int = 400
) -> Float64[np.ndarray, "degrees"]:
    """|f_l|^2 for l = 0, ..., degree: the weight of each level of f(x) = profile(x_1), x uniform on the sphere.

    Args:
        profile: g, elementwise on float64 NumPy points in [-1, 1].
        d: the dimension of the space around the sphere, at least 2.
        degree: the highest level; more than `nodes` levels cannot be told apart.
        breaks: as for `sphere_law`.
        nodes: as for `sphere_law`.

    Returns:
        Shape (degree + 1,).

    Raises:
        ValueError: as `sphere_law`, or if the degree is negative.

    Source: standard; used for group alignment in arXiv 2208.03113 (from memory, unverified).
    """
    points, weights = sphere_law(d, breaks, nodes)
    return np.square((gegenbauer(degree, d, points) * weights) @ profile(points))


def sphere_alignment(
    profile: Profile, d: int, degree: int = 20, breaks: Sequence[float] = (0.0,), nodes: int = 400
) -> float:
    """C(f, O(d)) = max_l |f_l|^2 / dim H_l for f(x) = profile(x_1) on the sphere.

    Args:
        profile: as for `sphere_level_weights`.
        d: the dimension of the space around the sphere, at least 2.
        degree: the highest level looked at. No other can matter: that is checked, as the weight left over is known.
        breaks: as for `sphere_law`.
        nodes: as for `sphere_law`.

    Returns:
        The alignment.

    Raises:
        ValueError: as `sphere_level_weights`, or if a level above `degree` could have the maximum.

    Source: arXiv 2208.03113, definition of group alignment; closed form derived, checked by the Funk-Hecke formula.
    """
    points, weights = sphere_law(d, breaks, nodes)
    levels = sphere_level_weights(profile, d, degree, breaks, nodes)
    found = max(weight / harmonic_dimension(level, d) for level, weight in enumerate(levels.tolist()))
    rest = float(weights @ np.square(profile(points)) - levels.sum()) / harmonic_dimension(degree + 1, d)
    if rest > found:
        raise ValueError(f"sphere_alignment: up to level {degree} it is {found}, above could be {rest}: raise degree")
    return found


def _legendre(nodes: int) -> tuple[Points, Points]:
    """Gauss-Legendre on [-1, 1]; NumPy's own routine takes seconds for a few hundred points."""
    from scipy.special import roots_legendre

    return roots_legendre(nodes)


def _recurrence(degree: int, d: int, t: Points) -> Iterator[Points]:
    """p_0(t), ..., p_degree(t), one after the other."""
    previous, value, step = np.zeros_like(t), np.ones_like(t), 0.0
    yield value
    for level in range(1, degree + 1):
        following = _jacobi(level, d)
        previous, value, step = value, (t * value - step * previous) / following, following
        yield value


def _jacobi(level: int, d: int) -> float:
    """b_l; b_1 = 1 / sqrt(d) is written apart, since both parts of its fraction vanish for d = 2."""
    if level == 1:
        return 1 / math.sqrt(d)
    return math.sqrt(level * (level + d - 3) / ((2 * level + d - 2) * (2 * level + d - 4)))


def _check_sphere(level: int, d: int) -> None:
    if level < 0:
        raise ValueError(f"level is {level}: spherical harmonics have a level of at least 0")
    if d < 2:
        raise ValueError(f"d is {d}: the sphere |x| = 1 in d dimensions needs d >= 2")
