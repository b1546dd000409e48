"""The staircase property: hierarchical structure guides deep learning (2108.10573).

Experiment A-main: the staircase S_10 = (x_1 + x_1 x_2 + ... + x_1...x_10) / sqrt(10) against the parity x_1...x_10 on
30 uniform bits, learned by a 5x40 ReLU ResNet from 60 000 samples. Settings from the authors' code (first commit); the
statements are from memory, unverified. The small scale is the size of the paper.
"""

from functools import partial
from typing import Any

import numpy as np

from dsl import *
from runs.figures import components, curves
from runs.statistics import PerSeed, first_passage, per_seed
from runs.table import Table

DEPTH = 10
CITATION = "2108.10573, figure of the main experiment (settings: authors' code)"
# A stage is learned when its coefficient has passed half of its value in the target.
LEARNED = 0.5 / DEPTH**0.5


def staircase(
    depth: int, parity: bool, seed: int, n: int = 60_000, steps: int = 100_000, test: int = 30_000
) -> Training:
    """The staircase of this depth (divided by its norm) or the parity of as many bits, on 30 uniform bits."""
    x = bits(30)
    chain = prefixes(x, depth)
    every_ = every(steps // 100)
    return Training(
        task=Sample(Labelled(Hypercube(30), chain[-1] if parity else total(chain) / depth**0.5), n=n),
        model=ResNet(width=40, depth=4, activation=Relu()),
        loss=SquaredLoss(),
        protocol=Descent(
            steps=steps,
            draw=Cyclic(20, start=1),
            by=Sgd(lr=Piecewise(0.01, every=15_000, factors=tuple(0.5**k for k in range(7)))),
        ),
        measure=(TestLoss(Fresh(test)) @ every_, Coefficients(chain, Fresh(test)) @ every_),
        seed=seed,
    )


def loss_at(table: Table, parity: bool, step: int) -> PerSeed:
    """The test loss at a step, for each seed."""
    return per_seed(table.where(parity=parity), "TestLoss", step=step)


def inversions(table: Table) -> PerSeed:
    """How often a coefficient was learned before one of lower degree, for each seed."""
    passages = first_passage(table.where(parity=False), "Coefficients", above=LEARNED)
    late = passages.steps[:, :-1] > passages.steps[:, 1:]
    unlearned = ~np.isfinite(passages.steps).all(axis=1)
    return PerSeed(np.where(unlearned, np.nan, late.sum(axis=1)), passages["seed"])


def test_error(table: Table, axes: Any) -> None:
    """Test error against iterations: the staircase is learned, the parity is not (median and range over seeds)."""
    curves(axes, table, "TestLoss", by="parity", band=(0.0, 1.0))


def staircase_coefficients(table: Table, axes: Any) -> None:
    """Coefficients of the staircase's monomials against iterations: they are learned in the order of their degree."""
    labels = [f"degree {k}" for k in range(1, DEPTH + 1)]
    components(axes, table.where(parity=False), "Coefficients", labels)


def parity_coefficients(table: Table, axes: Any) -> None:
    """The same coefficients for the parity: none of them grows."""
    labels = [f"degree {k}" for k in range(1, DEPTH + 1)]
    components(axes, table.where(parity=True), "Coefficients", labels)


def study(scale: str) -> Study:
    """The main experiment: 8 seeds at the size of the paper; at smoke scale 2 seeds of one hundredth."""
    if scale == "smoke":
        points = grid(
            partial(staircase, n=2_000, steps=1_000, test=500), depth=(4,), parity=(False, True), seed=range(2)
        )
        return Study("staircase", points, figures=(test_error,))
    points = grid(staircase, depth=(DEPTH,), parity=(False, True), seed=range(8))
    return Study("staircase", points, claims(), (test_error, staircase_coefficients, parity_coefficients))


def claims() -> list[Claim]:
    """What the paper says of the main experiment."""
    at_ = lambda parity, step: partial(loss_at, parity=parity, step=step)
    return [
        Claim(
            "S_10 is learned: its test error is below 0.10 after 30 000 iterations",
            CITATION,
            measured=at_(False, 30_000),
            accept=below(0.10),
            verified=False,
        ),
        Claim(
            "S_10 is learned: its test error is below 0.03 at the end",
            CITATION,
            measured=at_(False, 100_000),
            accept=below(0.03),
            verified=False,
        ),
        Claim(
            "The parity of 10 bits is not learned: its test error stays at 1",
            CITATION,
            predicted=1.0,
            measured=at_(True, 100_000),
            accept=between(0.97, 1.06),
            verified=False,
        ),
        Claim(
            "The coefficients of S_10 are learned in the order of their degree: no inversion",
            CITATION,
            predicted=0.0,
            measured=inversions,
            accept=between(0.0, 0.0),
            verified=False,
        ),
    ]
