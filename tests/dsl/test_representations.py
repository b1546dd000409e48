"""Representations of trained networks and the distances between them, against numpy on the weights."""

import functools
import types
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dsl import *
from dsl.keys import streams
from dsl.program import references
from dsl.realise import realised
from runs.execute import execute
from runs.here import run as run_here
from runs.options import RunError, RunOptions
from runs.plan import stages
from runs.store import InMemory
from tests.dsl.running import run

LAW = Labelled(Hypercube(8), bits(8)[0] * bits(8)[1])  # normal draws would be rounded as the compiler likes
INPUTS = Sample(LAW, n=30)
LAMS = (0.0, 1e-3, 0.1, 10.0)
MADE = Representation(Mlp((3,), Tanh()), INPUTS, 0)


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def net(width, depth, seed=0):
    return Training(
        task=Sample(LAW, n=12), model=Mlp((width,) * depth, Tanh()), loss=SquaredLoss(),
        protocol=Descent(5, Exact(), by=Sgd(0.1)), measure=(Weights() @ at(0, 5),), seed=seed,
        precision="float64")  # fmt: skip


NETS = (net(5, 1), net(6, 2), net(7, 2, seed=3))


def compared(*measure, layer=-2, nets=NETS, on=INPUTS, **changes):
    of = tuple(Representation(Trained(one), on=on, layer=layer) for one in nets)
    return Analysis(of=of, measure=measure, precision="float64", **changes)


def inputs_of_the_sample(seed=0):
    return realised(INPUTS, streams(seed)).points[0]


@functools.cache
def weights(one):
    """Those of a training, by step."""
    return run(one)["Weights"]


def given(of):
    """What an analysis reads of its trainings."""
    sources = {path: noun.source() for path, noun in references(of).items()}
    return {path: weights(one)[step] for path, (one, _, step) in sources.items()}


def by_hand(one, x):
    """The last hidden layer of a trained network."""
    found = {name: np.asarray(value) for name, value in weights(one)[5].items()}
    h = x
    for i in range(len(one.model.widths)):
        h = np.tanh(h @ found[f"hidden[{i}].weight"].T + found[f"hidden[{i}].bias"])
    return h


def features_of(of):
    program = compile(of)
    drawn = jax.jit(program.constants)(program.knobs(of), given(of))["drawn"]
    return [np.asarray(drawn[f"of[{i}]"].values) for i in range(len(of.of))]


def normalised(a):
    a = a - a.mean(axis=0)
    return a / np.linalg.norm(a) * np.sqrt(len(a))


def gulp(a, b, lam):
    """The closed form on covariance matrices."""
    a, b = normalised(a), normalised(b)
    sa, sb, sab = a.T @ a / len(a), b.T @ b / len(a), a.T @ b / len(a)
    pa, pb = np.linalg.inv(sa + lam * np.eye(len(sa))), np.linalg.inv(sb + lam * np.eye(len(sb)))
    square = np.trace(pa @ sa @ pa @ sa) + np.trace(pb @ sb @ pb @ sb) - 2 * np.trace(pa @ sab @ pb @ sab.T)
    return np.sqrt(max(square, 0.0))


def pairs(f, features):
    return np.array([[f(a, b) for b in features] for a in features])


def test_a_representation_is_the_layer_of_the_trained_network():
    of = compared(nets=NETS[:2])
    x = np.asarray(inputs_of_the_sample())
    for found, one in zip(features_of(of), NETS[:2], strict=True):
        np.testing.assert_allclose(found, by_hand(one, x), rtol=1e-12)


def test_layers_have_numbers_and_names():
    of = Analysis(
        of=tuple(Representation(Trained(NETS[1]), INPUTS, layer) for layer in (0, -3, "hidden[0]", -1, "readout")),
        measure=(), precision="float64")  # fmt: skip
    x = np.asarray(inputs_of_the_sample())
    w = {name: np.asarray(value) for name, value in weights(NETS[1])[5].items()}
    first = np.tanh(x @ w["hidden[0].weight"].T + w["hidden[0].bias"])
    second = np.tanh(first @ w["hidden[1].weight"].T + w["hidden[1].bias"])
    last = second @ w["readout.weight"].T + w["readout.bias"]
    for found, expected in zip(features_of(of), (first, first, first, last, last), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-11)


