"""Multimarginal transport as a problem: costs with structure, marginals, and what a solver is given (2008.03006)."""

import abc
import math
import reprlib
from collections.abc import Iterable
from typing import Annotated, Any, Literal

import numpy as np
from jaxtyping import Float64
from pydantic import Field

from dsl.faults import Fault, folded
from dsl.fields import Static
from dsl.graphs import Graph
from dsl.sizes import TABLE, largest, limit, written_size
from dsl.solving import Problem
from dsl.spec import Spec
from theory import transport
from theory.transport.euler_flow import euler_flow
from theory.transport.log_grid import MOST_RANK
from theory.transport.set_cost import components

_SUM = 1e-9
_TIMES = 2**9  # whose eliminations, one for each pair of them, can be compiled at all
_DIGITS = 300  # before the decimal point, of entries; a sum of a few of the largest is finite too
_FEW = 8  # sizes, or else a message names how many there are


class Posed(Problem, abstract=True):
    """A problem that `theory.transport` can be given: a transport problem, or a search over the entries of a cost."""

    @property
    @abc.abstractmethod
    def gives(self) -> Literal["transport", "search"]:
        """Which of the two."""

    @property
    def shape(self) -> tuple[int, ...] | None:
        """The sizes of the marginals; None where they are known only in a run."""
        return None

    @abc.abstractmethod
    def posed(self) -> Any:
        """The cost with its marginals or potentials as arrays, on the host."""

    def too_large(self) -> Iterable[Fault]:
        """Why these arrays would be too large, whatever the solver does with them."""
        return ()


Size = Annotated[int, Field(ge=1, le=2**18)]
"""A number of points, or of marginals, which are listed."""


class TransportProblem(Posed, abstract=True):
    """A problem that is multimarginal transport as it stands."""

    @property
    def gives(self) -> Literal["transport", "search"]:
        """Transport."""
        return "transport"

    @property
    @abc.abstractmethod
    def shape(self) -> tuple[int, ...] | None:
        """The sizes of the marginals; None where they are drawn."""


class Cost(Spec, abstract=True):
    """A cost tensor given by its structure."""

    @property
    @abc.abstractmethod
    def shape(self) -> tuple[int, ...] | None:
        """The sizes of the marginals; None where they are drawn."""

    @abc.abstractmethod
    def posed(self) -> transport.Cost:
        """The cost with its oracles, on the host."""


