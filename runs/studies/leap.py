"""Leap complexity: the time to learn a monomial grows as d^max(leap - 1, 1) (2302.11055).

One neuron on the sphere, Gaussian inputs, correlation loss, one fresh example a step: the number of steps until half of
the neuron's mass lies on the monomial's coordinates. The prediction is that of the paper, from memory, unverified;
settings (rates, grids, replicas) are those of a scaled-down experiment of ours.
"""

from functools import partial
from typing import Any

import numpy as np

from dsl import *
from runs.statistics import FirstPassage, Interval, first_passage, scaling_exponent
from runs.table import Table

RATES = {1: 0.3, 2: 0.15, 3: 0.15}
DIMENSIONS = {1: (32, 64, 128, 256, 512), 2: (32, 64, 128, 256, 512), 3: (16, 32, 64, 128)}
REPLICAS = {1: 32, 2: 32, 3: 64}
CITATION = "2302.11055, escape times of monomials (rates and grids are ours)"
# Slopes are steeper than the exponent at these d: leap 2 has a factor log d, and all have corrections of lower order.
BANDS = {1: between(0.9, 1.25), 2: between(1.0, 1.4), 3: between(1.8, 2.4)}


def escape(leap: int, d: int, seed: int) -> Training:
    """One neuron with activation he_k / sqrt(k) against the monomial z_0...z_{k-1}, k = leap."""
    z, unit = reals(d), d ** max(leap - 1, 1)
    return Training(
        task=Labelled(Gaussian(d), prod(z[:leap])),
        model=TwoLayer(
            width=1,
            activation=HermiteSeries((0.0,) * leap + (leap**-0.5,)),
            scaling=MeanField(readout="signs"),
            bias=False,
        ),
        loss=CorrelationLoss(),
        protocol=Descent(
            steps=40 * unit,
            draw=Fresh(1),
            by=SphericalSgd(lr=RATES[leap] * d ** -max(leap / 2, 1.0), clip=1.0),
            only="hidden",
        ),
        measure=(SupportMass(tuple(range(leap))) @ every(max(1, unit // 8)),),
        seed=seed,
    )


def passages(table: Table, leap: int) -> FirstPassage:
    """The step at which half of the mass first lies on the monomial, for each point of one leap."""
    return first_passage(table.where(leap=leap), "SupportMass", above=0.5)


def exponent(table: Table, leap: int) -> Interval:
    """The exponent of the median escape time in d."""
    return scaling_exponent(passages(table, leap), against="d")


def escape_times(table: Table, axes: Any) -> None:
    """Median escape time against d, with the predicted slopes max(leap - 1, 1) as dotted lines."""
    for leap in sorted(set(table["leap"].tolist())):
        found = passages(table, leap)
        sizes = np.unique(found["d"])
        times = [float(np.median(found.steps[found["d"] == d])) for d in sizes]
        (line,) = axes.loglog(sizes, times, marker="o", label=f"leap {leap}")
        guide = times[0] * (sizes / sizes[0]) ** max(leap - 1, 1)
        axes.loglog(sizes, guide, linestyle=":", color=line.get_color())
    axes.set_xlabel("d")
    axes.set_ylabel("steps until half of the mass is found")
    axes.legend()


def study(scale: str) -> Study:
    """Leaps 1, 2 and 3 over d, 32 to 64 replicas; smoke: leap 1 at three small d."""
    if scale == "smoke":
        return Study("leap", grid(escape, leap=(1,), d=(8, 16, 32), seed=range(8)), figures=(escape_times,))
    replicas = REPLICAS if scale == "small" else dict.fromkeys(RATES, 64)
    points = [p for k in RATES for p in grid(escape, leap=(k,), d=DIMENSIONS[k], seed=range(replicas[k]))]
    return Study("leap", points, claims(), (escape_times,))


def claims() -> list[Claim]:
    """The exponents, with the bands of our scaled-down experiment around the predictions."""
    return [
        Claim(
            f"the escape time of a monomial of leap {k} grows as d^{max(k - 1, 1)}{' log d' if k == 2 else ''}",
            CITATION,
            predicted=float(max(k - 1, 1)),
            measured=partial(exponent, leap=k),
            accept=BANDS[k],
            verified=False,
        )
        for k in RATES
    ]
