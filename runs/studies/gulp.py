"""GULP: distances between representations that say how differently ridge regressions on them predict (2210.06545).

A grid of widths and depths of fully connected networks on digits, two or more seeds each; a representation is the last
hidden layer on the test part. Between all pairs: GULP at several ridges, CCA, CKA and Procrustes, at several steps of
the trainings; the gaps between ridge regressions on random labels, which GULP of the same ridge should follow best; and
for a few networks, how GULP of n inputs approaches GULP of the law from which they are drawn.

The paper's grid is on MNIST: at the scale `paper` it is scaled down to a subset of 5000 (extra `data`), at the others
the digits are those of scikit-learn.
"""

from functools import partial
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from dsl import *
from runs.statistics import Interval, PerSeed, binomial_interval, bootstrap_interval, certain, power_law
from runs.table import Table
from theory.representation import classical_mds

WIDTHS = {"smoke": (16, 32, 64), "small": (16, 32, 64), "paper": (32, 64, 128)}
DEPTHS = {"smoke": (1, 2), "small": (1, 2, 4, 6), "paper": (1, 2, 4, 6)}
REPLICAS = {"smoke": 2, "small": 2, "paper": 4}
TRAINED = {"smoke": (0, 5, 20), "small": (0, 100, 400), "paper": (0, 50, 100, 200, 400, 800)}
STEPS = {scale: trained[-1] for scale, trained in TRAINED.items()}
SIZES = {"smoke": (50, 200), "small": (50, 200, 800, 3_200), "paper": (100, 400, 1_600, 6_400)}
DATA = {"smoke": Digits(), "small": Digits(), "paper": MnistSubset()}
LAMS = (0.0, 1e-3, 1e-2, 1e-1, 1.0, 100.0)
TASKS = (1e-2, 1e-1)
Net = tuple[int, int, int]


def net(width: int, depth: int, seed: int, scale: str) -> Training:
    """A network of ReLUs on the train part of the digits."""
    error = TestError(Exact(), on=Split(DATA[scale], part="test"))
    return Training(
        task=Split(DATA[scale], part="train"),
        model=Mlp((width,) * depth, activation=Relu()),
        loss=CrossEntropy(),
        protocol=Descent(STEPS[scale], Shuffled(100), by=Adam(lr=1e-3)),
        measure=(Weights() @ at(*TRAINED[scale]), error @ at_end()),
        seed=seed,
    )


def nets(scale: str) -> list[Net]:
    """Width, depth and seed of each network, in the order of the matrices."""
    return [(w, d, s) for w in WIDTHS[scale] for d in DEPTHS[scale] for s in range(REPLICAS[scale])]


def features(scale: str, trained: int) -> tuple[Representation[Any], ...]:
    """The last hidden layers of all networks at a step."""
    models = (Trained(net(*of, scale=scale), at=trained) for of in nets(scale))
    return tuple(Representation(model, on=Split(DATA[scale], part="test"), layer=-2) for model in models)


def compared(part: str, trained: int, scale: str) -> Analysis:
    """All distances at one step of the trainings."""
    measure = tuple(DistanceMatrix(distance) for distance in (Gulp(LAMS), Cca(), Cka(), Procrustes()))
    return Analysis(of=features(scale, trained), measure=measure, precision="float64")


def random_tasks(part: str, lam: float, seed: int, scale: str) -> Analysis:
    """The gaps between the predictions of ridge regressions on one draw of random labels."""
    measure = (PredictionGap(RandomLabels(), lam=lam),)
    return Analysis(of=features(scale, STEPS[scale]), measure=measure, seed=seed, precision="float64")


def plug_in(part: str, n: int, seed: int, scale: str) -> Analysis:
    """GULP between networks of one width and seed, from n examples of the law of all digits; of all, the law itself."""
    data, width = DATA[scale], WIDTHS[scale][1]
    on = data if n == data.size else Sample(data, n=n)
    models = (Trained(net(width, depth, 0, scale)) for depth in DEPTHS[scale])
    of = tuple(Representation(model, on=on, layer=-2) for model in models)
    return Analysis(of=of, measure=(DistanceMatrix(Gulp(LAMS)),), seed=seed, precision="float64")


