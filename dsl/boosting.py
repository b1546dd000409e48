"""Gradient boosting, a peer of kernel machines: a task to learn as a problem, and trees as its solver on the host."""

from collections.abc import Callable, Iterable
from typing import Annotated, Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key
from pydantic import Field

from dsl.draws import Batch, Draw, Exact
from dsl.faults import Fault
from dsl.fields import Count
from dsl.measurements import Measurement, examples, unfit_test_set, wrong
from dsl.solving import Problem, Solver
from dsl.tasks import Task

Predictor = Callable[[Any], Float[np.ndarray, "n *outputs"]]
"""From n inputs to numbers, or to the probabilities of the classes."""


class Learn(Problem):
    """To predict y from x on a task: a vector y is a class, as one-hot vectors are; a number is itself."""

    task: Task[Any, Any]


class BoostedTrees(Solver):
    """Gradient boosting of regression trees on histograms, by scikit-learn: the usual peer on tables.

    `rounds` trees (one for each class) of at most `leaves` leaves with at least `examples` each, on the squared loss or
    the cross-entropy; `rate` multiplies each tree. Needs the extra `data`. Source: standard; scikit-learn's defaults.
    """

    traced: ClassVar[bool] = False
    packages: ClassVar[tuple[str, ...]] = ("scikit-learn",)
    rounds: Count = 100
    rate: Annotated[float, Field(gt=0)] = 0.1
    leaves: Annotated[int, Field(ge=2)] = 31
    examples: Count = 20

    @property
    def last(self) -> int:
        """0: all rounds are made at once."""
        return 0

    def init(self, problem: Any, key: Key[Array, ""]) -> Any:
        """The trees, fitted to the nodes of the task with their weights by one thread."""
        trees, limits = _scikit_learn()
        (x, y), weights = problem.task.nodes()
        kind = trees.HistGradientBoostingRegressor if y.ndim == 1 else trees.HistGradientBoostingClassifier
        settings = {"max_iter": self.rounds, "learning_rate": float(self.rate), "early_stopping": False}
        fit = kind(**settings, max_leaf_nodes=self.leaves, min_samples_leaf=self.examples, random_state=0)
        labels = np.asarray(y) if y.ndim == 1 else np.argmax(y, axis=1)
        with limits(1, "openmp"):
            return fit.fit(_flat(x), labels, np.asarray(weights) * len(weights)), problem.task.outputs

    def answer(self, problem: Any, state: Any) -> Predictor:
        """The function that the trees are; a class that was never seen has probability 0."""
        fit, outputs = state

        def predict(x: Any) -> Float[np.ndarray, "n *outputs"]:
            with _scikit_learn()[1](1, "openmp"):
                if outputs is None:
                    return fit.predict(_flat(x))
                found = np.zeros((len(x), outputs))
                found[:, fit.classes_] = fit.predict_proba(_flat(x))
                return found

        return predict

    def unfit(self, problem: Any) -> Iterable[Fault]:
        """A problem that is no task to learn, and a task that is neither a sample nor exact."""
        if not isinstance(problem, Learn):
            yield Fault((), f"BoostedTrees learns a task; expected Learn(task), got a {type(problem).__name__}")
        else:
            yield from Exact().unfit(problem.task)


class PredictionError(Measurement):
    """The error of a learned predictor: the share of wrong classes, or the mean squared error of numbers.

    On the law of the task or on `on`, as for `TestError` and `TestLoss`.
    """

    reads: ClassVar[tuple[str, ...]] = ("problem", "by")
    draw: Draw
    on: Task[Any, Any] | None = None

    def constants(self, experiment: Any, key: Key[Array, ""]) -> Batch:
        """The test set, drawn once."""
        return examples(self.draw, experiment.problem, self.on, key)

    def __call__(self, experiment: Any, state: Any, constants: Batch, key: Key[Array, ""]) -> Float[Array, ""]:
        """The weighted mean over the test set."""
        x, y = constants.points
        found = jnp.asarray(state.answer(x), y.dtype)
        return constants.mean(wrong(found, y).astype(float) if y.ndim > 1 else jnp.square(found - y))

    def unfit(self, experiment: Any) -> Iterable[Fault]:
        """A problem without a task, and a draw that gives no test set of its law."""
        if not isinstance(experiment.problem, Learn):
            kind = type(experiment.problem).__name__
            yield Fault((), f"PredictionError is of what learns a task; expected Learn(task), got a {kind}")
        else:
            yield from unfit_test_set(self.draw, experiment.problem, self.on)


def _flat(x: Any) -> Float[np.ndarray, "n d"]:
    return np.asarray(x).reshape(len(x), -1)


def _scikit_learn() -> tuple[Any, Any]:
    """Its ensembles, and the limit on threads that comes with it."""
    try:
        from sklearn import ensemble  # slow, and only for this
        from threadpoolctl import threadpool_limits
    except ImportError:
        raise ImportError("BoostedTrees() are scikit-learn's: install stepwell[data]") from None
    return ensemble, threadpool_limits