def test_distance_matrices_are_those_of_the_definitions():
    of = compared(*map(DistanceMatrix, (Gulp(LAMS), Cca(), Cka(), Procrustes(), Svcca(0.8), Pwcca())))
    features = [by_hand(one, np.asarray(inputs_of_the_sample())) for one in NETS]
    found = {name: np.asarray(value[0]) for name, value in run(of, given(of)).items()}
    assert found["DistanceMatrix"].shape == (4, 3, 3)
    for i, lam in enumerate(LAMS):
        expected = pairs(functools.partial(gulp, lam=lam), features)
        np.testing.assert_allclose(found["DistanceMatrix"][i], expected, atol=1e-6)

    def whitened(a):
        return np.linalg.svd(normalised(a), full_matrices=False)[0]

    def cca(a, b):
        rho = np.linalg.svd(whitened(a).T @ whitened(b), compute_uv=False)
        return 1 - np.sum(rho**2) / min(a.shape[1], b.shape[1])

    def cka(a, b):
        a, b = normalised(a), normalised(b)
        return 1 - np.sum((a.T @ b) ** 2) / np.linalg.norm(a.T @ a) / np.linalg.norm(b.T @ b)

    def procrustes(a, b):
        nuclear = np.linalg.norm(normalised(a).T @ normalised(b) / len(a), "nuc")
        return np.sqrt(max(2 - 2 * nuclear, 0.0))

    def svcca(a, b):
        leading = []
        for x in map(normalised, (a, b)):
            u, s, _ = np.linalg.svd(x, full_matrices=False)
            leading.append(u[:, : 1 + np.searchsorted(np.cumsum(s**2), 0.8 * np.sum(s**2))])
        rho = np.linalg.svd(leading[0].T @ leading[1], compute_uv=False)
        return 1 - np.mean(rho)

    def pwcca(a, b):
        u, rho, v = np.linalg.svd(whitened(a).T @ whitened(b), full_matrices=False)
        shares = [np.abs((whitened(x) @ basis).T @ normalised(x)).sum(axis=1) for x, basis in ((a, u), (b, v.T))]
        return np.mean([1 - share @ rho / share.sum() for share in shares])

    whole = {name: found[f"DistanceMatrix(distance={name}())"] for name in ("Cca", "Cka", "Procrustes", "Pwcca")}
    np.testing.assert_allclose(found["DistanceMatrix(distance=Svcca(keep=0.8))"], pairs(svcca, features), atol=1e-6)
    np.testing.assert_allclose(whole["Pwcca"], pairs(pwcca, features), atol=1e-6)
    for name, f in {"Cca": cca, "Cka": cka, "Procrustes": procrustes}.items():
        np.testing.assert_allclose(whole[name], pairs(f, features), atol=1e-6)


def test_prediction_gaps_are_those_of_ridge_regressions():
    of = compared(PredictionGap(RandomLabels(), lam=0.05), seed=4)
    features = [by_hand(one, np.asarray(inputs_of_the_sample(4))) for one in NETS]
    program = compile(of)
    y = np.asarray(jax.jit(program.constants)(program.knobs(of), given(of))["measure"]["PredictionGap"])
    predictions = []
    for a in features:
        train, test = normalised(a[::2]), normalised(a[1::2])
        beta = np.linalg.solve(train.T @ train / 15 + 0.05 * np.eye(train.shape[1]), train.T @ y / 15)
        predictions.append(test @ beta)
    found = np.asarray(run(of, given(of), by=program)["PredictionGap"][0])
    np.testing.assert_allclose(found, pairs(lambda a, b: np.mean((a - b) ** 2), predictions), atol=1e-12)
    assert y.std() == pytest.approx(1, abs=0.5)


def test_steps_of_one_training_are_its_representations_in_time():
    moved = tuple(Representation(Trained(NETS[0], at=step), INPUTS, -2) for step in (0, 5))
    of = Analysis(of=moved, measure=(DistanceMatrix(Gulp((0.1,))),), precision="float64")
    assert run(of, given(of))["DistanceMatrix"][0][0, 0, 1] > 1e-3


def test_an_untrained_model_is_represented_as_it_is_initialised():
    of = Analysis(of=(MADE, MADE), measure=(DistanceMatrix(Cka()),), precision="float64")
    np.testing.assert_allclose(run(of)["DistanceMatrix"][0], 0.0, atol=1e-12)


# ---------------------------------------------------------------- what cannot be compared


