"""Transport against its peers on common instances: value and time, with the rows that we lose.

    python -m scripts.bench.transport [--rounds 3] [--only barycenter]

Peers: POT (`pip install pot`; its rows are left out where it is not installed) and OTT. Two marginals: POT's network
simplex, OTT's Hungarian algorithm and Sinkhorn, with the whole matrix and by rows, as our noun has it. Structured
multimarginal problems, which no peer that can be installed solves: what others were measured to take stands below as
text. Planar barycenters of n points, exact ones first; then what is not exact: atoms that move (exact couplings: ours
and POT's, the best of the same 5 starts; with entropic ones: OTT's and POT's, from one), a fixed grid, and Bregman
projections on it; OTT's entropic multimarginal Sinkhorn on the whole tensor. A value is the exact cost of a plan or
measure with the right marginals; that of OTT's multimarginal solver is of a plan that is not rounded, with its marginal
error beside it.
Solvers of one instance are timed in turn, round by round; the time is the median, compilation, rounding and
evaluation left out.
"""

import os

os.environ.setdefault("JAX_ENABLE_X64", "1")

import argparse
import importlib
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, get_args

import jax
import jax.numpy as jnp
import numpy as np

from theory.transport import (
    BarycenterCost,
    ColumnGeneration,
    LowRankPlusSparseCost,
    Measure,
    MultimarginalSinkhorn,
    MultiplicativeWeights,
    NaiveLp,
    Problem,
    Reliability,
    TensorCost,
    alternating,
    bregman,
    complete_graph,
    fixed_support,
    grid_support,
    ott_barycenters,
    ott_solvers,
    pairs,
    uniform,
)
from theory.transport.approximate import padded, value_of
from theory.transport.distances import squared
from theory.transport.euler_flow import Flow, euler_flow

ot: Any
try:
    ot = importlib.import_module("ot")  # a peer, and no dependency
except ImportError:
    ot = None

SIGMAS: tuple[Flow, ...] = get_args(Flow)
Told = Callable[[], tuple[float, str]]
Masses = Sequence[np.ndarray]
Solve = Callable[[], Told]
"""What is timed; what it returns is called later, and evaluates the answer."""
SEED = 19238412  # of the released planar instance
POT_ROUNDS = 5  # of its entropic free support: each takes seconds


def squares(n: int, k: int) -> list[np.ndarray]:
    """The points of k measures in the square."""
    return list(np.random.RandomState(SEED).random_sample((k, n, 2)) * 2 - 1)


def two_marginals(n: int, eta: float) -> dict[str, Solve]:
    """Squared distances between two measures of n points."""
    x, y = squares(n, 2)
    cost = squared(x, y)
    mass = np.full(n, 1 / n)
    problem = Problem(TensorCost(cost), uniform((n, n)))
    solvers: dict[str, Solve] = {
        "column generation": lambda: _told(ColumnGeneration().solve(problem)),
        "whole linear program": lambda: _told(NaiveLp().solve(problem)),
        f"Sinkhorn, eta {eta:g}": lambda: _told(MultimarginalSinkhorn(eta, 1e-4).solve(problem)),
        f"OTT Sinkhorn, eta {eta:g}": _ott_sinkhorn(cost, eta),
        f"OTT Sinkhorn by rows, eta {eta:g}": _by_rows(x, y, eta),
        "OTT Hungarian": _hungarian(x, y),
    }
    if ot is not None:
        solvers["POT emd"] = lambda: _valued(float(ot.emd2(mass, mass, cost)), "exact")
        solvers[f"POT Sinkhorn, eta {eta:g}"] = _pot_sinkhorn(cost, eta)
    return solvers


