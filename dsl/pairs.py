"""Transport between two point clouds, and its solvers, most of them OTT's: traced, so that a sweep is one program."""

import abc
import math
from collections.abc import Iterable
from typing import Annotated, Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key
from pydantic import Field

from dsl import shards
from dsl.barycenters import MeasureFamily, normalised, supports
from dsl.faults import Fault
from dsl.fields import Count
from dsl.measurements import Measurement
from dsl.sizes import TABLE, limit, written_size
from dsl.solving import Limit, Solver
from dsl.transport import TransportProblem
from theory import transport
from theory.transport import pairs
from theory.transport.quantiles import quantiles
from theory.transport.rows import Rows

_ENTRIES = 2**22  # of a plan that is measured as a whole


class Wasserstein(TransportProblem, version=2):
    """The squared 2-Wasserstein distance of two measures: min <C, P> for C_ij = |x_i - y_j|^2."""

    measures: MeasureFamily

    def check(self) -> Iterable[Fault]:
        """Two measures."""
        if self.measures.shape is not None and self.measures.shape[0] != 2:
            yield Fault(("measures",), f"expected 2 measures, got {self.measures.shape[0]}")

    @property
    def shape(self) -> tuple[int, ...] | None:
        """The number of points of each measure."""
        return self.measures.sizes

    def pair(self) -> pairs.Pair:
        """The measures as arrays; may be traced, and points without mass pad the smaller one.

        What is traced is not checked: points whose squared distances overflow give numbers that are not finite, which a
        record shows, and masses are divided by their sums.

        Raises:
            ValueError: as `normalised` for masses that are known, in a NumPy array, or if squared distances of points
                that are known overflow the precision of the run.
        """
        points, masses = self.measures.points, self.measures.masses
        if isinstance(masses, np.ndarray):
            masses = np.stack([normalised(i, mu) for i, mu in enumerate(np.asarray(masses, np.float64))])
        if isinstance(points, np.ndarray):
            _refuse_far(points)
        (x, y), (a, b) = (jnp.asarray(leaf, float) for leaf in (points, masses))
        return pairs.Pair(x, y, a / a.sum(), b / b.sum())

    def posed(self) -> transport.Problem:
        """The matrix of squared distances between points that have mass, on the host.

        Raises:
            ValueError: as `supports`, or if there are not two measures.
        """
        points, masses = supports(self.measures)
        if len(points) != 2:
            raise ValueError(f"Wasserstein: expected 2 measures, got {len(points)}")
        x, y = points
        return transport.Problem(transport.TensorCost(np.sum((x[:, None] - y) ** 2, axis=2)), masses)

    def too_large(self) -> Iterable[Fault]:
        """A matrix that would fill the memory."""
        if self.shape is not None and (size := math.prod(self.shape)) > TABLE:
            says = f"{' x '.join(map(str, self.shape))} squared distances are {written_size(size)} numbers"
            yield Fault((), f"{says}, more than {limit(TABLE)}: Sinkhorn(...) makes them row by row")


def _refuse_far(points: Float[np.ndarray, "k n d"]) -> None:
    kept = np.finfo(jnp.result_type(float))
    if not (largest := np.abs(points).max()) <= (most := math.sqrt(kept.max / (4 * points.shape[2]))):
        raise ValueError(f"measures.points: expected numbers up to {most:.1g} in {kept.dtype}, got {largest}")


class PairSolver(Solver, abstract=True):
    """A traced solver of `Wasserstein` whose answer is a `theory.transport.pairs.Coupling`."""

    @property
    def last(self) -> int:
        """0: the answer comes at once."""
        return 0

    @abc.abstractmethod
    def answer(self, problem: Any, state: Any) -> pairs.Coupling:
        """The plan, rounded to exact marginals, with its certified interval."""

    def unfit(self, problem: Any) -> Iterable[Fault]:
        """A problem of other than two measures."""
        name = type(self).__name__
        if not isinstance(problem, Wasserstein):
            yield Fault(
                (), f"{name} solves Wasserstein(measures), a problem of two measures, not {type(problem).__name__}"
            )
        elif problem.measures.shape is None:
            yield Fault((), f"{name} needs measures whose size is known before they are read: use NaiveLp()")


class Sinkhorn(PairSolver, version=2):
    """Entropic transport at the inverse temperature eta = 1 / epsilon, by OTT in the log domain.

    Rows of the cost matrix are made when they are needed; devices along the `data` axis (`--data-shards`) share them.
    """

    eta: Annotated[float, Field(gt=0)]
    tol: Annotated[float, Field(gt=0)] = 1e-3
    iterations: Count = 10_000
    shares: ClassVar[bool] = True

    @property
    def limit(self) -> Limit:
        """Its updates of both potentials."""
        return Limit(self.iterations, "iterations", "marginal error", self.tol)

    def init(self, problem: Any, key: Key[Array, ""]) -> pairs.Scalings:
        """Potentials whose plan has its marginals within tol, in the sum of absolute values."""
        from theory.transport import ott_solvers  # takes more than a second

        pair = problem.pair()
        return ott_solvers.sinkhorn(pair, self.eta, self.tol, self.iterations, _rows(pair))

    def answer(self, problem: Any, state: Any) -> pairs.Coupling:
        """The rounded plan, with the dual bound of its potentials."""
        pair = problem.pair()
        return pairs.entropic(pair, state, _rows(pair))


