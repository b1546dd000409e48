"""The merged-staircase property: what SGD learns with O(d) samples (2202.08658).

Targets of leap 1, 2 and 3 on 4 latent bits: two-layer mean-field networks trained by SGD at d = 30 and d = 100, beside
the dimension-free flow that is their limit. Losses have the paper's 1/2, and no network has a bias, as the limit has
none. A merged staircase whose coefficients have a symmetry is not learned by the flow, one with generic coefficients
is. Kernel ridge regression on the target of leap 1 stands beside the lower bound on linear methods. Statements are from
memory, unverified; bands are those of a scaled-down experiment of ours.
"""

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from dsl import *
from runs.statistics import PerSeed, per_seed
from runs.table import Table
from theory.levels import linear_method_bound, staircase_level_weights

z = bits(4)  # a target on 4 coordinates reads the first 4 of a longer input
TARGETS = {"leap 1": total(prefixes(z, 4)), "leap 2": z[0] + prod(z[:3]), "leap 3": z[0] + prod(z)}
# Both have the merged-staircase property; the first is invariant under (z0, z1, z2) -> (z1, z0, -z2).
SYMMETRY = {
    "degenerate": z[0] + z[1] + z[0] * z[2] - z[1] * z[2],
    "generic": z[0] + 1.2 * z[1] + z[0] * z[2] - 0.7 * z[1] * z[2],
}
SIGMA = Sigmoid(gain=3.0, slope=3.0, shift=-1.0)
CITATION = "2202.08658, SGD against the dimension-free dynamics"
LR, UNTIL = 0.04, 80.0
# Steps of SGD and of the flow between two observations, both one unit of time: t = k lr.
SGD_UNIT, FLOW_UNIT = 25, 20
EXAMPLES = (128, 512, 2048)


def finite(target: str, d: str, seed: int, phases: int = 1, width: int = 256, until: float = UNTIL) -> Training:
    """Online SGD at finite dimension, batch 4d."""
    return Training(
        task=Labelled(Hypercube(int(d)), TARGETS[target]),
        model=TwoLayer(width=width, activation=SIGMA, scaling=MeanField(), bias=False),
        loss=0.5 * SquaredLoss(),
        protocol=Descent(steps=round(until / LR), draw=Fresh(4 * int(d)), by=Sgd(lr=LR)),
        measure=(TestLoss(Fresh(10_000)) @ every(SGD_UNIT),),
        seed=seed,
    )


def limit(target: str, d: str, seed: int, phases: int = 1, particles: int = 64, until: float = UNTIL) -> Training:
    """The dimension-free dynamics: the same loss, an exact expectation, a flow; `d` is "infinite"."""
    return Training(
        task=Labelled(Hypercube(4), (TARGETS | SYMMETRY)[target]),
        model=MeanFieldLimit(particles=particles, nodes=24, activation=SIGMA),
        loss=0.5 * SquaredLoss(),
        # a step above 0.05 is unstable for this activation, and looks like a plateau
        protocol=Flow(until=until, steps=round(until * FLOW_UNIT), draw=Exact()),
        measure=(TestLoss(Exact()) @ every(FLOW_UNIT),),
        seed=seed,
        precision="float64",
    )


def two_phase(target: str, d: str, seed: int, phases: int = 2) -> Training:
    """Phase two, ridge regression of the readout, on what 200 steps of the first layer found."""
    first = replace(
        finite(target, d, seed),
        protocol=Descent(200, Fresh(4 * int(d)), by=Sgd(lr=LR), only="hidden"),
        measure=(Weights() @ at_end(),),
    )
    return replace(
        first,
        model=Trained(first),
        protocol=Ridge(lam=1e-3, draw=Fresh(20 * int(d)), only="readout"),
        measure=(TestLoss(Fresh(10_000)) @ at_end(),),
    )


def kernel(target: str, d: str, seed: int, examples: int) -> Training:
    """Kernel ridge regression; bandwidth and penalty are among the best of a few that were tried."""
    return Training(
        task=Sample(Labelled(Hypercube(int(d)), TARGETS[target]), n=examples),
        model=KernelMachine(Rbf(bandwidth=int(d) ** 0.5)),
        loss=0.5 * SquaredLoss(),
        protocol=Ridge(lam=1e-4, draw=Exact()),
        measure=(TestLoss(Fresh(4_000)) @ at_end(),),
        seed=seed,
        precision="float64",
    )


