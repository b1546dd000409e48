"""The linear program with every tuple as a column: the oracle of small instances."""

import math
from dataclasses import dataclass

from theory.transport.cost import MAX_LISTED, dense, every_tuple, written_size
from theory.transport.expected import expect_a
from theory.transport.master import Master
from theory.transport.plan import SparsePlan
from theory.transport.problem import Problem, Solution
from theory.transport.vertices import answer_of


@dataclass(frozen=True)
class NaiveLp:
    """HiGHS on the whole tensor.

    Attributes:
        most: the most entries of a tensor that is accepted.
    """

    most: int = MAX_LISTED

    def solve(self, problem: Problem) -> Solution:
        """The optimal plan and potentials.

        Args:
            problem: with a small cost.

        Returns:
            The solution; its interval is what the rounding errors of the linear program leave, about 1e-10 of the range
            of the cost.

        Raises:
            ValueError: if the tensor is larger than `most`, or HiGHS gives no answer.
        """
        expect_a("NaiveLp: problem", problem, Problem)
        shape = problem.cost.shape
        if (size := math.prod(shape)) > self.most:
            raise ValueError(
                f"NaiveLp: the tensor has {written_size(size)} entries, more than {self.most}; ColumnGeneration "
                f"fits: its linear program has {sum(shape)} rows and about {20 * sum(shape)} columns"
            )
        cost, tuples = dense(problem.cost), every_tuple(shape)
        low, high = cost.bounds()
        master = Master(problem.marginals, high - low or 1.0, low)
        master.add(tuples, cost.tensor.ravel())
        masses, potentials = master.solve()
        plan = SparsePlan(shape, tuples[masses > 0], masses[masses > 0])
        return answer_of(problem, plan, potentials, problem.paired(potentials) + cost.argmin(potentials).value, 1)
