"""Small tables: kernel machines that learn features by FACT or by the ansatz, kernel ridge, and boosted trees.

The tables are those of scikit-learn. A seed is a split of a table: three fifths to learn from, the rest half for
validation and half for the test. The bandwidth, the ridge, the update and the number of iterations of the machines, and
the rate and size of the trees, are those of the least error on the validation part, for each split. All methods see the
same splits. Errors are shares of wrong classes; of `Diabetes` mean squared errors, in units of the variance.

The kernel machines are those of 2507.05644 and of what it compares with; tables, grids and sizes are ours.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from dsl import *
from runs.statistics import Interval, PerSeed, bootstrap_interval
from runs.table import Table

TABLES: dict[Task[Any, Any], int] = {Iris(): 90, Wine(): 107, BreastCancer(): 341, Diabetes(): 265, Digits(): 400}
"""What is learned, and from how many examples."""
FACT: tuple[Update, ...] = (FactUpdate(), FactMean())
NFA: tuple[Update, ...] = (NfaUpdate(power=1.0), NfaUpdate(power=0.5))
BANDWIDTHS, RIDGES, ITERATIONS = (0.5, 1.5, 4.0), (1e-3, 1e-1, 3.0), 4
RATES, LEAVES = (0.05, 0.2), (4, 16)
PARTS: tuple[Any, ...] = (Rest(part="validation"), Rest(part="test"))


def machine(part: str, data: Task[Any, Any], update: Update, bandwidth: float, ridge: float, seed: int) -> Training:
    """A kernel machine on standard columns; `bandwidth` counts in roots of their number, step 0 is kernel ridge."""
    error: Any = TestLoss if data.outputs is None else TestError
    return Training(
        task=Sample(data, n=TABLES[data], replace=False),
        model=KernelMachine(Laplace(bandwidth=bandwidth * data.shape[0] ** 0.5)),
        loss=SquaredLoss(),
        protocol=FeatureMachine(ITERATIONS, update, ridge=ridge, normalise="trace"),
        measure=tuple(error(Exact(), on=rest) @ every(1) for rest in PARTS),
        seed=seed,
        precision="float64",
    )


def trees(part: str, data: Task[Any, Any], rate: float, leaves: int, seed: int) -> Solving:
    """A hundred rounds of boosting."""
    return Solving(
        Learn(Sample(data, n=TABLES[data], replace=False)),
        BoostedTrees(rate=rate, leaves=leaves, examples=5),
        tuple(PredictionError(Exact(), on=rest) for rest in PARTS),
        seed=seed,
        precision="float64",
    )


def of_ridge(table: Table) -> Table:
    """Kernel ridge regression: the machines before their first update."""
    return table.where(part="machine", update=FACT[0], step=0)


def of_updates(table: Table, updates: tuple[Update, ...]) -> Table:
    """The machines with one of these updates, after one iteration or more."""
    own = table.where(part="machine")
    return own.filter(np.isin(own["update"].astype(str), [repr(u) for u in updates]) & (own["step"] > 0))


METHODS: dict[str, Callable[[Table], Table]] = {
    "FACT": partial(of_updates, updates=FACT),
    "ansatz": partial(of_updates, updates=NFA),
    "kernel ridge": of_ridge,
    "boosted trees": lambda table: table.where(part="trees"),
}


def tuned(table: Table, data: Task[Any, Any], method: str) -> PerSeed:
    """The test error of the settings with the least validation error, for each split; a tie is drawn by lot: the mean.

    A setting without a number (a fit that failed) is not chosen.
    """
    own = METHODS[method](table.where(data=data))
    kind = "PredictionError" if method == "boosted trees" else "TestLoss" if data.outputs is None else "TestError"
    validation, test = (own[f"{kind}(draw=Exact(), on={rest!r})"] for rest in PARTS)
    seeds = np.unique(own["seed"].astype(int))
    return PerSeed(np.array([_chosen(validation, test, own["seed"] == seed) for seed in seeds]), seeds)


def _chosen(validation: np.ndarray, test: np.ndarray, own: np.ndarray) -> float:
    own = own & np.isfinite(validation)
    if not own.any():
        return float("nan")
    return float(np.mean(test[own & (validation == validation[own].min())]))


def difference(table: Table, data: Task[Any, Any], other: str) -> Interval:
    """The error of FACT minus that of another method on the same splits, on average."""
    fact, others = tuned(table, data, "FACT"), tuned(table, data, other)
    return bootstrap_interval(fact.values - others.values, np.mean)


def classes(table: Table, axes: Any) -> None:
    """Share of wrong classes on the test part, each method tuned on the validation part (means, 95 % intervals)."""
    _errors(table, axes, [data for data in TABLES if data.outputs is not None])
    axes.set_ylabel("test error")


def numbers(table: Table, axes: Any) -> None:
    """Mean squared error of Diabetes on the test part, in units of the variance (means, 95 % intervals)."""
    _errors(table, axes, [data for data in TABLES if data.outputs is None])
    axes.set_ylabel("mean squared error")


def _errors(table: Table, axes: Any, listed: list[Task[Any, Any]]) -> None:
    shown = [data for data in listed if repr(data) in table.points["data"].tolist()]
    for i, method in enumerate(METHODS):
        found = [bootstrap_interval(tuned(table, data, method), np.mean) for data in shown]
        centres = np.array([interval.estimate for interval in found])
        reach = np.abs(np.array([[interval.low, interval.high] for interval in found]).reshape(-1, 2).T - centres)
        places = np.arange(len(found)) + 0.16 * (i - 1.5)
        axes.errorbar(places, centres, reach, fmt="o", color=f"C{i}", capsize=3, label=method)
    axes.set_xticks(range(len(shown)), [type(data).__name__ for data in shown])
    axes.set_ylim(bottom=0)
    axes.legend()


def study(scale: str) -> Study:
    """8 splits of each table; paper: 24, and two updates of each kind; smoke: 2 splits of the irises, one setting."""
    if scale == "smoke":
        one = {"data": (Iris(),), "seed": range(2)}
        points = grid(machine, part=("machine",), update=(FACT[0], NFA[0]), bandwidth=(1.0,), ridge=(0.1,), **one)
        points += grid(trees, part=("trees",), rate=(0.1,), leaves=(4,), **one)
        return Study("tabular", points, figures=(classes,))
    splits, updates = (8, 1) if scale == "small" else (24, 2)
    whole: dict[str, Any] = {"data": tuple(TABLES), "seed": range(splits)}
    points = grid(
        machine, part=("machine",), update=FACT[:updates] + NFA[:updates], bandwidth=BANDWIDTHS, ridge=RIDGES, **whole
    )
    points += grid(trees, part=("trees",), rate=RATES, leaves=LEAVES, **whole)
    return Study("tabular", points, [claim for data in TABLES for claim in claims(data)], (classes, numbers))


def claims(data: Task[Any, Any]) -> list[Claim]:
    """What the paper says of many tables, on one of ours."""
    claim = partial(Claim, citation="2507.05644, experiments on tables (tables and grids are ours)", verified=False)
    name, alike = type(data).__name__, 0.02 if data.outputs is not None else 0.05
    return [
        claim(
            f"on {name} the kernel machines that learn by FACT and by the ansatz err alike: within {alike}",
            predicted=0.0,
            measured=partial(difference, data=data, other="ansatz"),
            accept=within(alike),
        ),
        *(
            claim(
                f"on {name} the kernel machines that learn by FACT do not err more than {other}",
                measured=partial(difference, data=data, other=other),
                accept=below(0.0),
            )
            for other in ("kernel ridge", "boosted trees")
        ),
    ]