def linear_bound(d: int, features: int) -> float:
    """The least risk of a linear method with so many features on the target of leap 1, on average over its orbit."""
    return float(linear_method_bound(staircase_level_weights(d, 4), d, features))


def at_time(table: Table, target: str, d: str, time: float) -> PerSeed:
    """The risk E (f - y)^2 at a time, for each seed: twice the loss, which has the 1/2."""
    unit = FLOW_UNIT if d == "infinite" else SGD_UNIT
    half = per_seed(_phase_one(table, target, d), "TestLoss", step=round(time * unit))
    return PerSeed(2 * half.values, half.seeds, half.notes)


def _phase_one(table: Table, target: str, d: str) -> Table:
    return table.where(target=target, d=d, phases=1)


def kernel_risk(table: Table, examples: int) -> PerSeed:
    """The risk of kernel ridge regression on so many examples, for each seed."""
    half = per_seed(table.where(examples=examples), "TestLoss")
    return PerSeed(2 * half.values, half.seeds, half.notes)


def margin(table: Table) -> PerSeed:
    """The least difference between the risk of kernel regression and the linear bound, over the sample sizes."""
    risks = [kernel_risk(table, n) for n in EXAMPLES]
    margins = [risk.values - linear_bound(30, n) for risk, n in zip(risks, EXAMPLES, strict=True)]
    return PerSeed(np.min(margins, axis=0), risks[0].seeds, risks[0].notes)


def distance(table: Table, target: str, d: str, start: float = 5.0) -> PerSeed:
    """The largest distance between the risk at d and that of the limit, from a time on, for each seed."""
    times = np.arange(start, UNTIL + 1)
    far = at_time(table, target, "infinite", start)
    flow = np.array([at_time(table, target, "infinite", t).values[0] for t in times])
    risks = np.stack([at_time(table, target, d, t).values for t in times], axis=1)
    return PerSeed(np.abs(risks - flow).max(axis=1), at_time(table, target, d, start).seeds, far.notes)


def drift(table: Table) -> PerSeed:
    """How much higher the risk of the leap-3 target ends at d = 100 than at d = 30, for each seed."""
    low, high = (at_time(table, "leap 3", d, UNTIL) for d in ("30", "100"))
    return PerSeed(high.values - low.values, high.seeds)


def risks(table: Table, axes: Any, target: str) -> None:
    """The risk against time at each d and in the limit."""
    for d in dict.fromkeys(table.where(target=target, phases=1)["d"].tolist()):
        part = _phase_one(table, target, d)
        unit = FLOW_UNIT if d == "infinite" else SGD_UNIT
        steps = np.unique(part["step"])
        median = [2 * np.median(part.at(int(step))["TestLoss"]) for step in steps]
        axes.plot(steps / unit, median, label=f"d = {d}", linestyle="--" if d == "infinite" else "-")
    axes.set_xlabel("time: steps x learning rate")
    axes.set_ylabel("risk")
    axes.legend()


def leap_one(table: Table, axes: Any) -> None:
    """Leap 1: SGD follows the dimension-free flow to zero (median over seeds; dashed: the flow)."""
    risks(table, axes, "leap 1")


def leap_three(table: Table, axes: Any) -> None:
    """Leap 3: the flow stays on its plateau, and SGD is the closer to it the larger d (median over seeds)."""
    risks(table, axes, "leap 3")


def symmetric(table: Table, axes: Any) -> None:
    """The flow on two merged staircases with the same terms: the symmetric one leaves its saddle by round-off alone."""
    for target in SYMMETRY:
        part = _phase_one(table, target, "infinite")
        axes.semilogy(part["step"] / FLOW_UNIT, 2 * part["TestLoss"], label=target)
    axes.set_xlabel("time")
    axes.set_ylabel("risk")
    axes.legend()