class Marginals(Spec, abstract=True):
    """Distributions mu_1, ..., mu_k."""

    @property
    @abc.abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Their sizes."""

    @abc.abstractmethod
    def posed(self) -> tuple[Float64[np.ndarray, "_"], ...]:
        """Their masses."""


class Uniform(Marginals):
    """k uniform distributions on n points, written `uniform(n, k)`."""

    n: Size
    k: Size

    @property
    def shape(self) -> tuple[int, ...]:
        """n, k times."""
        return (self.n,) * self.k

    def posed(self) -> tuple[Float64[np.ndarray, "_"], ...]:
        """1 / n everywhere."""
        return transport.uniform(self.shape)


class Bernoulli(Marginals):
    """k coins that are 1 with probability p, written `bernoulli(p, k)`."""

    p: Annotated[float, Field(ge=0, le=1)]
    k: Size

    @property
    def shape(self) -> tuple[int, ...]:
        """2, k times."""
        return (2,) * self.k

    def posed(self) -> tuple[Float64[np.ndarray, "_"], ...]:
        """(1 - p, p)."""
        p = float(self.p)
        return (np.array([1 - p, p]),) * self.k


def uniform(n: int, k: int) -> Uniform:
    """Uniform distributions on n points, k of them."""
    return Uniform(n, k)


def bernoulli(p: float, k: int) -> Bernoulli:
    """Coins that are 1 with probability p, k of them."""
    return Bernoulli(p, k)


class EulerFlow(Cost):
    """Particles on n places that move for `steps` times as little as they can, and end where sigma sends them.

    C_j = sum_t (j_t - j_{t+1})^2 / n^2 + (sigma(j_0) - j_{k-1})^2 / n^2 with k = `steps` marginals. Generalised Euler
    flow of 2008.03006; the maps sigma are those of the authors' code: i, n - 1 - i, (i + n // 2) mod n and
    min(2i, 2n - 2i - 1).
    """

    n: Size
    steps: Annotated[int, Field(ge=2, le=2**18)]
    sigma: Literal["id", "rev", "shift", "tent"]

    def check(self) -> Iterable[Fault]:
        """Tables of elimination that fit: those of a cycle have n^3 entries, for every solver; and few times."""
        if self.steps > _TIMES:
            says = "a search eliminates all times for each of them"
            yield Fault(("steps",), f"expected at most {_TIMES}, got {self.steps}: {says}")
        axes = min(self.steps, 3)
        if (size := self.n**axes) > TABLE:
            most = largest(lambda n: n**axes <= TABLE, self.n)
            says = f"every solver needs tables of n^{axes} = {written_size(size)} entries, more than {limit(TABLE)}"
            yield Fault(("n",), f"expected at most {most}, got {self.n}: {says}")

    @property
    def shape(self) -> tuple[int, ...]:
        """n, once for each time."""
        return (self.n,) * self.steps

    def posed(self) -> transport.Cost:
        """A graphical cost on a cycle."""
        return euler_flow(self.n, self.steps, self.sigma)


class Connected(Cost):
    """1[the edges that are up connect the graph] for `sign=1.0`; 1 less that for `sign=-1.0`.

    Edges are marginals: with `bernoulli(p, edges)` the least cost is the least probability that the network is
    connected, or 1 less the largest, whatever the edges' dependence. Network reliability of 2008.03006.
    """

    graph: Graph
    sign: float

    def check(self) -> Iterable[Fault]:
        """One of the two signs, and a graph that is connected."""
        if abs(self.sign) != 1.0:
            yield Fault(("sign",), f"expected 1.0 (the worst case) or -1.0 (the best), got {self.sign}")
        if self.graph.edges is not None and (not self.graph.edges or len(_parts(self.graph)) > 1):
            got = f"{folded(self.graph)} with the parts {reprlib.repr(_parts(self.graph))}"
            yield Fault(("graph",), f"expected a connected graph with an edge, got {got}")

    @property
    def shape(self) -> tuple[int, ...] | None:
        """2 for each edge."""
        return None if self.graph.edges is None else (2,) * self.graph.edges

    def posed(self) -> transport.Cost:
        """A set cost with minimum cuts or spanning trees as its oracle.

        Raises:
            ValueError: if a drawn graph is not connected.
        """
        if len(parts := _parts(self.graph)) > 1:
            raise ValueError(f"Connected: the graph is not connected, its parts are {reprlib.repr(parts)}")
        return transport.Reliability(_edges(self.graph), best=bool(self.sign < 0))


def _parts(graph: Graph) -> list[list[int]]:
    return components(len(graph.adjacency), _edges(graph))


def _edges(graph: Graph) -> tuple[tuple[int, int], ...]:
    return tuple((int(a), int(b)) for a, b in np.argwhere(np.triu(np.asarray(graph.adjacency))))


Factors = tuple[tuple[Annotated[float, Field(gt=0)], ...], ...]
"""The values of a product of functions, one tuple for each marginal."""


class LowRankPlusSparse(Cost):
    """C_j = prod_i factors[i][j_i] + sum over `terms` of such products + the values of `sparse` (2008.03006).

    One positive product is the risk of factors whose dependence is unknown; `terms` has further ones, which make the
    rank r, and `sparse` lists tuples with what is added there: `(((0, 1, 2), 0.5),)`.
    """

    factors: Factors
    terms: tuple[Factors, ...] = ()
    sparse: tuple[tuple[tuple[int, ...], Static[float]], ...] = ()

    def check(self) -> Iterable[Fault]:
        """Finite products of factors of equal lengths, a grid that fits, and distinct tuples within the shape."""
        if not self.factors or not all(self.factors):
            yield Fault(("factors",), f"expected values for each of at least one marginal, got {self.factors}")
            return
        for t, term in enumerate(self.terms):
            if (got := tuple(map(len, term))) != self.shape:
                yield Fault(("terms", t), f"expected factors of the lengths {self.shape}, got {got}")
        if len(self.terms) >= MOST_RANK:
            yield Fault(("terms",), f"expected a rank of at most {MOST_RANK}, got {1 + len(self.terms)}")
        for path, product in (
            (("factors",), self.factors),
            *((("terms", t), term) for t, term in enumerate(self.terms)),
        ):
            if (size := sum(math.log10(max(values)) for values in product if values)) > _DIGITS:
                says = f"the product of the largest factors is about 1e{size:.0f}"
                yield Fault(path, f"{says}, expected finite entries, up to 1e{_DIGITS}")
        yield from self._unlisted()

    def _unlisted(self) -> Iterable[Fault]:
        """Entries outside the tensor or named twice."""
        seen: set[tuple[int, ...]] = set()
        for s, (at, _) in enumerate(self.sparse):
            if len(at) != len(self.shape) or not all(0 <= v < n for v, n in zip(at, self.shape, strict=True)):
                yield Fault(("sparse", s, 0), f"expected a tuple of the shape {self.shape}, got {at}")
            if at in seen:
                yield Fault(("sparse", s, 0), f"{at} is listed twice; add its values")
            seen.add(at)

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of the factors."""
        return tuple(len(factor) for factor in self.factors)

    def posed(self) -> transport.Cost:
        """Products are summed on a logarithmic grid."""
        products = zip(*(self.factors, *self.terms), strict=True)
        factors = [np.array(values, np.float64).T for values in products]
        entries = np.array([at for at, _ in self.sparse], np.int64).reshape(-1, len(self.factors))
        values = np.array([value for _, value in self.sparse], np.float64)
        return transport.LowRankPlusSparseCost(factors, entries, values)


