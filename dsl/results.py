"""What an experiment may read: the weights of another one, any of its results, stored data."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Generic

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from dsl.domains import X, Y
from dsl.experiments import Experiment, unknown_measurement
from dsl.faults import Fault
from dsl.fields import text
from dsl.models import Model
from dsl.modules import kept
from dsl.references import Reference, Slot
from dsl.schedules import At, AtEnd, When
from dsl.training import Training

NAME = "the name of a file in the data directory (letters, digits, '.', '_' and '-')"
SHA256 = "the hash of a file, 64 of the digits 0-9 and a-f, as `stepwell add` prints it"


class Trained(Model[X, Y], Reference, Generic[X, Y]):
    """The model that another training has at a step at which it measures `Weights()`; -1 is its last step."""

    run: Training[X, Y]
    at: int = -1

    def check(self) -> Iterable[Fault]:
        """The run measures its weights, at this step."""
        if "Weights" not in self.run.observed():
            yield Fault(("run", "measure"), "expected Weights() @ ..., because Trained reads the weights")
        elif not self.run.observed()["Weights"].when.has(self._step(), self.run.last):
            when = self.run.observed()["Weights"].when
            yield Fault(("at",), f"expected a step at which the run measures Weights(), {when!r}, got {self.at}")

    def init(self, key: Key[Array, ""], task: Any) -> eqx.Module:
        """Refused: the weights come from a run."""
        raise ValueError("the weights of another run are known only when it has run; execute the outer experiment")

    @property
    def time_scale(self) -> float:
        """That of the model that was trained."""
        return self.run.model.time_scale

    def unfit(self, task: Any) -> Iterable[Fault]:
        """Weights belong to the shapes that they were trained on."""
        learned = self.run.task
        if (task.shape, task.outputs) != (learned.shape, learned.outputs):
            was, now = _reading(learned), _reading(task)
            yield Fault((), f"its weights were trained to {was}; the task asks to {now}")

    def slot(self) -> "TrainedSlot":
        """The architecture, without the run."""
        return TrainedSlot(_architecture(self.run.model))

    def source(self) -> tuple[Experiment, str, int]:
        """The run, its `Weights`, and the step."""
        return self.run, "Weights", self._step()

    def _step(self) -> int:
        return self.run.last if self.at == -1 else self.at


def _architecture(model: Model[Any, Any]) -> Model[Any, Any]:
    return _architecture(model.run.model) if isinstance(model, Trained) else model


def _reading(task: Any) -> str:
    return f"read x of shape {task.shape} and put out {'one number' if task.outputs is None else task.outputs}"


class TrainedSlot(Model[X, Y], Slot, Generic[X, Y]):
    """A model whose weights are an input."""

    model: Model[X, Y]

    def init(self, key: Key[Array, ""], task: Any) -> eqx.Module:
        """A module of the same shapes, whose weights are then replaced."""
        return self.model.init(key, task)

    @property
    def time_scale(self) -> float:
        """That of the architecture."""
        return self.model.time_scale

    def supplied(self, arrays: Mapping[str, Any]) -> "GivenWeights":
        """The architecture with these weights, by path."""
        return GivenWeights(self.model, dict(arrays))


class GivenWeights(eqx.Module):
    """A model that starts from given weights: what `Trained` is in one run."""

    model: Model[Any, Any]
    arrays: dict[str, Any]

    @property
    def time_scale(self) -> float:
        """As for the model that was trained."""
        return self.model.time_scale

    def init(self, key: Key[Array, ""], task: Any) -> eqx.Module:
        """The module with the given weights."""
        weights, rest = kept(self.model.init(key, task))
        given = lambda path, leaf: self.arrays[jax.tree_util.keystr(path).removeprefix(".")].astype(leaf.dtype)
        return eqx.combine(jax.tree_util.tree_map_with_path(given, weights), rest)


class Result(Reference):
    """What another experiment measured, by the measurement's name, at its one step `at`."""

    run: Experiment
    measurement: str
    at: When = AtEnd()

    def check(self) -> Iterable[Fault]:
        """The run measures this, at one step."""
        if self.measurement not in self.run.observed():
            yield Fault(("measurement",), unknown_measurement(self.run, self.measurement))
        elif not self._one_step():
            yield Fault(("at",), f"expected one step at which the run measures {self.measurement}, got {self.at!r}")

    def _one_step(self) -> bool:
        if not isinstance(self.at, (At, AtEnd)):
            return False
        steps, when = self.at.steps(self.run.last), self.run.observed()[self.measurement].when
        return len(steps) == 1 and when.has(steps[0], self.run.last)

    def slot(self) -> "ArraySlot":
        """Arrays of the point's own."""
        return ArraySlot()

    def source(self) -> tuple[Experiment, str, int]:
        """The run, its measurement, and the step."""
        return self.run, self.measurement, self.at.steps(self.run.last)[0]


class Stored(Reference):
    """Arrays of a file that is known by its content; found by name under the run option `--data`."""

    name: Annotated[str, text(r"^[A-Za-z0-9][A-Za-z0-9._-]*$", NAME)]
    sha256: Annotated[str, text(r"^[0-9a-f]{64}$", SHA256)]

    def slot(self) -> "ArraySlot":
        """Arrays that all points share."""
        return ArraySlot(shared=True)


class ArraySlot(Slot):
    """Arrays as an input; `shared` by all points."""

    shared: bool = False

    def supplied(self, arrays: Mapping[str, Any]) -> "Given":
        """The arrays by name."""
        return Given({name: jnp.asarray(value) for name, value in arrays.items()})


class Given(eqx.Module):
    """Arrays from outside, by name; a result that is one array has the name `value`."""

    arrays: dict[str, Any]

    @property
    def value(self) -> Any:
        """The one array."""
        return self.arrays["value"]
