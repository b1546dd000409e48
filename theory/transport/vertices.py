"""Vertices of the set of plans: what a linear program leaves, with exact marginals and few atoms."""

from typing import Any

import numpy as np
from jaxtyping import Float64

from theory.transport.cost import Cost
from theory.transport.plan import Marginals, SparsePlan, marginal_error, round_sparse
from theory.transport.problem import Problem, Solution

_DUST = 1e-13  # mass below which an atom of a linear program is rounding error
_ZERO = 1e-9  # below which an entry of a null direction, or a pivot, is; most are whole numbers


def answer_of(
    problem: Problem, plan: SparsePlan, potentials: tuple[Float64[np.ndarray, "_"], ...], lower: float, calls: int
) -> Solution:
    """The answer of a solver by linear programs.

    Args:
        problem: that was solved.
        plan: the solution of a linear program over some tuples.
        potentials: those of the lower bound.
        lower: a certified lower bound of the least cost.
        calls: how often the cost was searched.

    Returns:
        The solution, with `vertex` of the plan.
    """
    found = vertex(plan, problem)
    value, error = found.cost(problem.cost), marginal_error(plan.marginals(), problem.marginals)
    return Solution(found, potentials, value, min(lower, value), value, error, found.support_size, calls)


def vertex(plan: SparsePlan, problem: Problem) -> SparsePlan:
    """The solution of a linear program with exact marginals and the atoms of a vertex.

    Args:
        plan: one that has the marginals to the tolerance of the linear program.
        problem: whose marginals it should have.

    Returns:
        A plan near it with these marginals and at most sum_i n_i - k + 1 atoms.
    """
    found = round_sparse(refined(plan, problem.marginals), problem.marginals)
    return thinned(found, problem.cost) if found.support_size > problem.support_bound else found


def refined(plan: SparsePlan, marginals: Marginals) -> SparsePlan:
    """The atoms of more than 1e-13 with masses that meet the marginals to rounding error, where a least change does.

    A linear program leaves errors of its tolerance, which rounding would turn into further atoms.

    Args:
        plan: a plan that nearly has the marginals.
        marginals: k distributions.

    Returns:
        The changed plan, or these atoms unchanged where a mass would be negative or the error no smaller.
    """
    from scipy.sparse.linalg import lsqr  # slow to import, and only for this

    plan = SparsePlan(plan.shape, plan.tuples[plan.masses > _DUST], plan.masses[plan.masses > _DUST])
    matrix = _incidence(plan)
    wanted = np.concatenate(marginals)
    change = lsqr(matrix, wanted - matrix @ plan.masses, atol=1e-14, btol=1e-14)[0]
    changed = SparsePlan(plan.shape, plan.tuples, plan.masses + change)
    before, after = (marginal_error(p.marginals(), marginals) for p in (plan, changed))
    return changed if after < before and (changed.masses >= 0).all() else plan


def thinned(plan: SparsePlan, cost: Cost) -> SparsePlan:
    """A vertex among the plans on the same atoms, which costs no more.

    A combination of atoms that changes no marginal is followed, in the direction that does not raise the cost, until an
    atom vanishes; and so on, until the atoms that are left are independent.

    Args:
        plan: with masses that are positive.
        cost: what must not rise.

    Returns:
        The plan, with at most sum_i n_i - k + 1 atoms and the same marginals, to rounding error.
    """
    from scipy.linalg import qr, solve_triangular  # slow to import, and only for this

    factored: Any = qr(_incidence(plan).toarray(), mode="r", pivoting=True)  # what it holds depends on the options
    upper, order = factored
    rank = int(np.sum(np.abs(np.diag(upper)) > _ZERO))
    basis, others = order[:rank], order[rank:]
    columns = solve_triangular(upper[:rank, :rank], upper[:rank, rank:])  # each other atom in terms of the basis
    masses, costs = plan.masses.copy(), cost.at(plan.tuples)
    for t, atom in enumerate(others):
        column = columns[:, t]
        at, along = np.append(basis, atom), np.append(-column, 1.0)
        along = -along if costs[at] @ along > 0 else along
        falling = np.flatnonzero(along < -_ZERO)
        steps = masses[at[falling]] / -along[falling]
        gone = int(falling[steps.argmin()])
        masses[at] = np.maximum(masses[at] + steps.min() * along, 0.0)
        masses[at[gone]] = 0.0
        if gone < rank:
            columns[:, t + 1 :] -= np.outer(column - (np.arange(rank) == gone), columns[gone, t + 1 :] / column[gone])
            basis[gone] = atom
    return SparsePlan(plan.shape, plan.tuples[masses > 0], masses[masses > 0])


def _incidence(plan: SparsePlan) -> Any:
    """One column for each atom, with a 1 in the row of each of its points."""
    from scipy.sparse import csr_array  # slow to import, and only for this

    starts = np.cumsum([0, *plan.shape[:-1]])
    rows, columns = (plan.tuples + starts).ravel(), np.repeat(np.arange(len(plan.masses)), len(plan.shape))
    return csr_array((np.ones(len(rows)), (rows, columns)), shape=(sum(plan.shape), len(plan.masses)))