def planar(n: int, k: int, eta: float) -> dict[str, Solve]:
    """The barycenter of k measures of n points."""
    points = squares(n, k)
    cost, masses = BarycenterCost(points), uniform((n,) * k)
    rng = np.random.default_rng(0)
    starts = np.stack([np.concatenate(points)[rng.choice(n * k, n, replace=False)] for _ in range(5)])
    solvers: dict[str, Solve] = {"column generation": lambda: _told(ColumnGeneration().solve(Problem(cost, masses)))}
    if n**k <= 2**17:
        solvers["whole linear program"] = lambda: _told(NaiveLp().solve(Problem(cost, masses)))
        solvers[f"OTT MMSinkhorn, eta {eta:g}"] = _ott_multimarginal(points, eta)
    solvers |= {
        "free support, best of 5": _free_support(cost, masses, starts),
        f"OTT free support, eta {eta:g}": _ott_free_support(cost, masses, starts[0], eta),
        "fixed grid, 30 x 30": _fixed_grid(cost, masses),
        "Bregman, 30 x 30, eta 500": _bregman(cost, masses),
    }
    if ot is not None:
        solvers["POT free support, best of 5"] = _pot_free_support(cost, masses, starts)
        solvers[f"POT free support, eta {eta:g}, {POT_ROUNDS} rounds"] = _pot_entropic(cost, masses, starts[0], eta)
    return solvers


def flow(sigma: Flow) -> dict[str, Solve]:
    """The generalised Euler flow of 51 places and 6 times."""
    problem = Problem(euler_flow(51, 6, sigma), uniform((51,) * 6))
    return {
        "column generation": lambda: _told(ColumnGeneration().solve(problem)),
        "Sinkhorn, eta 2000": lambda: _told(MultimarginalSinkhorn(2000.0, 1e-3).solve(problem)),
    }


def network(vertices: int, best: bool) -> dict[str, Solve]:
    """The reliability of a complete graph, each edge down (worst) or up (best) with probability 0.01."""
    edges = complete_graph(vertices)
    up = np.array([0.99, 0.01]) if best else np.array([0.01, 0.99])
    problem = Problem(Reliability(edges, best=best), [up] * len(edges))
    solvers: dict[str, Solve] = {"column generation": lambda: _told(ColumnGeneration().solve(problem))}
    if len(edges) <= 15:
        solvers["whole linear program"] = lambda: _told(NaiveLp().solve(problem))
        solvers["multiplicative weights, eps .03"] = lambda: _told(MultiplicativeWeights(0.03).solve(problem))
    return solvers


def risk(k: int) -> dict[str, Solve]:
    """The least mean of a product of k variables, each uniform on 1, 1 + 1/(10 k), ..., 1 + 9/(10 k)."""
    problem = Problem(LowRankPlusSparseCost([1 + np.arange(10)[:, None] / (10 * k)] * k), uniform((10,) * k))
    rule = ColumnGeneration(start="rearrangement", rounds=100)
    return {"column generation": lambda: _told(rule.solve(problem))}


ELSEWHERE = {
    "Euler flow": "the released code (Sinkhorn, eta 2000): 13.5 s for 'shift', value .066464; exact: not shown",
    "reliability of K_6": "the released code (Gurobi): .40 s",
    "reliability of K_20": "the released code: 629 s at 11 vertices, worst case; 215 s at 19, best case",
    "risk": "the released code: 1.55949 at k = 19 in 28 s, an upper bound",
    "barycenter, n = 20, k = 5": "the released code: 30.8 s",
    "barycenter, n = 10, k = 10": "the released code: 63 s (shipped) and 230 s (measured)",
}
"""Times on other machines, from our reference files on 2008.03006 and 2006.08012: their order of magnitude alone."""


def _told(solution: Any) -> Told:
    return _valued(solution.value, f"within {solution.gap:.1e}")


def _valued(value: float, certainty: str) -> Told:
    return lambda: (value, certainty)


def _rounded(plan: np.ndarray, cost: np.ndarray) -> Told:
    mass = jnp.full(len(cost), 1 / len(cost))
    return lambda: (float(jnp.sum(pairs.rounded(jnp.asarray(plan), mass, mass) * cost)), "rounded")


def _pot_sinkhorn(cost: np.ndarray, eta: float) -> Solve:
    mass = np.full(len(cost), 1 / len(cost))

    def solve() -> Told:
        plan = ot.sinkhorn(mass, mass, cost, 1 / eta, method="sinkhorn_log", stopThr=1e-4, numItermax=10_000)
        return _rounded(plan, cost)

    return solve


