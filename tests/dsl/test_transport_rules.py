"""What `explain` says of transport problems, against linear programs over all tuples."""

import math

import numpy as np
import pytest

from dsl import *
from tests.dsl.running import run


def told(spec):
    found = {p.name: p for p in explain(spec)}
    assert all(p.applies for p in found.values())
    return found


def least(problem):
    found = run(Solving(problem, NaiveLp(), (Objective(),), precision="float64"))
    return float(list(found["Objective"].values())[-1])


@pytest.mark.parametrize("v", [2, 3, 4, 5])
@pytest.mark.parametrize("p", [0.0, 0.01, 0.3, 0.45, 0.99, 1.0])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_reliability_of_a_complete_graph_is_that_of_the_linear_program(v, p, sign):
    problem = Transport(Connected(Complete(v), sign), bernoulli(p, v * (v - 1) // 2))
    assert told(problem)["reliability"].value == pytest.approx(least(problem), abs=1e-8)


def test_no_closed_form_is_told_of_other_networks():
    edges = Connected(Cycle(4), 1.0)
    masses = Masses(((0.1, 0.9), (0.2, 0.8), (0.1, 0.9)))
    assert "reliability" not in told(Transport(edges, bernoulli(0.9, 4)))
    assert "reliability" not in told(Transport(Connected(Complete(3), 1.0), masses))


@pytest.mark.parametrize("k", [2, 3, 4])
def test_jensens_bound_is_below_the_least_risk_and_near_it(k):
    factors = (tuple(1.0 + j / (4 * k) for j in range(4)),) * k
    problem = Transport(LowRankPlusSparse(factors), uniform(4, k))
    bound, value = told(problem)["risk, at least"].value, least(problem)
    assert value - 0.01 <= bound <= value + 1e-9
    assert "risk, at least" not in told(Transport(LowRankPlusSparse(factors, terms=(factors,)), uniform(4, k)))


def test_the_bound_of_a_risk_goes_by_its_masses():
    problem = Transport(LowRankPlusSparse(((1.0, 4.0), (2.0, 3.0))), Masses(((0.25, 0.75), (0.5, 0.5))))
    expected = 4**0.75 * math.sqrt(6.0)
    assert told(problem)["risk, at least"].value == pytest.approx(expected, rel=1e-12)


def test_a_soft_plan_costs_at_most_what_is_told_more():
    flow = Transport(EulerFlow(4, 3, "rev"), uniform(4, 3))
    by = MultimarginalSinkhorn(eta=20.0, tol=1e-9)
    found = run(Solving(flow, by, (Objective(),), precision="float64"))
    soft = float(list(found["Objective"].values())[-1])
    most = told(Solving(flow, by, (Objective(),)))["cost of softness"].value
    assert most == pytest.approx(3 * math.log(4) / 20)
    assert 1e-6 < soft - least(flow) <= most


def test_tuples_and_atoms_are_counted_and_dimensions_told():
    found = told(Transport(EulerFlow(51, 6, "rev"), uniform(51, 6)))
    assert found["tuples"].value == 51**6
    assert found["atoms"].value == 51 * 6 - 5
    barycenter = told(Barycenter(Ellipses(3, 8)))
    sizes = Ellipses(3, 8).sizes
    assert barycenter["atoms"].value == sum(sizes) - 2
    assert barycenter["dimension"].value == 2
    assert told(Barycenter(StoredMeasures(Stored("m.npz", "0" * 64)))) == {}


def test_tensors_of_any_size_are_counted():
    longest = Transport(EulerFlow(10, 400, "rev"), uniform(10, 400))
    assert told(longest)["tuples"].value == "2^1328"


def test_searches_on_graphs_have_their_thresholds():
    assert told(Clique(Cycle(5), k=4))["clique threshold"].value == 6
    assert told(MaxCut(Cycle(5)))["marginals of the cut"].value == 5


def test_experiments_without_a_model_are_not_told_of_targets():
    solving = Solving(Clique(Cycle(5), k=3), BruteForce(), (Objective(),))
    analysis = Analysis(of=Hypercube(3), measure=(Measured(),))
    assert set(told(solving)) == {"clique threshold"}
    assert told(analysis) == {}


class Measured(Measurement):
    """Nothing."""

    reads = ("of",)

    def __call__(self, experiment, state, constants, key):
        return np.zeros(())
