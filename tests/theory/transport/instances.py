"""One small random instance of every cost structure, the tensor that brute force has, and what solutions must be."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest

from theory.transport import (
    BarycenterCost,
    Cost,
    GraphicalCost,
    LowRankPlusSparseCost,
    NaiveLp,
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
EVERY = (*SOFT, worst_case, best_case, network, planar, lattice, spatial, pixels, binary)

Maker = Callable[[np.random.Generator], Cost]


def written_down(cost: Cost) -> np.ndarray:
    return cost.at(every_tuple(cost.shape)).reshape(cost.shape)


def potentials(cost: Cost, rng: np.random.Generator, scale: float = 0.5) -> list[np.ndarray]:
    return [scale * rng.normal(size=n) for n in cost.shape]


def problem(make: Maker, seed: int, zeros: bool = False) -> Problem:
    """Random marginals; with `zeros`, a point of the first has no mass."""
    rng = np.random.default_rng(seed)
    cost = make(rng)
    marginals = [rng.dirichlet(np.ones(n)) for n in cost.shape]
    if zeros:
        marginals[0][0] = 0.0
        marginals[0] /= marginals[0].sum()
    return Problem(cost, marginals)


def truth(instance: Problem) -> float:
    """The least cost, by the linear program over all tuples."""
    return NaiveLp().solve(instance).value


def check(solution: Solution, instance: Problem, exact: float) -> None:
    """The certificate brackets the truth, and the plan is what it says."""
    assert solution.lower - ROUNDING <= exact <= solution.upper + ROUNDING
    assert solution.lower <= solution.upper
    assert marginal_error(solution.plan.marginals(), instance.marginals) < 1e-12
    assert solution.support_size == solution.plan.support_size
    value = np.sum(written_down(instance.cost) * solution.plan.dense())
    assert abs(value - solution.value) <= solution.upper - solution.value + 1e-11
    bound = dual_value(instance, solution.potentials)
    assert bound <= exact + ROUNDING
    assert bound == pytest.approx(solution.lower, abs=1e-9)
