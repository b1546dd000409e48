"""Measurements: what is observed of a run. Each is a pure function of the experiment and its state."""

import abc
from collections.abc import Iterable
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from dsl.domains import Real
from dsl.draws import Batch, Cyclic, Draw, Exact, Shuffled
from dsl.faults import Fault
from dsl.modules import kept, split
from dsl.rest import Rest
from dsl.sample import law_of
from dsl.schedules import When
from dsl.spec import Spec, structure_fields
from dsl.targets import Target
from dsl.tasks import Task


class Measurement(Spec, abstract=True):
    """What to observe; `measurement @ when` says at which steps.

    `stores_arrays` is True where the value is a dict of arrays, which go to the point's array file, not to the table.
    `reads` names the fields that an experiment must have for this to be measured of it. `traced` is False where it is
    computed on the host: an analysis with such a measurement is a host computation.
    """

    stores_arrays: ClassVar[bool] = False
    traced: ClassVar[bool] = True
    reads: ClassVar[tuple[str, ...]] = ()

    def constants(self, experiment: Any, key: Key[Array, ""]) -> Any:
        """What is drawn once for all observations, such as a test set; nothing by default."""
        return None

    @abc.abstractmethod
    def __call__(self, experiment: Any, state: Any, constants: Any, key: Key[Array, ""]) -> Any:
        """The value: a number or an array of fixed shape; a dict of arrays where `stores_arrays`.

        Args:
            experiment: the experiment, with everything random in it drawn: `experiment.task` is what is trained on.
            state: of a training, `state.model` (call it on a batch of inputs) and `state.step`; of a solving,
                `state.answer` and `state.step`.
            constants: what `constants` returned for this run.
            key: for what is random in this observation.
        """

    def unfit(self, experiment: Any) -> Iterable[Fault]:
        """Why this cannot be measured of an experiment."""
        return ()

    def doubts(self, experiment: Any) -> Iterable[str]:
        """Why a value may say little, though it can be measured: a run warns of each once."""
        return ()

    def failure(self, value: Any) -> str | None:
        """Why a value, an array of the host, means that the point has failed; None by default."""
        return None

    def __matmul__(self, when: When) -> "Observed":
        """This measurement at these steps."""
        return Observed(self, when)


class Observed(Spec):
    """A measurement and its steps, written `measurement @ when`."""

    measurement: Measurement
    when: When


def names(measure: Iterable[Any]) -> tuple[str, ...]:
    """The name of each measurement: its class, or its repr where an experiment has two of a class.

    Names are structure, because points that differ in knobs share a program: of a measurement that holds knobs only the
    integers and text are told, as in `FactAlignment(layer=2)`; what is still alike is counted, `TestLoss[1]`.
    """
    nouns = [m.measurement if isinstance(m, Observed) else m for m in measure]
    found = [type(m).__name__ for m in nouns]
    found = [_outlined(m) if found.count(name) > 1 else name for m, name in zip(nouns, found, strict=True)]
    return tuple(f"{n}[{found[:i].count(n)}]" if found.count(n) > 1 else n for i, n in enumerate(found))


def _outlined(noun: Spec) -> str:
    if not jax.tree.leaves(noun):
        return repr(noun)
    plain = {name: getattr(noun, name) for name in structure_fields(type(noun))}
    told = ", ".join(f"{name}={value!r}" for name, value in plain.items())
    return f"{type(noun).__name__}({told})" if told else type(noun).__name__


def examples(draw: Draw, experiment: Any, on: Any, key: Key[Array, ""]) -> Batch:
    """A test set: of `on`, or of the law behind the experiment's task.

    All measurements of a run draw from one key, so those with equal draws see the same points.
    """
    if isinstance(on, Rest):
        return draw.batch(on.beside(experiment.task), key)
    return draw.batch(law_of(experiment.task if on is None else on), key)


def unfit_test_set(draw: Draw, experiment: Any, on: Any) -> Iterable[Fault]:
    """Why a draw gives no test set of `on`, or of the law behind the experiment's task."""
    if isinstance(draw, (Cyclic, Shuffled)):
        return [Fault(("draw",), f"a test set is drawn by Fresh(n) or Exact(), got {draw!r}")]
    if isinstance(on, Rest):
        return [fault.under("on") for fault in on.unfit(experiment.task)]
    return [fault.under("draw") for fault in draw.unfit(_law_before_drawing(experiment.task if on is None else on))]


def _law_before_drawing(task: Any) -> Any:
    while hasattr(task, "noun"):
        task = task.noun
    return task


class TestLoss(Measurement):
    """The mean loss, without penalties, on the law of the task or of `on`."""

    reads: ClassVar[tuple[str, ...]] = ("task", "model", "loss")
    __test__: ClassVar[bool] = False  # pytest would take the class for a test
    draw: Draw
    on: Task[Any, Any] | None = None

    def constants(self, experiment: Any, key: Key[Array, ""]) -> Batch:
        """The test set, drawn once."""
        return examples(self.draw, experiment, self.on, key)

    def __call__(self, experiment: Any, state: Any, constants: Batch, key: Key[Array, ""]) -> Float[Array, ""]:
        """The weighted mean loss on the test set."""
        return mean_loss(experiment, state.model, constants)

    def unfit(self, experiment: Any) -> Iterable[Fault]:
        """A draw that gives no test set of this law."""
        return unfit_test_set(self.draw, experiment, self.on)


