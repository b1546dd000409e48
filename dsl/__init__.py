"""The language: experiments of learning theory as typed values.

`from dsl import *` gives the nouns, `grid`, `Study` and `Claim`.
"""

from dsl.activations import Activation, HermiteSeries, Relu, Sigmoid, Tanh
from dsl.alignment import Alignment, LevelWeights
from dsl.analysis import Analysis
from dsl.barycenter_solvers import (
    BarycenterSolver,
    Bregman,
    EntropicFreeSupport,
    FixedGrid,
    FreeSupport,
    LowRankFreeSupport,
)
from dsl.barycenters import Barycenter, Ellipses, MeasureFamily, RandomMeasures, SparseSquare, StoredMeasures
from dsl.boosting import BoostedTrees, Learn, PredictionError
from dsl.convergence import FactAlignment, NfaAlignment
from dsl.coordinate_descent import CoordinateDescent
from dsl.dags import QuadraticDag
from dsl.datasets import Digits, MnistSubset, Split
from dsl.distances import (
    Cca,
    Cka,
    Distance,
    DistanceMatrix,
    Gulp,
    Labels,
    PredictionGap,
    Procrustes,
    Pwcca,
    RandomLabels,
    Svcca,
)
from dsl.domains import Bits, Classes, Graphs, Measures, Real, Reals, Sphere, Tokens
from dsl.draws import Cyclic, Draw, Exact, Fresh, Shuffled
from dsl.experiments import Experiment
from dsl.explain import Prediction, explain
from dsl.faults import Fault, SpecError
from dsl.feature_machines import FeatureMachine
from dsl.features import BlockCirculance, FeatureMatrix, SupportMass
from dsl.fields import Count, Knob, Seed, Static
from dsl.flows import Flow
from dsl.gaussians import BuresFixedPoint, GaussianBarycenter, Moments
from dsl.graph_problems import Clique, MaxCut
from dsl.graphs import Complete, Cycle, Graph, RandomGraph
from dsl.groups import (
    Group,
    GroupElement,
    Permutation,
    Permutations,
    Rotations,
    SignedPermutation,
    SignedPermutations,
    SignFlip,
    SignFlips,
    Stabiliser,
)
from dsl.identity import digest, dump, load, loads
from dsl.imported import Imported
from dsl.instances import CostIdentity, InstanceSize
from dsl.kernels import Kernel, KernelMachine, Laplace, Radial, Rbf
from dsl.laws import Biased, Distribution, Gaussian, Hypercube
from dsl.limits import MeanFieldLimit
from dsl.losses import L2, CorrelationLoss, CrossEntropy, LogisticLoss, Loss, Penalty, SquaredLoss
from dsl.measurements import (
    Coefficients,
    GradientNorm,
    Measurement,
    Observed,
    StepsMade,
    TestError,
    TestLoss,
    TrainLoss,
    Weights,
)
from dsl.models import MeanField, Mlp, Model, Ntk, ResNet, Scaling, Standard, TwoLayer
from dsl.modular import ModularAddition
from dsl.moved import Moved
from dsl.noise import Isotropic, Noise
from dsl.optimizers import Adam, AdamW, NoisyGd, Optimizer, Sgd, SphericalSgd
from dsl.pairs import Assignment, Coupling, LowRankSinkhorn, PairSolver, Quantiles, Sinkhorn, Wasserstein
from dsl.polynomials import Character, FourierPolynomial, Monomial, Polynomial, bits, he, prefixes, reals
from dsl.program import Program, compile
from dsl.protocols import Descent, Protocol
from dsl.rates import Cosine, Piecewise, Rate
from dsl.realise import Seeded
from dsl.reduction_solvers import BruteForce, ByReduction, KelleyCuts
from dsl.reductions import CliqueToBarycenter, CliqueToTransport, CutToTransport, Reduced, Reduction
from dsl.representations import Representation
from dsl.rest import Rest
from dsl.results import Result, Stored, Trained
from dsl.ridge import Ridge
from dsl.sample import Sample
from dsl.schedules import At, AtEnd, Every, LogSpaced, When, at, at_end, every, log_spaced
from dsl.solutions import (
    Atoms,
    Decided,
    DualBound,
    MarginalError,
    Objective,
    OracleCalls,
    PairMarginals,
    Plan,
    SupportSize,
    UpperBound,
)
from dsl.solving import Problem, Solver, Solving
from dsl.spec import Spec
from dsl.stop import Stop
from dsl.stored_examples import StoredExamples
from dsl.study import Claim, Point, Study, above, below, between, grid, within
from dsl.symmetric import Majority, SumMod, Zonal, centred
from dsl.tabular import BreastCancer, Diabetes, Iris, Wine
from dsl.tangents import TangentNorm
from dsl.targets import Product, Scaled, Sum, Target, prod, total
from dsl.tasks import Labelled, Task
from dsl.training import Training
from dsl.transport import (
    Bernoulli,
    Connected,
    Cost,
    EulerFlow,
    LowRankPlusSparse,
    Marginals,
    Masses,
    Transport,
    TransportProblem,
    Uniform,
    bernoulli,
    uniform,
)
from dsl.transport_solvers import (
    ColumnGeneration,
    MultimarginalSinkhorn,
    MultiplicativeWeights,
    NaiveLp,
    TransportSolver,
)
from dsl.updates import FactMean, FactUpdate, NfaUpdate, Update

