"""The staircase property: hierarchical structure guides deep learning (2108.10573).

Experiment A-main: the staircase S_10 = (x_1 + x_1 x_2 + ... + x_1...x_10) / sqrt(10) against the parity x_1...x_10 on
30 uniform bits, learned by a 5x40 ReLU ResNet from 60 000 samples. Its variants: biased bits, Gaussian inputs, and two
staircases that share their first step. Regular networks: layer-wise coordinate descent on the population loss, for
which the paper has its theorem. Settings of the ResNets from the authors' code (first commit), those of the regular
networks are ours; the statements are from memory, unverified. A-main has the size of the paper at the small scale, the
variants at the paper scale alone.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np

from dsl import *
from dsl.study import Accept
from runs.figures import components, curves
from runs.statistics import PerSeed, first_passage, per_seed
from runs.table import Table

DEPTH = 10
CITATION = "2108.10573, figure of the main experiment (settings: authors' code)"
# A stage is learned when its coefficient has passed half of its value in the target.
LEARNED = 0.5 / DEPTH**0.5
MAIN, BIASED, GAUSS, MULTI, REGULAR = "A-main", "A-biased", "A-gauss", "A-multi", "regular"
# What the small scale takes of a variant: fewer steps, and of Gaussian inputs fewer samples as well.
REDUCED: dict[str, dict[str, int]] = {
    BIASED: {"steps": 30_000},
    GAUSS: {"steps": 40_000, "n": 100_000},
    MULTI: {"steps": 20_000},
}
Figure = Callable[[Table, Any], None]


@dataclass(frozen=True)
class Setting:
    """One experiment of the paper: its inputs, the monomials of its staircase, the network and the training."""

    law: Distribution[Any]
    chain: tuple[Target[Any, Real], ...]
    norm: float
    width: int
    depth: int
    lr: Piecewise
    n: int
    steps: int


def setting(variant: str, depth: int = DEPTH) -> Setting:
    """The settings of the authors' code; `depth` is that of A-main."""
    x, z = bits(30), reals(100)
    real = lambda k: tuple(prod(z[:j]) for j in range(1, k + 1))
    rates = lambda base, every, *shares: Piecewise(base, every=every, factors=tuple(1.0 / share for share in shares))
    slow = (1, 2, 2, 4, 4, 8, 16)
    match variant:
        case "A-main":
            halved = rates(0.01, 15_000, *(2**k for k in range(7)))
            return Setting(Hypercube(30), prefixes(x, depth), depth**0.5, 40, 4, halved, 60_000, 100_000)
        case "A-biased":
            return Setting(Biased(30, 0.75), real(7), 7**0.5, 40, 4, rates(0.01, 15_000, *slow), 60_000, 100_000)
        case "A-gauss":
            late = rates(0.01, 10_000, 1, 1, 1, 2, 2, 4, 4)
            return Setting(Gaussian(100), real(5), 5**0.5, 50, 7, late, 300_000, 100_000)
    second = tuple(prod((x[0], *x[7 : 7 + j])) for j in range(1, 7))
    return Setting(Hypercube(30), (*prefixes(x, 7), *second), 1.0, 50, 4, rates(0.004, 15_000, *slow), 100_000, 50_000)


