"""Programs: what an experiment compiles to, and the only thing the engine knows.

A program is a pure state machine from knobs and inputs to measurements. Knobs are the experiment itself as a pytree
(its floats, `Knob`s and the seed as arrays); inputs are arrays from outside, by the path of the noun that reads them.
Experiments of equal structure share one program.
"""

import abc
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from dsl import keys
from dsl.experiments import Experiment
from dsl.faults import written
from dsl.identity import walk
from dsl.measurements import Measurement
from dsl.realise import draws, placed
from dsl.references import Reference, Slot, closed

Inputs = Mapping[str, Any]


@dataclass(frozen=True)
class Program(abc.ABC):
    """One compiled structure: `init`, then `advance` from one observation to the next, and `observe`.

    Attributes:
        experiment: an experiment of this structure, closed: its knobs are not read.
        last: the number of steps.
        measurements: what is observed, by name.
        schedule: (step, names of the measurements that are due), increasing in the step.
        traced: False for a host computation, which is neither jitted nor mapped by `vmap`.
    """

    experiment: Any
    last: int
    measurements: Mapping[str, Measurement]
    schedule: tuple[tuple[int, tuple[str, ...]], ...]
    traced: bool = True

    def knobs(self, experiment: Experiment) -> Any:
        """The knobs of an experiment of this structure, as strong arrays of its precision."""
        whole = closed(experiment)
        return jax.tree.map(lambda leaf: _cast(leaf, whole.precision), whole)

    def constants(self, knobs: Any, inputs: Inputs) -> Any:
        """What is drawn once: samples, teachers, test sets. Rebuilt on resume, never saved."""
        experiment, streams = self.supplied(knobs, inputs), keys.streams(knobs.seed)
        drawn = draws(experiment, streams)
        experiment = placed(experiment, drawn)
        prepared = self.prepared(experiment)
        experiment = placed(experiment, prepared)
        return {"drawn": drawn | prepared, "measure": self._measured_constants(experiment, streams)}

    def _measured_constants(self, experiment: Any, streams: keys.Streams) -> dict[str, Any]:
        # a name of its own, because observations fold the same stream by their step
        key, nouns = keys.fold(streams.measure, "constants"), self.measurements_in(experiment)
        return {name: noun.constants(experiment, key) for name, noun in nouns.items()}

    def supplied(self, knobs: Any, inputs: Inputs) -> Any:
        """The experiment with its inputs put where they are read."""
        return placed(knobs, {path: slot.supplied(inputs[path]) for path, slot in _slots(knobs).items()})

    def realised(self, knobs: Any, inputs: Inputs, constants: Any) -> tuple[Any, keys.Streams]:
        """The experiment as its nouns see it, with nothing random left in it, and the keys of the run."""
        return placed(self.supplied(knobs, inputs), constants["drawn"]), keys.streams(knobs.seed)

    def prepared(self, experiment: Any) -> dict[str, Any]:
        """Nouns that compute something once for all steps, by path."""
        return {}

    @abc.abstractmethod
    def measurements_in(self, experiment: Any) -> dict[str, Any]:
        """The measurements of a realised experiment, by name."""

    @abc.abstractmethod
    def init(self, knobs: Any, inputs: Inputs, constants: Any) -> Any:
        """The state at step 0: arrays only, the step among them."""

    @abc.abstractmethod
    def advance(self, state: Any, knobs: Any, inputs: Inputs, constants: Any, n: Int[Array, ""] | int) -> Any:
        """Take n more steps; n is traced, so every gap between observations is one compilation."""

    @abc.abstractmethod
    def observe(self, state: Any, knobs: Any, inputs: Inputs, constants: Any, due: tuple[str, ...]) -> dict[str, Any]:
        """The values of the measurements that are due."""

    def seen(self, state: Any, knobs: Any, inputs: Inputs, constants: Any, due: tuple[str, ...]) -> dict[str, Any]:
        """What is due, `values`, and whether the state is `healthy` and the run `done`."""
        values = self.observe(state, knobs, inputs, constants, due)
        return {"values": values, "healthy": self.healthy(state), "done": self.finished(state)}

    def told_missed(self, experiment: Experiment, missed: float) -> str:
        """What a reader is told of a run of this structure that ended before what it should reach; never by default.

        Args:
            experiment: of the run.
            missed: the positive number of its last `seen`.
        """
        raise NotImplementedError(f"{type(self).__name__} sees nothing that was missed")

    @property
    def averages(self) -> bool:
        """Whether a step averages over a batch that many devices may share: see `dsl.shards`."""
        return False

    def finished(self, state: Any) -> Bool[Array, ""] | bool:
        """Whether no step is left: the last one is made, or a rule has ended the run before."""
        return state.get("done", False) | (state["step"] >= self.last)

    def healthy(self, state: Any) -> Bool[Array, ""] | bool:
        """Whether the run has not diverged; by default, no number of the state is NaN (a bound may be infinite)."""
        return none_is(jnp.isnan, state)


def none_is(bad: Any, tree: Any) -> Any:
    """Whether no floating-point number in a tree is bad."""
    numbers = [leaf for leaf in jax.tree.leaves(tree) if isinstance(leaf, (float, np.generic, np.ndarray, jax.Array))]
    leaves = [leaf for leaf in numbers if jnp.issubdtype(jnp.result_type(leaf), jnp.inexact)]
    return functools.reduce(jnp.logical_and, [~jnp.any(bad(leaf)) for leaf in leaves], jnp.array(True))


def compile(experiment: Experiment) -> Program:
    """The program of an experiment: `compile(a)` and `compile(b)` are one where a and b differ in knobs alone."""
    return experiment.program()


def structure(experiment: Experiment) -> Any:
    """What decides whether experiments share a program: the tree structure of the closed experiment."""
    return jax.tree.structure(closed(experiment))


def requires(experiment: Experiment) -> tuple[Experiment, ...]:
    """The experiments whose results an experiment reads, each once."""
    cached = experiment.__dict__.get("_requires")
    if cached is None:
        sources = [noun.source() for noun in references(experiment).values()]
        cached = tuple(dict.fromkeys(source[0] for source in sources if source is not None))
        object.__setattr__(experiment, "_requires", cached)  # it is asked again and again, of thousands of points
    return cached


def references(experiment: Experiment) -> dict[str, Reference]:
    """The nouns of an experiment that are read from outside, by path."""
    return {written(path): noun for path, noun in walk(experiment) if isinstance(noun, Reference)}


def _slots(knobs: Any) -> dict[str, Slot]:
    return {written(path): noun for path, noun in walk(knobs) if isinstance(noun, Slot)}


def _cast(leaf: Any, precision: str) -> np.ndarray:
    return np.asarray(leaf, np.int32 if isinstance(leaf, int) else precision)
