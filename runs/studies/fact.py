"""FACT: what features a network has at convergence, and kernel machines that learn by it (2507.05644).

Networks: the cosine of W^T W with FACT and with the neural feature ansatz (AGOP^power), layer by layer, on digits and
on a subset of MNIST, with the squared loss or the cross-entropy and L2; of linear networks with the exponents that are
derived for them and with 1/2, of others with 1/2 and 1. Parity: kernel machines on a product of 3 of 30 bits, by n.
Modular: kernel machines on addition mod 23, with their feature matrix and its circulance; the error on the pairs that
were left out stays above that of guessing for many iterations before it falls.

The theorem is the paper's; the updates of the machines are from memory, unverified, and the settings are those of
scaled-down experiments of ours.
"""

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from dsl import *
from runs.figures import heat_map
from runs.statistics import PerSeed, per_seed
from runs.table import Table

P = 23
D = 30
FEW, SOME, MANY = 100, 600, 1_500
"""Examples of parity: too few for all machines, enough for those of FACT, enough for all."""
SETTINGS: dict[str, dict[str, Any]] = {
    "small": {"examples": 400, "width": 32, "steps": 12_000},
    "paper": {"examples": 1_000, "width": 64, "steps": 24_000},
}
HIDDEN = {"tanh": 3, "relu": 3, "linear": 2, "deep linear": 3, "tanh, cross-entropy": 3, "relu, cross-entropy": 3} | {
    f"{activation}, MNIST{loss}": 2 for activation in ("tanh", "relu") for loss in ("", ", cross-entropy")
}
PARTS = {"small": tuple(part for part in HIDDEN if not part.startswith("relu, MNIST")), "paper": tuple(HIDDEN)}
LINEAR = ("linear", "deep linear")
ACTIVATIONS: dict[str, Activation] = {"tanh": Tanh(), "relu": Relu(), "linear": HermiteSeries((0.0, 1.0))}
PARITY = (FactUpdate(), FactMean(), NfaUpdate(power=0.5), NfaUpdate(power=1.0))
MODULAR = (FactUpdate(), FactMean(), NfaUpdate(power=0.5, centre=True))
BY_FACT = PARITY[:2]
EARLY = 5
CONVERGED = 1e-3