class LowRankSinkhorn(PairSolver, version=2):
    """The best plan of a given rank that OTT's mirror descent finds from random factors; a local optimum.

    `tol` is the change of the factors at which to stop. The lower bound is Gelbrich's, and does not close.
    """

    rank: Count
    tol: Annotated[float, Field(gt=0)] = 1e-3
    iterations: Count = 2000

    @property
    def limit(self) -> Limit:
        """Its steps of mirror descent."""
        return Limit(self.iterations, "iterations", "a change of the factors of", self.tol)

    def reached(self, step: Any, state: Any, answer: Any) -> tuple[Any, Any]:
        """The steps and the last change."""
        return state.iterations, state.change

    def init(self, problem: Any, key: Key[Array, ""]) -> pairs.Factors:
        """Its factors."""
        from theory.transport import ott_solvers  # takes more than a second

        return ott_solvers.low_rank_sinkhorn(problem.pair(), self.rank, self.tol, self.iterations, key)

    def answer(self, problem: Any, state: Any) -> pairs.Coupling:
        """The rounded plan."""
        return pairs.factored(problem.pair(), state)

    def unfit(self, problem: Any) -> Iterable[Fault]:
        """Adds: a rank that no plan has."""
        yield from super().unfit(problem)
        if isinstance(problem, Wasserstein) and problem.shape and self.rank > min(problem.shape):
            yield Fault(("rank",), f"expected at most {min(problem.shape)}, the number of points, got {self.rank}")


class Quantiles(PairSolver, version=2):
    """The exact plan on a line: points are paired in step, from left to right."""

    def init(self, problem: Any, key: Key[Array, ""]) -> pairs.Pairing:
        """The pairs."""
        return quantiles(problem.pair())

    def answer(self, problem: Any, state: Any) -> pairs.Coupling:
        """The plan, with the bound of its potentials: it closes."""
        return pairs.paired(problem.pair(), state)

    def unfit(self, problem: Any) -> Iterable[Fault]:
        """Adds: points that are not on a line."""
        yield from super().unfit(problem)
        if isinstance(problem, Wasserstein) and problem.measures.shape and (d := problem.measures.shape[2]) != 1:
            yield Fault((), f"Quantiles solves measures of dimension 1, not {d}: use Assignment() or NaiveLp()")


class Assignment(PairSolver, version=2):
    """The exact plan between n points and n points of equal masses: a permutation, by OTT's Hungarian algorithm."""

    def init(self, problem: Any, key: Key[Array, ""]) -> pairs.Pairing:
        """The permutation, with potentials."""
        from theory.transport import ott_solvers  # takes more than a second

        return ott_solvers.assignment(problem.pair())

    def answer(self, problem: Any, state: Any) -> pairs.Coupling:
        """The plan, with the bound of its potentials: it closes."""
        return pairs.paired(problem.pair(), state)

    def unfit(self, problem: Any) -> Iterable[Fault]:
        """Adds: measures of unequal sizes."""
        yield from super().unfit(problem)
        if isinstance(problem, Wasserstein) and problem.shape and len(set(problem.shape)) > 1:
            yield Fault((), f"Assignment pairs equal numbers of points, not {problem.shape}: use NaiveLp()")
        elif isinstance(problem, Wasserstein):
            yield from problem.too_large()


class Coupling(Measurement):
    """The whole plan between two measures, shape (n, m), with exact marginals."""

    reads: ClassVar[tuple[str, ...]] = ("problem", "by")

    def __call__(self, experiment: Any, state: Any, constants: Any, key: Key[Array, ""]) -> Float[Array, "n m"]:
        """Shape (n, m)."""
        return state.answer.dense()

    def unfit(self, experiment: Any) -> Iterable[Fault]:
        """A solver of other problems, or a plan that is too large."""
        if not isinstance(experiment.by, PairSolver):
            yield Fault((), f"Coupling is of a plan between two measures; {type(experiment.by).__name__} gives another")
        elif (shape := getattr(experiment.problem, "shape", None)) and math.prod(shape) > _ENTRIES:
            yield Fault((), f"a plan of shape {shape} has more than {_ENTRIES} entries")


def _rows(pair: pairs.Pair) -> Rows:
    """As `pairs.split`, over the devices of the data axis."""
    axis, parts = shards.axis() or (None, 1)
    return Rows(pairs.split(pair).block, axis, parts)
