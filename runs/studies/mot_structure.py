"""Multimarginal transport with structure: Euler flows, network reliability, risk (2008.03006).

Generalised Euler flows on a line of n places at k = 6 times, exact by column generation and blurred by Sinkhorn's
algorithm at eta = 200 and 2000; the worst and the best network reliability of complete graphs against the closed form
1 - 0.005 v; the least risk of a product of k factors against Jensen's bound; a cost of rank two with listed entries
against the linear program over all tuples. The values of the risk that the released code ships are wrong (its oracle
is), so they are no reference here. The full text of the paper was not at hand.
"""

from functools import partial
from math import log
from typing import Any

import numpy as np

from dsl import *
from runs.figures import panels
from runs.statistics import Interval, certain
from runs.table import Table
from theory.transport.euler_flow import destinations

TIMES = 6
FLOWS = ("id", "rev", "shift", "tent")
ETAS = (200.0, 2000.0)
SOLVERS = {
    "exact": ColumnGeneration(),
    "weights": MultiplicativeWeights(eps=0.03),
    "naive": NaiveLp(),
}
UP = {"worst": (1.0, 0.99), "best": (-1.0, 0.01)}  # the sign of the cost, and the probability that an edge is up
RISK = {
    2: (1.48, 1.48),
    5: (1.527966, 1.527966),
    10: (1.54711040, 1.54711057),
    20: (1.55743324, 1.55743328),
}
"""The certified interval of each number of factors, by another implementation."""
DIGITS = {2: 1e-7, 5: 1e-7, 10: 5e-9, 20: 5e-9}
"""To which its ends are given."""
WEIGHED = (6, 8, 10)
DERIVED = "2008.03006, network reliability; the closed form is derived and checked numerically"
CERTIFIED = "2008.03006, risk estimation; intervals of our reference file, by another implementation"
LOW_RANK = "2008.03006, low-rank plus sparse costs"
SOFTNESS = "2008.03006, Sinkhorn's algorithm with soft minima; the bound is derived"


def euler(sigma: str, solver: str, n: int) -> Solving:
    """A flow; the atoms of the plan are trajectories."""
    return _flow(sigma, n, SOLVERS[solver], SupportSize(), Plan())


def soft(sigma: str, solver: str, n: int, eta: float) -> Solving:
    """A flow at a temperature: temperatures are one program."""
    return _flow(sigma, n, MultimarginalSinkhorn(eta=eta, tol=1e-3))


def _flow(sigma: str, n: int, by: Solver, *more: Measurement) -> Solving:
    return Solving(
        problem=Transport(EulerFlow(n=n, steps=TIMES, sigma=sigma), uniform(n, TIMES)),  # type: ignore[arg-type]  # one of FLOWS
        by=by,
        measure=(
            *(Objective() @ every(1), DualBound() @ every(1)),
            *(UpperBound(), OracleCalls(), MarginalError(), PairMarginals(), *more),
        ),
        precision="float64",
    )


def reliability(case: str, vertices: int, solver: str) -> Solving:
    """The complete graph, each edge down (worst) or up (best) with probability 0.01."""
    (sign, up), edges = UP[case], vertices * (vertices - 1) // 2
    return Solving(
        problem=Transport(Connected(Complete(vertices), sign), bernoulli(up, edges)),
        by=SOLVERS[solver],
        measure=(Objective() @ every(1), DualBound() @ every(1), UpperBound(), OracleCalls()),
        precision="float64",
    )


def risk(k: int) -> Solving:
    """The least mean of a product of k variables, each uniform on 1, 1 + 1/(10 k), ..., 1 + 9/(10 k)."""
    factors = (tuple(1.0 + j / (10 * k) for j in range(10)),) * k
    return Solving(
        problem=Transport(LowRankPlusSparse(factors), uniform(10, k)),
        by=ColumnGeneration(start="rearrangement"),
        # to round a plan costs more than a round of column generation
        measure=(Objective() @ every(100), DualBound() @ every(100), UpperBound(), OracleCalls()),
        precision="float64",
    )


