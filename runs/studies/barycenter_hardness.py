"""Why barycenters are hard when the dimension grows: cliques by barycenters of binary points (2101.01100).

Whoever computes barycenters of k measures on the binary points of our construction, for all masses, decides whether a
graph has a k-clique. The decisions stand beside those of brute force, the instances beside their size: the dimension is
k (k - 1) |E|, and every entry of the cost counts adjacent pairs. The full text of the paper was not at hand.
"""

from functools import partial
from typing import Any

import numpy as np

from dsl import *
from runs.statistics import Interval, certain
from runs.table import Table

GRAPHS: dict[str, Graph] = {
    "K4": Complete(4),
    "cycle": Cycle(5),
    **{f"random {seed}": Seeded(RandomGraph(6, p=0.5), seed=seed) for seed in range(4)},
}
LARGER: dict[str, Graph] = {"K5": Complete(5), "K6": Complete(6), "cycle 7": Cycle(7)}
SOLVERS: dict[str, Solver] = {
    "barycenter": ByReduction(CliqueToBarycenter(), KelleyCuts(NaiveLp())),
    "brute force": BruteForce(),
}
EDGES = {"K4": 6, "cycle": 5, "K5": 10, "K6": 15, "cycle 7": 7}
CONSTRUCTION = "2101.01100, reduction of clique to barycenters (the construction is ours)"


def clique(graph: str, k: int, solver: str) -> Solving:
    """Whether the graph has k vertices that are all adjacent."""
    return Solving(
        problem=Clique(_graph(graph), k=k),
        by=SOLVERS[solver],
        measure=(Objective(), Decided(), OracleCalls()),
        precision="float64",
    )


def instance(graph: str, k: int) -> Analysis:
    """The barycenter problem that hides the clique, without solving it."""
    return Analysis(
        of=Reduced(Clique(_graph(graph), k=k), CliqueToBarycenter()),
        measure=(InstanceSize(), CostIdentity()),
        precision="float64",
    )


def _graph(name: str) -> Graph:
    return (GRAPHS | LARGER)[name]


def errors(table: Table, name: str) -> Interval:
    """The largest difference from brute force, over graphs and sizes."""
    ours, theirs = (_by_instance(table.where(solver=solver), name) for solver in SOLVERS)
    worst = max(abs(value - theirs[point]) for point, value in ours.items())
    return certain(worst, n=len(ours))


def _by_instance(table: Table, name: str) -> dict[tuple[str, int], float]:
    part = table.dropna(name).last()
    each = zip(part["graph"].tolist(), part["k"].tolist(), part[name], strict=True)
    return {(str(graph), int(k)): float(value) for graph, k, value in each}


def identity(table: Table) -> Interval:
    """The largest error of the cost as a count of pairs, over instances."""
    found = table.dropna("CostIdentity").last()["CostIdentity"].astype(float)
    worst = float(found.max())
    return certain(worst, n=len(found))


def dimension(table: Table, graph: str, k: int) -> Interval:
    """The dimension of the points."""
    found = table.where(graph=graph, k=k).dropna("InstanceSize").last()
    value = float(np.asarray(found["InstanceSize"][0], float)[2])
    return certain(value)


def decisions(table: Table, axes: Any) -> None:
    """Decision table: adjacent pairs in the best k vertices, whether a k-clique exists, and calls of the oracle."""
    rows = []
    for (graph, k), part in table.groups("graph", "k"):
        if any(solver in part.points["solver"].tolist() for solver in SOLVERS):
            rows.append([graph, str(int(k)), *(_cell(part, solver) for solver in SOLVERS)])
    axes.axis("off")
    shown = axes.table(rows, colLabels=["graph", "k", *SOLVERS], loc="center", cellLoc="center")
    shown.auto_set_font_size(False)
    shown.set_fontsize(8)


def _cell(part: Table, solver: str) -> str:
    if solver not in part.points["solver"].tolist():
        return ""
    found = part.where(solver=solver).last()
    value, decided, calls = (float(found[name][0]) for name in ("Objective", "Decided", "OracleCalls"))
    return f"{round(value)}: {'yes' if decided else 'no'}" + (f" ({calls:.0f} calls)" if calls else "")


def sizes(table: Table, axes: Any) -> None:
    """Entries of the cost tensor against the dimension of the points, one mark for each instance."""
    part = table.dropna("InstanceSize").last()
    for k, marker in ((3, "o"), (4, "x")):
        found = [np.asarray(size, float) for size in part["InstanceSize"] if float(size[0]) == k]
        if found:
            measures, points, dimensions = np.array(found).T
            axes.loglog(dimensions, points**measures, marker, label=f"k = {k}", alpha=0.7)
    axes.set_xlabel("dimension")
    axes.set_ylabel("tuples")
    axes.legend()


def times(table: Table, axes: Any) -> None:
    """Seconds of a decision against the dimension of the points: by barycenters, one mark for each graph."""
    for k, marker in ((3, "o"), (4, "x")):
        part = table.where(solver="barycenter").dropna("OracleCalls").last()
        rows = [
            (k * (k - 1) * EDGES[str(graph)], seconds)
            for graph, size, seconds in zip(part["graph"].tolist(), part["k"].tolist(), part["wall_s"], strict=True)
            if int(size) == k and graph in EDGES
        ]
        if rows:
            axes.loglog(*np.array(rows).T, marker, label=f"k = {k}")
    axes.set_xlabel("dimension")
    axes.set_ylabel("seconds")
    axes.legend()


def study(scale: str) -> Study:
    """Six graphs and three larger ones, decisions on cliques of 3, instances of 3 and 4. Paper: decisions of 4 too."""
    figures = (decisions, sizes, times)
    if scale == "smoke":
        points = grid(clique, graph=("cycle",), k=(3,), solver=SOLVERS) + grid(instance, graph=("cycle",), k=(3,))
        return Study("barycenter-hardness", points, claims({("cycle", 3)}), figures)
    points = grid(clique, graph=GRAPHS | LARGER, k=(3,), solver=SOLVERS)
    points += [] if scale == "small" else grid(clique, graph=GRAPHS, k=(4,), solver=SOLVERS)
    points += grid(instance, graph=GRAPHS | LARGER, k=(3, 4))
    return Study("barycenter-hardness", points, claims({(graph, k) for graph in EDGES for k in (3, 4)}), figures)


def claims(instances: set[tuple[str, int]]) -> list[Claim]:
    """No decision differs from that of brute force, every cost is a count, and dimensions are as derived."""
    exact = partial(Claim, predicted=0.0, verified=False)
    return [
        exact("barycenters decide every clique", CONSTRUCTION, partial(errors, name="Decided"), within(0.0)),
        exact("barycenters count its pairs", CONSTRUCTION, partial(errors, name="Objective"), within(1e-6)),
        exact("every entry of the cost counts adjacent pairs", CONSTRUCTION, identity, within(1e-9)),
        *(
            Claim(
                f"the instance of {graph} and k = {k} has dimension k (k - 1) |E|",
                CONSTRUCTION,
                measured=partial(dimension, graph=graph, k=k),
                accept=within(0.0),
                predicted=float(k * (k - 1) * EDGES[graph]),
            )
            for graph, k in sorted(instances)
        ),
    ]
