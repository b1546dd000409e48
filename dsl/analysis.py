"""`Analysis`: measurements of nouns, or of what other experiments measured, with no steps."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Int

from dsl import keys
from dsl.experiments import Experiment, Precision, measurement_faults
from dsl.faults import Fault
from dsl.fields import Seed
from dsl.measurements import Measurement, Observed, names
from dsl.program import Inputs, Program
from dsl.references import closed
from dsl.schedules import AtEnd
from dsl.spec import Spec


class Analysis(Experiment):
    """Measurements of nouns, observed once."""

    of: Spec | tuple[Spec, ...]
    measure: tuple[Measurement, ...]
    seed: Seed = 0
    precision: Precision = "float32"

    def check(self) -> Iterable[Fault]:
        """Adds: measurements that cannot be taken of these nouns."""
        yield from super().check()
        yield from measurement_faults(self)

    @property
    def last(self) -> int:
        """0: an analysis has no steps."""
        return 0

    def observed(self) -> dict[str, Observed]:
        """Every measurement, at the end, by name."""
        return {n: Observed(m, AtEnd()) for n, m in zip(names(self.measure), self.measure, strict=True)}

    def program(self) -> "AnalysisProgram":
        """The program that observes once, at step 0."""
        nouns = dict(zip(names(self.measure), self.measure, strict=True))
        traced = all(noun.traced for noun in nouns.values())
        return AnalysisProgram(closed(self), 0, nouns, ((0, tuple(nouns)),), traced)


@dataclass(frozen=True)
class AnalysisProgram(Program):
    """No steps: everything is observed of the nouns themselves."""

    def measurements_in(self, experiment: Any) -> dict[str, Any]:
        """The field `measure`, by name."""
        return dict(zip(self.measurements, experiment.measure, strict=True))

    def init(self, knobs: Any, inputs: Inputs, constants: Any) -> Any:
        """The step alone: there is nothing to carry."""
        return {"step": jnp.zeros((), jnp.int32)}

    def advance(self, state: Any, knobs: Any, inputs: Inputs, constants: Any, n: Int[Array, ""] | int) -> Any:
        """The same state: there are no steps."""
        return state

    def observe(self, state: Any, knobs: Any, inputs: Inputs, constants: Any, due: tuple[str, ...]) -> dict[str, Any]:
        """The measurements that are due, by name."""
        experiment, streams = self.realised(knobs, inputs, constants)
        nouns = self.measurements_in(experiment)
        of_step = keys.fold(streams.measure, 0)
        return {name: nouns[name](experiment, state, constants["measure"][name], of_step) for name in due}
