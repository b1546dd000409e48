import pytest

from dsl import (
    Claim,
    Descent,
    Fresh,
    Hypercube,
    Labelled,
    Mlp,
    Point,
    Relu,
    Sgd,
    SquaredLoss,
    Study,
    Training,
    below,
    between,
    bits,
    grid,
    within,
)


def training(lr=0.1, seed=0):
    return Training(
        task=Labelled(Hypercube(4), bits(4)[0]),
        model=Mlp((2,), Relu()),
        loss=SquaredLoss(),
        protocol=Descent(steps=2, draw=Fresh(2), by=Sgd(lr)),
        measure=(),
        seed=seed,
    )


ANY = below(1.0)


def claim(measured=len, accept=ANY, predicted=None):
    return Claim("It is learned", "", measured, accept, predicted)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Study(3, []), "Study: name is 3 of type int; expected text"),
        (lambda: Study("a", 3), "Study 'a': points is 3 of type int; expected several points"),
        (lambda: Study("a", [training(), 3]), "Study 'a': points[1] is 3 of type int; expected an experiment"),
        (lambda: Study("a", [], claims=[3]), "claims[0] is 3 of type int; expected a Claim"),
        (lambda: Study("a", [], figures=[3]), "figures[0] is 3 of type int; expected a function draw(table, axes)"),
        (lambda: Point(3), "Point: spec is 3 of type int; expected an experiment"),
        (lambda: claim(accept=0.5), "Claim 'It is learned': accept is 0.5; expected within(...), below(...)"),
        (lambda: claim(measured=0.5), "measured is 0.5; expected a function of the study's table"),
        (lambda: claim(predicted="1"), "predicted is '1'; expected a number, a function of the table or None"),
        (lambda: below("1"), "Accept: high is '1'; expected a number"),
        (lambda: within("1"), "within: tolerance is '1'; expected a number"),
        (lambda: grid(3, seed=(0,)), "grid: make is 3 of type int; expected a function"),
        (lambda: grid(training, seed=3), "grid: the axis seed is 3 of type int; expected its values"),
        (lambda: grid(lambda seed: seed, seed=(7,)), "grid: the result of make(seed=7) is 7 of type int; expected an"),
    ],
)
def test_types_are_checked_when_built(make, message):
    with pytest.raises(TypeError) as error:
        make()
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: between(2, 1), "the band is [2, 1]; expected low <= high"),
        (lambda: below(float("nan")), "expected low <= high"),
        (lambda: claim(accept=within(0.1)), "predicted is None; expected a number or a function"),
        (
            lambda: Study("a", grid(lambda seed: training(), seed=(0, 1))),
            "Study 'a': points 0 and 1 are the same experiment although seed=0 and seed=1: does the function use it?",
        ),
        (lambda: Study("a", grid(training, seed=(0, 1, 0))), "points 0 and 2 are the same experiment with equal axes"),
        (lambda: Study("a", [training(), training()]), "points 0 and 1 are the same experiment with equal axes"),
    ],
)
def test_values_that_make_no_sense_are_refused(make, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011 # the message is compared below
        make()
    assert message in str(error.value)


def test_any_iterables_make_a_study():
    study = Study("a", (training(seed=s) for s in range(2)), iter([claim(predicted=0.5, accept=within(0.1))]), [print])
    assert [len(part) for part in (study.points, study.claims, study.figures)] == [2, 1, 1]
