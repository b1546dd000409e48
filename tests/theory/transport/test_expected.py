"""Easy mistakes in a process without the type checks of the tests: each is one error that says what is expected."""

import json
import subprocess
import sys

import pytest

SETUP = """
import json, sys
import numpy as np
from theory.transport import *

matrix, halves = TensorCost(np.eye(2)), uniform((2, 2))
problem, cost = Problem(matrix, halves), BarycenterCost([np.eye(2), np.zeros((1, 2))])
masses = uniform(cost.shape)
solution = NaiveLp().solve(Problem(cost, masses))
scaled = MultimarginalSinkhorn(1.0).solve(problem).plan
nu = barycenter(cost, solution.plan)
found = {}
for call in json.load(sys.stdin):
    try:
        found[call] = f"no error: {eval(call)}"
    except Exception as error:
        found[call] = f"{type(error).__name__}: {error}"
print(json.dumps(found))
"""
BARYCENTER = "expected a BarycenterCost, got {}; BarycenterCost(points, weights) makes one"
PROBLEM = "expected a Problem, got {}; Problem(cost, marginals) makes one"
ARRAYS = "expected one array for each marginal, got {}"
MESSAGES = {
    "uniform(6)": "uniform: expected the sizes of the marginals, such as (6, 6) or cost.shape, got 6",
    "uniform(matrix)": "uniform: expected the sizes of the marginals, such as (6, 6) or cost.shape, got a TensorCost",
    "uniform((2, 0))": "uniform: shape[1] is 0, expected at least 1 point",
    "uniform((2.5, 2))": "uniform: shape[0] is 2.5, expected a whole number",
    "Problem(halves, matrix)": "Problem: the second argument is the cost; expected Problem(cost, marginals)",
    "Problem(np.eye(2), halves)": "Problem: cost: expected a Cost, got an array of shape (2, 2); TensorCost makes one "
    "of an array",
    "Problem(matrix, halves[0])": "Problem: marginals: " + ARRAYS.format("an array of shape (2,)"),
    "Problem(matrix, None)": "Problem: marginals: " + ARRAYS.format("None"),
    "Problem(problem, halves)": "Problem: cost: expected a Cost, got a Problem; its cost is one",
    "barycenter(cost, solution)": "barycenter: plan: expected a SparsePlan, got a Solution; its plan is one",
    "barycenter(solution.plan, cost)": "barycenter: cost: " + BARYCENTER.format("a SparsePlan"),
    "barycenter(cost, scaled)": "barycenter: plan: expected a SparsePlan, got a ScaledPlan; "
    "ColumnGeneration().solve(problem).plan is one",
    "barycenter(cost, monotone_plan(halves))": "barycenter: got a plan of shape (2, 2), expected (2, 1) as the cost "
    "has",
    "free_support(cost.points, masses)": "free_support: cost: " + BARYCENTER.format("a tuple"),
    "on_a_line(cost.points, masses)": "on_a_line: cost: " + BARYCENTER.format("a tuple"),
    "fixed_support(matrix, halves, np.eye(2))": "fixed_support: cost: " + BARYCENTER.format("a TensorCost"),
    "fixed_support(cost, masses, 5)": "fixed_support: support has shape (), expected (n, 2) with n >= 1",
    "grid_support(cost.points, 3)": "grid_support: cost: " + BARYCENTER.format("a tuple"),
    "grid_support(cost, 2.5)": "grid_support: side is 2.5, expected a whole number",
    "value_of(cost, masses, solution.plan)": "value_of: measure: expected a Measure, got a SparsePlan; "
    "Measure(points, masses) makes one",
    "couplings_bound(matrix, halves)": "couplings_bound: cost: " + BARYCENTER.format("a TensorCost"),
    "exact_plan(np.zeros((2, 2, 2)), *halves)": "exact_plan: distances have shape (2, 2, 2), expected (n, m): one for "
    "each pair",
    **{
        f"{solver}.solve(matrix)": f"{solver.split('(')[0]}: problem: " + PROBLEM.format("a TensorCost")
        for solver in (
            "NaiveLp()",
            "ColumnGeneration()",
            "Ellipsoid()",
            "MultiplicativeWeights()",
            "MultimarginalSinkhorn(1.0)",
        )
    },
    "ColumnGeneration('coarse')": "ColumnGeneration: tol is 'coarse', expected a number",
    "MultiplicativeWeights('0.1')": "MultiplicativeWeights: eps is '0.1', expected a number",
    "MultimarginalSinkhorn('1')": "MultimarginalSinkhorn: eta is '1', expected a number",
    "scalings(matrix, 1.0, 1e-3)": "scalings: problem: " + PROBLEM.format("a TensorCost"),
    "sinkhorn(problem, halves, 1.0, 1e-3, 9)": "sinkhorn: cost: expected a Cost, got a Problem; its cost is one",
    "entropic(problem, 1.0, halves)": "entropic: found: expected an Iterate, got a tuple; scalings(problem, eta, tol) "
    "gives one",
    "dual_value(matrix, halves)": "dual_value: problem: " + PROBLEM.format("a TensorCost"),
    "dual_value(problem, halves[:1])": "potentials of sizes (2,) do not match a cost of shape (2, 2)",
    "min_oracle(halves, matrix)": "cost: expected a Cost, got a tuple; TensorCost makes one of an array",
    "min_oracle(matrix, [[0, 0], [0, 0]])": "potentials[0]: expected an array, got a list",
    "argmin_oracle(problem, halves)": "cost: expected a Cost, got a Problem; its cost is one",
    "soft_min_oracle(cost, masses, 1.0)": "soft_min_oracle: a BarycenterCost has no soft sums (they can be hard where "
    "minima are easy); use ColumnGeneration, or `dense` on a small instance",
    "marginals(matrix, halves, '1')": "marginals: eta is '1', expected a number",
    "argmin_by_min(matrix, halves)": "argmin_by_min: minimum: expected a function such as "
    "`lambda p: min_oracle(cost, p)`, got a TensorCost",
    "marginals_by_soft_min(matrix, halves, 1.0)": "marginals_by_soft_min: soft: expected a function such as "
    "`lambda p: soft_min_oracle(cost, p, eta)`, got a TensorCost",
    "soft_min_by_marginals([], 1.0)": "soft_min_by_marginals: found: " + ARRAYS.format("a list"),
    "marginals_by_powers(matrix, halves, 1.0, 3)": "marginals_by_powers: cost: expected a LowRankPlusSparseCost, got a "
    "TensorCost; LowRankPlusSparseCost(factors) makes one",
    "monotone_plan(halves[0])": "monotone_plan: marginals: " + ARRAYS.format("an array of shape (2,)"),
    "monotone_plan(problem)": "monotone_plan: marginals: " + ARRAYS.format("a Problem"),
    "round_sparse(solution, masses)": "round_sparse: plan: expected a SparsePlan, got a Solution; its plan is one",
    "round_scaled(cost, 1.0, masses, masses)": "round_scaled: a BarycenterCost has no soft sums (they can be hard "
    "where minima are easy); use ColumnGeneration, or `dense` on a small instance",
    "round_scaled(matrix, 1.0, masses, halves)": "potentials of sizes (2, 1) do not match a cost of shape (2, 2)",
    "dense(np.eye(2))": "dense: cost: expected a Cost, got an array of shape (2, 2); TensorCost makes one of an array",
    "BarycenterCost(3)": "BarycenterCost: points: " + ARRAYS.format("3"),
    "BarycenterCost([np.eye(2)], 'a')": "BarycenterCost: weights: expected an array of numbers, got str: could not "
    "convert string to float: 'a'",
    "GraphicalCost((0, 1), (np.eye(2),))": "GraphicalCost: cliques[0]: expected variables such as (0, 1), got 0",
    "Reliability(4)": "Reliability: edges: expected pairs of vertices such as ((0, 1), (1, 2)), got 4; "
    "complete_graph(4) gives those of 4 vertices",
    "complete_graph(0)": "complete_graph: vertices is 0, expected at least 1 vertex",
    "nested_ellipses(2, 0)": "nested_ellipses: side is 0, expected at least 1 pixel",
    "clique_to_pairwise([[0, 1], [1, 0]], 2.5)": "k is 2.5, expected a clique of at least 2 vertices",
    "subdeterminant_to_transport(np.ones(3))": "subdeterminant_to_transport: vectors have shape (3,), expected (n, d)",
    "min_by_transport(matrix, halves, NaiveLp())": "min_by_transport: oracle: expected a function such as "
    "`NaiveLp().solve`, got a NaiveLp",
    "pairwise_bound(cost, cost.weights, masses)": "pairwise_bound: points: " + ARRAYS.format("a BarycenterCost"),
}


@pytest.fixture(scope="module")
def told() -> dict[str, str]:
    done = subprocess.run(
        [sys.executable, "-c", SETUP], input=json.dumps(list(MESSAGES)), capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize("call", MESSAGES)
def test_an_easy_mistake_has_one_clear_error(told: dict[str, str], call: str) -> None:
    assert told[call] == f"ValueError: {MESSAGES[call]}"
