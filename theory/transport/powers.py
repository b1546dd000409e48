"""Soft sums of low-rank costs by polynomials: the route that is polynomial on paper, beside the grid of `log_grid`.

On the range of R the function exp(-eta x) is nearly a polynomial of degree D, and every power of R = sum_l R_l is a sum
of rank-one tensors, R^s = sum_{|a| = s} s! / prod a_l! prod_i prod_l f_i[j_i, l]^a_l, whose sums are products of sums
over one marginal. The coefficients of a high degree are large and alternate, so that rounding errors grow with eta
times the range of R, while the grid adds positive terms only; the route is here to be compared with.
"""

import itertools
import math

import numpy as np
from jaxtyping import Float64
from numpy.polynomial import Chebyshev, Polynomial

from theory.transport.cost import Potentials
from theory.transport.expected import expect_a
from theory.transport.low_rank import LowRankPlusSparseCost


def marginals_by_powers(
    cost: LowRankPlusSparseCost, p: Potentials, eta: float, degree: int
) -> tuple[Float64[np.ndarray, "_"], ...]:
    """The marginals of exp(-eta (C_j - sum_i p_i[j_i])), with the exponential of R replaced by a polynomial.

    Args:
        cost: R + S.
        p: potentials.
        eta: the inverse temperature.
        degree: D; there are (D + 1)^r products at most.

    Returns:
        One array for each marginal; where the polynomial fails, entries may be negative.

    Source: arXiv 2008.03006, low-rank plus sparse costs (from memory, unverified; the polynomial is ours, the Chebyshev
    interpolant on the range of R).
    """
    expect_a("marginals_by_powers: cost", cost, LowRankPlusSparseCost)
    low, high = LowRankPlusSparseCost(cost.factors).bounds()
    polynomial = exponential(eta, low, high, degree)
    found = [np.zeros(n) for n in cost.shape]
    for powers in itertools.product(range(degree + 1), repeat=cost.factors[0].shape[1]):
        if (s := sum(powers)) <= degree:
            ways = math.factorial(s) // math.prod(map(math.factorial, powers))
            _add_product(found, cost, p, eta, np.array(powers), ways * float(polynomial.coef[s]))
    _add_listed(found, cost, p, eta, polynomial)
    return tuple(found)


def exponential(eta: float, low: float, high: float, degree: int) -> Polynomial:
    """The polynomial that interpolates exp(-eta x) at Chebyshev points of an interval, in powers of x.

    Args:
        eta: the rate.
        low: the left end of the interval.
        high: its right end.
        degree: of the polynomial.

    Returns:
        The polynomial, with `degree` + 1 coefficients.
    """
    at = Chebyshev.interpolate(lambda x: np.exp(-eta * x), degree, domain=[low, high])
    coefficients = at.convert(kind=Polynomial, domain=[-1, 1]).coef
    return Polynomial(np.pad(coefficients, (0, degree + 1 - len(coefficients))))


def _add_product(
    found: list[Float64[np.ndarray, "_"]],
    cost: LowRankPlusSparseCost,
    p: Potentials,
    eta: float,
    powers: np.ndarray,
    weight: float,
) -> None:
    """Adds the marginals of weight prod_i exp(eta p_i[j_i]) prod_l f_i[j_i, l]^powers_l."""
    parts = [np.exp(eta * q) * np.prod(f**powers, axis=1) for q, f in zip(p, cost.factors, strict=True)]
    for i, part in enumerate(parts):
        others = math.prod(float(other.sum()) for other in parts[:i] + parts[i + 1 :])
        found[i] += weight * others * part


def _add_listed(
    found: list[Float64[np.ndarray, "_"]],
    cost: LowRankPlusSparseCost,
    p: Potentials,
    eta: float,
    polynomial: Polynomial,
) -> None:
    """Exchanges what the polynomial has at the entries of S for the exponential of R + S."""
    for entry, value in zip(cost.entries, cost.values, strict=True):
        at = float(cost.low_rank(entry[None])[0])
        weight = math.exp(eta * sum(float(q[v]) for q, v in zip(p, entry, strict=True)))
        for i, v in enumerate(entry):
            found[i][v] += weight * (math.exp(-eta * (at + value)) - float(polynomial(at)))