def two_terms(marginals: int, solver: str) -> Solving:
    """A product that rises and one that falls, with 0.05 more where all points are the same."""
    rising = (tuple(1 + j / (10 * marginals) for j in range(10)),) * marginals
    falling = (tuple(1 + (9 - j) ** 2 / (100 * marginals) for j in range(10)),) * marginals
    diagonal = tuple(((j,) * marginals, 0.05) for j in range(10))
    return Solving(
        problem=Transport(LowRankPlusSparse(rising, terms=(falling,), sparse=diagonal), uniform(10, marginals)),
        by=SOLVERS[solver],
        measure=(Objective(), DualBound(), UpperBound(), OracleCalls()),
        precision="float64",
    )


def last(table: Table, name: str, **point: Any) -> Interval:
    """What was measured at the end of one point."""
    value = float(table.where(**point).dropna(name).last()[name][0])
    return certain(value)


def gap(table: Table, **point: Any) -> Interval:
    """The length of the certified interval at the end."""
    length = last(table, "UpperBound", **point).estimate - last(table, "DualBound", **point).estimate
    return certain(length)


def excess(table: Table, sigma: str, eta: float) -> Interval:
    """How much more the soft plan on 51 places costs than the exact one."""
    ours, exact = (
        last(table, "Objective", sigma=sigma, n=51, **of).estimate for of in ({"eta": eta}, {"solver": "exact"})
    )
    return certain(ours - exact)


def gain(table: Table, sigma: str) -> Interval:
    """How much less the soft plan costs at the larger eta."""
    less = excess(table, sigma, ETAS[0]).estimate - excess(table, sigma, ETAS[1]).estimate
    return certain(less)


def over_jensen(table: Table, k: int) -> Interval:
    """The certified lower bound of the risk, less Jensen's bound."""
    over = last(table, "DualBound", k=k).estimate - jensen(k)
    return certain(over)


def apart(table: Table, marginals: int) -> Interval:
    """The exact value of the cost of rank two less that of the linear program over all tuples."""
    exact, naive = (
        last(table, "Objective", marginals=marginals, solver=solver).estimate for solver in ("exact", "naive")
    )
    return certain(exact - naive)


def missed(table: Table, vertices: int) -> Interval:
    """How much more than the closed form the reliability by multiplicative weights costs."""
    found = last(table, "Objective", case="worst", solver="weights", vertices=vertices).estimate - closed_form(vertices)
    return certain(found)


def closed_form(vertices: Any) -> Any:
    """The worst and the best reliability of a complete graph, as costs."""
    return 1 - 0.005 * vertices


def independent(k: int) -> float:
    """The risk of independent factors."""
    return float(np.mean(1 + np.arange(10) / (10 * k)) ** k)


def jensen(k: int) -> float:
    """exp(k E log r): no plan has a lower risk."""
    return float(np.exp(k * np.mean(np.log(1 + np.arange(10) / (10 * k)))))


def trajectories(table: Table, axes: Any) -> None:
    """Exact flows: places against times 0..6, where time 6 is sigma of the start; opacity is n times the mass."""
    for panel, (sigma,) in enumerate((s,) for s in FLOWS if s in table.points["sigma"].tolist()):
        part = table.where(sigma=sigma, solver="exact", n=11).dropna("Plan")
        atoms = np.asarray(part["Plan"][0], float)
        atoms = atoms[atoms[:, -1] > 0]
        ends = destinations(11, sigma)[atoms[:, 0].astype(int)]  # type: ignore[arg-type]  # one of FLOWS
        paths = np.column_stack([atoms[:, :TIMES], ends])
        for path, mass in zip(paths, atoms[:, -1], strict=True):
            axes.plot(np.arange(TIMES + 1) + 7.5 * panel, path, color="#1f6fb4", alpha=min(1.0, 11 * mass))
        axes.text(7.5 * panel + 3, 11, sigma, ha="center")
    axes.set_xticks([])
    axes.set_xlabel("time")
    axes.set_ylabel("place")


def maps(table: Table, axes: Any) -> None:
    """Where the mass of each of 51 places (rows) is at times 1 and 4 (columns): exact, then soft at growing eta."""
    flows = [sigma for sigma in FLOWS if sigma in table.points["sigma"].tolist()]
    kinds = {f"eta = {eta:g}": {"eta": eta} for eta in reversed(ETAS)}
    shown = [(f"{name}, {t}", of, t) for name, of in {"exact": {"solver": "exact"}, **kinds}.items() for t in (1, 4)]
    rows = [[_map(table, t, sigma=sigma, n=51, **of) for _, of, t in shown] for sigma in flows]
    panels(axes, rows, [name for name, _, _ in shown], flows)