def kernels(table: Table, axes: Any) -> None:
    """Kernel ridge regression on the target of leap 1 at d = 30 (dots: seeds), over the bound on linear methods."""
    part = table.where(d="30", target="leap 1").dropna("examples")
    axes.semilogx(part["examples"].astype(float), 2 * part["TestLoss"], "o", label="kernel ridge regression")
    sizes = np.unique(np.geomspace(30, 2 * max(EXAMPLES), 60).astype(int))
    axes.semilogx(sizes, [linear_bound(30, int(n)) for n in sizes], label="linear methods, at least")
    axes.set_xlabel("examples")
    axes.set_ylabel("risk")
    axes.legend()


def study(scale: str) -> Study:
    """Three targets at d = 30 and 100, 8 seeds, their limit, kernels; smoke: one target, small and short."""
    if scale == "smoke":
        points = grid(partial(finite, width=16, until=2.0), target=("leap 1",), d=("10",), phases=(1,), seed=range(2))
        return Study("merged-staircase", points)
    sizes = ("30", "100") if scale == "small" else ("30", "100", "300")
    points = grid(finite, target=TARGETS, d=sizes, phases=(1,), seed=range(8))
    points += grid(limit, target=TARGETS, d=("infinite",), phases=(1,), seed=(0,))
    points += grid(two_phase, target=TARGETS, d=("30",), phases=(2,), seed=range(8))
    points += grid(partial(limit, until=100.0), target=SYMMETRY, d=("infinite",), phases=(1,), seed=(0,))
    points += grid(kernel, target=("leap 1",), d=("30",), seed=range(8), examples=EXAMPLES)
    return Study("merged-staircase", points, claims(), (leap_one, leap_three, symmetric, kernels))


def claims() -> list[Claim]:
    """What the theory says of the three targets, and how close finite d comes."""
    claim = partial(Claim, citation=CITATION, verified=False)
    return [
        claim(
            "the dimension-free flow learns the target of leap 1: its risk at time 80",
            predicted=0.013,
            measured=partial(at_time, target="leap 1", d="infinite", time=80.0),
            accept=within(0.002),
        ),
        claim(
            "the dimension-free flow does not learn the target of leap 3: its risk stays at 1",
            predicted=1.0,
            measured=partial(at_time, target="leap 3", d="infinite", time=80.0),
            accept=within(0.01),
        ),
        claim(
            "SGD at d = 100 learns the target of leap 1: its risk at time 80 is below 0.1",
            measured=partial(at_time, target="leap 1", d="100", time=80.0),
            accept=below(0.1),
        ),
        claim(
            "SGD at d = 100 follows the flow on the target of leap 1: within 0.35 from time 5 on",
            measured=partial(distance, target="leap 1", d="100"),
            accept=below(0.35),
        ),
        claim(
            "SGD on the target of leap 3 comes closer to the plateau of its limit as d grows",
            measured=drift,
            accept=above(0.0),
        ),
        *_symmetry_claims(claim),
        *_linear_claims(claim),
    ]


def _symmetry_claims(claim: Any) -> list[Claim]:
    return [
        claim(
            "the flow does not learn a merged staircase with a symmetry: its risk is 2 at time 8, before round-off "
            "breaks the symmetry (about time 12)",
            predicted=2.0,
            measured=partial(at_time, target="degenerate", d="infinite", time=8.0),
            accept=within(0.01),
        ),
        claim(
            "the flow learns the merged staircase on the same terms with generic coefficients: its risk at time 100 is "
            "below 0.001",
            measured=partial(at_time, target="generic", d="infinite", time=100.0),
            accept=below(1e-3),
        ),
    ]


def _linear_claims(claim: Any) -> list[Claim]:
    return [
        claim(
            "kernel ridge regression on the target of leap 1 stays above the bound on linear methods with as many "
            f"features as examples ({', '.join(map(str, EXAMPLES))}; d = 30)",
            measured=margin,
            accept=above(0.0),
        ),
        claim(
            "SGD at d = 100 is better than every linear method with as many features as it saw examples, 800 000: its "
            "risk at time 80 is below their bound",
            predicted=linear_bound(100, 800_000),
            measured=partial(at_time, target="leap 1", d="100", time=80.0),
            accept=below(linear_bound(100, 800_000)),
        ),
    ]
