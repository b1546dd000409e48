"""Solvers of transport problems: the algorithms of `theory.transport`, on the host unless they can be traced."""

import abc
import functools
import math
from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key
from pydantic import Field

from dsl.barycenters import Barycenter
from dsl.faults import Fault
from dsl.fields import Count
from dsl.identity import walk
from dsl.realise import Random
from dsl.references import Reference
from dsl.solving import Limit, Solver
from dsl.transport import Connected, LowRankPlusSparse, Posed, Transport
from theory import transport
from theory.transport.barycenter_cost import MAX_DIMENSIONS
from theory.transport.column_generation import LEAST_TOL
from theory.transport.sinkhorn import SWEEPS


class TransportSolver(Solver, abstract=True):
    """A solver whose answer is a `theory.transport.Solution`; `vertex` where its plan is a vertex: few atoms."""

    traced: ClassVar[bool] = False
    vertex: ClassVar[bool] = False

    @property
    def last(self) -> int:
        """0: the answer comes at once."""
        return 0

    @abc.abstractmethod
    def solve(self, posed: transport.Problem) -> transport.Solution:
        """The answer to a problem with its arrays; reductions call this."""

    def init(self, problem: Any, key: Key[Array, ""]) -> Any:
        """The answer, where it comes at once."""
        return self.solve(problem.posed())

    def answer(self, problem: Any, state: Any) -> transport.Solution:
        """The plan with its certified interval."""
        return state

    def unfit(self, problem: Any) -> Iterable[Fault]:
        """A problem that is not transport as it stands."""
        if not (isinstance(problem, Posed) and problem.gives == "transport"):
            kind = type(problem).__name__
            yield Fault((), f"{type(self).__name__} solves transport; {kind} takes BruteForce() or ByReduction(...)")
        else:
            yield from problem.too_large()


class SteppedSolver(TransportSolver, abstract=True):
    """One whose algorithm has steps; its state is the problem with its arrays, and where the algorithm stands."""

    @abc.abstractmethod
    def rule(self) -> transport.ColumnGeneration | transport.MultiplicativeWeights:
        """The algorithm with its numbers."""

    def expect(self, posed: transport.Problem) -> None:
        """Refuses a problem for what only its arrays tell; `unfit` refuses it before where it can."""

    def solve(self, posed: transport.Problem) -> transport.Solution:
        """All steps."""
        self.expect(posed)
        return self.rule().solve(posed)

    def init(self, problem: Any, key: Key[Array, ""]) -> Any:
        """The problem with its arrays, and the first state."""
        posed = problem.posed()
        self.expect(posed)
        return posed, self.rule().init(posed)

    def step(self, problem: Any, state: Any, key: Key[Array, ""]) -> Any:
        """One step."""
        posed, kept = state
        return posed, self.rule().step(posed, kept)

    def answer(self, problem: Any, state: Any) -> transport.Solution:
        """The plan so far, rounded to its marginals, with its certified interval."""
        posed, kept = state
        return self.rule().answer(posed, kept)

    def finished(self, problem: Any, state: Any) -> bool:
        """Whether the interval is small enough, or a step could change nothing."""
        return state[1].finished


class ColumnGeneration(SteppedSolver, version=2):
    """A linear program over few tuples, and a search for those of negative reduced cost: exact, with a certificate.

    `pricing` says how tuples are searched: by the structure of the cost, which for `Barycenter` is by power diagrams in
    up to three dimensions, else over the tensor if it has at most 2^22 entries, else locally: the certified interval
    then stays open. `start` says what the first linear program has: a plan that moves in step, the rearrangement of a
    `LowRankPlusSparse` cost, or the plan of a `Barycenter` in which near points are merged, for hundreds of points.
    `tol` is the gap at which to stop, as a part of the range of the cost; a step is a round.
    """

    vertex: ClassVar[bool] = True
    packages: ClassVar[tuple[str, ...]] = ("highspy",)
    pricing: Literal["structure", "power_diagrams"] = "structure"
    start: Literal["north_west", "rearrangement", "coarse"] = "north_west"
    tol: Annotated[float, Field(ge=LEAST_TOL)] = LEAST_TOL
    rounds: Count = 1000

    @property
    def last(self) -> int:
        """The most rounds."""
        return self.rounds

    def unfit(self, problem: Any) -> Iterable[Fault]:
        """Adds: a start or a pricing that belongs to other costs."""
        yield from super().unfit(problem)
        cost = problem.cost if isinstance(problem, Transport) else None
        if self.start == "rearrangement" and not isinstance(cost, LowRankPlusSparse):
            yield Fault(("start",), "'rearrangement' starts LowRankPlusSparse costs; use 'north_west'")
        if self.start == "coarse" and not isinstance(problem, Barycenter):
            yield Fault(("start",), "'coarse' starts a Barycenter; use 'north_west'")
        if self.pricing == "power_diagrams" and not isinstance(problem, Barycenter):
            yield Fault(("pricing",), "'power_diagrams' are searched for a Barycenter; use 'structure'")
        elif self.pricing == "power_diagrams":
            yield from self._too_many_dimensions(problem)

    def _too_many_dimensions(self, problem: Any) -> Iterable[Fault]:
        shape = problem.measures.shape
        if shape is not None and shape[2] > MAX_DIMENSIONS:
            yield Fault(("pricing",), _many_dimensions(shape[2]))

    def expect(self, posed: transport.Problem) -> None:
        """Refuses points that turn out to have too many dimensions for power diagrams, and costs without points.

        Raises:
            ValueError: if power diagrams are asked for and cannot be searched.
        """
        if self.pricing != "power_diagrams":
            return
        if not isinstance(posed.cost, transport.BarycenterCost):
            kind = type(posed.cost).__name__
            raise ValueError(f"pricing: 'power_diagrams' are searched for a Barycenter, not a {kind}; use 'structure'")
        if (d := posed.cost.points[0].shape[1]) > MAX_DIMENSIONS:
            raise ValueError(f"pricing: {_many_dimensions(d)}")

    def rule(self) -> transport.ColumnGeneration:
        """With its tolerance, start and rounds."""
        # float32 rounds 1e-9 down, which the algorithm would refuse
        return transport.ColumnGeneration(max(float(self.tol), LEAST_TOL), start=self.start, rounds=self.rounds)


