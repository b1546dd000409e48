import itertools
import random
import time
from collections.abc import Mapping

import pytest

from theory.leap import closure, discovery, is_merged_staircase, is_staircase, leap

Term = Mapping[int, int]


def sets(*supports: str) -> list[Term]:
    return [{int(c): 1 for c in support} for support in supports]


def random_support(rng: random.Random, exponents: int) -> list[Term]:
    terms = [rng.sample(range(5), rng.randint(1, 4)) for _ in range(rng.randint(1, 5))]
    return [{c: rng.randint(1, exponents) for c in term} for term in terms]


def leap_by_definition(support: list[Term]) -> int:
    def worst(order: tuple[Term, ...]) -> int:
        seen: set[int] = set()
        masses = []
        for term in order:
            masses.append(sum(e for c, e in term.items() if c not in seen))
            seen |= set(term)
        return max(masses)

    return min(map(worst, itertools.permutations(support)))


def staircase_by_definition(support: list[Term]) -> bool:
    known = {frozenset(term) for term in support}
    return all(len(s) == 1 or any(s - {c} in known for c in s) for s in known)


@pytest.mark.parametrize("exponents", [1, 3])
def test_leap_is_the_minimum_over_all_orders(exponents: int) -> None:
    rng = random.Random(exponents)
    for _ in range(1000):
        support = random_support(rng, exponents)
        assert leap(support) == leap_by_definition(support), support


def test_staircases_are_merged_staircases_and_not_conversely() -> None:
    rng = random.Random(0)
    seen = set()
    for _ in range(2000):
        support = random_support(rng, 1)
        assert is_merged_staircase(support) == (leap(support) <= 1)
        assert is_staircase(support) == staircase_by_definition(support)
        seen.add((is_staircase(support), is_merged_staircase(support)))
    assert seen == {(True, True), (False, True), (False, False)}


def test_staircases_with_exponents_have_leap_at_most_one() -> None:
    rng = random.Random(1)
    supports = [random_support(rng, 2) for _ in range(2000)]
    staircases = [support for support in supports if is_staircase(support)]
    assert len(staircases) > 50
    assert all(leap(support) <= 1 for support in staircases)


@pytest.mark.parametrize(
    ("support", "expected", "merged", "stair"),
    [
        ([], 0, True, True),
        ([{}], 0, True, True),
        (sets("1", "12", "123"), 1, True, True),
        (sets("123"), 3, False, False),
        (sets("1", "2", "3", "123"), 1, True, False),
        (sets("1", "123", "123456"), 3, False, False),
        (sets("12", "23", "13"), 2, False, False),
        ([{0: 1}, {1: 3}], 3, False, False),
        ([{0: 2}], 2, False, False),
        ([{0: 1}, {0: 2}], 1, True, True),
        ([{0: 1}, {0: 2, 1: 1}], 1, True, False),
    ],
)
def test_known_targets(support: list[Term], expected: int, merged: bool, stair: bool) -> None:
    assert leap(support) == expected
    assert is_merged_staircase(support) is merged
    assert is_staircase(support) is stair


def test_discovery_takes_the_least_new_mass_and_the_first_among_equals() -> None:
    support = [{0: 1, 1: 1, 2: 1}, {3: 2, 0: 1}, {}, {0: 1}, {1: 2}]
    assert discovery(support) == [({0: 1}, 1), (support[0], 2), (support[4], 0), (support[1], 2)]


def test_discovery_finds_each_term_once_with_its_new_mass() -> None:
    rng = random.Random(2)
    for _ in range(300):
        support = random_support(rng, 3)
        found, covered, waiting = discovery(support), set(), list(support)
        for term, mass in found:
            masses = [sum(e for c, e in other.items() if c not in covered) for other in waiting]
            assert mass == min(masses)
            assert term == waiting[masses.index(mass)]
            waiting.remove(term)
            covered |= set(term)
        assert not waiting


def test_the_closure_is_what_no_order_can_leave_and_every_order_reaches() -> None:
    rng = random.Random(4)
    for _ in range(500):
        support, threshold = random_support(rng, 3), rng.randint(0, 4)
        reached: set[int] = set()
        for _ in support:
            waiting = rng.sample(support, len(support))
            for term in waiting:
                if sum(e for c, e in term.items() if c not in reached) <= threshold:
                    reached |= set(term)
        assert closure(support, threshold) == reached


def test_below_the_leap_the_closure_leaves_some_term_and_at_the_leap_none() -> None:
    rng = random.Random(5)
    for _ in range(300):
        support = random_support(rng, 3)
        everything = {c for term in support for c in term}
        assert closure(support, leap(support)) == everything
        assert closure(support, leap(support) - 1) < everything
    assert closure(sets("1", "23", "245"), 1) == {1}
    assert closure([], 3) == frozenset()


def test_coordinates_may_be_any_hashable() -> None:
    assert leap([{"a": 1}, {"a": 1, ("b", 0): 2}]) == 2


@pytest.mark.parametrize("exponent", [0, -2])
@pytest.mark.parametrize(
    "function", [leap, discovery, lambda support: closure(support, 1), is_merged_staircase, is_staircase]
)
def test_exponents_that_are_not_positive_are_refused_by_name(function, exponent: int) -> None:
    with pytest.raises(ValueError, match=rf"term 1: the exponent of coordinate 7 is {exponent}"):
        function([{0: 1}, {3: 1, 7: exponent}])


def test_ten_thousand_terms_take_less_than_a_second() -> None:
    rng = random.Random(3)
    support = [dict.fromkeys(rng.sample(range(1000), rng.randint(1, 10)), 1) for _ in range(10_000)]
    start = time.process_time()
    leap(support)
    is_staircase(support)
    assert time.process_time() - start < 1


def test_a_deep_staircase_is_followed_to_its_end() -> None:
    support = [dict.fromkeys(range(depth), 1) for depth in range(400, 0, -1)]
    assert [mass for _, mass in discovery(support)] == [1] * 400
    assert is_staircase(support)
    assert not is_staircase([term for term in support if len(term) != 200])
