"""Measurements of what a reduction makes of a problem, without solving it: its size, and that its costs count."""

import math
from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Array, Float64, Key

from dsl.faults import Fault, folded
from dsl.measurements import Measurement
from dsl.reductions import Reduced, Search
from dsl.sizes import TENSOR, largest, written_size
from theory import transport
from theory.transport.cost import Potentials, every_tuple, gathered


class InstanceMeasurement(Measurement, abstract=True):
    """A measurement of the instance that a `Reduced` problem is."""

    reads: ClassVar[tuple[str, ...]] = ("of",)
    traced: ClassVar[bool] = False

    def unfit(self, experiment: Any) -> Iterable[Fault]:
        """An analysis of something else."""
        if not isinstance(experiment.of, Reduced):
            yield Fault((), f"{type(self).__name__} is of a Reduced(...) problem, not of {folded(experiment.of)}")


class InstanceSize(InstanceMeasurement):
    """How many marginals there are, how many points the largest has, and their dimension (0 for a cost of no points).

    For `CliqueToBarycenter`: k, the vertices that have edges, and k (k - 1) |E|.
    """

    def __call__(self, experiment: Any, state: Any, constants: Any, key: Key[Array, ""]) -> Float64[np.ndarray, "3"]:
        """Shape (3,)."""
        cost, _ = _searched(experiment.of)
        dimension = cost.points[0].shape[1] if isinstance(cost, transport.BarycenterCost) else 0
        return np.array([len(cost.shape), max(cost.shape), dimension], np.float64)


class CostIdentity(InstanceMeasurement):
    """The largest error, over all tuples, of reduced cost = -value / factor: that costs count what is maximised.

    For a clique by barycenters: C_j - sum_i p_i[j_i] = -2 (adjacent pairs of j) / k^2 (2101.01100; our construction).
    """

    def __call__(self, experiment: Any, state: Any, constants: Any, key: Key[Array, ""]) -> Any:
        """In units of the value: below 1/2, rounding gives it."""
        cost, potentials = _searched(experiment.of)
        if says := _too_many(cost.shape):
            raise ValueError(says)
        tuples, problem, by = every_tuple(cost.shape), experiment.of.problem, experiment.of.by
        reduced = cost.at(tuples) - gathered(potentials, tuples)
        errors = by.factor(problem) * reduced + problem.counted(by.answers(problem, tuples))
        return np.float64(np.abs(errors).max())

    def unfit(self, experiment: Any) -> Iterable[Fault]:
        """Adds: too many tuples."""
        yield from super().unfit(experiment)
        if isinstance(experiment.of, Reduced) and experiment.of.shape and (says := _too_many(experiment.of.shape)):
            yield Fault((), says)


def _too_many(shape: tuple[int, ...]) -> str | None:
    if (size := math.prod(shape)) <= TENSOR:
        return None
    by_vertex = max(shape) == 2  # cuts: an axis of two sides for each vertex
    most = TENSOR.bit_length() - 1 if by_vertex else largest(lambda n: n ** len(shape) <= TENSOR, max(shape))
    says = f"CostIdentity: the cost has {written_size(size)} entries, more than {TENSOR}"
    return f"{says}; take a smaller graph, of at most {most} vertices"


def _searched(reduced: Any) -> tuple[transport.Cost, Potentials]:
    """The cost of an instance, with the potentials of a search; zero for a transport problem."""
    posed = reduced.posed()
    return (posed.cost, posed.potentials if isinstance(posed, Search) else [np.zeros(n) for n in posed.cost.shape])