def distances(table: Table, trained: int) -> dict[str, np.ndarray]:
    """The matrices at one step by name; of GULP one for each ridge."""
    own = table.where(part="distances", trained=trained)
    gulp = {f"GULP {lam:g}": matrix for lam, matrix in zip(LAMS, own["DistanceMatrix"][0], strict=True)}
    others = {name: own[f"DistanceMatrix(distance={name}())"][0] for name in ("Cca", "Cka", "Procrustes")}
    return gulp | others


def depth_recovered(table: Table, scale: str, name: str) -> Interval:
    """How often the nearest network of another width has the same depth."""
    found = distances(table, STEPS[scale])[name]
    widths, depths, _ = np.array(nets(scale)).T
    nearest = np.argmin(np.where(widths[:, None] == widths[None, :], np.inf, found), axis=1)
    return binomial_interval(int(np.sum(depths[nearest] == depths)), len(depths))


def correlations(table: Table, scale: str, lam: float) -> dict[str, PerSeed]:
    """Spearman's correlation over all pairs of each distance with the gaps at one ridge, for each draw of labels."""
    own, pairs = table.where(part="random tasks", lam=lam), np.triu_indices(len(nets(scale)), 1)
    gaps, seeds = own["PredictionGap"], own["seed"]
    found = distances(table, STEPS[scale])
    rank = lambda matrix: [np.asarray(spearmanr(matrix[pairs], gap[pairs]))[0] for gap in gaps]
    return {name: PerSeed(np.array(rank(matrix)), seeds) for name, matrix in found.items()}


def lead(table: Table, scale: str, lam: float, over: tuple[str, ...]) -> Interval:
    """By how much the correlation of GULP at the ridge of the tasks exceeds the best of others, on average over draws.

    The paper compares averages over draws too; of one draw another may be the best.
    """
    found = correlations(table, scale, lam)
    own, others = found[f"GULP {lam:g}"].values, np.array([found[name].values for name in over])
    best = int(np.argmax(others.mean(axis=1)))
    return bootstrap_interval(own - others[best], np.mean)


def approach(table: Table, scale: str, name: str) -> Interval:
    """The distance of two networks that differ in the seed alone: after training, as a share of that before it."""
    return bootstrap_interval(_twins(table, scale, STEPS[scale])[name] / _twins(table, scale, 0)[name])


def _twins(table: Table, scale: str, trained: int) -> dict[str, np.ndarray]:
    """By name the distances at a step of networks that differ in the seed alone, one pair for each width and depth."""
    first = np.arange(0, len(nets(scale)), REPLICAS[scale])
    return {name: matrix[first, first + 1] for name, matrix in distances(table, trained).items()}


def resemblance(table: Table, scale: str, lam: float, name: str) -> Interval:
    """The correlation over all pairs of squared GULP at a ridge with another distance."""
    found, pairs = distances(table, STEPS[scale]), np.triu_indices(len(nets(scale)), 1)
    value = float(np.corrcoef(found[f"GULP {lam:g}"][pairs] ** 2, found[name][pairs])[0, 1])
    return certain(value, n=len(pairs[0]))


def resemblance_at_zero(table: Table, scale: str) -> Interval:
    """The least, over widths, of the correlation of squared GULP at 0 with CCA between networks of that width."""
    widths, found = np.array(nets(scale))[:, 0], distances(table, STEPS[scale])
    values = []
    for width in WIDTHS[scale]:
        own = np.flatnonzero(widths == width)
        pairs = np.ix_(own, own)
        upper = np.triu_indices(len(own), 1)
        values.append(np.corrcoef(found["GULP 0"][pairs][upper] ** 2, found["Cca"][pairs][upper])[0, 1])
    least = float(np.min(values))
    return certain(least, n=len(values))


def plug_in_errors(table: Table, scale: str, lam: float) -> dict[int, PerSeed]:
    """The mean relative error over pairs of squared GULP from n examples, by n, for each draw of them."""
    own, k = table.where(part="plug-in"), len(DEPTHS[scale])
    pairs = np.triu_indices(k, 1)
    square = own["DistanceMatrix"][:, LAMS.index(lam), :k, :k][:, *pairs] ** 2
    law = square[own["n"] == DATA[scale].size][0]
    error = np.mean(np.abs(square / law - 1), axis=1)
    return {n: PerSeed(error[own["n"] == n], own["seed"][own["n"] == n]) for n in SIZES[scale]}


