"""`Solving`: a problem and a solver, exact, iterative or learning, as an experiment and as programs."""

import abc
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, Key

from dsl import keys
from dsl.experiments import Experiment, Precision, measurement_faults, schedule, schedule_faults
from dsl.faults import Fault
from dsl.fields import Seed
from dsl.identity import walk
from dsl.measurements import Measurement, Observed, names
from dsl.program import Inputs, Program
from dsl.realise import placed
from dsl.references import closed
from dsl.results import Given
from dsl.schedules import AtEnd
from dsl.spec import Spec


class Problem(Spec, abstract=True):
    """What is to be solved."""


class Limit(NamedTuple):
    """Where an iteration ends although it is not where it should be."""

    most: int
    """The most steps."""
    unit: str
    """What they are called, in the plural."""
    error: str
    """What should become small."""
    tol: Any
    """How small."""


class Solver(Spec, abstract=True):
    """How a problem is solved; `traced` is False for one that runs on the host (an LP, a spanning tree).

    `traces` says it of a problem, where that decides.

    `shares` is True where the devices along a data axis may share one problem (`dsl.shards`).
    """

    traced: ClassVar[bool] = True
    shares: ClassVar[bool] = False

    @property
    @abc.abstractmethod
    def last(self) -> int:
        """The largest number of steps; 0 where `init` is all."""

    def traces(self, problem: Any) -> bool:
        """Whether a problem is solved by a traced program: by default, as all are by this solver."""
        return self.traced

    @abc.abstractmethod
    def init(self, problem: Any, key: Key[Array, ""]) -> Any:
        """The state at step 0, from the key for `init`."""

    def step(self, problem: Any, state: Any, key: Key[Array, ""]) -> Any:
        """One step."""
        return state

    @abc.abstractmethod
    def answer(self, problem: Any, state: Any) -> Any:
        """The solution that a state holds."""

    def finished(self, problem: Any, state: Any) -> Any:
        """Whether to stop before the last step; None where that never happens."""
        return None

    @property
    def limit(self) -> Limit | None:
        """Where it ends before its tolerance: a run says so. None where that never happens, or where a bound tells."""
        return None

    def reached(self, step: Any, state: Any, answer: Any) -> tuple[Any, Any]:
        """The steps that were made and the error then, as `limit` counts them: by default, what answers say of plans.

        Args:
            step: of the run.
            state: the one that was kept.
            answer: of this state.
        """
        return answer.oracle_calls, answer.marginal_error

    def unfit(self, problem: Any) -> Iterable[Fault]:
        """Why this cannot solve a problem; a solver that has conditions overrides it."""
        return ()


class SolvingState(eqx.Module):
    """What a measurement of a solution sees."""

    step: Int[Array, ""]
    answer: Any


class Solving(Experiment):
    """A problem and a solver; a measurement without `@` is observed at the end."""

    problem: Problem
    by: Solver
    measure: tuple[Observed | Measurement, ...]
    seed: Seed = 0
    precision: Precision = "float32"

    def check(self) -> Iterable[Fault]:
        """Adds: a problem that the solver cannot solve, schedules beyond the last step, unfit measurements."""
        yield from super().check()
        yield from (fault.under("by") for fault in self.by.unfit(self.problem))
        yield from schedule_faults(self.measure, self.last)
        yield from measurement_faults(self)

    def misfits(self, arrays: Mapping[str, Mapping[str, Any]]) -> Iterable[Fault]:
        """Everything that is checked when a spec is written, where sizes and dimensions are those of the files."""
        known = placed(self, {path: Given(dict(found)) for path, found in arrays.items()})
        return [fault.under(*path) for path, noun in walk(known) for fault in noun.check()] if arrays else []

    @property
    def last(self) -> int:
        """The solver's largest number of steps."""
        return self.by.last

    def observed(self) -> dict[str, Observed]:
        """Measurements and their steps by name; a bare one is observed at the end."""
        items = (item if isinstance(item, Observed) else Observed(item, AtEnd()) for item in self.measure)
        return dict(zip(names(self.measure), items, strict=True))

    def program(self) -> "SolvingProgram":
        """Traced, or a host computation where the solver makes it one."""
        observed, traced = self.observed(), self.by.traces(self.problem)
        nouns = {name: item.measurement for name, item in observed.items()}
        return SolvingProgram(closed(self), self.last, nouns, schedule(observed, self.last), traced)