def _map(table: Table, t: int, **point: Any) -> np.ndarray:
    return np.asarray(table.where(**point).dropna("PairMarginals")["PairMarginals"][0, t], float)


def times(table: Table, axes: Any) -> None:
    """Seconds against the edges of a complete graph for its worst reliability, with all that a solver does."""
    for solver in ("exact", "weights", "naive"):
        part = table.where(case="worst", solver=solver).dropna("UpperBound")
        vertices = part["vertices"].astype(int)
        axes.loglog(vertices * (vertices - 1) / 2, part["wall_s"], marker="o", label=solver)
    axes.set_xlabel("edges")
    axes.set_ylabel("seconds")
    axes.legend()


def risks(table: Table, axes: Any) -> None:
    """The least risk of k factors, and that of independent ones, above Jensen's bound."""
    factors = np.array([k for k in RISK if k in table.points["k"].tolist()])
    for name, value in (("least", partial(last, table, "Objective")), ("independent", independent)):
        above_bound = [_number(value(k=int(k))) - jensen(int(k)) for k in factors]
        axes.semilogy(factors, np.maximum(above_bound, 1e-10), marker="o", label=name)
    axes.set_xlabel("k")
    axes.set_ylabel("above Jensen's bound")
    axes.legend()


def _number(value: Any) -> float:
    return value.estimate if isinstance(value, Interval) else float(value)


def convergence(table: Table, axes: Any) -> None:
    """Value less certified bound of each exact flow against the rounds of column generation."""
    for sigma in (s for s in FLOWS if s in table.points["sigma"].tolist()):
        part = table.where(sigma=sigma, solver="exact", n=11).dropna("Objective")
        length = part["Objective"] - part["DualBound"]
        axes.semilogy(np.arange(len(length)), np.maximum(length, 1e-16), marker=".", label=sigma)
    axes.set_xlabel("round")
    axes.set_ylabel("gap")
    axes.legend()


def values(table: Table, axes: Any) -> None:
    """Network reliability against the vertices of the complete graph, with the closed form 1 - 0.005 v."""
    ways = dict.fromkeys(zip(table.points["case"].tolist(), table.points["solver"].tolist(), strict=True))
    marks = {"exact": "o", "weights": "s", "naive": "x"}
    for case, solver in ((case, solver) for case, solver in ways if case in UP):
        part = table.where(case=case, solver=solver).dropna("UpperBound")
        axes.plot(part["vertices"].astype(int), part["Objective"], marks[solver], label=f"{case}, {solver}")
    vertices = np.array(sorted({v for v in table.points["vertices"].tolist() if v is not None}), float)
    axes.plot(vertices, closed_form(vertices), linestyle=":", color="black")
    axes.set_xlabel("vertices")
    axes.set_ylabel("least cost")
    axes.legend()


def study(scale: str) -> Study:
    """Exact flows on 11 and 51 places (soft: 51); networks of up to 12 vertices, risks to k = 10; paper: 20 and 20."""
    if scale == "smoke":
        points = grid(euler, sigma=("rev",), solver=("exact",), n=(11,)) + grid(risk, k=(2,))
        points += grid(reliability, case=("worst", "best"), vertices=(4,), solver=("exact",))
        return Study("mot-structure", points, claims((4,), (2,), ("rev",), (11,)), (trajectories, convergence))
    small = scale == "small"
    vertices, factors = (4, 6, 8, 10, 12) if small else (4, 6, 8, 10, 12, 16, 20), tuple(RISK)[: 3 if small else 4]
    points = grid(euler, sigma=FLOWS, solver=("exact",), n=(11, 51))
    points += grid(soft, sigma=FLOWS, solver=("soft",), n=(51,), eta=ETAS)
    points += grid(reliability, case=tuple(UP), vertices=vertices, solver=("exact",))
    points += grid(reliability, case=("worst",), vertices=WEIGHED, solver=("weights",))
    points += grid(reliability, case=tuple(UP), vertices=(4, 5, 6), solver=("naive",)) + grid(risk, k=factors)
    points += grid(two_terms, marginals=(4,), solver=("exact", "naive"))
    points += [] if small else grid(two_terms, marginals=(6,), solver=("exact",))
    found = [*claims(vertices, factors, FLOWS, (11, 51)), *_of_softness(), *_of_two_terms(() if small else (6,))]
    return Study(
        "mot-structure", points, [*found, *_of_weights()], (trajectories, maps, convergence, values, times, risks)
    )


