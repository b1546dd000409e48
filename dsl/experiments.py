"""Experiments: the interface of the three kinds, and what each of them checks before anything is compiled."""

import abc
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import jax
import numpy as np

from dsl.faults import Fault, folded, nearest
from dsl.identity import Composed, digest, walk
from dsl.measurements import Measurement, Observed
from dsl.spec import children, kind

Precision = Literal["float32", "float64"]


class Experiment(Composed, abstract=True):
    """A pure function from knobs and a seed to measurements.

    Every kind has the fields `measure`, `seed` and `precision`.
    """

    @property
    @abc.abstractmethod
    def last(self) -> int:
        """The number of steps; 0 where there are none."""

    @abc.abstractmethod
    def program(self) -> Any:
        """The program that runs this structure."""

    @property
    def digest(self) -> str:
        """What the point means, as 64 hexadecimal digits."""
        return digest(self)

    def observed(self) -> dict[str, Observed]:
        """What is measured and when, by the measurement's name."""
        return {}

    def misfits(self, arrays: Mapping[str, Mapping[str, Any]]) -> Iterable[Fault]:
        """What only its stored files tell: why this cannot be done with what they hold; nothing by default.

        Args:
            arrays: of each file, by the path of the noun that reads it.
        """
        return ()

    def check(self) -> Iterable[Fault]:
        """Measurements that are taken twice, knobs that are lost in the precision, and nouns that nobody writes."""
        fields: Any = self
        yield from _slots(self)
        yield from _repeated(fields.measure)
        yield from _underflows(self, fields.precision)


def _slots(experiment: Experiment) -> Iterable[Fault]:
    from dsl.references import Slot  # references are written in terms of this module

    for path, noun in walk(experiment):
        if isinstance(noun, Slot):
            yield Fault(
                path, f"{kind(noun)} stands in a program for arrays from outside; write what they are read from"
            )


def _repeated(measure: tuple[Any, ...]) -> Iterable[Fault]:
    nouns = [item.measurement if isinstance(item, Observed) else item for item in measure]
    for i, noun in enumerate(nouns):
        if noun in nouns[:i]:
            yield Fault(("measure", i), f"{folded(noun)} is measured twice; join its steps in one schedule")


def _underflows(experiment: Any, precision: str) -> Iterable[Fault]:
    """Knobs that are lost in the experiment's precision."""
    info = np.finfo(precision)
    tiny, largest = float(info.tiny), float(info.max)  # NumPy would round the knob to the precision before comparing
    for path, noun in walk(experiment):
        if path and isinstance(noun, Composed):
            continue
        for step, value in _numbers(noun):
            if value != 0.0 and not tiny <= abs(value) <= largest:
                fate = "0" if abs(value) < 1.0 else "infinite"
                yield Fault((*path, *step), f"{value!r} is {fate} in {precision}; set precision='float64' or rescale")


def _numbers(noun: Any) -> Iterable[tuple[Any, float]]:
    inside = {id(child) for _, child in children(noun)}
    leaves = jax.tree_util.tree_leaves_with_path(noun, is_leaf=lambda node: id(node) in inside)
    for path, value in leaves:
        if isinstance(value, float):
            yield tuple(getattr(p, "name", getattr(p, "idx", None)) for p in path), value


def schedule_faults(observed: Iterable[Any], last: int) -> Iterable[Fault]:
    """Steps of schedules beyond the last."""
    for i, item in enumerate(observed):
        if isinstance(item, Observed):
            yield from (fault.under("measure", i, "when") for fault in item.when.unfit(last))


def measurement_faults(experiment: Any) -> Iterable[Fault]:
    """What of its measurements an experiment cannot give."""
    for i, item in enumerate(experiment.measure):
        path = ("measure", i, "measurement") if isinstance(item, Observed) else ("measure", i)
        noun: Measurement = item.measurement if isinstance(item, Observed) else item
        lacking = [name for name in noun.reads if not hasattr(experiment, name)]
        if lacking:
            yield Fault(
                path, f"{type(noun).__name__} reads the {lacking[0]} of an experiment; {_a(experiment)} has none"
            )
            continue
        yield from (fault.under(*path) for fault in noun.unfit(experiment))


def _a(experiment: Any) -> str:
    name = type(experiment).__name__
    return f"an {name}" if name[0] in "AEIOU" else f"a {name}"


def schedule(observed: dict[str, Observed], last: int) -> tuple[tuple[int, tuple[str, ...]], ...]:
    """(step, names due), increasing in the step, for the measurements of a run."""
    steps = sorted({step for item in observed.values() for step in item.when.steps(last)})
    due = {name: set(item.when.steps(last)) for name, item in observed.items()}
    return tuple((step, tuple(name for name in observed if step in due[name])) for step in steps)


def unknown_measurement(run: Experiment, name: str) -> str:
    """A message about a measurement that an experiment does not have."""
    return f"{type(run).__name__} does not measure {name!r}{nearest(name, run.observed())}"