class MultiplicativeWeights(SteppedSolver):
    """Bisection on the value, with a packing problem for each trial: within about eps of the range of the cost."""

    eps: Annotated[float, Field(gt=0, lt=0.5)]
    trials: Count = 20

    @property
    def last(self) -> int:
        """The most trials."""
        return self.trials

    def rule(self) -> transport.MultiplicativeWeights:
        """With its accuracy and trials."""
        return transport.MultiplicativeWeights(float(self.eps), self.trials)


class MultimarginalSinkhorn(TransportSolver, version=2):
    """Entropic transport at the inverse temperature eta, in the log domain, rounded to exact marginals.

    A sweep of eta and tol is one program where the problem is structure alone: its arrays are then made once, on the
    host. Its numbers are double ones: where knobs are single, or the problem has some, it runs on the host.
    """

    eta: Annotated[float, Field(gt=0)]
    tol: Annotated[float, Field(gt=0)]
    sweeps: Count = SWEEPS

    @property
    def limit(self) -> Limit:
        """Its sweeps over all marginals."""
        return Limit(self.sweeps, "sweeps", "marginal error", self.tol)

    def reached(self, step: Any, state: Any, answer: Any) -> tuple[Any, Any]:
        """The sweeps and the error of the plan; two further sums over each marginal are of the answer."""
        return (answer.oracle_calls - 2) // len(answer.plan.shape), answer.marginal_error

    def traces(self, problem: Any) -> bool:
        """Whether numbers are double, and nothing of the problem is a knob, drawn or read."""
        given = any(isinstance(noun, (Random, Reference)) for _, noun in walk(problem))
        return not given and not jax.tree.leaves(problem) and jnp.result_type(float) == jnp.float64

    def rule(self) -> transport.MultimarginalSinkhorn:
        """With its temperature, tolerance and sweeps, on the host."""
        return transport.MultimarginalSinkhorn(float(self.eta), float(self.tol), self.sweeps)

    def solve(self, posed: transport.Problem) -> transport.Solution:
        """Sweeps until the marginals are within tol, or there were enough."""
        return self.rule().solve(posed)

    def init(self, problem: Any, key: Key[Array, ""]) -> Any:
        """The scalings where eta is traced; else the answer."""
        if not isinstance(self.eta, jax.Array):
            return self.solve(problem.posed())
        return transport.scalings(_posed(problem), self.eta, self.tol, self.sweeps)

    def answer(self, problem: Any, state: Any) -> Any:
        """The plan with its certified interval."""
        if not isinstance(self.eta, jax.Array):
            return state
        return transport.entropic(_posed(problem), self.eta, state)

    def unfit(self, problem: Any) -> Iterable[Fault]:
        """Adds: costs whose sums of exponentials are not known."""
        yield from super().unfit(problem)
        if isinstance(problem.cost if isinstance(problem, Transport) else problem, (Connected, Barycenter)):
            entropic = ", or Bregman(...), which is entropic too" * isinstance(problem, Barycenter)
            yield Fault((), f"MultimarginalSinkhorn needs a cost with soft sums: use ColumnGeneration(){entropic}")


class NaiveLp(TransportSolver, version=2):
    """The linear program with every tuple as a column: the exact oracle of small instances."""

    vertex: ClassVar[bool] = True
    packages: ClassVar[tuple[str, ...]] = ("highspy",)

    def solve(self, posed: transport.Problem) -> transport.Solution:
        """One linear program."""
        return transport.NaiveLp().solve(posed)

    def unfit(self, problem: Any) -> Iterable[Fault]:
        """Adds: a tensor with too many entries."""
        yield from super().unfit(problem)
        shape = problem.shape if isinstance(problem, Posed) else None
        size, most = sum(map(math.log2, shape or ())), math.log2(transport.NaiveLp().most)
        if shape and size > most:
            rows = f"ColumnGeneration() has {sum(shape)} rows"
            yield Fault((), f"the tensor has about 2^{size:.0f} entries, more than 2^{most:.0f}; {rows}")


@functools.lru_cache(maxsize=1)
def _posed(problem: Any) -> transport.Problem:
    """A problem that is structure alone, with its arrays, for the programs that begin, observe and go on in a block."""
    with jax.ensure_compile_time_eval():  # or its arrays would be those of one trace
        return problem.posed()


def _many_dimensions(d: int) -> str:
    fits = "'structure' searches small tensors exactly, larger ones with an open interval"
    return f"'power_diagrams' are for up to {MAX_DIMENSIONS} dimensions, not {d}; {fits}"
