"""Solvers of barycenters that are not exact: on a grid, with few atoms, entropic; what they find is priced exactly."""

import abc
import math
from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key
from pydantic import Field

from dsl.barycenters import Barycenter
from dsl.faults import Fault
from dsl.fields import Count
from dsl.sizes import SEARCHED, TABLE, largest, limit, written_size
from dsl.solving import Limit, Solver
from theory import transport
from theory.transport import alternating, bregman
from theory.transport.approximate import SETTLED, Approximation, approximation, couplings_bound, padded
from theory.transport.barycenters import MAX_VARIABLES, Measure, expect_variables, fixed_support, grid_support
from theory.transport.distances import squared

_ATOMS = 2**14  # of a measure that linear programs price, which have a row for each
_MOVING = 2**12  # of a measure that linear programs price in every round
_CONVERGED = 1e-12
Side = Annotated[int, Field(ge=2, le=2**12)]
"""Points of a grid along each direction."""


class BarycenterSolver(Solver, abstract=True):
    """A host solver of `Barycenter` whose answer is an `Approximation`: a measure and its exact value.

    The lower bound is that of pairs of measures, which does not depend on the solver and is rarely attained.
    """

    traced: ClassVar[bool] = False
    packages: ClassVar[tuple[str, ...]] = ("highspy",)

    @property
    def last(self) -> int:
        """0: the answer comes at once."""
        return 0

    @abc.abstractmethod
    def most_atoms(self, problem: Any) -> int:
        """The most atoms of an answer."""

    def unfit(self, problem: Any) -> Iterable[Fault]:
        """A problem other than a barycenter, or one whose pairs of measures are too large for the lower bound."""
        if not isinstance(problem, Barycenter):
            yield Fault((), f"{type(self).__name__} solves Barycenter(...), not {type(problem).__name__}")
        elif (known := _known(problem)) and (size := known.n**2 * known.d) > TABLE:
            most = largest(lambda n: n**2 * known.d <= TABLE, known.n)
            says = f"squared distances between {known.n} and {known.n} points take {written_size(size)} numbers"
            yield Fault((), f"{says}, more than {limit(TABLE)}: expected measures of at most {most} points")


class Kept(NamedTuple):
    """What a solver keeps: the instance, its bound, and where the algorithm stands."""

    posed: transport.Problem
    """The costs and the masses."""
    lower: float
    """The bound of pairs."""
    state: Any
    """Of the algorithm."""
    change: float = math.inf
    """What has to be small, in the last step."""


class GridSolver(BarycenterSolver, abstract=True):
    """One whose answer has its mass on a regular grid of `side` points in each direction."""

    def most_atoms(self, problem: Any) -> int:
        """Those of the grid."""
        fields: Any = self
        return fields.side ** np.shape(problem.measures.points)[2]


class AtomSolver(BarycenterSolver, abstract=True):
    """One whose answer has `atoms` atoms; `most` is how many linear programs can price."""

    most: ClassVar[int] = _ATOMS

    def most_atoms(self, problem: Any) -> int:
        """The number of atoms."""
        fields: Any = self
        return fields.atoms

    def unfit(self, problem: Any) -> Iterable[Fault]:
        """Adds: atoms that are too many for the linear programs."""
        yield from super().unfit(problem)
        yield from _too_many_atoms(problem, self.most_atoms(problem), self.most)


class OttSolver(AtomSolver, abstract=True):
    """One whose `rounds` are OTT's, all of them at once."""

    @property
    def limit(self) -> Limit:
        """Its rounds."""
        fields: Any = self
        return Limit(fields.rounds, "rounds", "a relative change of the value of", SETTLED)

    def reached(self, step: Any, state: Any, answer: Any) -> tuple[Any, Any]:
        """OTT's rounds, and how much its value changed in the last."""
        return state.state.iterations, state.state.change

    def answer(self, problem: Any, state: Any) -> Approximation:
        """The atoms."""
        found = state.state
        return _priced(state, Measure(found.points, found.masses), 0.0, int(found.iterations))


def _posed(problem: Any) -> tuple[transport.Problem, Any, float]:
    posed = problem.posed()
    return posed, posed.cost, couplings_bound(posed.cost, posed.marginals)


class Known(NamedTuple):
    """The size of a barycenter problem."""

    n: int
    """Points of the largest measure."""
    k: int
    """Measures."""
    d: int
    """Dimension."""
    points: int
    """Of all measures."""

    @property
    def exact(self) -> str:
        """What the exact solver takes."""
        return f"ColumnGeneration() has {self.points} rows"


