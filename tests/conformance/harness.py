"""One small experiment around a noun, chosen by its interface, so that a new noun joins without a line of its own."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from dsl import (
    L2,
    Activation,
    Alignment,
    Analysis,
    Assignment,
    Atoms,
    Barycenter,
    BarycenterSolver,
    BlockCirculance,
    BoostedTrees,
    BruteForce,
    BuresFixedPoint,
    ByReduction,
    Clique,
    CliqueToBarycenter,
    CliqueToTransport,
    ColumnGeneration,
    Complete,
    CoordinateDescent,
    Cost,
    Coupling,
    CrossEntropy,
    CutToTransport,
    Decided,
    Descent,
    Distance,
    DistanceMatrix,
    Distribution,
    Draw,
    EntropicFreeSupport,
    EulerFlow,
    Exact,
    Experiment,
    FactAlignment,
    FeatureMachine,
    FeatureMatrix,
    Fresh,
    Gaussian,
    GaussianBarycenter,
    GradientNorm,
    Graph,
    Group,
    GroupElement,
    Hypercube,
    KelleyCuts,
    Kernel,
    KernelMachine,
    Labelled,
    Labels,
    Learn,
    Loss,
    LowRankFreeSupport,
    LowRankPlusSparse,
    LowRankSinkhorn,
    Marginals,
    MaxCut,
    MeasureFamily,
    Measurement,
    Mlp,
    Model,
    ModularAddition,
    Moments,
    Moved,
    NaiveLp,
    Noise,
    NoisyGd,
    Objective,
    Optimizer,
    PairSolver,
    Penalty,
    PredictionError,
    PredictionGap,
    Problem,
    Protocol,
    QuadraticDag,
    RandomMeasures,
    Rate,
    Rbf,
    Reduced,
    Reduction,
    Representation,
    Rest,
    Ridge,
    Sample,
    Scaling,
    Sgd,
    Sinkhorn,
    Solver,
    Solving,
    SparseSquare,
    Spec,
    SpecError,
    SquaredLoss,
    Standard,
    Stop,
    StoredExamples,
    Tanh,
    Target,
    Task,
    TestLoss,
    Trained,
    Training,
    Transport,
    TransportProblem,
    TransportSolver,
    TwoLayer,
    Update,
    Wasserstein,
    When,
    Zonal,
    at_end,
    bits,
    reals,
    uniform,
)
from dsl.domains import inner, stands_for_noun
from dsl.faults import written
from dsl.graph_problems import GraphProblem
from dsl.identity import walk
from dsl.instances import InstanceMeasurement
from dsl.measurements import Observed
from dsl.polynomials import Character, Monomial
from dsl.program import references
from dsl.references import Reference, Slot
from dsl.solutions import AtomMeasurement, SolutionMeasurement
from tests.conformance.candidates import variants
from tests.conformance.stand_ins import Halving, Number, Seen
from tests.dsl.running import run

ON_CUBE = Labelled(Hypercube(4), bits(4)[0] + bits(4)[1] * bits(4)[2])
TASKS: tuple[Any, ...] = (ON_CUBE, Sample(ON_CUBE, n=4), Labelled(Gaussian(2), reals(2)[0]))


def training(task: Any, **changes: Any) -> Training:
    fields: dict[str, Any] = {
        "model": Mlp((2,), Tanh()),
        "loss": SquaredLoss(),
        "protocol": Descent(3, Exact(), by=Sgd(0.1)),
        "measure": (TestLoss(Exact()) @ at_end(),),
        "seed": 1,
    }
    return Training(task=task, **(fields | changes))


def descent(task: Any, **changes: Any) -> Training:
    fields: dict[str, Any] = {"draw": Exact(), "by": Sgd(0.1)}
    return training(task, protocol=Descent(3, **(fields | changes)))


def fresh(task: Any) -> Training:
    """Training on new examples, which every law can give."""
    draw = Fresh(4)
    return training(task, protocol=Descent(3, draw, by=Sgd(0.1)), measure=(TestLoss(draw) @ at_end(),))


def watched(task: Any, measurement: Any) -> Training:
    return training(task, measure=(measurement @ at_end(),))


def machine(noun: Any, task: Any) -> Training:
    """A kernel machine that learns features by an update, or by a protocol."""
    protocol = noun if isinstance(noun, Protocol) else FeatureMachine(2, noun, ridge=0.1, normalise="trace")
    return training(task, model=KernelMachine(Rbf(2.0)), protocol=protocol)


def compared(measurement: Any) -> Analysis:
    """Two networks that were not trained, at the same inputs."""
    return described(tuple(Representation(Mlp((w,), Tanh()), Sample(ON_CUBE, n=8), 0) for w in (2, 3)), measurement)


def described(of: Any, measurement: Any) -> Analysis:
    """Measurements of a noun; this process has float32, in which the analysis computes."""
    return Analysis(of=of, measure=(measurement,), precision="float64")


def solved(problem: Any, by: Any = None, measurement: Any = None) -> Solving:
    """A small problem of transport, by one linear program."""
    return Solving(problem, NaiveLp() if by is None else by, (Objective() if measurement is None else measurement,))


SMALL = Transport(EulerFlow(3, 3, "rev"), uniform(3, 3))
FAMILY = Barycenter(SparseSquare(n=3, k=2))
CLIQUE = Clique(Complete(3), 2)
PAIR = Wasserstein(RandomMeasures(n=3, k=2, d=1, half_width=1.0))
GAUSSIANS = GaussianBarycenter(((0.0,), (1.0,)), (((1.0,),), ((4.0,),)))


def by_reduction(reduction: Any) -> Solving:
    """A problem on a graph, by transport."""
    if reduction.gives == "transport":
        return solved(MaxCut(Complete(3)), ByReduction(reduction, NaiveLp()))
    return solved(CLIQUE, ByReduction(reduction, KelleyCuts(NaiveLp())))


HARNESSES: dict[type, Callable[[Any, Any], Experiment]] = {
    Solving: lambda noun, task: solved(SMALL),
    Experiment: lambda noun, task: noun,
    Activation: lambda noun, task: training(task, model=TwoLayer(2, noun, Standard())),
    Scaling: lambda noun, task: training(task, model=TwoLayer(2, Tanh(), noun)),
    Kernel: lambda noun, task: training(task, model=KernelMachine(noun)),
    Model: lambda noun, task: training(task, model=noun),
    CrossEntropy: lambda noun, task: training(ModularAddition(3), loss=noun),
    Loss: lambda noun, task: training(task, loss=noun),
    Penalty: lambda noun, task: training(task, loss=SquaredLoss() + noun),
    Optimizer: lambda noun, task: descent(task, by=noun),
    Noise: lambda noun, task: descent(task, by=NoisyGd(0.1, 1.0, noun)),
    Group: lambda noun, task: described(Zonal(Tanh(), 2) if noun.action == "rotations" else task, Alignment(noun)),
    GroupElement: lambda noun, task: fresh(Labelled(Moved(Gaussian(1), noun), reals(1)[0])),
    Rate: lambda noun, task: descent(task, by=Sgd(noun)),
    Draw: lambda noun, task: descent(task, draw=noun),
    Stop: lambda noun, task: descent(task, stop=noun),
    Distribution: lambda noun, task: fresh(Labelled(noun, reals(1)[0])),
    Target: lambda noun, task: fresh(Labelled(task.x, noun)),
    Rest: lambda noun, task: training(
        Sample(ON_CUBE, n=4, replace=False), measure=(TestLoss(Exact(), on=noun) @ at_end(),)
    ),
    Task: lambda noun, task: fresh(noun),
    CoordinateDescent: lambda noun, task: training(task, model=QuadraticDag(2, 3, 0.5, 0.5, 0.1), protocol=noun),
    FeatureMachine: lambda noun, task: machine(noun, task),
    Update: lambda noun, task: machine(noun, task),
    Protocol: lambda noun, task: training(task, protocol=noun),
    FeatureMatrix: lambda noun, task: training(
        task, model=KernelMachine(Rbf(2.0)), protocol=Ridge(0.1, Exact()), measure=(noun @ at_end(),)
    ),
    BlockCirculance: lambda noun, task: training(
        task, model=KernelMachine(Rbf(2.0)), protocol=Ridge(0.1, Exact()), measure=(noun @ at_end(),)
    ),
    FactAlignment: lambda noun, task: training(
        task, loss=SquaredLoss() + L2(0.1), measure=(noun @ at_end(), GradientNorm() @ at_end())
    ),
    Representation: lambda noun, task: Analysis(of=noun, measure=(Seen(),)),
    Distance: lambda noun, task: compared(DistanceMatrix(noun)),
    Labels: lambda noun, task: compared(PredictionGap(noun, lam=0.1)),
    DistanceMatrix: lambda noun, task: compared(noun),
    PredictionGap: lambda noun, task: compared(noun),
    Decided: lambda noun, task: solved(CLIQUE, BruteForce(), noun),
    InstanceMeasurement: lambda noun, task: described(Reduced(CLIQUE, CliqueToBarycenter()), noun),
    SolutionMeasurement: lambda noun, task: solved(SMALL, None, noun),
    Atoms: lambda noun, task: solved(FAMILY, None, noun),
    AtomMeasurement: lambda noun, task: solved(SMALL, None, noun),
    Measurement: lambda noun, task: described(task, noun) if "of" in noun.reads else watched(task, noun),
    When: lambda noun, task: training(task, measure=(TestLoss(Exact()) @ noun,)),
    Trained: lambda noun, task: training(noun.run.task, model=noun),
    Graph: lambda noun, task: solved(MaxCut(noun), ByReduction(CutToTransport(), NaiveLp())),
    Cost: lambda noun, task: solved(Transport(noun, uniform(noun.shape[0], len(noun.shape)))),
    Marginals: lambda noun, task: solved(Transport(LowRankPlusSparse(tuple((1.0,) * n for n in noun.shape)), noun)),
    MeasureFamily: lambda noun, task: solved(Barycenter(noun), ColumnGeneration()),
    Wasserstein: lambda noun, task: solved(noun),
    PairSolver: lambda noun, task: solved(PAIR, noun),
    Coupling: lambda noun, task: solved(PAIR, Sinkhorn(10.0), noun),
    BarycenterSolver: lambda noun, task: solved(FAMILY, noun),
    GaussianBarycenter: lambda noun, task: solved(noun, BuresFixedPoint()),
    BuresFixedPoint: lambda noun, task: solved(GAUSSIANS, noun),
    Moments: lambda noun, task: solved(GAUSSIANS, BuresFixedPoint(), noun),
    TransportProblem: lambda noun, task: solved(noun, ColumnGeneration()),
    GraphProblem: lambda noun, task: solved(noun, BruteForce()),
    Reduced: lambda noun, task: solved(noun, KelleyCuts(NaiveLp()) if noun.gives == "search" else None),
    Reduction: lambda noun, task: by_reduction(noun),
    TransportSolver: lambda noun, task: solved(SMALL, noun),
    KelleyCuts: lambda noun, task: solved(CLIQUE, ByReduction(CliqueToTransport(), noun)),
    ByReduction: lambda noun, task: solved(CLIQUE if noun.reduction.takes is Clique else MaxCut(Complete(3)), noun),
    BruteForce: lambda noun, task: solved(CLIQUE, noun),
    Learn: lambda noun, task: solved(noun, BoostedTrees(2), PredictionError(Exact())),
    BoostedTrees: lambda noun, task: solved(Learn(task), noun, PredictionError(Exact())),
    PredictionError: lambda noun, task: solved(Learn(task), BoostedTrees(2), noun),
    Problem: lambda noun, task: Solving(noun, Halving(), (Seen(),)),
    Solver: lambda noun, task: Solving(Number(2.0), noun, (Seen(),)),
    Reference: lambda noun, task: Analysis(of=noun, measure=(Seen(),)),
}
"""An experiment around a noun of each interface, given one of the usual tasks."""

PARTS: dict[type, str] = {
    Observed: "a measurement with its schedule: a field of every experiment above",
    Character: "a term of a FourierPolynomial",
    Monomial: "a term of a Polynomial",
    Slot: "what `compile` leaves where a reference was: nobody writes one",
}
"""Nouns and interfaces that are tested through their owner, and why."""

SLOW = (
    Assignment,
    BoostedTrees,
    Coupling,
    EntropicFreeSupport,
    Learn,
    LowRankFreeSupport,
    LowRankSinkhorn,
    PredictionError,
)
"""Nouns whose programs, of OTT and scikit-learn, take seconds to import and to compile."""


def interface(noun: type[Spec]) -> type | None:
    """The interface by which a noun is put to use, its parts included; None if there is no harness for it."""
    part = next((base for base in noun.__mro__ if base in PARTS), None)  # a slot is a model as well
    return part or next((base for base in noun.__mro__ if base in HARNESSES), None)


def experiments(noun: Spec) -> Iterator[Experiment]:
    """The experiments around a noun that build; around a combinator, by what it stands for."""
    base: Any = interface(type(inner(noun)))
    for task in TASKS:
        with contextlib.suppress(SpecError):
            yield HARNESSES[base](noun, task)


def experiment(noun: type[Spec]) -> Experiment:
    """A small experiment with an instance of the noun in it.

    Raises:
        AssertionError: with the noun's name, if no instance fits any experiment.
    """
    for instance in variants(noun):
        if stands_for_noun(noun) and interface(type(inner(instance))) not in HARNESSES:
            continue
        for found in experiments(instance):
            return found
    raise AssertionError(f"no experiment of tests/conformance/harness.py takes {noun.__name__}")


def stored_examples(noun: StoredExamples) -> dict[str, Any]:
    """A file as the noun says it is."""
    numbers = np.linspace(-1, 1, noun.n)
    columns = {name: numbers for name in noun.x} if isinstance(noun.x, tuple) else {}
    whole = {noun.x: np.multiply.outer(numbers, np.ones(noun.x_shape))} if isinstance(noun.x, str) else {}
    y = np.ones((noun.n, *(() if noun.y_length is None else (noun.y_length,))))
    return columns | whole | {noun.y: y}


def inputs(of: Experiment) -> dict[str, Any]:
    """What the experiment reads from outside: its inner experiments are run, stored arrays are ones."""
    found = {}
    examples = {written(path): noun for path, noun in walk(of) if isinstance(noun, StoredExamples)}
    for path, noun in references(of).items():
        source = noun.source()
        if source is None and path.rpartition(".")[0] in examples:
            found[path] = stored_examples(examples[path.rpartition(".")[0]])
        elif source is None:
            found[path] = {"value": np.ones(3), "points": np.arange(12.0).reshape(2, 3, 2)}
        else:
            value = run(source[0], inputs(source[0]))[source[1]][source[2]]
            found[path] = value if isinstance(value, dict) else {"value": value}
    return found
