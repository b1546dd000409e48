"""Grids and atoms that are too many for a solver are told when the spec is written, with the most that fit."""

import pytest

from dsl import *

SQUARE = Barycenter(SparseSquare(10, 10))


def cube(n, k, d):
    return Barycenter(RandomMeasures(n, k, d, half_width=1.0))


def solving(problem, by):
    return Solving(problem, by, (Objective(),), precision="float64")


REFUSED = {
    "grid": (
        lambda: solving(SQUARE, Bregman(side=4096, eta=10.0)),
        r"by.side: 1.68e\+07 points of the grid, with costs to 100 points, .* side=128 fits; ColumnGeneration\(\) has",
    ),
    "grid in space": (
        lambda: solving(cube(5, 3, 3), Bregman(side=400, eta=10.0)),
        r"by.side: 6.4e\+07 points of the grid, with costs to 15 points, are too many: side=25 fits",
    ),
    "grid of many measures": (
        lambda: solving(cube(100, 100, 2), Bregman(side=100, eta=10.0)),
        r"by.side: 1e\+04 points of the grid, with costs to 10000 points, are too many: side=81 fits",
    ),
    "grid in many dimensions": (
        lambda: solving(cube(5, 3, 20), Bregman(side=2, eta=10.0)),
        "by.side: .* no grid fits in this dimension",
    ),
    "linear program": (
        lambda: solving(cube(5, 3, 10), FixedGrid(side=10)),
        r"by.side: 1.6e\+11 variables are more than 2\^21: take fewer points, side=3 fits; ColumnGeneration\(\) has 15",
    ),
    "a number too long to write": (
        lambda: solving(cube(5, 3, 2**18), FixedGrid(side=4096)),
        r"by.side: 2\^3145732 variables are more than 2\^21: .* no grid fits in this dimension",
    ),
    "atoms that move": (
        lambda: solving(SQUARE, FreeSupport(atoms=10**5, restarts=1)),
        r"by.atoms: expected at most 4096, got 100000: linear programs of 100000 x 10 variables",
    ),
    "atoms, entropic": (
        lambda: solving(SQUARE, EntropicFreeSupport(atoms=10**5, eta=1.0)),
        r"by.atoms: expected at most 16384, got 100000: .* ColumnGeneration\(\) has 100 rows",
    ),
    "atoms, of low rank": (
        lambda: solving(cube(1000, 2, 2), LowRankFreeSupport(atoms=5000, rank=2)),
        r"by.atoms: expected at most 4194, got 5000: linear programs of 5000 x 1000 variables",
    ),
    "pairs of measures": (
        lambda: solving(cube(2**18, 2, 2), FreeSupport(atoms=10, restarts=1)),
        r"by: squared distances between 262144 and 262144 points take 1.37e\+11 numbers, .* at most 5792 points",
    ),
    "points": (
        lambda: RandomMeasures(2**18, 2**18, 3, half_width=1.0),
        r"n: expected at most 85, got 262144: 262144 measures of n points have 2.06e\+11 coordinates, more than 2\^26",
    ),
    "measures": (lambda: RandomMeasures(2, 2**18, 2**18, half_width=1.0), "n: expected fewer measures"),
}


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_too_large_is_told_where_it_is_written_with_what_fits(make, message):
    with pytest.raises(SpecError, match=message):
        make()


@pytest.mark.parametrize(
    ("problem", "by"),
    [
        (SQUARE, Bregman(side=128, eta=10.0)),
        (cube(5, 3, 3), Bregman(side=25, eta=10.0)),
        (cube(100, 100, 2), Bregman(side=81, eta=10.0)),
        (cube(5, 3, 10), FixedGrid(side=3)),
        (SQUARE, FreeSupport(atoms=4096, restarts=1)),
        (SQUARE, EntropicFreeSupport(atoms=16384, eta=1.0)),
        (cube(1000, 2, 2), LowRankFreeSupport(atoms=4194, rank=2)),
        (cube(5792, 2, 2), FreeSupport(atoms=10, restarts=1)),
        (cube(85, 2**18, 3), ColumnGeneration()),
        (Barycenter(StoredMeasures(Stored("a.npz", "0" * 64))), Bregman(side=4096, eta=10.0)),
    ],
    ids=repr,
)
def test_what_messages_say_fits_is_accepted(problem, by):
    assert solving(problem, by).by == by
