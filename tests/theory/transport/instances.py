"""One small random instance of every cost structure, and the tensor that brute force has."""

from collections.abc import Callable

import numpy as np

from theory.transport import (
    BarycenterCost,
    Cost,
    GraphicalCost,
    LowRankPlusSparseCost,
    Problem,
    Reliability,
    TensorCost,
    chain_cost,
    complete_graph,
)
from theory.transport.cost import every_tuple


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


SOFT = (tensor, chain, cycle, cliques, rank_one, rank_two)
EVERY = (*SOFT, worst_case, best_case, planar, lattice, spatial)

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