@dataclass(frozen=True)
class SolvingProgram(Program):
    """Steps of the solver; the state holds the step and what the solver keeps."""

    @property
    def averages(self) -> bool:
        """Whether the solver can be shared."""
        return self.experiment.by.shares

    def measurements_in(self, experiment: Any) -> dict[str, Any]:
        """The field `measure`, by name, without its schedules."""
        nouns = (item.measurement if isinstance(item, Observed) else item for item in experiment.measure)
        return dict(zip(self.measurements, nouns, strict=True))

    def init(self, knobs: Any, inputs: Inputs, constants: Any) -> Any:
        """The step and what the solver keeps."""
        experiment, streams = self.realised(knobs, inputs, constants)
        kept = experiment.by.init(experiment.problem, streams.init)
        done = _done(experiment.by.finished(experiment.problem, kept))
        return {"step": jnp.zeros((), jnp.int32), "kept": kept, "done": done}

    def advance(self, state: Any, knobs: Any, inputs: Inputs, constants: Any, n: Int[Array, ""] | int) -> Any:
        """Make n more steps of the solver, or fewer where it is done."""
        experiment, streams = self.realised(knobs, inputs, constants)
        by, problem, until = experiment.by, experiment.problem, state["step"] + n

        def step(state: Any) -> Any:
            kept = by.step(problem, state["kept"], keys.fold(streams.noise, state["step"]))
            return {"step": state["step"] + 1, "kept": kept, "done": _done(by.finished(problem, kept))}

        more = lambda state: (state["step"] < until) & ~state["done"]
        if self.traced:
            return jax.lax.while_loop(more, step, state)
        while more(state):
            state = step(state)
        return state

    def observe(self, state: Any, knobs: Any, inputs: Inputs, constants: Any, due: tuple[str, ...]) -> dict[str, Any]:
        """The measurements that are due, of the answer that the state holds."""
        return self.seen(state, knobs, inputs, constants, due)["values"]

    def seen(self, state: Any, knobs: Any, inputs: Inputs, constants: Any, due: tuple[str, ...]) -> dict[str, Any]:
        """Adds: `missed`, the error of a solver that has ended before its tolerance, else 0."""
        experiment, streams = self.realised(knobs, inputs, constants)
        whole = SolvingState(state["step"], experiment.by.answer(experiment.problem, state["kept"]))
        of_step = keys.fold(streams.measure, state["step"])
        nouns = self.measurements_in(experiment)
        values = {name: nouns[name](experiment, whole, constants["measure"][name], of_step) for name in due}
        found = {"values": values, "healthy": self.healthy(state), "done": self.finished(state)}
        if (limit := experiment.by.limit) is None:
            return found
        steps, error = experiment.by.reached(state["step"], state["kept"], whole.answer)
        return found | {"missed": jnp.where((steps >= limit.most) & (error > limit.tol), error, 0.0)}

    def told_missed(self, experiment: Any, missed: float) -> str:
        """`Sinkhorn stopped after 1000 iterations with marginal error 0.003 > tol 0.0001`."""
        limit = experiment.by.limit
        stopped = f"{type(experiment.by).__name__} stopped after {limit.most} {limit.unit}"
        return f"{stopped} with {limit.error} {missed:.2g} > tol {limit.tol:.2g}"


def _done(finished: Any) -> Any:
    return jnp.asarray(False if finished is None else finished, bool)
