"""Exact Wasserstein barycenters in the plane by column generation with power diagrams (2006.08012).

The published instance (k = 10 measures of n = 10 points in the square) and its parts of fewer measures or points,
against optima of other exact solvers; random measures, with a linear program over all tuples beside it; the certified
interval of every one. The full text of the paper was not at hand.
"""

from functools import partial
from typing import Any

import numpy as np

from dsl import *
from runs.statistics import Interval, PerSeed, per_seed
from runs.table import Table

SOLVERS = {"exact": ColumnGeneration(pricing="power_diagrams"), "naive": NaiveLp()}
OPTIMA = {
    (10, 3): 0.166517492,
    (10, 4): 0.212668324,
    (10, 5): 0.207533437,
    (20, 3): 0.051370314,
    (5, 5): 0.285926311,
    (20, 5): 0.073413223,
}
PUBLISHED = 0.225571579281  # n = k = 10
MEASURED = "2006.08012, released instance; optimum by the released code and by our other column generation"


def square(n: int, k: int) -> Solving:
    """The first k measures of the released generator, of n points."""
    return Solving(
        problem=Barycenter(SparseSquare(n, k)),
        by=SOLVERS["exact"],
        measure=(Objective() @ every(1), DualBound() @ every(1), UpperBound(), SupportSize(), OracleCalls(), Atoms()),
        precision="float64",
    )


def drawn(k: int, solver: str, seed: int) -> Solving:
    """K measures of 8 points in the square, drawn anew for each seed."""
    return Solving(
        problem=Barycenter(RandomMeasures(n=8, k=k, d=2, half_width=1.0)),
        by=SOLVERS[solver],
        measure=(Objective(), DualBound(), UpperBound(), SupportSize()),
        seed=seed,
        precision="float64",
    )


def last(table: Table, name: str, **point: Any) -> Interval:
    """What was measured at the end of one point."""
    value = float(table.where(**point).dropna(name).last()[name][0])
    return Interval(value, value, value, 1, "deterministic", None)


def gap(table: Table, n: int, k: int) -> Interval:
    """The length of the certified interval at the end."""
    length = last(table, "UpperBound", n=n, k=k).estimate - last(table, "DualBound", n=n, k=k).estimate
    return Interval(length, length, length, 1, "deterministic", None)


def disagreement(table: Table, k: int) -> PerSeed:
    """The exact value less that of the linear program over all tuples, for each seed."""
    exact, naive = (per_seed(table.where(k=k, solver=solver), "Objective", step="last") for solver in SOLVERS)
    return PerSeed(exact.values - naive.values, exact.seeds)


def picture(table: Table, axes: Any) -> None:
    """The barycenter of the published instance (areas are masses) over the points of its measures."""
    for points in SparseSquare(10, _largest(table)).points:
        axes.scatter(*points.T, s=6, alpha=0.6)
    atoms = np.asarray(table.where(n=10, k=_largest(table)).dropna("Atoms")["Atoms"][0], float)
    atoms = atoms[atoms[:, -1] > 0]
    axes.scatter(atoms[:, 0], atoms[:, 1], s=600 * atoms[:, 2], facecolors="none", edgecolors="black", linewidths=1.6)
    axes.set_aspect("equal")


def convergence(table: Table, axes: Any) -> None:
    """Value and certified bound less the optimum, against the rounds of column generation, at n = 10."""
    part = table.where(n=10, k=_largest(table)).dropna("Objective")
    best = float(part["Objective"][-1])
    rounds = np.arange(len(part))
    axes.semilogy(rounds, np.maximum(part["Objective"] - best, 1e-16), marker=".", label="value above the optimum")
    axes.semilogy(rounds, np.maximum(best - part["DualBound"], 1e-16), marker=".", label="bound below the optimum")
    axes.set_xlabel("round")
    axes.legend()


def _largest(table: Table) -> int:
    pairs = zip(table.points["n"].tolist(), table.points["k"].tolist(), strict=True)
    return max(int(k) for n, k in pairs if n == 10)


def study(scale: str) -> Study:
    """All instances and four seeds; paper: 16 seeds."""
    if scale == "smoke":
        points = grid(square, n=(10,), k=(3,)) + grid(drawn, k=(3,), solver=SOLVERS, seed=(0,))
        return Study("barycenters", points, claims({(10, 3): OPTIMA[10, 3]}, (3,)), (picture, convergence))
    pairs = OPTIMA | {(10, 10): PUBLISHED}
    points = [Point(square(n, k), {"n": n, "k": k}) for n, k in pairs]
    points += grid(drawn, k=(3, 4), solver=SOLVERS, seed=range(4 if scale == "small" else 16))
    return Study("barycenters", points, claims(pairs, (3, 4)), (picture, convergence))


def claims(optima: dict[tuple[int, int], float], drawn_sizes: tuple[int, ...]) -> list[Claim]:
    """Known optima, closed intervals, few atoms, and agreement with the whole linear program."""
    found = []
    for (n, k), optimum in optima.items():
        digits = 1e-11 if optimum == PUBLISHED else 1e-9
        value = partial(last, name="Objective", n=n, k=k)
        found.append(Claim(f"the optimum of n = {n}, k = {k}", MEASURED, value, within(digits), predicted=optimum))
        found.append(
            Claim(
                f"the certified interval of n = {n}, k = {k} is closed",
                "2006.08012, exact barycenters with the dual as certificate",
                measured=partial(gap, n=n, k=k),
                accept=between(0.0, 1e-8),
            )
        )
        found.append(
            Claim(
                f"the barycenter of n = {n}, k = {k} has at most n k - k + 1 atoms",
                "2006.08012, sparsity",
                measured=partial(last, name="SupportSize", n=n, k=k),
                accept=below(n * k - k + 1),
            )
        )
    return found + [
        Claim(
            f"power diagrams price {k} random measures as the linear program over all tuples does",
            "2006.08012, the separation oracle",
            measured=partial(disagreement, k=k),
            accept=within(1e-9),
            predicted=0.0,
        )
        for k in drawn_sizes
    ]
