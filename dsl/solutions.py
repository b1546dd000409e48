"""Measurements of solutions: values, certified bounds, plans, and what they took."""

from collections.abc import Iterable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float64, Key

from dsl.barycenter_solvers import BarycenterSolver
from dsl.barycenters import Barycenter
from dsl.faults import Fault, folded
from dsl.gaussians import BuresFixedPoint
from dsl.graph_problems import Clique
from dsl.measurements import Measurement
from dsl.pairs import PairSolver
from dsl.reduction_solvers import BruteForce, ByReduction, KelleyCuts
from dsl.solving import Solver
from dsl.transport_solvers import TransportSolver
from theory.arrays import library_of
from theory.transport import BarycenterCost, Solution, SparsePlan

_PLANS = (TransportSolver, PairSolver, BarycenterSolver)
_SOLVERS = (*_PLANS, BuresFixedPoint, ByReduction, KelleyCuts, BruteForce)
_ENTRIES = 2**22


class SolutionMeasurement(Measurement, abstract=True):
    """A measurement of the answer to a problem of transport, or of one that is reduced to it.

    Attributes:
        solvers: whose answers have what it measures.
    """

    reads: ClassVar[tuple[str, ...]] = ("problem", "by")
    solvers: ClassVar[tuple[type[Solver], ...]] = _SOLVERS

    def unfit(self, experiment: Any) -> Iterable[Fault]:
        """A solver whose answers have other parts."""
        if not isinstance(experiment.by, self.solvers):
            kind = "an answer about transport" if self.solvers is _SOLVERS else "a transport plan"
            yield Fault((), f"{type(self).__name__} is of {kind}; {type(experiment.by).__name__} gives another answer")


class PartMeasurement(SolutionMeasurement, abstract=True):
    """A number that the answer holds.

    Attributes:
        part: the answer's name for it.
    """

    part: ClassVar[str]

    def __call__(self, experiment: Any, state: Any, constants: Any, key: Key[Array, ""]) -> Any:
        """The number."""
        return _number(getattr(state.answer, self.part))


class Objective(PartMeasurement):
    """The value of the answer: the cost of a plan; the maximum of a problem on a graph."""

    part: ClassVar[str] = "value"


class DualBound(PartMeasurement):
    """The certified lower bound of the best value."""

    part: ClassVar[str] = "lower"


class UpperBound(PartMeasurement):
    """The certified upper bound of the best value: with `DualBound`, an interval."""

    part: ClassVar[str] = "upper"


class OracleCalls(PartMeasurement):
    """How often the oracle was called: searches or sums over a cost, or transport problems in a reduction."""

    part: ClassVar[str] = "oracle_calls"


class SupportSize(PartMeasurement):
    """The number of atoms of the plan; of a dense plan, of tuples of points that have mass; of a measure, its atoms."""

    solvers: ClassVar[tuple[type[Solver], ...]] = _PLANS
    part: ClassVar[str] = "support_size"


class MarginalError(PartMeasurement):
    """max_i |m_i - mu_i|_1 of the plan before it was rounded to its marginals; of the plans behind a measure."""

    solvers: ClassVar[tuple[type[Solver], ...]] = _PLANS
    part: ClassVar[str] = "marginal_error"


class Decided(SolutionMeasurement):
    """Whether there is a k-clique: 1 where the answer to a `Clique` is above k (k - 1) / 2 - 1/2, else 0."""

    def __call__(self, experiment: Any, state: Any, constants: Any, key: Key[Array, ""]) -> Any:
        """1 or 0."""
        k = experiment.problem.k
        return np.float64(state.answer.value > k * (k - 1) / 2 - 0.5)

    def unfit(self, experiment: Any) -> Iterable[Fault]:
        """Adds: a problem that is no decision."""
        yield from super().unfit(experiment)
        if not isinstance(experiment.problem, Clique):
            yield Fault((), f"Decided is of a Clique, not of a {type(experiment.problem).__name__}")