EVERY = (
    *map(DistanceMatrix, (Gulp((0.0, 0.1)), Cca(), Cka(), Procrustes(), Svcca(), Pwcca())),
    PredictionGap(RandomLabels(), lam=0.1),
)
UNITS = np.random.default_rng(2).normal(size=(30, 4))
BROKEN = {
    "constant": np.full((30, 4), 0.1),
    "constant up to rounding": 0.1 * (1 + np.finfo(float).eps * np.sign(UNITS)),
    "not a number": np.where(UNITS == UNITS.max(), np.nan, UNITS),
    "infinite": np.where(UNITS == UNITS.max(), np.inf, UNITS),
}
HALVES = {half: np.where(np.arange(30)[:, None] % 2 == half, 3.0, UNITS) for half in (0, 1)}


def measured(measure):
    """As in a program: of arrays that are not known when it is traced."""
    held = lambda units: types.SimpleNamespace(of=[types.SimpleNamespace(values=each) for each in units])
    labels = np.random.default_rng(3).normal(size=15)
    return jax.jit(lambda *units: measure(held(units), None, jnp.asarray(labels), None))


@pytest.mark.parametrize(
    "measure", [EVERY[2], EVERY[-1], *(pytest.param(m, marks=pytest.mark.slow) for m in (*EVERY[:2], *EVERY[3:-1]))]
)
def test_what_has_no_scale_or_is_not_finite_fails_by_its_place(measure):
    """Its row is NaN, the diagonal too; the rows of the others are as they are without it."""
    of, other, small = measured(measure), UNITS[::-1] ** 3, 1e6 + 1e-6 * UNITS
    known = np.asarray(of(UNITS, small, other))
    assert measure.failure(known) is None
    for units in (*BROKEN.values(), *(HALVES.values() if isinstance(measure, PredictionGap) else ())):
        value = np.asarray(of(UNITS, units, other))
        assert np.isnan(value[..., 1, :]).all()
        assert np.isnan(value[..., :, 1]).all()
        np.testing.assert_array_equal(value[..., ::2, ::2], known[..., ::2, ::2])
        problem = "of[1]: units that are constant over the inputs, or not finite, cannot be compared"
        assert measure.failure(value) == problem


def test_a_point_with_such_a_representation_fails_and_says_which():
    """The activation 1 is constant."""
    of = Analysis(of=(MADE, Representation(Mlp((3,), HermiteSeries((1.0,))), INPUTS, 0)), measure=(EVERY[2],))
    with pytest.raises(RunError, match=r"ValueError: DistanceMatrix: of\[1\]: units that are constant over the inputs"):
        run_here(replace(of, precision="float64"))


@pytest.mark.slow
def test_it_is_recorded_as_failed_and_the_others_go_on():
    store, told = InMemory(), []
    flat, tilted = (Representation(Mlp((3,), HermiteSeries(c)), INPUTS, 0) for c in ((1.0, 0.0), (0.0, 1.0)))
    points = [Analysis(of=(one, MADE), measure=(EVERY[2],), precision="float64") for one in (flat, tilted)]
    (stage,) = stages(points)
    assert len(stage.groups) == 1
    execute(stage.groups, store, RunOptions(), told.append)
    failed, finished = (store.status(digest(point)) for point in points)
    assert failed.startswith("failed: ValueError: DistanceMatrix: of[0]: units that are constant over the inputs")
    assert finished == "finished"
    assert [event["message"] for event in told if event["event"] == "error"] == [failed.removeprefix("failed: ")]


def test_pairs_without_a_finite_value_are_named():
    broken = np.zeros((2, 3, 3))
    broken[1, 0, 2] = broken[1, 2, 0] = np.inf
    assert EVERY[0].failure(broken) == "of[0] and of[2] have no finite value"
    broken[0, 0, 0] = broken[1, 2, 2] = np.nan
    assert EVERY[0].failure(broken).startswith("of[0], of[2]: units that")


@pytest.mark.parametrize(
    "other",
    [
        Sample(LAW, n=7),
        Sample(Labelled(Hypercube(9), bits(9)[0]), n=30),
        Sample(LAW, n=30, replace=False),
        Seeded(INPUTS, 1),
    ],
    ids=repr,
)
@pytest.mark.parametrize("measure", [EVERY[2], EVERY[-1]], ids=repr)
def test_other_inputs_are_refused_by_both_names(other, measure):
    there = Representation(Mlp((3,), Tanh()), other, 0)
    with pytest.raises(SpecError) as error:
        Analysis(of=(MADE, MADE, there), measure=(measure,))
    assert f"expected the same inputs, but of[2] is on {other!r} and of[0] on {INPUTS!r}" in str(error.value)