def network(part: str, seed: int, scale: str) -> Training:
    """A network without biases, with the ansatz of powers 1/2 and 1; linear: of its own, and 1/2 in the first layer."""
    setting, layers = SETTINGS[scale], range(HIDDEN[part] + 1)
    activation = next(activation for name, activation in ACTIVATIONS.items() if name in part)
    other = [NfaAlignment(0, power=0.5)] if part in LINEAR else [NfaAlignment(layer, power=1.0) for layer in layers]
    measure = (
        GradientNorm(),
        *(FactAlignment(layer) for layer in layers),
        *(NfaAlignment(layer, power=exponent(part, layer)) for layer in layers),
        *other,
    )
    return Training(
        task=Sample(MnistSubset() if "MNIST" in part else Digits(), n=setting["examples"]),
        model=Mlp((setting["width"],) * HIDDEN[part], activation=activation, bias=False),
        loss=(CrossEntropy() if "cross-entropy" in part else SquaredLoss()) + L2(1e-3),
        protocol=Descent(setting["steps"], Exact(), by=Adam(lr=Cosine(3e-3, warmup=0.0))),
        measure=tuple(noun @ every(setting["steps"] // 10) for noun in measure),
        seed=seed,
        precision="float64",
    )


def exponent(part: str, layer: int) -> float:
    """The power of AGOP in a layer: in a balanced linear network of L layers 1/(L-l), l from 0; elsewhere 1/2."""
    return 1 / (HIDDEN[part] + 1 - layer) if part in LINEAR else 0.5


def parity(part: str, n: int, update: Update, seed: int) -> Training:
    """Six iterations of a kernel machine on n examples of a product of 3 of 30 bits."""
    return Training(
        task=Sample(Labelled(Hypercube(D), prod(bits(D)[:3])), n=n),
        model=KernelMachine(Laplace(bandwidth=5.0)),
        loss=SquaredLoss(),
        protocol=FeatureMachine(iterations=6, update=update, ridge=1e-3, normalise="trace"),
        measure=(TestError(Fresh(2_000)) @ every(1), SupportMass((0, 1, 2)) @ every(1)),
        seed=seed,
        precision="float64",
    )


def modular(part: str, update: Update, seed: int) -> Training:
    """Ninety iterations of a kernel machine on 60 % of the pairs of addition mod 23."""
    return replace(
        parity(part, 2, update, seed),
        task=Sample(ModularAddition(P), n=317, replace=False),
        model=KernelMachine(Rbf(bandwidth=2.5)),
        protocol=FeatureMachine(iterations=90, update=update, ridge=1e-3, normalise="trace"),
        measure=(
            TestError(Exact(), on=Rest()) @ every(EARLY),
            BlockCirculance() @ every(EARLY),
            FeatureMatrix() @ at_end(),
        ),
    )


def last(table: Table, measurement: str, **axes: Any) -> PerSeed:
    """A measurement at the end, for each seed."""
    return per_seed(table.where(**axes), measurement, step="last")


def column(measurement: str, part: str, layer: int) -> str:
    """The name of a cosine; where the ansatz stands twice, its own power is first: a linear network's first layer."""
    twice = measurement == "NfaAlignment" and (part not in LINEAR or layer == 0)
    return f"{measurement}(layer={layer})" + "[0]" * twice


def least(table: Table, part: str, measurement: str) -> PerSeed:
    """The least of the cosines of all layers at the end, for each seed."""
    found = [last(table, column(measurement, part, layer), part=part) for layer in range(HIDDEN[part] + 1)]
    return PerSeed(np.min([cosines.values for cosines in found], axis=0), found[0].seeds, found[0].notes)


def least_at_convergence(table: Table, part: str) -> PerSeed:
    """The least cosine with FACT at the end, for each seed; none where the gradient has not vanished."""
    found, norms = least(table, part, "FactAlignment"), last(table, "GradientNorm", part=part)
    near = norms.values <= CONVERGED
    notes = [
        f"seed {seed}: the gradient has norm {norm:.2g}, and the theorem says nothing"
        for seed, norm, converged in zip(norms.seeds, norms.values, near, strict=True)
        if not converged
    ]
    return PerSeed(np.where(near, found.values, np.nan), found.seeds, (*found.notes, *notes))


def own_lead(table: Table, part: str) -> PerSeed:
    """The cosine in the first layer of a linear network with its own power, minus that with power 1/2, at the end."""
    own, half = (last(table, f"NfaAlignment(layer=0)[{i}]", part=part) for i in range(2))
    return PerSeed(own.values - half.values, own.seeds, own.notes)


def early_lead(table: Table, scale: str) -> PerSeed:
    """The cosine of the ansatz minus that of FACT in the first layer, after a fifth of the steps."""
    step, own = SETTINGS[scale]["steps"] // 5, table.where(part="relu")
    names = (column(name, "relu", 0) for name in ("FactAlignment", "NfaAlignment"))
    fact, ansatz = (per_seed(own, name, step=step) for name in names)
    return PerSeed(ansatz.values - fact.values, fact.seeds)


def early_error(table: Table, update: Update) -> PerSeed:
    """The error on the pairs that were left out, after few iterations."""
    return per_seed(table.where(part="modular", update=update), "TestError", step=EARLY)


def transition(table: Table, axes: Any) -> None:
    """Error of kernel machines on a product of 3 of 30 bits after 6 iterations, by n (dots: seeds; lines: means)."""
    own = table.where(part="parity", step=6)
    for i, ((update,), found) in enumerate(own.groups("update")):
        sizes = np.unique(found["n"].astype(int))
        errors = [float(np.mean(found["TestError"][found["n"] == n])) for n in sizes]
        axes.plot(found["n"].astype(int), found["TestError"], "o", color=f"C{i}", markersize=3)
        axes.plot(sizes, errors, color=f"C{i}", label=str(update))
    axes.set_xscale("log", base=2)
    axes.set_xlabel("n")
    axes.set_ylabel("test error")
    axes.legend()


def grokking(table: Table, axes: Any) -> None:
    """Error on the pairs left out of addition mod 23 (lines), and circulance of the feature matrix (dotted)."""
    for i, ((update,), found) in enumerate(table.where(part="modular").groups("update")):
        for j, (_, own) in enumerate(found.groups("seed")):
            axes.plot(own["step"], own["TestError"], color=f"C{i}", label=None if j else str(update))
            axes.plot(own["step"], own["BlockCirculance"], color=f"C{i}", linestyle=":")
    axes.axhline(1 - 1 / P, color="grey", linewidth=0.8)
    axes.set_xlabel("iteration")
    axes.legend()


def alignment(table: Table, axes: Any) -> None:
    """Cosines of W^T W with FACT (lines) and with the root of AGOP (dashed) in a network of ReLUs; grey: |gradient|."""
    _aligned(table, axes, "relu")


def mnist_alignment(table: Table, axes: Any) -> None:
    """The same in a network of tanh on MNIST, with the cross-entropy."""
    _aligned(table, axes, "tanh, MNIST, cross-entropy")


def entropy_alignment(table: Table, axes: Any) -> None:
    """The same with the cross-entropy."""
    _aligned(table, axes, "relu, cross-entropy")


def linear_alignment(table: Table, axes: Any) -> None:
    """The same in a linear network of 4 layers, with AGOP to the 1/4, 1/3, 1/2 and 1; dotted: first to the 1/2."""
    _aligned(table, axes, "deep linear")
    for _, own in table.where(part="deep linear").groups("seed"):
        axes.plot(own["step"], own["NfaAlignment(layer=0)[1]"], color="C0", linestyle=":")


def _aligned(table: Table, axes: Any, part: str) -> None:
    for _, own in table.where(part=part).groups("seed"):
        for layer in range(HIDDEN[part] + 1):
            axes.plot(own["step"], own[column("FactAlignment", part, layer)], color=f"C{layer}")
            axes.plot(own["step"], own[column("NfaAlignment", part, layer)], color=f"C{layer}", linestyle="--")
        axes.plot(own["step"], own["GradientNorm"], color="grey", linewidth=0.8)
    axes.set_ylim(-0.1, 1.02)
    axes.set_xlabel("steps")
    axes.set_ylabel("cosine (colours: layers)")


def feature_matrix(table: Table, axes: Any) -> None:
    """The feature matrix that FactUpdate learns for addition mod 23: rows and columns are residues of a, then of b."""
    own = table.where(part="modular", update=FactUpdate()).last()
    matrix = own["FeatureMatrix"][0]
    heat_map(axes, matrix, reach=float(np.max(np.abs(matrix[:P, P:]))))
    axes.set_xlabel("coordinate of x")
    axes.set_ylabel("coordinate of x")


FIGURES = (alignment, entropy_alignment, mnist_alignment, linear_alignment, transition, grokking, feature_matrix)


def study(scale: str) -> Study:
    """Networks, parity and modular addition with 4 and 2 seeds; paper: 8 seeds, more examples; smoke: parity alone."""
    if scale == "smoke":
        points = grid(parity, part=("parity",), n=(60,), update=BY_FACT[:1], seed=range(2))
        return Study("fact", points, figures=(transition,))
    seeds = range(4) if scale == "small" else range(8)
    sizes = (FEW, 300, SOME, MANY) if scale == "small" else (FEW, 150, 200, 300, 400, SOME, 1_000, MANY)
    points = grid(partial(network, scale=scale), part=PARTS[scale], seed=seeds[: len(seeds) // 2])
    points += grid(parity, part=("parity",), n=sizes, update=PARITY, seed=seeds)
    points += grid(modular, part=("modular",), update=MODULAR, seed=seeds[: len(seeds) // 2])
    return Study("fact", points, [*_networks(scale), *_machines()], FIGURES)


def _open(part: str) -> str:
    return "open, kinks keep the gradient from vanishing: " if "relu" in part else ""


def _networks(scale: str) -> list[Claim]:
    return [*_at_convergence(PARTS[scale]), *_of_linear_networks(), *_of_the_ansatz(scale)]


def _at_convergence(parts: tuple[str, ...]) -> list[Claim]:
    theorem = partial(Claim, citation="2507.05644, main theorem (settings are ours)")
    return [
        *(
            theorem(
                f"where the gradient has vanished, to a norm of {CONVERGED:g}, W^T W has a cosine of 0.98 or more with "
                f"FACT in every layer ({part})",
                predicted=1.0,
                measured=partial(least_at_convergence, part=part),
                accept=above(0.98),
            )
            for part in parts
        ),
        *(
            theorem(
                f"{_open(part)}training converges: the norm of the gradient is at most {CONVERGED:g} ({part})",
                predicted=0.0,
                measured=partial(last, measurement="GradientNorm", part=part),
                accept=below(CONVERGED),
            )
            for part in parts
        ),
    ]


def _of_linear_networks() -> list[Claim]:
    derived = "derived from 2507.05644 for balanced layers"
    return [
        *(
            Claim(
                f"in a linear network of L = {HIDDEN[part] + 1} layers W^T W of layer l is AGOP^(1/(L-l+1)): the "
                "cosine is above 0.999 in each",
                f"{derived}; 2510.15563 for the first layer",
                predicted=1.0,
                measured=partial(least, part=part, measurement="NfaAlignment"),
                accept=above(0.999),
            )
            for part in LINEAR
        ),
        *(
            Claim(
                f"there the power 1/2 says less of the first layer: a smaller cosine than that of 1/{HIDDEN[part] + 1}",
                derived,
                measured=partial(own_lead, part=part),
                accept=above(0.0),
            )
            for part in LINEAR
        ),
    ]


def _of_the_ansatz(scale: str) -> list[Claim]:
    return [
        Claim(
            "the ansatz with power 1/2 does not say what a network of tanh has learned: in some layer "
            "its cosine is below 0.8",
            "2507.05644, where the ansatz fails and FACT does not (settings are ours)",
            measured=partial(least, part="tanh", measurement="NfaAlignment"),
            accept=below(0.8),
            verified=False,
        ),
        Claim(
            "before convergence FACT says less than the ansatz: after a fifth of the steps the ansatz (power 1/2) has "
            "the larger cosine in the first layer of the network of ReLUs",
            "an observation of ours: the theorem is about convergence",
            measured=partial(early_lead, scale=scale),
            accept=above(0.0),
        ),
    ]


_of_machines = partial(Claim, citation="2507.05644, kernel machines (settings are ours)", verified=False)


def _machines() -> list[Claim]:
    return [*_parity_claims(), *_modular_claims()]


def _parity_claims() -> list[Claim]:
    error = lambda update, n: partial(last, measurement="TestError", part="parity", update=update, n=n)
    return [
        *(
            _of_machines(
                f"{FEW} examples of a product of 3 of {D} bits are too few for {update!r}: error above 0.4",
                measured=error(update, FEW),
                accept=above(0.4),
            )
            for update in PARITY
        ),
        *(
            _of_machines(
                f"{update!r} learns it from {SOME} examples in 6 iterations: error below 0.05",
                measured=error(update, SOME),
                accept=below(0.05),
            )
            for update in BY_FACT
        ),
        *(
            _of_machines(
                f"{update!r}, the ansatz, does not from {SOME} with these settings: error above 0.4",
                measured=error(update, SOME),
                accept=above(0.4),
            )
            for update in PARITY[2:]
        ),
        *(
            _of_machines(
                f"{update!r} does from {MANY}: error below 0.05",
                measured=error(update, MANY),
                accept=below(0.05),
            )
            for update in PARITY[2:]
        ),
        *(
            _of_machines(
                f"{update!r} finds the bits in {n} examples: more than half of the trace of its metric lies on them, "
                f"of 3/{D} at first",
                measured=partial(last, measurement="SupportMass", part="parity", update=update, n=n),
                accept=above(0.5),
            )
            for update, n in zip(PARITY, (SOME, SOME, MANY, MANY), strict=True)
        ),
    ]


def _modular_claims() -> list[Claim]:
    return [
        *(
            _of_machines(
                f"{update!r} learns addition mod {P} from 60 % of the pairs: error below 0.1 on the others",
                measured=partial(last, measurement="TestError", part="modular", update=update),
                accept=below(0.1),
            )
            for update in MODULAR
        ),
        *(
            _of_machines(
                f"{update!r} does so late: after {EARLY} iterations it is worse than guessing, {1 - 1 / P:.3f}",
                measured=partial(early_error, update=update),
                accept=above(1 - 1 / P),
            )
            for update in MODULAR
        ),
        *(
            _of_machines(
                f"the feature matrix of {update!r} becomes circulant: a share above 0.95 of its off-diagonal block",
                measured=partial(last, measurement="BlockCirculance", part="modular", update=update),
                accept=above(0.95),
            )
            for update in MODULAR
        ),
    ]
