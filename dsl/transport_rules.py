"""Rules of `explain` on transport: how sparse plans are, what softness costs, closed forms, and what is hard."""

import math
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from dsl.barycenters import Barycenter
from dsl.domains import inner
from dsl.graph_problems import Clique, MaxCut
from dsl.graphs import Complete
from dsl.pairs import Sinkhorn
from dsl.prediction import Prediction
from dsl.sizes import written_size
from dsl.solving import Solving
from dsl.spec import Spec
from dsl.transport import Bernoulli, Connected, LowRankPlusSparse, Transport, TransportProblem
from dsl.transport_solvers import MultimarginalSinkhorn

_WRITTEN = 10**15  # a number of more digits is not read
P = TypeVar("P")


def tuples_rule(spec: Spec) -> Prediction | None:
    """How many entries the cost tensor has: columns of the linear program over all tuples."""

    def value(problem: TransportProblem, shape: tuple[int, ...]) -> tuple[int | str, str]:
        size, why = math.prod(shape), f"entries of a tensor with {len(shape)} axes of sizes {_sizes(shape)}"
        return size if size < _WRITTEN else written_size(size), why

    return _of_shape(spec, "tuples", "by definition", value)


def sparsity_rule(spec: Spec) -> Prediction | None:
    """The most atoms that an exact plan needs."""

    def value(problem: TransportProblem, shape: tuple[int, ...]) -> tuple[int, str]:
        what = "of the barycenter" if isinstance(problem, Barycenter) else "of a plan that is a vertex"
        return sum(shape) - len(shape) + 1, f"the most atoms {what}: sum_i n_i - k + 1, the independent equations"

    return _of_shape(spec, "atoms", "2008.03006", value)


def softness_rule(spec: Spec) -> Prediction | None:
    """How much more than the least cost an entropic plan may cost."""
    if not isinstance(spec, Solving) or not isinstance(by := spec.by, (MultimarginalSinkhorn, Sinkhorn)):
        return None

    def value(problem: TransportProblem, shape: tuple[int, ...]) -> tuple[float, str]:
        logs = sum(map(math.log, shape))
        return logs / float(by.eta), f"sum_i log n_i / eta, at eta = {by.eta:g}: no plan has more entropy"

    conditions = "the entropic plan in the limit, before it is rounded: its cost less the least cost"
    return _of_shape(spec, "cost of softness", "derived; 2008.03006", value, conditions)


def reliability_rule(spec: Spec) -> Prediction | None:
    """The worst and the best reliability of a complete graph, in closed form."""

    def value(problem: Transport) -> tuple[float, str] | None:
        cost, marginals = inner(problem.cost), problem.marginals
        if not (isinstance(cost, Connected) and isinstance(inner(cost.graph), Complete)):
            return None
        if not isinstance(marginals, Bernoulli):
            return None
        v, worst = cost.graph.vertices, cost.sign > 0
        chance = 1 - marginals.p if worst else marginals.p
        case, why = ("worst", "down: cuts around single vertices") if worst else ("best", "up: spanning trees")
        return max(
            0.0, 1 - v * chance / 2
        ), f"{case} case of K_{v}: 1 - v q / 2, with q = {chance:.3g} to be {why} are packed"

    conditions = "a complete graph whose edges have one probability"
    return _of(spec, Transport, "reliability", "derived and checked numerically; 2008.03006", value, conditions, True)


def jensen_rule(spec: Spec) -> Prediction | None:
    """Jensen's bound of the least risk: exp of the sum of the means of logarithms."""

    def value(problem: Transport) -> tuple[float, str] | None:
        cost = problem.cost
        if not isinstance(cost, LowRankPlusSparse) or cost.terms or cost.sparse:
            return None
        each = zip(cost.factors, problem.marginals.posed(), strict=True)
        mean = sum(float(mu @ np.log(np.asarray(factor, float))) for factor, mu in each)
        return math.exp(mean), "exp(sum_i E log r_i): no dependence of the factors has a lower risk"

    return _of(spec, Transport, "risk, at least", "Jensen's inequality", value, "one product of positive factors", True)


def dimension_rule(spec: Spec) -> Prediction | None:
    """Whether the exact barycenter takes polynomial time: it does in fixed dimension."""

    def value(problem: Barycenter) -> tuple[int, str] | None:
        if problem.measures.shape is None:
            return None
        k, n, d = problem.measures.shape
        return d, f"{k} measures of up to {n} points in dimension {d}: polynomial in n and k for fixed d, NP-hard in d"

    return _of(
        spec, Barycenter, "dimension", "2006.08012; 2101.01100", value, "exact barycenters of discrete measures", False
    )


def clique_rule(spec: Spec) -> Prediction | None:
    """The value that tells a clique: all pairs are adjacent."""

    def value(problem: Clique) -> tuple[int, str]:
        k = problem.k
        return k * (k - 1) // 2, f"the number of adjacent pairs among {k} vertices if and only if they are a clique"

    return _of(spec, Clique, "clique threshold", "by definition", value, "any graph", True)


def cut_rule(spec: Spec) -> Prediction | None:
    """A maximum cut is one transport value, so that binary marginals alone are hard."""

    def value(problem: MaxCut) -> tuple[int, str]:
        v = problem.graph.vertices
        return (
            v,
            f"binary marginals of {v} vertices, each 1/2: the least cost is - the maximum cut, since complements tie",
        )

    return _of(spec, MaxCut, "marginals of the cut", "derived; 2012.05398", value, "any graph", True)


RULES: tuple[Callable[[Spec], Prediction | None], ...] = (
    tuples_rule,
    sparsity_rule,
    softness_rule,
    reliability_rule,
    jensen_rule,
    dimension_rule,
    clique_rule,
    cut_rule,
)


def _of(
    spec: Spec,
    kind: type[P],
    name: str,
    citation: str,
    value: Callable[[P], tuple[Any, str] | None],
    conditions: str,
    verified: bool,
) -> Prediction | None:
    """A prediction about a problem of one kind, by itself or in a `Solving`; None about anything else."""
    problem = spec.problem if isinstance(spec, Solving) else spec
    found = value(problem) if isinstance(problem, kind) else None
    return None if found is None else Prediction(name, found[0], True, found[1], conditions, citation, verified)


def _of_shape(
    spec: Spec,
    name: str,
    citation: str,
    value: Callable[[TransportProblem, tuple[int, ...]], tuple[Any, str]],
    conditions: str = "transport with marginals of these sizes",
) -> Prediction | None:
    def known(problem: TransportProblem) -> tuple[Any, str] | None:
        return None if problem.shape is None else value(problem, problem.shape)

    return _of(spec, TransportProblem, name, citation, known, conditions, "2008" not in citation)


def _sizes(shape: tuple[int, ...]) -> str:
    return str(shape[0]) if len(set(shape)) == 1 else ", ".join(map(str, shape[:8])) + ", ..." * (len(shape) > 8)