class TestError(Measurement):
    """The share of wrong labels: signs for one real output, the largest coordinate for a vector."""

    reads: ClassVar[tuple[str, ...]] = ("task", "model")
    __test__: ClassVar[bool] = False
    draw: Draw
    on: Task[Any, Any] | None = None

    def constants(self, experiment: Any, key: Key[Array, ""]) -> Batch:
        """The test set, drawn once."""
        return examples(self.draw, experiment, self.on, key)

    def __call__(self, experiment: Any, state: Any, constants: Batch, key: Key[Array, ""]) -> Float[Array, ""]:
        """The weighted share of wrong signs, or of wrong largest coordinates; an output of 0 is wrong."""
        x, y = constants.points
        return constants.mean(wrong(state.model(x), y).astype(float))

    def unfit(self, experiment: Any) -> Iterable[Fault]:
        """A draw that gives no test set of this law."""
        return unfit_test_set(self.draw, experiment, self.on)


def wrong(out: Any, y: Any) -> Bool[Array, "n"]:
    """Labels are numbers by their sign, classes, or vectors by their largest coordinate, as one-hot vectors are."""
    if out.ndim == 1:
        return jnp.sign(out) != jnp.sign(y)
    return jnp.argmax(out, axis=-1) != (y if y.ndim == 1 else jnp.argmax(y, axis=-1))


class TrainLoss(Measurement):
    """The mean loss, without penalties, on the training sample (or on the whole law where it is exact)."""

    reads: ClassVar[tuple[str, ...]] = ("task", "model", "loss")

    def __call__(self, experiment: Any, state: Any, constants: Any, key: Key[Array, ""]) -> Float[Array, ""]:
        """The weighted mean loss on the nodes of the task."""
        return mean_loss(experiment, state.model, Exact().batch(experiment.task, key))

    def unfit(self, experiment: Any) -> Iterable[Fault]:
        """A task that is neither a sample nor exact."""
        return Exact().unfit(experiment.task)


class GradientNorm(Measurement):
    """The Euclidean norm of the gradient of the whole objective, penalties included, on the training sample."""

    reads: ClassVar[tuple[str, ...]] = ("task", "model", "loss")

    def __call__(self, experiment: Any, state: Any, constants: Any, key: Key[Array, ""]) -> Float[Array, ""]:
        """|grad_w (mean loss + penalties)|, over all weights."""
        batch = Exact().batch(experiment.task, key)
        weights, rest = split(state.model)
        gradient = jax.grad(lambda w: objective(experiment, eqx.combine(w, rest), batch))(weights)
        return jnp.sqrt(sum(jnp.sum(jnp.square(g)) for g in jax.tree.leaves(gradient)))

    def unfit(self, experiment: Any) -> Iterable[Fault]:
        """A task that is neither a sample nor exact."""
        return Exact().unfit(experiment.task)


class StepsMade(Measurement):
    """The number of steps made: fewer than were asked for where a rule has ended the run before."""

    def __call__(self, experiment: Any, state: Any, constants: Any, key: Key[Array, ""]) -> Int[Array, ""]:
        """The step of the state."""
        return state.step

    def unfit(self, experiment: Any) -> Iterable[Fault]:
        """An analysis, which makes none."""
        if hasattr(experiment, "of"):
            yield Fault((), "StepsMade counts the steps of a run; an Analysis makes none")


class Coefficients(Measurement):
    """E[f(x) b(x)] for each b of the basis, on the law of the task."""

    reads: ClassVar[tuple[str, ...]] = ("task", "model")
    basis: tuple[Target[Any, Real], ...]
    draw: Draw

    def constants(self, experiment: Any, key: Key[Array, ""]) -> tuple[Batch, Float[Array, "n k"]]:
        """The test set, and the basis on it: shape (n, k)."""
        batch = examples(self.draw, experiment, None, key)
        return batch, jnp.stack([b(batch.points[0]) for b in self.basis], axis=-1)

    def __call__(self, experiment: Any, state: Any, constants: Any, key: Key[Array, ""]) -> Float[Array, "k"]:
        """The weighted mean of f(x) b(x) for each b, shape (k,)."""
        batch, basis = constants
        return batch.mean(state.model(batch.points[0])[:, None] * basis)

    def unfit(self, experiment: Any) -> Iterable[Fault]:
        """A draw that gives no test set, and targets that cannot read the inputs."""
        yield from unfit_test_set(self.draw, experiment, None)
        law: Any = getattr(_law_before_drawing(experiment.task), "x", None)
        if law is None:  # a task that draws x and y together
            return
        for i, target in enumerate(self.basis):
            yield from (fault.under("basis", i) for fault in target.misfits(law))


class Weights(Measurement):
    """All trained arrays, by their path in the module, with those that they need: what `Trained` reads."""

    reads: ClassVar[tuple[str, ...]] = ("model",)
    stores_arrays: ClassVar[bool] = True

    def __call__(self, experiment: Any, state: Any, constants: Any, key: Key[Array, ""]) -> dict[str, Any]:
        """Every array by its path, such as `hidden[0].weight`."""
        leaves = jax.tree_util.tree_leaves_with_path(kept(state.model)[0])
        return {jax.tree_util.keystr(path).removeprefix("."): leaf for path, leaf in leaves}


def objective(experiment: Any, model: Any, batch: Batch) -> Float[Array, ""]:
    """What training lowers: the mean loss of a batch plus the penalties."""
    x, y = batch.points
    return batch.mean(experiment.loss(model(x), y)) + experiment.loss.penalty(model)


def mean_loss(experiment: Any, model: Any, batch: Batch) -> Float[Array, ""]:
    """The weighted mean loss of a batch, without penalties."""
    x, y = batch.points
    return batch.mean(experiment.loss(model(x), y))
