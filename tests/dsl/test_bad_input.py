"""Bad input of transport, told through the language: where it is, what was got, what was expected."""

import jax.numpy as jnp
import numpy as np
import pytest

from dsl import *
from dsl.transport import Cost
from tests.dsl.running import run
from theory import transport
from theory.transport import column_generation
from theory.transport.plan import SparsePlan

FLOW = EulerFlow(3, 3, "rev")
HUGE = ((1e200, 1.0), (1e200, 1.0))


class TwoEdges(Graph):
    """Two edges that share no vertex."""

    @property
    def vertices(self):
        return 5

    @property
    def edges(self):
        return 2

    @property
    def adjacency(self):
        found = np.zeros((5, 5), np.int64)
        found[[0, 1, 3, 4], [1, 0, 4, 3]] = 1
        return found


class Entries(Cost):
    """A cost of two points and two, the last of whose entries is `corner`; a tensor that is not `listed` hides it."""

    corner: str
    listed: bool = True

    @property
    def shape(self):
        return (2, 2)

    def posed(self):
        corner = float(self.corner)
        if self.listed:
            return transport.TensorCost(np.array([[0.0, 1.0], [1.0, corner]]))

        class Hidden(transport.TensorCost):
            """The corner is seen only when it is asked for."""

            def at(self, tuples):
                return np.where((tuples == 1).all(axis=1), corner, super().at(tuples))

        return Hidden(np.zeros((2, 2)))


def solving(cost, marginals, by=None):
    return Solving(Transport(cost, marginals), by or ColumnGeneration(), (Objective(),), precision="float64")


def flow(*masses):
    return solving(FLOW, Masses(masses))


THIRDS = (1 / 3,) * 3
WRITTEN = {
    "a sum": (
        lambda: flow(THIRDS, (0.5, 0.25, 0.125), THIRDS),
        r"Masses: masses\[1\]: expected masses with the sum 1, got 0.875",
    ),
    "a negative mass": (
        lambda: flow(THIRDS, THIRDS, (0.5, -0.25, 0.75)),
        r"Masses: masses\[2\]\[1\]: expected greater than or equal to 0, got -0.25",
    ),
    "a probability": (lambda: bernoulli(1.5, 3), "Bernoulli: p: expected less than or equal to 1, got 1.5"),
    "a count of marginals": (
        lambda: solving(FLOW, uniform(3, 2)),
        r"marginals: expected the sizes \(3, 3, 3\) of the cost, got \(3, 3\)",
    ),
    "a size": (
        lambda: solving(FLOW, uniform(4, 3)),
        r"marginals: expected the sizes \(3, 3, 3\) of the cost, got \(4, 4, 4\)",
    ),
    "many sizes": (
        lambda: solving(Connected(Complete(30), 1.0), bernoulli(0.9, 434)),
        r"marginals: expected the sizes \(2, .*\.\.\.\), 435 of them, of the cost, got \(2, .*\.\.\.\), 434 of them",
    ),
    "an infinite factor": (
        lambda: LowRankPlusSparse(((1.0, 2.0), (1.0, np.inf))),
        r"LowRankPlusSparse: factors\[1\]\[1\]: expected a finite number, got inf",
    ),
    "an infinite entry": (
        lambda: LowRankPlusSparse(((1.0, 2.0), (1.0, 2.0)), sparse=(((0, 1), np.inf),)),
        r"LowRankPlusSparse: sparse\[0\]\[1\]: expected a finite number, got inf",
    ),
    "an infinite product": (
        lambda: solving(LowRankPlusSparse(HUGE), uniform(2, 2)),
        r"factors: the product of the largest factors is about 1e400, expected finite entries, up to 1e300",
    ),
    "an infinite product of a term": (
        lambda: LowRankPlusSparse(((1.0, 2.0),) * 2, terms=(((1.0, 2.0),) * 2, HUGE)),
        r"terms\[1\]: the product of the largest factors is about 1e400",
    ),
    "parts of a graph": (
        lambda: Connected(TwoEdges(), 1.0),
        r"graph: expected a connected graph with an edge, got .* with the parts \[\[0, 1\], \[2\], \[3, 4\]\]",
    ),
    "a cycle that is too large": (
        lambda: solving(EulerFlow(3000, 3, "rev"), uniform(3000, 3)),
        r"n: expected at most 406, got 3000: every solver needs tables of n\^3 = 2.7e\+10 entries, more than 2\^26",
    ),
    "two times that are too many places": (
        lambda: EulerFlow(2**18, 2, "rev"),
        r"n: expected at most 8192, got 262144: every solver needs tables of n\^2 = 6.87e\+10 entries",
    ),
    "times that are too many": (
        lambda: EulerFlow(3, 2**18, "rev"),
        "EulerFlow: steps: expected at most 512, got 262144: a search eliminates all times for each of them",
    ),
    "a tensor that is too large": (
        lambda: solving(EulerFlow(11, 6, "rev"), uniform(11, 6), NaiveLp()),
        r"by: the tensor has about 2\^21 entries, more than 2\^20; ColumnGeneration\(\) has 66 rows",
    ),
}


