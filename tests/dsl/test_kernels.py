"""Kernel machines in experiments, against kernel ridge regression by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dsl import *
from dsl.modules import kept, split
from tests.conformance.harness import inputs
from tests.dsl.running import run
from tests.dsl.test_flows import weights_after

X = bits(6)
LAW = Labelled(Hypercube(6), X[0] + 0.5 * X[1] * X[2])


def machine(kernel=None, task=None, protocol=None, measure=None):
    return Training(
        task=task or Sample(LAW, n=20), model=KernelMachine(kernel or Rbf(2.0)), loss=SquaredLoss(),
        protocol=protocol or Ridge(lam=1e-2, draw=Exact()),
        measure=measure or (TestLoss(Exact()) @ every(1), TrainLoss() @ every(1)), seed=3)  # fmt: skip


def by_hand(profile, points, x, lam):
    """f at x, of kernel ridge regression on the points: scikit-learn's `KernelRidge(alpha=n * lam)`."""
    (inputs, y), n = map(np.asarray, points), len(points[1])
    distances = lambda a, b: np.linalg.norm(a[:, None] - b[None, :], axis=-1)
    alpha = np.linalg.solve(profile(distances(inputs, inputs)) + n * lam * np.eye(n), y)
    return profile(distances(x, inputs)) @ alpha


@pytest.mark.parametrize(
    ("kernel", "profile"),
    [(Rbf(2.0), lambda r: np.exp(-(r**2) / 8)), (Laplace(3.0), lambda r: np.exp(-r / 3))],
)
def test_ridge_is_kernel_ridge_regression_on_the_sample(kernel, profile):
    of = machine(kernel)
    found, constants = weights_after(of, 1)
    (x, y), _ = LAW.nodes()
    expected = by_hand(profile, constants["drawn"]["task"].points, np.asarray(x), 1e-2)
    losses = run(of)["TestLoss"]
    assert losses[0] == pytest.approx(float(np.mean(np.square(y))))  # f = 0 before the step
    assert losses[1] == pytest.approx(float(np.mean((expected - np.asarray(y)) ** 2)), rel=1e-4)
    assert found.dual.shape == (20,)


def test_the_inputs_and_the_metric_are_no_weights_but_are_kept_with_them():
    module = KernelMachine(Rbf(1.0)).init(None, LAW)
    assert [leaf.shape for leaf in jax.tree.leaves(split(module)[0])] == [(64,)]
    assert [leaf.shape for leaf in jax.tree.leaves(kept(module)[0])] == [(64,), (64, 6), (6, 6)]


def test_what_is_trained_is_the_same_function_on_another_sample():
    first = machine(measure=(TestLoss(Exact()) @ at_end(), Weights() @ at_end()))
    again = Training(
        task=Sample(LAW, n=7), model=Trained(first), loss=SquaredLoss(), protocol=Descent(1, Exact(), by=Sgd(0.0)),
        measure=(TestLoss(Exact()) @ at_end(),), seed=11)  # fmt: skip
    assert run(again, inputs(again))["TestLoss"][1] == pytest.approx(float(run(first)["TestLoss"][1]), rel=1e-5)


def test_descent_moves_the_coefficients():
    of = machine(protocol=Descent(50, Exact(), by=Sgd(0.05)), measure=(TrainLoss() @ every(50),))
    losses = run(of)["TrainLoss"]
    assert losses[50] < 0.5 * losses[0]


def test_a_law_that_is_known_whole_is_its_own_sample():
    of = machine(task=LAW, protocol=Ridge(1e-6, Exact()))
    assert run(of)["TestLoss"][1] < 1e-4


def test_vectors_of_outputs_have_coefficients_each():
    class Pair(Task[Bits, Reals]):
        shape, outputs, exact = (6,), 2, True

        def sample(self, key, n): ...

        def nodes(self):
            (x, y), weights = LAW.nodes()
            return (x, jnp.stack([y, 2 * y], axis=1)), weights

    module = KernelMachine(Rbf(1.0)).init(None, Pair())
    assert module(Hypercube(6).nodes()[0][:3]).shape == (3, 2)


def test_what_makes_no_kernel_machine_is_refused():
    with pytest.raises(SpecError, match="wrap the task: Sample"):
        machine(task=Labelled(Hypercube(30), bits(30)[0]), measure=(TestLoss(Fresh(4)) @ at_end(),))
    with pytest.raises(SpecError, match=r"bandwidth.*greater than 0"):
        Rbf(0.0)
    with pytest.raises(ValueError, match=r"draw with Exact\(\), got Fresh"):
        run(machine(protocol=Ridge(1e-2, Fresh(5))))