def claims(
    vertices: tuple[int, ...], factors: tuple[int, ...], flows: tuple[str, ...], places: tuple[int, ...]
) -> list[Claim]:
    """Closed forms and certified intervals."""
    found = [
        Claim(
            f"the {case} reliability of K_{v} costs 1 - 0.005 * {v}",
            DERIVED,
            predicted=closed_form(v),
            measured=partial(last, name="Objective", case=case, vertices=v, solver="exact"),
            accept=within(1e-9),
        )
        for case in UP
        for v in vertices
    ]
    return found + _of_risk(factors) + [claim for n in places for claim in _of_flows(flows, n)]


def _of_risk(factors: tuple[int, ...]) -> list[Claim]:
    found = []
    for k in factors:
        (low, high), error = RISK[k], DIGITS[k]
        found.append(
            Claim(
                f"the least risk of {k} factors is in the known interval",
                CERTIFIED,
                measured=partial(last, name="Objective", k=k),
                accept=between(low - error, high + error),
            )
        )
        found.append(
            Claim(
                f"the certified bound of the risk of {k} factors is at least Jensen's",
                "Jensen's inequality",
                measured=partial(over_jensen, k=k),
                accept=above(-1e-12),
            )
        )
    return found


def _of_flows(flows: tuple[str, ...], n: int) -> list[Claim]:
    found = [
        Claim(
            f"the flow {sigma!r}{_of(n)} is solved exactly: its certified interval is closed",
            "2008.03006, exact solutions by column generation",
            measured=partial(gap, sigma=sigma, solver="exact", n=n),
            accept=between(0.0, 1e-8),
            verified=False,
        )
        for sigma in flows
    ]
    return found + [
        Claim(
            f"the flow {sigma!r}{_of(n)} has a plan of at most n k - k + 1 trajectories",
            "2008.03006, sparsity of vertices",
            measured=partial(last, name="SupportSize", sigma=sigma, solver="exact", n=n),
            accept=below(n * TIMES - TIMES + 1),
            verified=False,
        )
        for sigma in flows
    ]


def _of_weights() -> list[Claim]:
    return [
        Claim(
            f"multiplicative weights find the worst reliability of K_{v} to eps = 0.03 of the range of the cost",
            "2008.03006, approximate transport by multiplicative weights",
            measured=partial(missed, vertices=v),
            accept=between(-1e-9, 0.03),
            verified=False,
        )
        for v in WEIGHED
    ]


def _of(n: int) -> str:
    return "" if n == 11 else f" on {n} places"


def _of_softness() -> list[Claim]:
    claim = partial(Claim, citation=SOFTNESS, verified=False)
    bounds = [
        claim(
            f"at eta = {eta:g} the soft flow {sigma!r} costs more than the exact one, by at most k log(n) / eta and "
            "what rounding moves",
            measured=partial(excess, sigma=sigma, eta=eta),
            accept=between(-1e-9, TIMES * log(51) / eta + 1e-3),
        )
        for eta in ETAS
        for sigma in FLOWS
    ]
    return bounds + [
        claim(
            f"at eta = {ETAS[1]:g} the soft flow {sigma!r} costs less than at {ETAS[0]:g}",
            measured=partial(gain, sigma=sigma),
            accept=above(0.0),
        )
        for sigma in FLOWS
    ]


def _of_two_terms(marginals: tuple[int, ...]) -> list[Claim]:
    same = Claim(
        "rank two with listed entries costs what the linear program over all tuples says",
        LOW_RANK,
        measured=partial(apart, marginals=4),
        accept=within(1e-8),
        predicted=0.0,
        verified=False,
    )
    return [
        same,
        *(
            Claim(
                f"rank two with {k} marginals is certified to one part in a hundred",
                LOW_RANK,
                measured=partial(gap, marginals=k, solver="exact"),
                accept=between(0.0, 0.028),
                verified=False,
            )
            for k in marginals
        ),
    ]
