"""The linear program over a list of tuples, solved by HiGHS with its basis kept from one call to the next."""

import highspy
import numpy as np
from jaxtyping import Bool, Float64

from theory.transport.cost import Tuples
from theory.transport.plan import Marginals

_MASS = 2.0**10
_DUAL, _PRIMAL = 1, 4  # names of HiGHS for its methods


class _Silent(highspy.Highs):
    """HiGHS that prints nothing: its own constructor prints a banner before an option can be set."""

    def enableCallbacks(self) -> None:
        self.silent()
        super().enableCallbacks()


class Master:
    """min <c, P> over P >= 0 on the tuples that were added, with given marginals.

    HiGHS has absolute tolerances, 1e-10 at best. So it is given (C - low) / scale for the cost C, and masses with the
    sum 2^10: masses are met to 1e-13.

    Attributes:
        tuples: one for each column.
        costs: their entries.
    """

    def __init__(self, marginals: Marginals, scale: float = 1.0, low: float = 0.0) -> None:
        self._scale, self._low = scale, low
        self.tuples: Tuples = np.empty((0, len(marginals)), np.int64)
        self.costs: Float64[np.ndarray, "m"] = np.empty(0)
        self._known: set[bytes] = set()  # the first so many of the columns
        self._listed = 0
        self._ends = np.cumsum([len(mu) for mu in marginals])
        self._starts = self._ends - [len(mu) for mu in marginals]
        self._highs = _Silent()
        for option, value in {"output_flag": False, "threads": 1, "presolve": "off", "solver": "simplex"}.items():
            self._highs.setOptionValue(option, value)
        self._highs.setOptionValue("simplex_strategy", _DUAL)
        self._highs.setOptionValue("primal_feasibility_tolerance", 1e-10)
        self._highs.setOptionValue("dual_feasibility_tolerance", 1e-10)
        masses = _MASS * np.concatenate(marginals)
        empty = np.empty(0, np.int32)
        self._highs.addRows(len(masses), masses, masses, 0, empty, empty, np.empty(0))

    def add(self, tuples: Tuples, costs: Float64[np.ndarray, "m"]) -> None:
        """Adds columns.

        Raises:
            ValueError: if a cost is not finite.
        """
        if not np.isfinite(costs).all():
            t = int(np.argmin(np.isfinite(costs)))
            raise ValueError(f"the cost of the tuple {tuples[t].tolist()} is {costs[t]}, expected finite entries")
        m, k = tuples.shape
        rows = (tuples + self._starts).astype(np.int32).ravel()
        starts = np.arange(0, m * k, k, dtype=np.int32)
        self._highs.addCols(
            m,
            (costs - self._low) / self._scale,
            np.zeros(m),
            np.full(m, highspy.kHighsInf),
            m * k,
            starts,
            rows,
            np.ones(m * k),
        )
        self.tuples = np.concatenate([self.tuples, tuples])
        self.costs = np.concatenate([self.costs, costs])

    def lacks(self, tuples: Tuples) -> Bool[np.ndarray, "m"]:
        """Which of the tuples are no columns."""
        self._known.update(row.tobytes() for row in self.tuples[self._listed :])
        self._listed = len(self.tuples)
        return np.array([row.tobytes() not in self._known for row in np.asarray(tuples, np.int64)], bool)

    def solve(self) -> tuple[Float64[np.ndarray, "m"], tuple[Float64[np.ndarray, "_"], ...]]:
        """The masses of the columns, and the potentials.

        Raises:
            ValueError: if no plan on these tuples has the marginals, or HiGHS stops without an answer.
        """
        self._highs.run()
        # with a basis of an earlier program, which stays feasible, the primal method is the shorter way
        self._highs.setOptionValue("simplex_strategy", _PRIMAL)
        status = self._highs.getModelStatus()
        if status != highspy.HighsModelStatus.kOptimal:
            said = self._highs.modelStatusToString(status)
            raise ValueError(f"the linear program over {len(self.costs)} tuples has no answer: HiGHS says {said}")
        found = self._highs.getSolution()
        duals = np.array(found.row_dual) * self._scale + self._low / len(self._starts)
        each = zip(self._starts, self._ends, strict=True)
        return np.array(found.col_value) / _MASS, tuple(duals[a:b] for a, b in each)

    def keep(self, wanted: Bool[np.ndarray, "m"]) -> None:
        """Removes all columns but those wanted and those in the basis, which stays."""
        basis = self._highs.getBasis()
        status = np.array([int(s) for s in basis.col_status])
        kept = wanted | (status == int(highspy.HighsBasisStatus.kBasic))
        rows = basis.row_status
        gone = np.flatnonzero(~kept).astype(np.int32)
        self._highs.deleteCols(len(gone), gone)
        self.tuples, self.costs = self.tuples[kept], self.costs[kept]
        self._known, self._listed = set(), 0
        left = highspy.HighsBasis()
        left.col_status = [s for s, k in zip(basis.col_status, kept, strict=True) if k]
        left.row_status = rows
        left.valid = True
        self._highs.setBasis(left)
