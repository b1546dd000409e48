"""`Training`: a model that moves under a protocol, as an experiment and as a program."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from dsl import keys
from dsl.domains import X, Y
from dsl.draws import Draw
from dsl.experiments import Experiment, Precision, measurement_faults, schedule, schedule_faults
from dsl.faults import Fault, written
from dsl.fields import Seed
from dsl.identity import walk
from dsl.losses import Loss
from dsl.measurements import Observed, names
from dsl.models import Model
from dsl.modules import carried
from dsl.program import Inputs, Program, none_is
from dsl.protocols import Protocol, TrainingState, initial_model
from dsl.references import closed
from dsl.rest import ALONE, is_rest
from dsl.tasks import Task


class Training(Experiment, Generic[X, Y]):
    """A state machine over a model: a task, a model, a loss, a protocol, and what to measure along the way."""

    task: Task[X, Y]
    model: Model[X, Y]
    loss: Loss[Y]
    protocol: Protocol
    measure: tuple[Observed, ...]
    seed: Seed
    precision: Precision = "float32"

    def check(self) -> Iterable[Fault]:
        """Adds: draws that do not fit the task, schedules beyond the last step, measurements that cannot be taken."""
        yield from super().check()
        if is_rest(self.task):
            yield Fault(("task",), ALONE)
            return
        yield from (fault.under("protocol") for fault in self.protocol.unfit(self.task))
        yield from (fault.under("protocol") for fault in self.protocol.unfit_model(self.model))
        yield from (fault.under("model") for fault in self.model.unfit(self.task))
        yield from schedule_faults(self.measure, self.last)
        yield from measurement_faults(self)

    @property
    def last(self) -> int:
        """The protocol's number of steps on the model."""
        return self.protocol.steps_on(self.model)

    def observed(self) -> dict[str, Observed]:
        """Measurements and their steps by name."""
        return dict(zip(names(self.measure), self.measure, strict=True))

    def program(self) -> "TrainingProgram":
        """The state machine of the protocol."""
        observed = self.observed()
        nouns = {name: item.measurement for name, item in observed.items()}
        return TrainingProgram(closed(self), self.last, nouns, schedule(observed, self.last))


@dataclass(frozen=True)
class TrainingProgram(Program):
    """Steps of the protocol; the state holds the step, the weights and the protocol's memory."""

    @property
    def averages(self) -> bool:
        """Whether the protocol does."""
        return self.experiment.protocol.averages

    def prepared(self, experiment: Any) -> dict[str, Any]:
        """The draws of the protocol that compute their examples once."""
        found = {}
        for path, noun in walk(experiment.protocol, ("protocol",)):
            if isinstance(noun, Draw) and (ready := noun.prepared(experiment.task)) is not noun:
                found[written(path)] = ready
        return found

    def measurements_in(self, experiment: Any) -> dict[str, Any]:
        """The field `measure`, by name, without its schedules."""
        return dict(zip(self.measurements, (item.measurement for item in experiment.measure), strict=True))

    def init(self, knobs: Any, inputs: Inputs, constants: Any) -> Any:
        """The step, the weights, and the protocol's memory."""
        experiment, streams = self.realised(knobs, inputs, constants)
        state = experiment.protocol.init(experiment, streams)
        done = experiment.protocol.finished(experiment, state)
        return _packed(state) if done is None else _packed(state) | {"done": done}

    def advance(self, state: Any, knobs: Any, inputs: Inputs, constants: Any, n: Int[Array, ""] | int) -> Any:
        """Up to n steps of the protocol, fewer where it stops early."""
        experiment, streams = self.realised(knobs, inputs, constants)
        rest = carried(initial_model(experiment, streams))[1]  # its arrays are not used: they are never computed

        def step(state: Any) -> Any:
            return _packed(experiment.protocol.step(experiment, _unpacked(state, rest), streams))

        stopped = lambda state: experiment.protocol.finished(experiment, _unpacked(state, rest))
        if stopped(state) is None:
            return jax.lax.fori_loop(0, n, lambda _, state: step(state), state)
        until, state = state["step"] + n, {name: state[name] for name in ("step", "model", "memory")}
        state = jax.lax.while_loop(lambda s: (s["step"] < until) & ~stopped(s), step, state)
        return state | {"done": stopped(state)}

    def healthy(self, state: Any) -> Any:
        """No weight is NaN or infinite."""
        return none_is(lambda leaf: ~jnp.isfinite(leaf), state["model"])

    def observe(self, state: Any, knobs: Any, inputs: Inputs, constants: Any, due: tuple[str, ...]) -> dict[str, Any]:
        """The measurements that are due, of the whole model."""
        experiment, streams = self.realised(knobs, inputs, constants)
        whole = _unpacked(state, carried(initial_model(experiment, streams))[1])
        of_step = keys.fold(streams.measure, state["step"])
        nouns = self.measurements_in(experiment)
        return {name: nouns[name](experiment, whole, constants["measure"][name], of_step) for name in due}


def _packed(state: TrainingState) -> dict[str, Any]:
    return {"step": state.step, "model": carried(state.model)[0], "memory": state.memory}


def _unpacked(state: Mapping[str, Any], rest: Any) -> TrainingState:
    return TrainingState(state["step"], eqx.combine(state["model"], rest), state["memory"])