@pytest.mark.parametrize(("make", "message"), WRITTEN.values(), ids=WRITTEN)
def test_what_is_wrong_in_a_spec_is_told_when_it_is_written(make, message):
    with pytest.raises(SpecError, match=message):
        make()


def test_the_path_in_a_file_is_the_whole_one():
    written = dump(solving(FLOW, uniform(3, 3)))
    written["problem"]["cost"]["n"] = 3000
    with pytest.raises(SpecError, match=r"problem.cost.n: expected at most 406, got 3000"):
        load(written)


def test_the_largest_flow_that_fits_is_accepted():
    assert EulerFlow(406, 3, "rev").shape == (406,) * 3
    assert EulerFlow(8192, 2, "rev").shape == (8192,) * 2


@pytest.mark.parametrize("corner", ["inf", "-inf", "nan"])
@pytest.mark.parametrize("by", [ColumnGeneration(), NaiveLp()], ids=repr)
def test_a_cost_of_a_user_with_infinite_entries_is_refused_with_the_entry(corner, by):
    with pytest.raises(ValueError, match=rf"TensorCost: tensor\[1, 1\] is {corner}, expected finite entries"):
        run(solving(Entries(corner), uniform(2, 2), by))


@pytest.mark.parametrize("corner", ["inf", "-inf", "nan"])
def test_a_master_that_entries_would_make_infeasible_or_unbounded_is_refused(corner):
    """With finite entries it is neither: masses are at most 1, and the first columns hold a plan."""
    with pytest.raises(ValueError, match=rf"the cost of the tuple \[1, 1\] is {corner}, expected finite entries"):
        run(solving(Entries(corner, listed=False), uniform(2, 2)))


def test_a_master_without_a_plan_says_that_it_is_infeasible(monkeypatch):
    corner = SparsePlan((3, 3, 3), np.array([[0, 0, 0]]), np.ones(1))
    monkeypatch.setattr(column_generation, "monotone_plan", lambda marginals: corner)
    monkeypatch.setattr(column_generation, "_star", lambda problem: corner.tuples)
    with pytest.raises(ValueError, match=r"linear program over 1 tuples has no answer: HiGHS says Infeasible"):
        run(solving(FLOW, uniform(3, 3)))


def test_a_drawn_graph_that_is_not_connected_is_told_in_its_run_with_its_parts():
    sparse = Seeded(RandomGraph(40, p=0.0), seed=0)
    with pytest.raises(ValueError, match=r"the graph is not connected, its parts are \[\[0\], .*\[5\], \.\.\.\]$"):
        run(solving(Connected(sparse, 1.0), bernoulli(0.9, 2)))


def test_marginals_of_a_drawn_graph_are_counted_in_its_run():
    drawn = Seeded(RandomGraph(4, p=1.0), seed=0)
    with pytest.raises(ValueError, match="marginals: got 5, expected 6"):
        run(solving(Connected(drawn, 1.0), bernoulli(0.9, 5)))


def test_duplicate_points_are_told_with_both_places():
    """Of a file, `tests/dsl/test_barycenters.py` has all that may be wrong."""
    file = Barycenter(StoredMeasures(Stored("a.npz", "0" * 64)))
    arrays = {"points": jnp.array([[[0.0], [1.0], [1.0]]] * 2)}
    solving = Solving(file, ColumnGeneration(), (Objective(),))
    with pytest.raises(
        ValueError, match=r"measures.points\[0\]\[2\] = \[1.0\] occurs twice, at points\[0\]\[1\] too; add"
    ):
        run(solving, {"problem.measures.data": arrays})