class PairMarginals(SolutionMeasurement):
    """For each marginal t, the joint law of the first one and it under the plan: where the mass of each point is then.

    The maps of a flow from time 0 to time t (2008.03006), blurred where the plan is.
    """

    solvers: ClassVar[tuple[type[Solver], ...]] = (TransportSolver,)

    def __call__(
        self, experiment: Any, state: Any, constants: Any, key: Key[Array, ""]
    ) -> Float[np.ndarray | Array, "k n n"]:
        """Shape (k, n, n): [t, a, b] is the mass of tuples with a at 0 and b at t."""
        plan = state.answer.plan
        laws = [plan.pair(0, t) for t in range(len(plan.shape))]
        return library_of(laws[0]).stack(laws)

    def unfit(self, experiment: Any) -> Iterable[Fault]:
        """Adds: marginals of unequal sizes, or too many entries; of stored measures the file tells."""
        yield from super().unfit(experiment)
        if (shape := getattr(experiment.problem, "shape", None)) is None:
            return
        if len(set(shape)) > 1:
            yield Fault((), f"PairMarginals needs marginals of one size, got {folded(shape)}")
        elif (entries := len(shape) * shape[0] ** 2) > _ENTRIES:
            yield Fault((), f"the {len(shape)} joint laws have {entries:.3g} entries, more than 2^22")


class AtomMeasurement(SolutionMeasurement, abstract=True):
    """A measurement of the atoms of a plan: there are few where it is a vertex."""

    def unfit(self, experiment: Any) -> Iterable[Fault]:
        """A solver whose plan is no vertex."""
        if not (isinstance(experiment.by, TransportSolver) and experiment.by.vertex):
            name = type(experiment.by).__name__
            yield Fault((), f"{type(self).__name__} is of plans with few atoms, which {name} does not give")


class Plan(AtomMeasurement):
    """The atoms of the plan, one a row: the tuple and its mass; rows of zeros fill up to sum_i n_i - k + 1."""

    def __call__(self, experiment: Any, state: Any, constants: Any, key: Key[Array, ""]) -> Float64[np.ndarray, "m w"]:
        """Shape (sum_i n_i - k + 1, k + 1)."""
        plan = _atoms(state.answer)
        return _padded(plan, plan.tuples, int(state.step))


class Atoms(AtomMeasurement):
    """The atoms of a barycenter, one a row: the point and its mass; rows of zeros fill up.

    There are sum_i n_i - k + 1 rows, or as many as a solver that is not exact can fill.
    """

    def __call__(self, experiment: Any, state: Any, constants: Any, key: Key[Array, ""]) -> Float64[np.ndarray, "m w"]:
        """Shape (rows, d + 1)."""
        if isinstance(experiment.by, BarycenterSolver):
            points, masses = state.answer.measure
            return _filled(np.column_stack([points, masses]), experiment.by.most_atoms(experiment.problem))
        plan, cost = _atoms(state.answer), experiment.problem.posed().cost
        assert isinstance(cost, BarycenterCost)
        return _padded(plan, cost.means(plan.tuples), int(state.step))

    def unfit(self, experiment: Any) -> Iterable[Fault]:
        """A solver whose plan is no vertex, and a problem without points."""
        if not isinstance(experiment.by, BarycenterSolver):
            yield from super().unfit(experiment)
        if not isinstance(experiment.problem, Barycenter):
            yield Fault((), f"Atoms is of a Barycenter, not of a {type(experiment.problem).__name__}")


def _atoms(solution: Solution) -> SparsePlan:
    assert isinstance(solution.plan, SparsePlan)
    return solution.plan


def _number(value: Any) -> Any:
    """What a host solver says, in double precision; what a traced one does, in its own."""
    return jnp.asarray(value, float) if isinstance(value, jax.Array) else np.float64(value)


def _padded(plan: SparsePlan, rows: np.ndarray, step: int) -> Float64[np.ndarray, "m w"]:
    most = sum(plan.shape) - len(plan.shape) + 1
    if len(rows) > most:
        says = f"the plan at step {step} has {len(rows)} atoms, and a vertex has at most {most}"
        raise ValueError(f"{says}: it is no vertex yet, or rounding it to its marginals has split atoms")
    return _filled(np.column_stack([rows, plan.masses]), most)


def _filled(rows: np.ndarray, most: int) -> Float64[np.ndarray, "m w"]:
    """The rows, and zeros up to as many as there may be."""
    found = np.zeros((most, rows.shape[1]))
    found[: len(rows)] = rows
    return found