def _ott_sinkhorn(cost: np.ndarray, eta: float) -> Solve:
    from ott.geometry import geometry
    from ott.problems.linear import linear_problem
    from ott.solvers.linear import sinkhorn

    solver = sinkhorn.Sinkhorn(threshold=1e-4, max_iterations=10_000)
    run = jax.jit(lambda c: solver(linear_problem.LinearProblem(geometry.Geometry(c, epsilon=1 / eta))).matrix)
    given = jnp.asarray(cost)

    def solve() -> Told:
        plan = np.asarray(run(given))
        return _rounded(plan, cost)

    return solve


def _by_rows(x: np.ndarray, y: np.ndarray, eta: float) -> Solve:
    mass = jnp.full(len(x), 1 / len(x))
    pair = pairs.Pair(jnp.asarray(x), jnp.asarray(y), mass, mass)
    run = jax.jit(lambda pair: ott_solvers.sinkhorn(pair, eta, 1e-4, 10_000))

    def solve() -> Told:
        found = jax.block_until_ready(run(pair))
        coupling = jax.jit(pairs.entropic)
        return lambda: (float(coupling(pair, found).value), f"within {_gap(coupling(pair, found)):.1e}")

    return solve


def _hungarian(x: np.ndarray, y: np.ndarray) -> Solve:
    mass = jnp.full(len(x), 1 / len(x))
    pair = pairs.Pair(jnp.asarray(x), jnp.asarray(y), mass, mass)
    run = jax.jit(ott_solvers.assignment)

    def solve() -> Told:
        found = jax.block_until_ready(run(pair))
        return lambda: (float(pairs.paired(pair, found).value), f"within {_gap(pairs.paired(pair, found)):.1e}")

    return solve


def _gap(coupling: pairs.Coupling) -> float:
    return float(coupling.upper - coupling.lower)


def _measured(cost: BarycenterCost, masses: Masses, points: Any, weights: Any) -> Told:
    measure = Measure(np.asarray(points), np.asarray(weights) / np.sum(weights))
    return lambda: (value_of(cost, masses, measure), "an upper bound")


def _free_support(cost: BarycenterCost, masses: Masses, starts: np.ndarray) -> Solve:
    def solve() -> Told:
        state, before = alternating.coupled(cost, masses, starts), np.inf
        while np.max(before - state.values) > 1e-12:
            before, state = state.values, alternating.moved(cost, masses, state)
        return _measured(cost, masses, state.points[state.values.argmin()], np.ones(starts.shape[1]))

    return solve


def _fixed_grid(cost: BarycenterCost, masses: Masses) -> Solve:
    def solve() -> Told:
        measure, _ = fixed_support(cost, masses, grid_support(cost, 30))
        return _measured(cost, masses, *measure)

    return solve


def _bregman(cost: BarycenterCost, masses: Masses) -> Solve:
    grid, (points, weights) = grid_support(cost, 30), padded(cost, masses)
    costs = jnp.asarray(np.stack([squared(x, grid) for x in points]))
    given = costs, jnp.log(jnp.asarray(weights)), jnp.asarray(cost.weights), jnp.float64(500.0)

    def swept(_: Any, state: bregman.Projected) -> bregman.Projected:
        return bregman.projection(*given, state)

    run = jax.jit(lambda state: jax.lax.fori_loop(0, 1000, swept, state))

    def solve() -> Told:
        found = jax.block_until_ready(run(bregman.first_projection(costs)))
        return _measured(cost, masses, grid, np.exp(np.asarray(found.log_masses)))

    return solve


def _ott_free_support(cost: BarycenterCost, masses: Masses, start: np.ndarray, eta: float) -> Solve:
    points, weights = map(jnp.asarray, padded(cost, masses))
    run = jax.jit(
        lambda start: ott_barycenters.entropic_free_support(points, weights, jnp.asarray(cost.weights), start, eta, 100)
    )

    def solve() -> Told:
        found = jax.block_until_ready(run(jnp.asarray(start)))
        return _measured(cost, masses, found.points, found.masses)

    return solve