def staircase(
    variant: str,
    parity: bool,
    seed: int,
    depth: int = DEPTH,
    n: int | None = None,
    steps: int | None = None,
    test: int = 30_000,
) -> Training:
    """A variant's staircase (divided by its norm) or the last of its monomials, the parity; n and steps reduce it."""
    given = setting(variant, depth)
    steps = steps or given.steps
    every_ = every(steps // 100)
    return Training(
        task=Sample(
            Labelled(given.law, given.chain[-1] if parity else total(given.chain) / given.norm), n=n or given.n
        ),
        model=ResNet(width=given.width, depth=given.depth, activation=Relu()),
        loss=SquaredLoss(),
        protocol=Descent(steps=steps, draw=Cyclic(20, start=1), by=Sgd(lr=given.lr)),
        measure=(TestLoss(Fresh(test)) @ every_, Coefficients(given.chain, Fresh(test)) @ every_),
        seed=seed,
    )


def regular(
    variant: str, parity: bool, seed: int, d: int = 12, depth: int = 5, layers: int = 60, steps: int = 1_600
) -> Training:
    """Layer-wise coordinate descent on a regular network: the staircase (not normalised) or the parity of 5 bits of 12.

    Many narrow layers with few edges: in 5 layers of 200 neurons (edges 0.05 and 0.1) many neurons of a layer find the
    same monomial at once, each in full, and the sum overshoots until it overflows. A neuron with a third parent of use
    leaves spurious terms, which further layers take away only if each has steps enough. With edges from the last layer
    alone nothing beyond degree 2 or 3 is found: what is learned once is not built again.
    """
    x = bits(d)
    chain = prefixes(x, depth)
    return Training(
        task=Labelled(Hypercube(d), chain[-1] if parity else total(chain)),
        model=QuadraticDag(layers=layers, width=12, from_hidden=0.06, from_input=0.15, scale=0.02),
        loss=SquaredLoss() + L2(0.02),
        protocol=CoordinateDescent(steps_per_layer=steps, draw=Exact(), lr=0.1),
        measure=(TestLoss(Exact()) @ every(2 * steps), Coefficients(chain, Exact()) @ every(4 * steps)),
        seed=seed,
    )


def loss_at(table: Table, variant: str, parity: bool, step: int | Literal["last"]) -> PerSeed:
    """The test loss of a variant at a step, for each seed."""
    return per_seed(table.where(variant=variant, parity=parity), "TestLoss", step=step)


def inversions(table: Table) -> PerSeed:
    """How often a coefficient of A-main was learned before one of lower degree, for each seed."""
    passages = first_passage(spectra(table, MAIN, parity=False), "Coefficients", above=LEARNED)
    late = passages.steps[:, :-1] > passages.steps[:, 1:]
    unlearned = ~np.isfinite(passages.steps).all(axis=1)
    return PerSeed(np.where(unlearned, np.nan, late.sum(axis=1)), passages["seed"])


def spectra(table: Table, variant: str, parity: bool) -> Table:
    """The points of a variant, with its own number of coefficients: the table has the largest number, padded by NaN."""
    part = table.where(variant=variant, parity=parity)
    size = len(part["Coefficients"].T) - int(np.isnan(part["Coefficients"]).all(axis=0).sum())
    return replace(part, values={**part.values, "Coefficients": part["Coefficients"][:, :size]})


def errors(variant: str, caption: str) -> Figure:
    """A figure: the test error of a variant against iterations, the staircase beside the parity."""

    def draw(table: Table, axes: Any) -> None:
        curves(axes, table.where(variant=variant), "TestLoss", by="parity", band=(0.0, 1.0))

    draw.__doc__ = f"{variant}, test error against iterations: {caption} (median and range over seeds)."
    return draw


def coefficients(variant: str, parity: bool, caption: str) -> Figure:
    """A figure: the coefficients of a variant's monomials against iterations."""

    def draw(table: Table, axes: Any) -> None:
        chosen = spectra(table, variant, parity)
        first, count = 7 if variant == MULTI else DEPTH, chosen["Coefficients"].shape[1]
        labels = [f"degree {k}" if k <= first else f"second, {k - first + 1}" for k in range(1, count + 1)]
        components(axes, chosen, "Coefficients", labels)

    draw.__doc__ = f"{variant}, coefficients of the staircase's monomials against iterations: {caption}."
    return draw


FIGURES = (
    errors(MAIN, "the staircase is learned, the parity is not"),
    coefficients(MAIN, False, "they are learned in the order of their degree"),
    coefficients(MAIN, True, "for the parity none of them grows"),
    errors(BIASED, "biased bits, the staircase and the parity of 7"),
    coefficients(BIASED, False, "biased bits"),
    errors(GAUSS, "Gaussian inputs, the staircase and the product of 5"),
    coefficients(GAUSS, False, "Gaussian inputs"),
    errors(MULTI, "two staircases of 7 with one first step; its norm is 13"),
    coefficients(MULTI, False, "both staircases are climbed"),
    errors(REGULAR, "coordinate descent, layer after layer"),
    coefficients(REGULAR, False, "a monomial is found by one layer at once, after the one below it"),
)


def study(scale: str) -> Study:
    """A-main with 8 seeds at the paper's size; its variants at that size too, or (small) with 3 seeds and cut short."""
    if scale == "smoke":
        tiny = partial(staircase, depth=4, n=2_000, steps=1_000, test=500)
        points = grid(tiny, variant=(MAIN, BIASED), parity=(False, True), seed=range(2))
        few = partial(regular, d=4, depth=2, layers=4, steps=100)
        points += grid(few, variant=(REGULAR,), parity=(False, True), seed=range(2))
        return Study("staircase", points, figures=(FIGURES[0],))
    points = grid(staircase, variant=(MAIN,), parity=(False, True), seed=range(8))
    small, both = scale == "small", (False, True)
    for variant, parities in ((BIASED, both), (GAUSS, both), (MULTI, (False,))):
        make = partial(staircase, **REDUCED[variant]) if small else staircase
        points += grid(make, variant=(variant,), parity=parities, seed=range(3 if small else 8))
    points += grid(regular, variant=(REGULAR,), parity=both, seed=range(3 if small else 16))
    return Study("staircase", points, claims(small), FIGURES)


def claims(small: bool) -> list[Claim]:
    """What the paper says of the main experiment and of its variants."""
    at_ = lambda parity, step: partial(loss_at, variant=MAIN, parity=parity, step=step)
    claim = partial(Claim, citation=CITATION, verified=False)
    return [
        claim(
            "S_10 is learned: its test error is below 0.10 after 30 000 iterations",
            measured=at_(False, 30_000),
            accept=below(0.10),
        ),
        claim(
            "S_10 is learned: its test error is below 0.03 at the end",
            measured=at_(False, 100_000),
            accept=below(0.03),
        ),
        claim(
            "The parity of 10 bits is not learned: its test error stays at 1",
            predicted=1.0,
            measured=at_(True, 100_000),
            accept=between(0.97, 1.06),
        ),
        claim(
            "The coefficients of S_10 are learned in the order of their degree: no inversion",
            predicted=0.0,
            measured=inversions,
            accept=between(0.0, 0.0),
        ),
        *variant_claims(small),
    ]


def variant_claims(small: bool) -> list[Claim]:
    """What is learned and what is not in the variants, at the end of each run."""
    about = lambda variant: f"2108.10573, {variant} (settings: authors' code{', cut short' if small else ''})"
    theorem = "2108.10573, main theorem (settings are ours)"
    return [
        _ends(BIASED, False, "the staircase of 7 is learned: its error ends", below(0.10), about(BIASED)),
        _ends(BIASED, True, "the parity of 7 is not learned: its error ends", between(0.8, 1.2), about(BIASED)),
        _ends(GAUSS, False, "the staircase of 5 is learned: its error ends", below(0.20), about(GAUSS)),
        _ends(GAUSS, True, "the product of 5 is not learned: its error ends", between(0.8, 1.3), about(GAUSS)),
        _ends(MULTI, False, "two staircases are learned, of norm 13: their error ends", below(0.13), about(MULTI)),
        _ends(REGULAR, False, "the staircase of 5, of norm 5, is learned: its error ends", below(0.10), theorem),
        _ends(REGULAR, True, "the parity of 5 is not learned: its error ends", between(0.99, 1.01), theorem),
    ]


def _ends(variant: str, parity: bool, statement: str, accept: Accept, citation: str) -> Claim:
    edges = f"below {accept.high:g}" if accept.low == -np.inf else f"between {accept.low:g} and {accept.high:g}"
    return Claim(
        f"{variant}: {statement} {edges}",
        citation,
        measured=partial(loss_at, variant=variant, parity=parity, step="last"),
        accept=accept,
        verified=False,
    )