def test_long_nouns_are_folded_and_what_differs_is_named():
    law = lambda d: Sample(Labelled(Hypercube(d), total(bits(d)[i] for i in range(8))), n=30)
    with pytest.raises(SpecError) as error:
        Analysis(of=tuple(Representation(Mlp((3,), Tanh()), law(d), 0) for d in (8, 9)), measure=(EVERY[2],))
    assert len(repr(law(8))) > 300
    assert len(str(error.value)) < 520
    assert str(error.value).endswith("n=30, replace=True); they differ first in noun.x.d")


def test_seeds_draw_other_inputs_where_something_is_drawn():
    made = lambda on, *seeds: functools.reduce(Seeded, seeds, Representation(Mlp((3,), Tanh()), on, 0))
    compare = lambda *of: Analysis(of=of, measure=(DistanceMatrix(Cka()),))
    law = Digits()
    for one, other in (
        (made(Seeded(INPUTS, 1)), made(Seeded(INPUTS, 2))),
        (made(INPUTS, 1), made(INPUTS, 2)),
        (made(INPUTS, 1), made(INPUTS)),
        (made(INPUTS, 2, 1), made(INPUTS, 1)),
    ):
        with pytest.raises(SpecError, match=r"expected the same inputs, but of\[1\] is on Seeded|on Sample.*on Seeded"):
            compare(one, other)
    compare(made(law, 1), made(law, 2), made(law))  # two networks at the same points
    compare(made(Seeded(INPUTS, 3), 1), made(Seeded(INPUTS, 3), 2))
    compare(made(INPUTS, 1, 2), made(INPUTS, 1), made(Seeded(INPUTS, 1)))


@pytest.mark.parametrize(("measure", "least"), [(EVERY[2], 2), (EVERY[-1], 4)])
def test_too_few_inputs_are_refused(measure, least):
    of = lambda n: tuple(Representation(Mlp((width,), Tanh()), Sample(LAW, n=n), 0) for width in (3, 4))
    for n in range(1, least):
        with pytest.raises(SpecError, match=rf"expected at least {least} inputs, got {n} of Sample"):
            Analysis(of=of(n), measure=(measure,))
    Analysis(of=of(least), measure=(measure,))


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("hiden[1]", r"no layer 'hiden\[1\]' \(did you mean 'hidden\[1\]'\?\)"),
        (3, r"expected -3 to 2, got 3 \(nearest: 2\)"),
        (-4, r"expected -3 to 2, got -4 \(nearest: -3\)"),
    ],
)
def test_a_layer_that_does_not_exist_names_the_nearest(layer, message):
    with pytest.raises(SpecError, match=message):
        Representation(Mlp((2, 2), Tanh()), INPUTS, layer)


def test_no_more_inputs_than_units_at_zero_are_a_warning_with_the_rank():
    few = tuple(Representation(Mlp((width,), Tanh()), Sample(LAW, n=8), 0) for width in (3, 9))
    build = lambda lams, of: Analysis(of=of, measure=(DistanceMatrix(Gulp(lams)),), precision="float64")
    build((0.0,), few[:1] * 2)
    build((0.1,), few)
    doubtful = build((0.1, 0.0), few)  # which says nothing: a run does, once
    with pytest.warns(UserWarning, match="lam = 0: 8 inputs of 9 units have rank 7 at most") as warned:
        run_here(Study("doubtful", [doubtful, replace(doubtful, seed=1)]))
    assert len(warned) == 1


def test_what_cannot_be_represented_or_compared_is_refused():
    with pytest.raises(SpecError, match="expected a finite sample"):
        Representation(Mlp((2,), Tanh()), LAW, 0)
    with pytest.raises(SpecError, match="expected a model of layers"):
        Representation(KernelMachine(Rbf(1.0)), INPUTS, 0)
    with pytest.raises(SpecError, match="its weights were trained to read x of shape"):
        Representation(Trained(NETS[0]), Sample(Labelled(Gaussian(5), reals(5)[0]), n=9), 0)
    with pytest.raises(SpecError, match="two or more Representations, got 1"):
        Analysis(of=(MADE,), measure=(DistanceMatrix(Cka()),))
    with pytest.raises(SpecError, match="two or more Representations, got Gaussian"):
        Analysis(of=(MADE, Gaussian(2)), measure=(PredictionGap(RandomLabels(), lam=0.1),))
    with pytest.raises(SpecError, match=r"distance.lams\[0\]: 1e-08 needs an Analysis with precision='float64'"):
        Analysis(of=(MADE, MADE), measure=(DistanceMatrix(Gulp((1e-8,))),))
    with pytest.raises(SpecError, match="greater than or equal to 0"):
        Gulp((-0.1,))
    with pytest.raises(SpecError, match="at least one ridge"):
        Gulp(())