def plug_in_rate(table: Table, scale: str, lam: float) -> Interval:
    """The exponent in n of that error, over all draws."""
    found = plug_in_errors(table, scale, lam)
    return power_law(np.repeat(list(found), [len(each.values) for each in found.values()]), _flat(found))


def embedding(table: Table, axes: Any) -> None:
    """The networks in the plane by GULP 0.01 after training (colours: depth; sizes: width)."""
    scale = _scale(table)
    widths, depths, _ = np.array(nets(scale)).T
    place = np.asarray(classical_mds(distances(table, STEPS[scale])["GULP 0.01"]))
    for i, depth in enumerate(DEPTHS[scale]):
        own = depths == depth
        axes.scatter(place[own, 0], place[own, 1], s=widths[own], color=f"C{i}", label=f"depth {depth}")
    axes.legend()


def follows(table: Table, axes: Any) -> None:
    """Correlation of GULP with the gaps on random labels, by its ridge (lines: the ridge of the tasks; dots: seeds)."""
    scale = _scale(table)
    for i, lam in enumerate(TASKS):
        found = correlations(table, scale, lam)
        values = np.array([found[f"GULP {other:g}"].values for other in LAMS])
        axes.plot(values, "o", color=f"C{i}", markersize=3)
        axes.plot(values.mean(axis=1), color=f"C{i}", label=f"tasks at {lam:g}")
    axes.set_xticks(range(len(LAMS)), [f"{lam:g}" for lam in LAMS])
    axes.set_xlabel("ridge of GULP")
    axes.set_ylabel("Spearman's correlation")
    axes.legend()


def recovery(table: Table, axes: Any) -> None:
    """How often the nearest network of another width has the same depth, by distance (dotted: chance)."""
    scale = _scale(table)
    names = list(distances(table, STEPS[scale]))
    for i, name in enumerate(names):
        found = depth_recovered(table, scale, name)
        axes.errorbar(
            i, found.estimate, [[found.estimate - found.low], [found.high - found.estimate]], fmt="o", color="C0"
        )
    axes.axhline(1 / len(DEPTHS[scale]), linestyle=":", color="black")
    axes.set_xticks(range(len(names)), names)
    axes.set_ylabel("share")


def training(table: Table, axes: Any) -> None:
    """Mean distance of networks that differ in the seed alone, as a share of that before training."""
    scale = _scale(table)
    twins = [_twins(table, scale, step) for step in TRAINED[scale]]
    for i, name in enumerate(name for name in twins[0] if name != "GULP 0"):
        axes.plot(TRAINED[scale], [np.mean(at[name] / twins[0][name]) for at in twins], "o-", color=f"C{i}", label=name)
    axes.set_xlabel("step")
    axes.legend()


def ends(table: Table, axes: Any) -> None:
    """Correlation over pairs of squared GULP with CCA, CKA and Procrustes, by its ridge."""
    scale = _scale(table)
    for name in ("Cca", "Cka", "Procrustes"):
        axes.plot([resemblance(table, scale, lam, name).estimate for lam in LAMS], "o-", label=name)
    axes.set_xticks(range(len(LAMS)), [f"{lam:g}" for lam in LAMS])
    axes.set_xlabel("ridge of GULP")
    axes.set_ylabel("correlation")
    axes.legend()


def convergence(table: Table, axes: Any) -> None:
    """Mean relative error of squared GULP from n examples, by the ridge (dots: draws; dashes: n^-1/2)."""
    scale = _scale(table)
    for i, lam in enumerate(LAMS):
        values = np.array([each.values for each in plug_in_errors(table, scale, lam).values()])
        axes.loglog(SIZES[scale], values, "o", color=f"C{i}", markersize=3)
        axes.loglog(SIZES[scale], values.mean(axis=1), color=f"C{i}", label=f"GULP {lam:g}")
    axes.loglog(SIZES[scale], np.asarray(SIZES[scale], float) ** -0.5, "--", color="0.5")
    axes.set_xlabel("n")
    axes.legend()


