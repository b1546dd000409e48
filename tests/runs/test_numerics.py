"""What records say of what their numbers depend on."""

import importlib.metadata
from dataclasses import replace

from dsl import *
from runs.numerics import PACKAGES, differences, further, numerics

TRAINED = Training(
    task=Split(Digits(), part="train"),
    model=Mlp((4,), activation=Relu()),
    loss=CrossEntropy(),
    protocol=Descent(1, Shuffled(10), by=Adam(lr=1e-3)),
    measure=(Weights() @ at_end(),),
    seed=0,
)


def test_the_packages_of_single_nouns_are_named_and_those_of_inner_experiments():
    installed = {"scikit-learn": importlib.metadata.version("scikit-learn")}
    assert further(TRAINED) == installed
    stored = StoredExamples(Stored("examples.npz", "0" * 64), n=20, x_shape=(64,), y_length=10)
    assert further(replace(TRAINED, task=stored)) == {}
    outer = replace(TRAINED, task=stored, model=Trained(TRAINED))
    assert further(outer) == installed
    assert further(Solving(Clique(Cycle(5), 3), BruteForce(), (Objective(),))) == {}
    reduced = ByReduction(CliqueToTransport(), KelleyCuts(NaiveLp()))
    assert set(further(Solving(Clique(Cycle(5), 3), reduced, (Objective(),)))) == {"highspy"}


def test_another_version_of_such_a_package_is_a_difference():
    now = numerics(TRAINED, lanes=1)
    then = {**now, "versions": {**now["versions"], "scikit-learn": "0.1"}}
    installed = importlib.metadata.version("scikit-learn")
    assert differences(then, now) == [f"versions.scikit-learn: 0.1 then, {installed} now"]
    assert set(now["versions"]) == {*PACKAGES, "scikit-learn"}


class Needy(Measurement):
    """Computed by what is not installed."""

    packages = ("no-such-distribution",)

    def __call__(self, experiment, state, constants, key):
        return 0.0


def test_a_package_that_is_absent_has_no_version():
    lone = Analysis(of=Hypercube(3), measure=(Needy(),))
    assert further(lone) == {"no-such-distribution": None}
