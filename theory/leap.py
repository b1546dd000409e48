"""Leap and staircases: in which order the terms of a target can be found.

A support lists the nonzero terms of a target, each as a mapping from coordinates to exponents: all 1 on the cube (the
term is a character), Hermite degrees on Gaussian space. The empty mapping is the constant term and is dropped.
"""

import heapq
import itertools
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping
from typing import TypeAlias, TypeVar

Coordinate = TypeVar("Coordinate", bound=Hashable)
Support: TypeAlias = Iterable[Mapping[Coordinate, int]]


def leap(support: Support[Coordinate]) -> int:
    """The leap of a target, min over orders of its terms of max_i |S_i minus (S_1 u ... u S_{i-1})|_1.

    Coordinates that earlier terms hold are removed, and the remaining exponents are summed.

    Args:
        support: the terms, coordinate -> exponent >= 1.

    Returns:
        The leap; 0 for a target without a nonconstant term.

    Raises:
        ValueError: if an exponent is not positive.

    Source: arXiv 2302.11055, definition of Leap (from memory, unverified). That the greedy order attains the minimum
    is derived: what a threshold l on the new mass lets one reach is a closure, whatever the order.
    """
    return max((mass for _, mass in discovery(support)), default=0)


def discovery(support: Support[Coordinate]) -> list[tuple[Mapping[Coordinate, int], int]]:
    """The greedy order of a target's terms: always one with the least new mass, the first given among equals.

    Time is O(s log s + r l) for r terms of leap l with s coordinates in all.

    Args:
        support: the terms, coordinate -> exponent >= 1.

    Returns:
        Each nonconstant term with its new mass: the sum of its exponents on coordinates that no earlier term holds.

    Raises:
        ValueError: if an exponent is not positive.

    Source: as `leap`.
    """
    terms = _nonconstant(support)
    holders = _holders(terms)
    mass = {t: sum(term.values()) for t, term in enumerate(terms)}
    found: list[tuple[Mapping[Coordinate, int], int]] = []
    ready: list[tuple[int, int]] = []
    threshold = 0
    while mass:
        # Only masses up to the leap so far are kept in the heap: most terms fall many times before they can be next.
        if not ready:
            threshold = min(mass.values())
            ready = [(threshold, t) for t, m in mass.items() if m == threshold]
        new, t = heapq.heappop(ready)
        if mass.pop(t, None) is None:
            continue
        found.append((terms[t], new))
        for coordinate in terms[t]:
            for other in holders.pop(coordinate, ()):
                if other in mass:
                    mass[other] -= terms[other][coordinate]
                    if mass[other] <= threshold:
                        heapq.heappush(ready, (mass[other], other))
    return found


def closure(support: Support[Coordinate], threshold: int) -> frozenset[Coordinate]:
    """The coordinates that can be found without ever bringing more than `threshold` of new mass at once.

    With threshold = leap - 1 some term is left over: the terms within the closure are learned first, and the others
    are the residual of which lower bounds speak.

    Args:
        support: the terms, coordinate -> exponent >= 1.
        threshold: the most new mass of a term.

    Returns:
        The coordinates of the terms so reached, in whatever order they are taken.

    Raises:
        ValueError: if an exponent is not positive.

    Source: as `leap`.
    """
    reached = itertools.takewhile(lambda step: step[1] <= threshold, discovery(support))
    return frozenset(coordinate for term, _ in reached for coordinate in term)


def is_merged_staircase(support: Support[Coordinate]) -> bool:
    """Whether the terms have an order in which each brings at most one new coordinate, with exponent 1: leap <= 1.

    Args:
        support: the terms, coordinate -> exponent >= 1.

    Returns:
        The merged-staircase property; true for a target without a nonconstant term.

    Raises:
        ValueError: if an exponent is not positive.

    Source: arXiv 2202.08658, definition of the merged-staircase property (stated for characters).
    """
    return leap(support) <= 1


def is_staircase(support: Support[Coordinate]) -> bool:
    """Whether each term of degree >= 2 stands one step above another: the staircase property.

    On the cube: each S in the support with |S| >= 2 has an S' in the support that is S without one element. With
    exponents above 1, a step lowers one exponent by one (our extension: x^2 needs x). A staircase has leap <= 1.

    Args:
        support: the terms, coordinate -> exponent >= 1.

    Returns:
        The property; true for a target without a nonconstant term.

    Raises:
        ValueError: if an exponent is not positive.

    Source: arXiv 2108.10573, definition of a staircase function (from memory, unverified; without its bounds on the
    coefficients).
    """
    terms = _nonconstant(support)
    steps = _steps(terms)
    # A term is one integer with a digit per coordinate, so that lowering an exponent is a subtraction.
    codes = [sum(exponent * steps[c] for c, exponent in term.items()) for term in terms]
    known = set(codes)
    return all(
        sum(term.values()) == 1 or any(code - steps[c] in known for c in term)
        for term, code in zip(terms, codes, strict=True)
    )


def _nonconstant(support: Support[Coordinate]) -> list[Mapping[Coordinate, int]]:
    """The checked terms without the constant."""
    terms = list(support)
    for t, term in enumerate(terms):
        for coordinate, exponent in term.items():
            if exponent < 1:
                raise ValueError(f"term {t}: the exponent of coordinate {coordinate!r} is {exponent}, expected >= 1")
    return [term for term in terms if term]


def _holders(terms: list[Mapping[Coordinate, int]]) -> dict[Coordinate, list[int]]:
    """The terms that hold each coordinate."""
    holders: dict[Coordinate, list[int]] = defaultdict(list)
    for t, term in enumerate(terms):
        for coordinate in term:
            holders[coordinate].append(t)
    return holders


def _steps(terms: list[Mapping[Coordinate, int]]) -> dict[Coordinate, int]:
    """The unit of each coordinate's digit, in a base above every exponent."""
    width = max((exponent for term in terms for exponent in term.values()), default=1).bit_length()
    coordinates = dict.fromkeys(coordinate for term in terms for coordinate in term)
    return {coordinate: 1 << (width * place) for place, coordinate in enumerate(coordinates)}