def _known(problem: Any) -> Known | None:
    """The size of a problem; None if it is no barycenter, or a run will tell."""
    if not isinstance(problem, Barycenter) or problem.measures.shape is None or problem.shape is None:
        return None
    k, n, d = problem.measures.shape
    return Known(n, k, d, sum(problem.shape))


def _too_many_atoms(problem: Any, atoms: int, most: int) -> Iterable[Fault]:
    """Atoms that are more than the linear programs that price a measure can have."""
    if (known := _known(problem)) and not _priceable(known, atoms, most):
        fits = largest(lambda m: _priceable(known, m, most), atoms)
        says = f"linear programs of {atoms} x {known.n} variables price them"
        yield Fault(("atoms",), f"expected at most {fits}, got {atoms}: {says}; {known.exact}")


def _priceable(known: Known, atoms: int, most: int) -> bool:
    return atoms <= most and atoms * known.n <= SEARCHED


class FixedGrid(GridSolver, version=2):
    """The best measure on a regular grid of `side` points in each direction, by a linear program."""

    side: Side

    def init(self, problem: Any, key: Key[Array, ""]) -> Kept:
        """The linear program, solved."""
        posed, cost, lower = _posed(problem)
        expect_variables(cost, self.side ** cost.points[0].shape[1])  # before there is such a grid
        measure, _ = fixed_support(cost, posed.marginals, grid_support(cost, self.side))
        return Kept(posed, lower, measure)

    def answer(self, problem: Any, state: Kept) -> Approximation:
        """The measure on the grid."""
        return _priced(state, state.state, 0.0, 1)

    def unfit(self, problem: Any) -> Iterable[Fault]:
        """Adds: a linear program that is too large."""
        yield from super().unfit(problem)
        if known := _known(problem):
            variables = lambda side: side**known.d * (known.points + 1)
            if (size := variables(self.side)) > MAX_VARIABLES:
                most = largest(lambda side: variables(side) <= MAX_VARIABLES, self.side)
                says = f"{written_size(size)} variables are more than {limit(MAX_VARIABLES)}"
                yield Fault(("side",), f"{says}: take fewer points, {_at_most(most)}; {known.exact}")


class FreeSupport(AtomSolver, version=2):
    """Atoms of equal mass that move to the means of what they are coupled with; the best of several random starts."""

    most: ClassVar[int] = _MOVING
    atoms: Count
    restarts: Count
    rounds: Count = 100

    @property
    def last(self) -> int:
        """The most rounds."""
        return self.rounds

    def init(self, problem: Any, key: Key[Array, ""]) -> Kept:
        """Random points of the measures, coupled with every measure."""
        posed, cost, lower = _posed(problem)
        starts = _starts(np.concatenate(cost.points), self.atoms, self.restarts, key)
        return Kept(posed, lower, alternating.coupled(cost, posed.marginals, starts))

    def step(self, problem: Any, state: Kept, key: Key[Array, ""]) -> Kept:
        """A round for every start."""
        posed: Any = state.posed
        moved = alternating.moved(posed.cost, posed.marginals, state.state)
        return state._replace(state=moved, change=float(np.max(state.state.values - moved.values)))

    def answer(self, problem: Any, state: Kept) -> Approximation:
        """The start with the least value."""
        points = state.state.points[state.state.values.argmin()]
        return _priced(state, Measure(points, np.full(self.atoms, 1 / self.atoms)), 0.0, self.restarts)

    def finished(self, problem: Any, state: Kept) -> bool:
        """Whether no start gets better."""
        return state.change <= _CONVERGED

    @property
    def limit(self) -> Limit:
        """Its rounds."""
        return Limit(self.rounds, "rounds", "a value that fell in the last by", _CONVERGED)

    def reached(self, step: Any, state: Kept, answer: Any) -> tuple[Any, Any]:
        """The rounds, and how much the value of some start fell in the last."""
        return step, state.change


