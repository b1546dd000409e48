"""The linear program with every tuple as a column: the oracle of small instances."""

import math
from dataclasses import dataclass

import numpy as np

from theory.transport.cost import dense, every_tuple
from theory.transport.plan import SparsePlan, marginal_error, refined, round_sparse
from theory.transport.problem import Problem, Solution


@dataclass(frozen=True)
class NaiveLp:
    """HiGHS on the whole tensor.

    Attributes:
        most: the most entries of a tensor that is accepted.
    """

    most: int = 2**20

    def solve(self, problem: Problem) -> Solution:
        """The optimal plan and potentials.

        Args:
            problem: with a small cost.

        Returns:
            The solution; its interval is what the rounding errors of the linear program leave.

        Raises:
            ValueError: if the tensor is larger than `most`, or HiGHS gives no answer.
        """
        from scipy.optimize import linprog  # slow to import, and only for this
        from scipy.sparse import csr_array

        shape = problem.cost.shape
        if math.prod(shape) > self.most:
            raise ValueError(
                f"NaiveLp: the tensor has {math.prod(shape):.3g} entries, more than {self.most}; ColumnGeneration "
                f"fits: its linear program has {sum(shape)} rows and about {20 * sum(shape)} columns"
            )
        tensor, tuples = dense(problem.cost), every_tuple(shape)
        starts = np.cumsum([0, *shape[:-1]])
        rows, columns = (tuples + starts).ravel(), np.repeat(np.arange(len(tuples)), len(shape))
        matrix = csr_array((np.ones(len(rows)), (rows, columns)), shape=(sum(shape), len(tuples)))
        found = linprog(tensor.tensor.ravel(), A_eq=matrix, b_eq=np.concatenate(problem.marginals), method="highs")
        if found.x is None:
            raise ValueError(f"NaiveLp: HiGHS gives no answer: {found.message}")
        potentials = tuple(np.split(found.eqlin.marginals, starts[1:]))
        held = found.x > 0
        plan = SparsePlan(shape, tuples[held], found.x[held])
        return _answer(problem, plan, potentials, tensor.argmin(potentials).value)


def _answer(problem: Problem, plan: SparsePlan, potentials: tuple[np.ndarray, ...], least: float) -> Solution:
    """The plan with exact marginals, with the lower bound of the potentials."""
    rounded = round_sparse(refined(plan, problem.marginals), problem.marginals)
    value = rounded.cost(problem.cost)
    lower = min(value, problem.paired(potentials) + least)
    error = marginal_error(plan.marginals(), problem.marginals)
    return Solution(rounded, potentials, value, lower, value, error, rounded.support_size, 1)
