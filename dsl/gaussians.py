"""Barycenters of Gaussians, which are Gaussians."""

import math
from collections.abc import Iterable
from typing import Annotated, Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key
from pydantic import Field

from dsl.faults import Fault
from dsl.fields import Count
from dsl.measurements import Measurement
from dsl.solving import Limit, Problem, Solver
from theory.transport import gaussians


class GaussianBarycenter(Problem):
    """min over measures nu of sum_i lambda_i W_2^2(N(m_i, S_i), nu), with equal weights where none are given."""

    means: tuple[tuple[float, ...], ...]
    covariances: tuple[tuple[tuple[float, ...], ...], ...]
    weights: tuple[Annotated[float, Field(gt=0)], ...] | None = None

    def check(self) -> Iterable[Fault]:
        """Means of one dimension, a positive definite covariance for each, and weights with sum 1."""
        k, d = len(self.means), len(self.means[0]) if self.means else 0
        if not d or any(len(mean) != d for mean in self.means):
            yield Fault(("means",), f"expected vectors of one dimension, at least 1, got {self.means}")
        if len(self.covariances) != k:
            yield Fault(("covariances",), f"expected {k}, one a mean, got {len(self.covariances)}")
        for i, rows in enumerate(self.covariances):
            if not _positive(rows, d):
                yield Fault(("covariances", i), f"expected a positive definite matrix of shape {(d, d)}, got {rows}")
        if self.weights is not None and len(self.weights) != k:
            yield Fault(("weights",), f"expected {k}, one a mean, got {len(self.weights)}")
        elif self.weights is not None and not math.isclose(sum(self.weights), 1, abs_tol=1e-9):
            yield Fault(("weights",), f"expected the sum 1, got {sum(self.weights)}")

    def arrays(self) -> tuple[Float[Array, "k d"], Float[Array, "k d d"], Float[Array, "k"]]:
        """Means, covariances and weights; may be traced."""
        k = len(self.means)
        given = [1 / k] * k if self.weights is None else list(self.weights)
        weights = jnp.asarray(given, float)
        covariances = [[list(row) for row in rows] for rows in self.covariances]
        return (
            jnp.asarray([list(m) for m in self.means], float),
            jnp.asarray(covariances, float),
            weights / weights.sum(),
        )


def _positive(rows: tuple[tuple[float, ...], ...], d: int) -> bool:
    if len(rows) != d or any(len(row) != d for row in rows):
        return False
    matrix = np.array(rows, float)
    return bool((matrix == matrix.T).all() and np.linalg.eigvalsh(matrix)[0] > 0)


class BuresFixedPoint(Solver, version=2):
    """The fixed-point iteration of the covariance, until |sum_i lambda_i A_i - I| <= tol.

    A_i are the maps from the Gaussian to the others. The value is then within about tol^2 of the least.
    """

    tol: Annotated[float, Field(gt=0)] = 1e-5
    rounds: Count = 100

    @property
    def last(self) -> int:
        """The most rounds."""
        return self.rounds

    def init(self, problem: Any, key: Key[Array, ""]) -> gaussians.Iterate:
        """The weighted mean of the covariances."""
        _, covariances, weights = problem.arrays()
        return gaussians.first_iterate(covariances, weights)

    def step(self, problem: Any, state: gaussians.Iterate, key: Key[Array, ""]) -> gaussians.Iterate:
        """A round."""
        _, covariances, weights = problem.arrays()
        return gaussians.next_iterate(covariances, weights, state)

    def answer(self, problem: Any, state: gaussians.Iterate) -> gaussians.Centre:
        """The Gaussian, with its value and its dual bound."""
        means, covariances, weights = problem.arrays()
        return gaussians.centre(means, covariances, weights, weights @ means, state.covariance, state.rounds)

    def finished(self, problem: Any, state: gaussians.Iterate) -> Any:
        """Whether the maps have the mean that they should have."""
        return state.error <= self.tol

    @property
    def limit(self) -> Limit:
        """Its rounds."""
        return Limit(self.rounds, "rounds", "maps whose mean is off the identity by", self.tol)

    def unfit(self, problem: Any) -> Iterable[Fault]:
        """A problem other than a barycenter of Gaussians."""
        if not isinstance(problem, GaussianBarycenter):
            yield Fault((), f"BuresFixedPoint solves GaussianBarycenter(...), not {type(problem).__name__}")


class Moments(Measurement):
    """The mean of a Gaussian barycenter and its covariance, one below the other: shape (1 + d, d)."""

    reads: ClassVar[tuple[str, ...]] = ("problem", "by")

    def __call__(self, experiment: Any, state: Any, constants: Any, key: Key[Array, ""]) -> Float[Array, "rows d"]:
        """Shape (1 + d, d)."""
        return jnp.concatenate([state.answer.mean[None], state.answer.covariance])

    def unfit(self, experiment: Any) -> Iterable[Fault]:
        """A solver of other problems."""
        if not isinstance(experiment.by, BuresFixedPoint):
            yield Fault((), f"Moments is of a Gaussian barycenter; {type(experiment.by).__name__} gives another answer")