__all__ = [
    "L2",
    "Activation",
    "Adam",
    "AdamW",
    "Alignment",
    "Analysis",
    "Assignment",
    "At",
    "AtEnd",
    "Atoms",
    "Barycenter",
    "BarycenterSolver",
    "Bernoulli",
    "Biased",
    "Bits",
    "BlockCirculance",
    "BoostedTrees",
    "BreastCancer",
    "Bregman",
    "BruteForce",
    "BuresFixedPoint",
    "ByReduction",
    "Cca",
    "Character",
    "Cka",
    "Claim",
    "Classes",
    "Clique",
    "CliqueToBarycenter",
    "CliqueToTransport",
    "Coefficients",
    "ColumnGeneration",
    "Complete",
    "Connected",
    "CoordinateDescent",
    "CorrelationLoss",
    "Cosine",
    "Cost",
    "CostIdentity",
    "Count",
    "Coupling",
    "CrossEntropy",
    "CutToTransport",
    "Cycle",
    "Cyclic",
    "Decided",
    "Descent",
    "Diabetes",
    "Digits",
    "Distance",
    "DistanceMatrix",
    "Distribution",
    "Draw",
    "DualBound",
    "Ellipses",
    "EntropicFreeSupport",
    "EulerFlow",
    "Every",
    "Exact",
    "Experiment",
    "FactAlignment",
    "FactMean",
    "FactUpdate",
    "Fault",
    "FeatureMachine",
    "FeatureMatrix",
    "FixedGrid",
    "Flow",
    "FourierPolynomial",
    "FreeSupport",
    "Fresh",
    "Gaussian",
    "GaussianBarycenter",
    "GradientNorm",
    "Graph",
    "Graphs",
    "Group",
    "GroupElement",
    "Gulp",
    "HermiteSeries",
    "Hypercube",
    "Imported",
    "InstanceSize",
    "Iris",
    "Isotropic",
    "KelleyCuts",
    "Kernel",
    "KernelMachine",
    "Knob",
    "Labelled",
    "Labels",
    "Laplace",
    "Learn",
    "LevelWeights",
    "LogSpaced",
    "LogisticLoss",
    "Loss",
    "LowRankFreeSupport",
    "LowRankPlusSparse",
    "LowRankSinkhorn",
    "Majority",
    "MarginalError",
    "Marginals",
    "Masses",
    "MaxCut",
    "MeanField",
    "MeanFieldLimit",
    "MeasureFamily",
    "Measurement",
    "Measures",
    "Mlp",
    "MnistSubset",
    "Model",
    "ModularAddition",
    "Moments",
    "Monomial",
    "Moved",
    "MultimarginalSinkhorn",
    "MultiplicativeWeights",
    "NaiveLp",
    "NfaAlignment",
    "NfaUpdate",
    "Noise",
    "NoisyGd",
    "Ntk",
    "Objective",
    "Observed",
    "Optimizer",
    "OracleCalls",
    "PairMarginals",
    "PairSolver",
    "Penalty",
    "Permutation",
    "Permutations",
    "Piecewise",
    "Plan",
    "Point",
    "Polynomial",
    "Prediction",
    "PredictionError",
    "PredictionGap",
    "Problem",
    "Procrustes",
    "Product",
    "Program",
    "Protocol",
    "Pwcca",
    "QuadraticDag",
    "Quantiles",
    "Radial",
    "RandomGraph",
    "RandomLabels",
    "RandomMeasures",
    "Rate",
    "Rbf",
    "Real",
    "Reals",
    "Reduced",
    "Reduction",
    "Relu",
    "Representation",
    "ResNet",
    "Rest",
    "Result",
    "Ridge",
    "Rotations",
    "Sample",
    "Scaled",
    "Scaling",
    "Seed",
    "Seeded",
    "Sgd",
    "Shuffled",
    "Sigmoid",
    "SignFlip",
    "SignFlips",
    "SignedPermutation",
    "SignedPermutations",
    "Sinkhorn",
    "Solver",
    "Solving",
    "SparseSquare",
    "Spec",
    "SpecError",
    "Sphere",
    "SphericalSgd",
    "Split",
    "SquaredLoss",
    "Stabiliser",
    "Standard",
    "Static",
    "StepsMade",
    "Stop",
    "Stored",
    "StoredExamples",
    "StoredMeasures",
    "Study",
    "Sum",
    "SumMod",
    "SupportMass",
    "SupportSize",
    "Svcca",
    "TangentNorm",
    "Tanh",
    "Target",
    "Task",
    "TestError",
    "TestLoss",
    "Tokens",
    "TrainLoss",
    "Trained",
    "Training",
    "Transport",
    "TransportProblem",
    "TransportSolver",
    "TwoLayer",
    "Uniform",
    "Update",
    "UpperBound",
    "Wasserstein",
    "Weights",
    "When",
    "Wine",
    "Zonal",
    "above",
    "at",
    "at_end",
    "below",
    "bernoulli",
    "between",
    "bits",
    "centred",
    "compile",
    "digest",
    "dump",
    "every",
    "explain",
    "grid",
    "he",
    "load",
    "loads",
    "log_spaced",
    "prefixes",
    "prod",
    "reals",
    "total",
    "uniform",
    "within",
]
