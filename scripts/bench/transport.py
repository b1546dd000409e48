"""Transport against its peers on common instances: value and time, with the rows that we lose.

    python -m scripts.bench.transport [--rounds 3]

Peers: POT (`pip install pot`; its rows are left out where it is not installed) and OTT. Two marginals: POT's network
simplex, OTT's Hungarian algorithm and Sinkhorn, with the whole matrix and by rows, as our noun has it. Planar
barycenters of n points, exact ones first; then what is not exact: atoms that move (exact couplings: ours and POT's,
the best of the same 5 starts; with entropic ones: OTT's and POT's, from one), a fixed grid, and Bregman projections on
it; OTT's entropic multimarginal Sinkhorn on the whole tensor. A value is the exact cost of a plan or measure with the
right marginals; that of OTT's multimarginal solver is of a plan that is not rounded, with its marginal error beside it.
Solvers of one instance are timed in turn, round by round; the time is the median, compilation, rounding and
evaluation left out.
"""

import os

os.environ.setdefault("JAX_ENABLE_X64", "1")

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from theory.transport import (
    BarycenterCost,
    ColumnGeneration,
    Measure,
    MultimarginalSinkhorn,
    NaiveLp,
    Problem,
    TensorCost,
    alternating,
    bregman,
    fixed_support,
    grid_support,
    ott_barycenters,
    ott_solvers,
    pairs,
    uniform,
)
from theory.transport.approximate import padded, squared, value_of

ot: Any
try:
    import ot  # type: ignore[import-not-found]  # a peer, and no dependency
except ImportError:
    ot = None

Told = Callable[[], tuple[float, str]]
Masses = Sequence[np.ndarray]
Solve = Callable[[], Told]
"""What is timed; what it returns is called later, and evaluates the answer."""
SEED = 19238412  # of the released planar instance


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
        solvers[f"POT free support, eta {eta:g}"] = _pot_entropic(cost, masses, starts[0], eta)
    return solvers


def _told(solution: Any) -> Told:
    return _valued(solution.value, f"within {solution.gap:.1e}")


def _valued(value: float, certainty: str) -> Told:
    return lambda: (value, certainty)


def _rounded(plan: np.ndarray) -> np.ndarray:
    """The plan with exact uniform marginals: scaled down, then a product for what is missing."""
    wanted = 1 / len(plan)
    plan = plan * np.minimum(1, wanted / plan.sum(axis=1))[:, None]
    plan = plan * np.minimum(1, wanted / plan.sum(axis=0))
    rows, columns = wanted - plan.sum(axis=1), wanted - plan.sum(axis=0)
    return plan + np.outer(rows, columns) / max(rows.sum(), 1e-300)


def _pot_sinkhorn(cost: np.ndarray, eta: float) -> Solve:
    mass = np.full(len(cost), 1 / len(cost))

    def solve() -> Told:
        plan = ot.sinkhorn(mass, mass, cost, 1 / eta, method="sinkhorn_log", stopThr=1e-4, numItermax=10_000)
        return lambda: (float((_rounded(plan) * cost).sum()), "rounded")

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
        return lambda: (float((_rounded(plan) * cost).sum()), "rounded")

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
            list(cost.points), list(masses), start, 1 / eta, numItermax=100, stopThr=1e-6, method="sinkhorn_log"
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
        print(f"  {solver:30s} {value:.9f}  {statistics.median(times[solver]):8.4f} s  {certainty}")


def main() -> None:
    """Print a table for each instance."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    print(f"POT: {ot.__version__ if ot is not None else 'not installed'}; load {os.getloadavg()[0]:.2f}")
    for n in (50, 200):
        compared(f"two marginals, n = {n}", two_marginals(n, 100.0), rounds)
    for n, k in ((10, 3), (10, 4), (10, 5), (20, 3), (10, 10)):
        compared(f"planar barycenter, n = {n}, k = {k}", planar(n, k, 100.0), rounds)
    print(f"\nload {os.getloadavg()[0]:.2f}")


if __name__ == "__main__":
    main()
