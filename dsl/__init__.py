"""The language: experiments of learning theory as typed values.

`from dsl import *` gives the nouns, `grid`, `Study` and `Claim`.
"""

from dsl.activations import Activation as Activation
from dsl.activations import HermiteSeries as HermiteSeries
from dsl.activations import Relu as Relu
from dsl.activations import Sigmoid as Sigmoid
from dsl.activations import Tanh as Tanh
from dsl.alignment import Alignment as Alignment
from dsl.alignment import LevelWeights as LevelWeights
from dsl.analysis import Analysis as Analysis
from dsl.barycenter_solvers import (
    BarycenterSolver,
    Bregman,
    EntropicFreeSupport,
    FixedGrid,
    FreeSupport,
    LowRankFreeSupport,
)
from dsl.barycenters import Barycenter as Barycenter
from dsl.barycenters import Ellipses as Ellipses
from dsl.barycenters import MeasureFamily as MeasureFamily
from dsl.barycenters import RandomMeasures as RandomMeasures
from dsl.barycenters import SparseSquare as SparseSquare
from dsl.barycenters import StoredMeasures as StoredMeasures
from dsl.boosting import BoostedTrees as BoostedTrees
from dsl.boosting import Learn as Learn
from dsl.boosting import PredictionError as PredictionError
from dsl.convergence import FactAlignment as FactAlignment
from dsl.convergence import NfaAlignment as NfaAlignment
from dsl.coordinate_descent import CoordinateDescent as CoordinateDescent
from dsl.dags import QuadraticDag as QuadraticDag
from dsl.datasets import Digits as Digits
from dsl.datasets import MnistSubset as MnistSubset
from dsl.datasets import Split as Split
from dsl.distances import Cca as Cca
from dsl.distances import Cka as Cka
from dsl.distances import Distance as Distance
from dsl.distances import DistanceMatrix as DistanceMatrix
from dsl.distances import Gulp as Gulp
from dsl.distances import Labels as Labels
from dsl.distances import PredictionGap as PredictionGap
from dsl.distances import Procrustes as Procrustes
from dsl.distances import Pwcca as Pwcca
from dsl.distances import RandomLabels as RandomLabels
from dsl.distances import Svcca as Svcca
from dsl.domains import Bits as Bits
from dsl.domains import Classes as Classes
from dsl.domains import Graphs as Graphs
from dsl.domains import Measures as Measures
from dsl.domains import Real as Real
from dsl.domains import Reals as Reals
from dsl.domains import Sphere as Sphere
from dsl.domains import Tokens as Tokens
from dsl.draws import Cyclic as Cyclic
from dsl.draws import Draw as Draw
from dsl.draws import Exact as Exact
from dsl.draws import Fresh as Fresh
from dsl.draws import Shuffled as Shuffled
from dsl.experiments import Experiment as Experiment
from dsl.explain import Prediction as Prediction
from dsl.explain import explain as explain
from dsl.faults import Fault as Fault
from dsl.faults import SpecError as SpecError
from dsl.feature_machines import FeatureMachine as FeatureMachine
from dsl.features import BlockCirculance as BlockCirculance
from dsl.features import FeatureMatrix as FeatureMatrix
from dsl.features import SupportMass as SupportMass
from dsl.fields import Count as Count
from dsl.fields import Knob as Knob
from dsl.fields import Seed as Seed
from dsl.fields import Static as Static
from dsl.flows import Flow as Flow
from dsl.gaussians import BuresFixedPoint, GaussianBarycenter, Moments
from dsl.graphs import Complete as Complete
from dsl.graphs import Cycle as Cycle
from dsl.graphs import Graph as Graph
from dsl.graphs import RandomGraph as RandomGraph
from dsl.groups import Group as Group
from dsl.groups import GroupElement as GroupElement
from dsl.groups import Permutation as Permutation
from dsl.groups import Permutations as Permutations
from dsl.groups import Rotations as Rotations
from dsl.groups import SignedPermutation as SignedPermutation
from dsl.groups import SignedPermutations as SignedPermutations
from dsl.groups import SignFlip as SignFlip
from dsl.groups import SignFlips as SignFlips
from dsl.groups import Stabiliser as Stabiliser
from dsl.identity import digest as digest
from dsl.identity import dump as dump
from dsl.identity import load as load
from dsl.identity import loads as loads
from dsl.imported import Imported as Imported
from dsl.instances import CostIdentity as CostIdentity
from dsl.instances import InstanceSize as InstanceSize
from dsl.kernels import Kernel as Kernel
from dsl.kernels import KernelMachine as KernelMachine
from dsl.kernels import Laplace as Laplace
from dsl.kernels import Radial as Radial
from dsl.kernels import Rbf as Rbf
from dsl.laws import Biased as Biased
from dsl.laws import Distribution as Distribution
from dsl.laws import Gaussian as Gaussian
from dsl.laws import Hypercube as Hypercube
from dsl.limits import MeanFieldLimit as MeanFieldLimit
from dsl.losses import L2 as L2
from dsl.losses import CorrelationLoss as CorrelationLoss
from dsl.losses import CrossEntropy as CrossEntropy
from dsl.losses import LogisticLoss as LogisticLoss
from dsl.losses import Loss as Loss
from dsl.losses import Penalty as Penalty
from dsl.losses import SquaredLoss as SquaredLoss
from dsl.measurements import Coefficients as Coefficients
from dsl.measurements import GradientNorm as GradientNorm
from dsl.measurements import Measurement as Measurement
from dsl.measurements import Observed as Observed
from dsl.measurements import StepsMade as StepsMade
from dsl.measurements import TestError as TestError
from dsl.measurements import TestLoss as TestLoss
from dsl.measurements import TrainLoss as TrainLoss
from dsl.measurements import Weights as Weights
from dsl.models import MeanField as MeanField
from dsl.models import Mlp as Mlp
from dsl.models import Model as Model
from dsl.models import Ntk as Ntk
from dsl.models import ResNet as ResNet
from dsl.models import Scaling as Scaling
from dsl.models import Standard as Standard
from dsl.models import TwoLayer as TwoLayer
from dsl.modular import ModularAddition as ModularAddition
from dsl.moved import Moved as Moved
from dsl.noise import Isotropic as Isotropic
from dsl.noise import Noise as Noise
from dsl.optimizers import Adam as Adam
from dsl.optimizers import AdamW as AdamW
from dsl.optimizers import NoisyGd as NoisyGd
from dsl.optimizers import Optimizer as Optimizer
from dsl.optimizers import Sgd as Sgd
from dsl.optimizers import SphericalSgd as SphericalSgd
from dsl.pairs import Assignment, Coupling, LowRankSinkhorn, PairSolver, Quantiles, Sinkhorn, Wasserstein
from dsl.polynomials import Character as Character
from dsl.polynomials import FourierPolynomial as FourierPolynomial
from dsl.polynomials import Monomial as Monomial
from dsl.polynomials import Polynomial as Polynomial
from dsl.polynomials import bits as bits
from dsl.polynomials import he as he
from dsl.polynomials import prefixes as prefixes
from dsl.polynomials import reals as reals
from dsl.program import Program as Program
from dsl.program import compile as compile
from dsl.protocols import Descent as Descent
from dsl.protocols import Protocol as Protocol
from dsl.rates import Cosine as Cosine
from dsl.rates import Piecewise as Piecewise
from dsl.rates import Rate as Rate
from dsl.realise import Seeded as Seeded
from dsl.reductions import BruteForce as BruteForce
from dsl.reductions import ByReduction as ByReduction
from dsl.reductions import Clique as Clique
from dsl.reductions import CliqueToBarycenter as CliqueToBarycenter
from dsl.reductions import CliqueToTransport as CliqueToTransport
from dsl.reductions import CutToTransport as CutToTransport
from dsl.reductions import KelleyCuts as KelleyCuts
from dsl.reductions import MaxCut as MaxCut
from dsl.reductions import Reduced as Reduced
from dsl.reductions import Reduction as Reduction
from dsl.representations import Representation as Representation
from dsl.rest import Rest as Rest
from dsl.results import Result as Result
from dsl.results import Stored as Stored
from dsl.results import Trained as Trained
from dsl.ridge import Ridge as Ridge
from dsl.sample import Sample as Sample
from dsl.schedules import At as At
from dsl.schedules import AtEnd as AtEnd
from dsl.schedules import Every as Every
from dsl.schedules import LogSpaced as LogSpaced
from dsl.schedules import When as When
from dsl.schedules import at as at
from dsl.schedules import at_end as at_end
from dsl.schedules import every as every
from dsl.schedules import log_spaced as log_spaced
from dsl.solutions import Atoms as Atoms
from dsl.solutions import Decided as Decided
from dsl.solutions import DualBound as DualBound
from dsl.solutions import MarginalError as MarginalError
from dsl.solutions import Objective as Objective
from dsl.solutions import OracleCalls as OracleCalls
from dsl.solutions import Plan as Plan
from dsl.solutions import SupportSize as SupportSize
from dsl.solutions import UpperBound as UpperBound
from dsl.solving import Problem as Problem
from dsl.solving import Solver as Solver
from dsl.solving import Solving as Solving
from dsl.spec import Spec as Spec
from dsl.stop import Stop as Stop
from dsl.stored_examples import StoredExamples as StoredExamples
from dsl.study import Claim as Claim
from dsl.study import Point as Point
from dsl.study import Study as Study
from dsl.study import above as above
from dsl.study import below as below
from dsl.study import between as between
from dsl.study import grid as grid
from dsl.study import within as within
from dsl.symmetric import Majority as Majority
from dsl.symmetric import SumMod as SumMod
from dsl.symmetric import Zonal as Zonal
from dsl.symmetric import centred as centred
from dsl.tabular import BreastCancer as BreastCancer
from dsl.tabular import Diabetes as Diabetes
from dsl.tabular import Iris as Iris
from dsl.tabular import Wine as Wine
from dsl.tangents import TangentNorm as TangentNorm
from dsl.targets import Product as Product
from dsl.targets import Scaled as Scaled
from dsl.targets import Sum as Sum
from dsl.targets import Target as Target
from dsl.targets import prod as prod
from dsl.targets import total as total
from dsl.tasks import Labelled as Labelled
from dsl.tasks import Task as Task
from dsl.training import Training as Training
from dsl.transport import Bernoulli as Bernoulli
from dsl.transport import Connected as Connected
from dsl.transport import Cost as Cost
from dsl.transport import EulerFlow as EulerFlow
from dsl.transport import LowRankPlusSparse as LowRankPlusSparse
from dsl.transport import Marginals as Marginals
from dsl.transport import Masses as Masses
from dsl.transport import Transport as Transport
from dsl.transport import TransportProblem as TransportProblem
from dsl.transport import Uniform as Uniform
from dsl.transport import bernoulli as bernoulli
from dsl.transport import uniform as uniform
from dsl.transport_solvers import ColumnGeneration as ColumnGeneration
from dsl.transport_solvers import MultimarginalSinkhorn as MultimarginalSinkhorn
from dsl.transport_solvers import MultiplicativeWeights as MultiplicativeWeights
from dsl.transport_solvers import NaiveLp as NaiveLp
from dsl.transport_solvers import TransportSolver as TransportSolver
from dsl.updates import FactMean as FactMean
from dsl.updates import FactUpdate as FactUpdate
from dsl.updates import NfaUpdate as NfaUpdate
from dsl.updates import Update as Update

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