def _ott_multimarginal(points: list[np.ndarray], eta: float) -> Solve:
    """Its cost is the sum over all pairs of squared distances: k^2 times ours with equal weights."""
    from ott.experimental import mmsinkhorn

    k, solver = len(points), mmsinkhorn.MMSinkhorn(threshold=1e-4, max_iterations=10_000)
    run = jax.jit(lambda clouds: solver(clouds, epsilon=k**2 / eta))
    given, tensor = [jnp.asarray(x) for x in points], BarycenterCost(points)

    def evaluated(plan: np.ndarray) -> tuple[float, str]:
        others = [tuple(a for a in range(k) if a != i) for i in range(k)]
        error = max(float(np.abs(plan.sum(axis=axes) - 1 / len(points[0])).sum()) for axes in others)
        values = tensor.at(np.argwhere(np.ones(plan.shape, bool)))
        return float(values @ plan.ravel()), f"marginal error {error:.1e}"

    def solve() -> Told:
        plan = np.asarray(run(given).tensor)
        return lambda: evaluated(plan)

    return solve


def _pot_free_support(cost: BarycenterCost, masses: Masses, starts: np.ndarray) -> Solve:
    def solve() -> Told:
        found = [
            ot.lp.free_support_barycenter(list(cost.points), list(masses), start, stopThr=1e-12) for start in starts
        ]
        told = [_measured(cost, masses, x, np.ones(len(x))) for x in found]
        return lambda: min(each() for each in told)

    return solve


def _pot_entropic(cost: BarycenterCost, masses: Masses, start: np.ndarray, eta: float) -> Solve:
    def solve() -> Told:
        found = ot.bregman.free_support_sinkhorn_barycenter(
            list(cost.points), list(masses), start, 1 / eta, numItermax=POT_ROUNDS, stopThr=1e-6, method="sinkhorn_log"
        )
        return _measured(cost, masses, found, np.ones(len(start)))

    return solve


def compared(name: str, solvers: dict[str, Solve], rounds: int) -> None:
    """Print value and median time of each solver, the best first in time."""
    told = {solver: solve() for solver, solve in solvers.items()}
    times: dict[str, list[float]] = {solver: [] for solver in solvers}
    for _ in range(rounds):
        for solver, solve in solvers.items():
            began = time.perf_counter()
            told[solver] = solve()
            times[solver].append(time.perf_counter() - began)
    print(f"\n{name}")
    for solver in sorted(solvers, key=lambda s: statistics.median(times[s])):
        value, certainty = told[solver]()
        print(f"  {solver:38s} {value:.9f}  {statistics.median(times[solver]):8.4f} s  {certainty}", flush=True)
    for instance, known in ELSEWHERE.items():
        if instance in name:
            print(f"  elsewhere: {known}")


def instances() -> Iterator[tuple[str, Callable[[], dict[str, Solve]]]]:
    """Their names, and what makes them."""
    for n in (50, 200):
        yield f"two marginals, n = {n}", partial(two_marginals, n, 100.0)
    for v, best in ((6, False), (20, False), (20, True)):
        yield f"{'best' if best else 'worst'} reliability of K_{v}", partial(network, v, best)
    yield "risk of 20 factors", partial(risk, 20)
    for sigma in SIGMAS:
        yield f"Euler flow {sigma!r}, n = 51, k = 6", partial(flow, sigma)
    for n, k in ((10, 3), (10, 4), (10, 5), (20, 3), (20, 5), (10, 10)):
        yield f"planar barycenter, n = {n}, k = {k}", partial(planar, n, k, 100.0)


def main() -> None:
    """Print a table for each instance."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="instances whose name has this in it")
    given = parser.parse_args()
    rounds, chosen = given.rounds, given.only
    print(f"POT: {ot.__version__ if ot is not None else 'not installed'}; load {os.getloadavg()[0]:.2f}")
    for name, solvers in instances():
        if chosen in name:
            compared(name, solvers(), rounds)
    print(f"\nload {os.getloadavg()[0]:.2f}")


if __name__ == "__main__":
    main()
