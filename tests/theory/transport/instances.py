"""One small random instance of every cost structure, the tensor that brute force has, and what solutions must be."""

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from scipy.optimize import linprog

from theory.transport import (
    BarycenterCost,
    Cost,
    GraphicalCost,
    LowRankPlusSparseCost,
    Problem,
    Reliability,
    Solution,
    TensorCost,
    chain_cost,
    complete_graph,
    dual_value,
)
from theory.transport.cost import every_tuple
from theory.transport.plan import marginal_error

ROUNDING = 1e-12


def tensor(rng: np.random.Generator) -> Cost:
    return TensorCost(rng.normal(size=(3, 4, 2)))


def chain(rng: np.random.Generator) -> Cost:
    return chain_cost([rng.normal(size=shape) for shape in ((3, 2), (2, 4))])


def cycle(rng: np.random.Generator) -> Cost:
    return chain_cost([rng.normal(size=(3, 3)) for _ in range(3)], rng.normal(size=(3, 3)))


def cliques(rng: np.random.Generator) -> Cost:
    sizes = (2, 3, 2, 3)
    scopes = ((2, 0, 1), (3, 1), (2,))
    return GraphicalCost(scopes, tuple(rng.normal(size=[sizes[v] for v in scope]) for scope in scopes))


def worst_case(rng: np.random.Generator) -> Cost:
    return Reliability(complete_graph(4))


def best_case(rng: np.random.Generator) -> Cost:
    return Reliability(((0, 1), (1, 2), (2, 3), (3, 0), (0, 2)), best=True)


def rank_one(rng: np.random.Generator) -> Cost:
    return LowRankPlusSparseCost([rng.uniform(0.5, 2, size=(n, 1)) for n in (3, 4, 2)], bins=256)


def rank_two(rng: np.random.Generator) -> Cost:
    factors = [rng.uniform(0.5, 2, size=(3, 2)) for _ in range(3)]
    return LowRankPlusSparseCost(factors, np.array([[0, 1, 2], [2, 2, 2]]), np.array([1.5, -1.0]), bins=24)


def planar(rng: np.random.Generator) -> Cost:
    return BarycenterCost([rng.normal(size=(n, 2)) for n in (3, 2, 4)], [0.2, 0.5, 0.3])


def lattice(rng: np.random.Generator) -> Cost:
    """Points of a 3 x 3 grid: ties everywhere."""
    grid = np.stack(np.divmod(np.arange(9.0), 3), axis=1)
    return BarycenterCost([grid[rng.permutation(9)[:n]] for n in (4, 3, 4)])


def spatial(rng: np.random.Generator) -> Cost:
    return BarycenterCost([rng.normal(size=(3, 3)) for _ in range(3)])


def pixels(rng: np.random.Generator) -> Cost:
    """Measures on whole numbers of a line, of unequal sizes."""
    return BarycenterCost([rng.permutation(5)[:n, None].astype(float) for n in (3, 5, 1)], [0.2, 0.6, 0.2])


def binary(rng: np.random.Generator) -> Cost:
    """Points 0 and 1 in six dimensions, searched through their tensor."""
    cube = np.array(list(itertools.product((0.0, 1.0), repeat=6)))
    return BarycenterCost([cube[rng.permutation(64)[:n]] for n in (3, 4, 2)])


def network(rng: np.random.Generator) -> Cost:
    """A random connected graph on four vertices, in either case."""
    path = {(int(rng.integers(v)), v) for v in range(1, 4)}
    extra = {edge for edge in itertools.combinations(range(4), 2) if rng.random() < 0.5}
    return Reliability(tuple(sorted(path | extra)), best=bool(rng.random() < 0.5))


SOFT = (tensor, chain, cycle, cliques, rank_one, rank_two)
QUICK = [pytest.param(make, marks=pytest.mark.slow) if make is rank_two else make for make in SOFT]
"""Those of rank two take seconds to compile."""
EVERY = (*SOFT, worst_case, best_case, network, planar, lattice, spatial, pixels, binary)

Maker = Callable[[np.random.Generator], Cost]


def written_down(cost: Cost) -> np.ndarray:
    return cost.at(every_tuple(cost.shape)).reshape(cost.shape)


def potentials(cost: Cost, rng: np.random.Generator, scale: float = 0.5) -> list[np.ndarray]:
    return [scale * rng.normal(size=n) for n in cost.shape]


def in_units(cost: Cost, unit: float, offset: float) -> Cost:
    """The cost (C + offset) unit; sums of products, points and sets have no offset, and sets no unit."""
    match cost:
        case TensorCost():
            return TensorCost(unit * (cost.tensor + offset))
        case GraphicalCost():
            first, *rest = (unit * np.asarray(factor) for factor in cost.factors)
            return GraphicalCost(cost.cliques, (first + unit * offset, *rest))
        case LowRankPlusSparseCost():
            first, *rest = cost.factors
            return LowRankPlusSparseCost([unit * first, *rest], cost.entries, unit * cost.values, bins=24)
        case BarycenterCost():
            return BarycenterCost([np.sqrt(unit) * x for x in cost.points], cost.weights)
    return cost


def problem(make: Maker, seed: int, zeros: bool = False, concentration: float = 1.0) -> Problem:
    """Random marginals, uneven where the concentration is small; with `zeros`, a point of the first has no mass."""
    rng = np.random.default_rng(seed)
    cost = make(rng)
    marginals = [rng.dirichlet(np.full(n, concentration)) for n in cost.shape]
    if zeros:
        marginals[0][0] = 0.0
        marginals[0] /= marginals[0].sum()
    return Problem(cost, marginals)


def least(tensor: np.ndarray, marginals: Sequence[np.ndarray]) -> float:
    """The least transport cost, by a linear program over all tuples with its own rows, costs between 0 and 1."""
    tuples = np.indices(tensor.shape).reshape(tensor.ndim, -1)
    rows = np.concatenate([np.arange(n)[:, None] == at for n, at in zip(tensor.shape, tuples, strict=True)])
    low, scale = tensor.min(), np.ptp(tensor) or 1.0
    found = linprog(
        ((tensor - low) / scale).ravel(),
        A_eq=rows.astype(float),
        b_eq=1000 * np.concatenate(marginals),
        method="highs-ds",
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    return float(low + scale * found.fun / 1000)


def truth(instance: Problem) -> float:
    """The least cost, by a linear program of the tests."""
    return least(written_down(instance.cost), instance.marginals)


def check(solution: Solution, instance: Problem, exact: float, unit: float = 1.0) -> None:
    """The certificate brackets the truth, and the plan is what it says."""
    rounding = ROUNDING * unit
    assert solution.lower - rounding <= exact <= solution.upper + rounding
    assert solution.lower <= solution.upper
    assert marginal_error(solution.plan.marginals(), instance.marginals) < 1e-12
    assert solution.support_size == solution.plan.support_size
    value = np.sum(written_down(instance.cost) * solution.plan.dense())
    assert abs(value - solution.value) <= solution.upper - solution.value + 1e-11 * unit
    bound = dual_value(instance, solution.potentials)
    assert bound <= exact + rounding
    assert bound == pytest.approx(solution.lower, abs=1e-9 * unit)