class Masses(Marginals):
    """Distributions that are written down, one tuple of masses for each marginal."""

    masses: tuple[tuple[Annotated[float, Field(ge=0)], ...], ...]

    def check(self) -> Iterable[Fault]:
        """A distribution for each marginal: masses that sum to 1."""
        if not self.masses:
            yield Fault(("masses",), "expected at least one distribution, got none")
        for i, mu in enumerate(self.masses):
            if abs(sum(mu) - 1) > _SUM:
                yield Fault(("masses", i), f"expected masses with the sum 1, got {sum(mu)}")

    @property
    def shape(self) -> tuple[int, ...]:
        """Their lengths."""
        return tuple(map(len, self.masses))

    def posed(self) -> tuple[Float64[np.ndarray, "_"], ...]:
        """The masses, divided by their sums: in float32 these are not 1."""
        given = [np.array(mu, np.float64) for mu in self.masses]
        return tuple(mu / mu.sum() for mu in given)


class Transport(TransportProblem):
    """min <C, P> over P >= 0 with these marginals."""

    cost: Cost
    marginals: Marginals

    def check(self) -> Iterable[Fault]:
        """As many marginals as the cost has axes, of their sizes."""
        if self.cost.shape is not None and self.cost.shape != self.marginals.shape:
            expected, got = _written(self.cost.shape), _written(self.marginals.shape)
            yield Fault(("marginals",), f"expected the sizes {expected} of the cost, got {got}")

    @property
    def shape(self) -> tuple[int, ...] | None:
        """As for the cost."""
        return self.cost.shape

    def posed(self) -> transport.Problem:
        """Both as arrays."""
        return transport.Problem(self.cost.posed(), self.marginals.posed())


def _written(shape: tuple[int, ...]) -> str:
    """All sizes, or how many there are and the first of them."""
    return f"{shape}" if len(shape) <= _FEW else f"{reprlib.repr(shape)}, {len(shape)} of them,"