def _flat(found: dict[int, PerSeed]) -> np.ndarray:
    return np.concatenate([each.values for each in found.values()])


def _scale(table: Table) -> str:
    last = max(int(step) for step in table.points["trained"].tolist() if step is not None)
    return next(scale for scale, steps in STEPS.items() if steps == last)


def study(scale: str) -> Study:
    """24 networks and 8 draws of labels; paper: 48 networks on MNIST; smoke: 12 small ones for 20 steps."""
    seeds = range(2 if scale == "smoke" else 8)
    points = grid(partial(compared, scale=scale), part=("distances",), trained=TRAINED[scale])
    points += grid(partial(random_tasks, scale=scale), part=("random tasks",), lam=TASKS, seed=seeds)
    draws = range(100, 100 + 2 * len(seeds))  # the bands of the rates were set on other draws
    points += grid(partial(plug_in, scale=scale), part=("plug-in",), n=SIZES[scale], seed=draws)
    points += grid(partial(plug_in, scale=scale), part=("plug-in",), n=(DATA[scale].size,), seed=(0,))
    figures = (embedding, recovery, follows, ends, training, convergence)
    return Study("gulp", points, () if scale == "smoke" else claims(scale), figures)


def claims(scale: str) -> list[Claim]:
    """What the paper's figures show, on a smaller grid."""
    return [
        _claim(
            f"GULP 0.01 knows depth: the nearest network of another width has the same depth more often than by "
            f"chance, {1 / len(DEPTHS[scale]):.2f}",
            measured=partial(depth_recovered, scale=scale, name="GULP 0.01"),
            accept=above(1 / len(DEPTHS[scale])),
        ),
        *_of_tasks(scale),
        *_of_training(scale),
        *_at_the_ends(scale),
        *_of_the_estimator(scale),
    ]


_claim = partial(Claim, citation="2210.06545, experiments on MNIST (grid and data are ours)", verified=False)


def _of_tasks(scale: str) -> list[Claim]:
    others = {lam: tuple(f"GULP {other:g}" for other in LAMS if other != lam) for lam in TASKS}
    ridges = [
        _claim(
            f"of all ridges, GULP at {lam:g} follows best how ridge regressions at {lam:g} on random labels differ, on "
            "average over draws",
            measured=partial(lead, scale=scale, lam=lam, over=over),
            accept=above(0.0),
        )
        for lam, over in others.items()
    ]
    relatives = [
        _claim(
            f"it follows them better than CCA, CKA and Procrustes do, on average (tasks at {lam:g})",
            measured=partial(lead, scale=scale, lam=lam, over=("Cca", "Cka", "Procrustes")),
            accept=above(0.0),
        )
        for lam in TASKS
    ]
    return ridges + relatives


def _of_training(scale: str) -> list[Claim]:
    return [
        _claim(
            f"networks that differ in the seed alone come closer in training by {name}",
            measured=partial(approach, scale=scale, name=name),
            accept=below(1.0),
        )
        for name in ("GULP 0.01", "GULP 0.1", "GULP 1", "Cka", "Procrustes")
    ]


def _at_the_ends(scale: str) -> list[Claim]:
    return [
        _claim(
            "at the largest ridge GULP is nearly CKA: over pairs, its square has a correlation above 0.95 with 1 - CKA",
            measured=partial(resemblance, scale=scale, lam=LAMS[-1], name="Cka"),
            accept=above(0.95),
        ),
        _claim(
            "open, units that died change ranks: at 0 GULP is CCA for networks of one width, its square has a "
            "correlation of 1 with 1 - mean(rho^2)",
            measured=partial(resemblance_at_zero, scale=scale),
            accept=within(1e-6),
            predicted=1.0,
        ),
    ]


def _of_the_estimator(scale: str) -> list[Claim]:
    return [
        _claim(
            f"the error of squared GULP {lam:g} from n examples falls as n^{rate:g}, {cause}",
            measured=partial(plug_in_rate, scale=scale, lam=lam),
            accept=within(0.25),
            predicted=rate,
        )
        for lam, rate, cause in ((0.0, -1.0, "the rate of its bias"), (1.0, -0.5, "the rate of its spread"))
    ]