class Bregman(GridSolver, version=2):
    """The entropic barycenter on a grid at the inverse temperature eta, by iterative Bregman projections.

    `debiased` takes the blur of the entropy off: the barycenter for Sinkhorn divergences.
    """

    side: Side
    eta: Annotated[float, Field(gt=0)]
    debiased: bool = False
    tol: Annotated[float, Field(gt=0)] = 1e-4
    sweeps: Count = 1000

    @property
    def last(self) -> int:
        """The most sweeps."""
        return self.sweeps

    def init(self, problem: Any, key: Key[Array, ""]) -> Kept:
        """The costs between measures and grid, and scalings of one."""
        posed, cost, lower = _posed(problem)
        grid, (points, masses) = grid_support(cost, self.side), padded(cost, posed.marginals)
        costs = np.stack([squared(x, grid) for x in points])
        lines = tuple(squared(x[:, None], x[:, None]) for x in map(np.unique, grid.T)) if self.debiased else ()
        with np.errstate(divide="ignore"):
            given = (costs, np.log(masses), cost.weights)
        with jax.enable_x64(True):
            return Kept(posed, lower, (grid, given, lines, _on_host(bregman.first_projection(jnp.asarray(costs)))))

    def step(self, problem: Any, state: Kept, key: Key[Array, ""]) -> Kept:
        """A sweep."""
        grid, given, lines, before = state.state
        with jax.enable_x64(True):
            after = _on_host(bregman.jitted_projection(*given, np.float64(self.eta), before, lines))
        return state._replace(state=(grid, given, lines, after), change=float(after.error))

    def answer(self, problem: Any, state: Kept) -> Approximation:
        """The masses of the grid, divided by their sum."""
        grid, _, _, now = state.state
        error = 2.0 if now.sweeps == 0 else float(now.error)
        return _priced(state, Measure(grid, np.exp(now.log_masses)), error, int(now.sweeps))

    def finished(self, problem: Any, state: Kept) -> bool:
        """Whether the plans have their marginals within tol."""
        return state.change <= self.tol

    @property
    def limit(self) -> Limit:
        """Its sweeps."""
        return Limit(self.sweeps, "sweeps", "marginal error", self.tol)

    def unfit(self, problem: Any) -> Iterable[Fault]:
        """Adds: a grid whose costs to all points, or whose linear programs in the end, are too large."""
        yield from super().unfit(problem)
        if known := _known(problem):
            fits = lambda side: _priceable(known, side**known.d, _ATOMS) and side**known.d * known.n * known.k <= TABLE
            if not fits(self.side):
                size, most = self.side**known.d, largest(fits, self.side)
                says = f"{written_size(size)} points of the grid, with costs to {known.points} points, are too many"
                yield Fault(("side",), f"{says}: {_at_most(most)}; {known.exact}")


class EntropicFreeSupport(OttSolver, version=2):
    """As `FreeSupport` from one start, with entropic couplings at the inverse temperature eta, by OTT."""

    atoms: Count
    eta: Annotated[float, Field(gt=0)]
    rounds: Count = 100

    def init(self, problem: Any, key: Key[Array, ""]) -> Kept:
        """All rounds."""
        return _by_ott(problem, key, self.atoms, float(self.eta), self.rounds, None)


class LowRankFreeSupport(OttSolver, version=2):
    """As `FreeSupport` from one start, with couplings of low rank, by OTT."""

    atoms: Count
    rank: Count
    rounds: Count = 100

    def init(self, problem: Any, key: Key[Array, ""]) -> Kept:
        """All rounds."""
        return _by_ott(problem, key, self.atoms, 1.0, self.rounds, self.rank)


def _at_most(side: int) -> str:
    """The largest grid, which has at least two points along each direction."""
    return f"side={side} fits" if side > 1 else "no grid fits in this dimension"


def _on_host(tree: Any) -> Any:
    """NumPy's arrays: those of JAX have float64 only in its context."""
    return jax.tree.map(np.asarray, tree)


def _starts(points: np.ndarray, count: int, restarts: int, key: Key[Array, ""]) -> np.ndarray:
    """For each start, distinct points where there are enough."""
    one = lambda key: jax.random.choice(key, len(points), (count,), replace=count > len(points))
    return points[np.asarray(jax.vmap(one)(jax.random.split(key, restarts)))]


def _by_ott(problem: Any, key: Key[Array, ""], count: int, eta: float, rounds: int, rank: int | None) -> Kept:
    from theory.transport import ott_barycenters  # takes more than a second

    posed, cost, lower = _posed(problem)
    (start,) = _starts(np.concatenate(cost.points), count, 1, key)
    with jax.enable_x64(True):
        points, masses = map(jnp.asarray, padded(cost, posed.marginals))
        found = ott_barycenters.entropic_free_support(
            points, masses, jnp.asarray(cost.weights), jnp.asarray(start), eta, rounds, rank
        )
        return Kept(posed, lower, _on_host(found))


def _priced(kept: Kept, measure: Measure, error: float, calls: int) -> Approximation:
    posed: Any = kept.posed
    return approximation(posed.cost, posed.marginals, measure, kept.lower, error, calls)
