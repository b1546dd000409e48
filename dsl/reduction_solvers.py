"""How whoever solves transport solves hard problems on graphs, and brute force to compare with."""

import math
from collections.abc import Iterable
from typing import Any, ClassVar

from jaxtyping import Array, Key

from dsl.faults import Fault, folded
from dsl.graph_problems import GraphProblem, Verdict
from dsl.reductions import CliqueToBarycenter, Reduced, Reduction, Search, answer_count, fitting, misfits
from dsl.sizes import SEARCHED, TENSOR, limit, written_size
from dsl.solving import Solver
from dsl.transport import Posed
from dsl.transport_solvers import MultimarginalSinkhorn, MultiplicativeWeights, NaiveLp, TransportSolver
from theory import transport


class BruteForce(Solver):
    """Goes through every answer."""

    traced: ClassVar[bool] = False

    @property
    def last(self) -> int:
        """0: the answer comes at once."""
        return 0

    def init(self, problem: Any, key: Key[Array, ""]) -> Verdict:
        """The maximum."""
        found = float(problem.searched())
        return Verdict(found, found, found, 0)

    def answer(self, problem: Any, state: Any) -> Verdict:
        """The maximum."""
        return state

    def unfit(self, problem: Any) -> Iterable[Fault]:
        """A problem with no finite list of answers, or with too many."""
        if not isinstance(problem, GraphProblem):
            yield Fault((), f"BruteForce goes through answers on a graph; {type(problem).__name__} takes NaiveLp()")
        elif (count := answer_count(problem)) > TENSOR:
            says = f"{written_size(count)} answers are more than {limit(TENSOR)}"
            yield Fault((), f"{says}; {fitting(problem)}")


class KelleyCuts(Solver, version=2):
    """The least reduced cost of a tensor from transport values and potentials, by cutting planes over the marginals.

    The answer to a `Reduced` problem; in `ByReduction`, to the problem itself.
    """

    traced: ClassVar[bool] = False
    oracle: TransportSolver

    def check(self) -> Iterable[Fault]:
        """An oracle that is exact: the cuts of another do not meet."""
        if isinstance(self.oracle, (MultiplicativeWeights, MultimarginalSinkhorn)):
            says = f"expected an exact oracle, NaiveLp() or ColumnGeneration(), got {folded(self.oracle)}"
            yield Fault(("oracle",), says)

    @property
    def last(self) -> int:
        """0: the answer comes at once."""
        return 0

    def solve(self, posed: Search) -> Verdict:
        """The minimum; the oracle solves for one choice of marginals after another."""
        found = transport.min_by_transport(posed.cost, posed.potentials, self.oracle.solve)
        return Verdict(found.value, found.lower, found.value, found.calls)

    def init(self, problem: Any, key: Key[Array, ""]) -> Verdict:
        """The minimum."""
        return self.solve(problem.posed())

    def answer(self, problem: Any, state: Any) -> Verdict:
        """The minimum."""
        return state

    def unfit(self, problem: Any) -> Iterable[Fault]:
        """A problem that is no search over a cost, or too large for the oracle."""
        if not (isinstance(problem, Posed) and problem.gives == "search"):
            kind = type(problem).__name__
            yield Fault((), f"KelleyCuts searches a cost, {kind} has none: use it inside ByReduction(...)")
        elif isinstance(problem, Reduced):
            yield from (fault.under("oracle") for fault in _unlisted(self.oracle, problem.by, problem.problem))


class ByReduction(Solver):
    """Solves a problem on a graph by what a reduction makes of it."""

    traced: ClassVar[bool] = False
    reduction: Reduction
    by: TransportSolver | KelleyCuts

    def check(self) -> Iterable[Fault]:
        """A solver of what the reduction gives."""
        if (self.reduction.gives == "search") != isinstance(self.by, KelleyCuts):
            needed = "KelleyCuts(...)" if self.reduction.gives == "search" else "a solver of transport"
            yield Fault(("by",), f"{type(self.reduction).__name__} needs {needed}, got {folded(self.by)}")

    @property
    def last(self) -> int:
        """0: the answer comes at once."""
        return 0

    def init(self, problem: Any, key: Key[Array, ""]) -> Verdict:
        """The answer to the reduced problem, read as one to the problem."""
        solve: Any = self.by.solve
        found, factor = solve(self.reduction.posed(problem)), self.reduction.factor(problem)
        return Verdict(-factor * found.value, -factor * found.upper, -factor * found.lower, found.oracle_calls)

    def answer(self, problem: Any, state: Any) -> Verdict:
        """The maximum."""
        return state

    def unfit(self, problem: Any) -> Iterable[Fault]:
        """A problem of another kind than the reduction takes, or one that is too large for it or for `by`."""
        if faults := list(misfits(self.reduction, problem, "reduction")):
            yield from faults
        elif isinstance(self.by, KelleyCuts):
            yield from (fault.under("by", "oracle") for fault in _unlisted(self.by.oracle, self.reduction, problem))
        else:
            yield from (fault.under("by") for fault in _unlisted(self.by, self.reduction, problem))


def _unlisted(solver: TransportSolver, reduction: Reduction, problem: Any) -> Iterable[Fault]:
    """A tensor of more entries than the solver lists, or searches exactly."""
    if (shape := reduction.shape(problem)) is None:
        return
    size, by_points = math.prod(shape), isinstance(reduction, CliqueToBarycenter)
    exact = size <= SEARCHED or not by_points
    fits = f"ColumnGeneration() has {sum(shape)} rows" if exact else fitting(problem)
    if isinstance(solver, NaiveLp) and size > TENSOR:
        yield Fault((), f"the tensor has {written_size(size)} entries, more than {limit(TENSOR)}; {fits}")
    elif not exact:
        yield Fault((), f"tensors of more than {limit(SEARCHED)} entries are not searched exactly for points; {fits}")
