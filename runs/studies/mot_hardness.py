"""Why multimarginal transport and barycenters are hard: cliques and cuts by transport (2012.05398, 2101.01100).

Whoever computes transport values for all marginals finds a clique (by pairwise costs, or by barycenters of binary
points), and one transport value is a maximum cut. Every answer through the oracle stands beside that of brute force.
The full texts of the papers were not at hand: the constructions are ours, checked by brute force.
"""

from functools import partial
from typing import Any

from dsl import *
from runs.statistics import Interval, certain
from runs.table import Table

GRAPHS: dict[str, Graph] = {
    "K4": Complete(4),
    "cycle": Cycle(5),
    **{f"random {seed}": Seeded(RandomGraph(6, p=0.5), seed=seed) for seed in range(6)},
}
CLIQUES: dict[str, Solver] = {
    "transport": ByReduction(CliqueToTransport(), KelleyCuts(NaiveLp())),
    "barycenter": ByReduction(CliqueToBarycenter(), KelleyCuts(NaiveLp())),
    "brute force": BruteForce(),
}
CUTS: dict[str, Solver] = {
    "cut by transport": ByReduction(CutToTransport(), NaiveLp()),
    "cut by columns": ByReduction(CutToTransport(), ColumnGeneration()),
    "cut by brute force": BruteForce(),
}
SOURCES = {
    "transport": "2012.05398, reduction of clique to pairwise costs",
    "barycenter": "2101.01100, reduction of clique to barycenters (the construction is ours)",
    "cut by transport": "2012.05398, reduction of maximum cut to binary marginals",
    "cut by columns": "2012.05398, reduction of maximum cut to binary marginals",
}


def clique(graph: str, k: int, way: str) -> Solving:
    """Whether the graph has k vertices that are all adjacent."""
    return Solving(
        problem=Clique(GRAPHS[graph], k=k),
        by=CLIQUES[way],
        measure=(Objective(), Decided(), OracleCalls()),
        precision="float64",
    )


def cut(graph: str, way: str) -> Solving:
    """The largest cut."""
    return Solving(
        problem=MaxCut(GRAPHS[graph]), by=CUTS[way], measure=(Objective(), OracleCalls()), precision="float64"
    )


def errors(table: Table, way: str, truth: str, name: str) -> Interval:
    """The largest difference from brute force, over graphs and sizes."""
    ours, theirs = (_by_instance(table.where(way=each), name) for each in (way, truth))
    worst = max(abs(ours[instance] - theirs[instance]) for instance in ours)
    return certain(worst, n=len(ours))


def _by_instance(table: Table, name: str) -> dict[Any, float]:
    part = table.dropna(name).last()
    keys = zip(part["graph"].tolist(), part["k"].tolist(), strict=True) if "k" in part.columns else part["graph"]
    return {str(key): float(value) for key, value in zip(keys, part[name], strict=True)}


def decisions(table: Table, axes: Any) -> None:
    """Decision table: adjacent pairs in the best k vertices, whether a k-clique exists, and calls of the oracle."""
    ways = [way for way in CLIQUES if way in table.points["way"].tolist()]
    rows = []
    for (graph, k), part in table.groups("graph", "k"):
        if k is not None:
            rows.append([graph, str(int(k)), *(_cell(part, way) for way in ways)])
    axes.axis("off")
    shown = axes.table(rows, colLabels=["graph", "k", *ways], loc="center", cellLoc="center")
    shown.auto_set_font_size(False)
    shown.set_fontsize(8)


def _cell(part: Table, way: str) -> str:
    if way not in part.points["way"].tolist():
        return ""
    found = part.where(way=way).last()
    value, decided, calls = (float(found[name][0]) for name in ("Objective", "Decided", "OracleCalls"))
    return f"{round(value)}: {'yes' if decided else 'no'}" + (f" ({calls:.0f} calls)" if calls else "")


def calls(table: Table, axes: Any) -> None:
    """Transport problems that a decision takes, against k (one mark for each graph)."""
    for way, marker in (("transport", "o"), ("barycenter", "x")):
        part = table.where(way=way).dropna("OracleCalls").last()
        axes.semilogy(part["k"].astype(float), part["OracleCalls"], marker, label=way, alpha=0.7)
    axes.set_xticks((3, 4))
    axes.set_xlabel("k")
    axes.set_ylabel("oracle calls")
    axes.legend()


def study(scale: str) -> Study:
    """Eight graphs, cliques of 3 and 4; by barycenters of 3. Paper: of 4 by barycenters too."""
    if scale == "smoke":
        points = grid(clique, graph=("cycle",), k=(3,), way=CLIQUES) + grid(cut, graph=("cycle",), way=CUTS)
        return Study("mot-hardness", points, claims(), (decisions, calls))
    points = grid(clique, graph=GRAPHS, k=(3, 4), way=("transport", "brute force"))
    points += grid(clique, graph=GRAPHS, k=(3,) if scale == "small" else (3, 4), way=("barycenter",))
    return Study("mot-hardness", points + grid(cut, graph=GRAPHS, way=CUTS), claims(), (decisions, calls))


def claims() -> list[Claim]:
    """No answer through an oracle differs from that of brute force."""
    exact = partial(Claim, predicted=0.0, verified=False)
    found = []
    for way in ("transport", "barycenter"):
        for name, what, slack in (("Decided", "decides every clique", 0.0), ("Objective", "counts its pairs", 1e-6)):
            measured = partial(errors, way=way, truth="brute force", name=name)
            statement = f"the reduction to {way} {what} as brute force does"
            found.append(exact(statement, SOURCES[way], measured=measured, accept=within(slack)))
    for way in ("cut by transport", "cut by columns"):
        measured = partial(errors, way=way, truth="cut by brute force", name="Objective")
        found.append(exact(f"one transport value is the maximum cut ({way})", SOURCES[way], measured, within(1e-7)))
    return found
