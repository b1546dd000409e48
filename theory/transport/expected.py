"""What functions refuse: arguments of another kind than they take, with what was got and where the right one is."""

from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from numbers import Integral
from typing import Any

import numpy as np
from jaxtyping import Array

_MADE = {
    "Cost": "TensorCost makes one of an array",
    "BarycenterCost": "BarycenterCost(points, weights) makes one",
    "LowRankPlusSparseCost": "LowRankPlusSparseCost(factors) makes one",
    "Measure": "Measure(points, masses) makes one",
    "Problem": "Problem(cost, marginals) makes one",
    "Iterate": "scalings(problem, eta, tol) gives one",
    "SparsePlan": "ColumnGeneration().solve(problem).plan is one",
}


def expect_a(name: str, given: Any, kind: type) -> None:
    """Refuses what is not of a kind, and says which part of it is, or what makes one.

    Args:
        name: of the argument, for the message.
        given: the argument.
        kind: what it should be.

    Raises:
        ValueError: if it is something else.
    """
    if isinstance(given, kind):
        return
    held = [field for field in _fields(given) if isinstance(getattr(given, field), kind)]
    hint = f"its {held[0]} is one" if held else _MADE[kind.__name__]
    raise ValueError(f"{name}: expected {_with_article(kind.__name__)}, got {written(given)}; {hint}")


def expect_arrays(name: str, given: Any) -> None:
    """Refuses what is no sequence of arrays, at least one.

    Args:
        name: of the argument, for the message.
        given: the argument; nested lists are arrays too.

    Raises:
        ValueError: if it is something else, such as one array of numbers.
    """
    several = isinstance(given, Sequence | np.ndarray | Array) and not isinstance(given, str) and _length(given)
    if not several or not all(isinstance(x, Sequence) or getattr(x, "ndim", 0) for x in given):
        raise ValueError(f"{name}: expected one array for each marginal, got {written(given)}")


def expect_count(name: str, given: Any, least: int, of: str) -> None:
    """Refuses what is no whole number, or below the least.

    Args:
        name: of the argument, for the message.
        given: the argument.
        least: the smallest that has a meaning.
        of: what is counted.

    Raises:
        ValueError: if it is something else.
    """
    if not isinstance(given, Integral):
        raise ValueError(f"{name} is {written(given)}, expected a whole number")
    if int(given) < least:
        raise ValueError(f"{name} is {given}, expected at least {least} {of}")


def expect_number(name: str, given: Any) -> None:
    """Refuses what cannot be compared with numbers, such as a text; NaN is a number here.

    Args:
        name: of the argument, for the message.
        given: the argument.

    Raises:
        ValueError: if it is no number.
    """
    if np.ndim(given) or not np.issubdtype(np.asarray(given).dtype, np.number):
        raise ValueError(f"{name} is {written(given)}, expected a number")


def expect_function(name: str, given: Any, example: str) -> None:
    """Refuses what cannot be called.

    Args:
        name: of the argument, for the message.
        given: the argument.
        example: of what can.

    Raises:
        ValueError: if it is something else.
    """
    if not callable(given):
        raise ValueError(f"{name}: expected a function such as `{example}`, got {written(given)}")


def written(given: Any) -> str:
    """What was got, in a few words: numbers and texts themselves, the shape of an array, the kind of anything else."""
    if isinstance(given, np.ndarray | Array):
        return f"an array of shape {given.shape}"
    if isinstance(given, int | float | str | None):
        return repr(given)
    if isinstance(given, type):
        return f"the class {given.__name__}"
    return _with_article(type(given).__name__)


def _length(given: Any) -> int:
    return len(given) if getattr(given, "ndim", 1) else 0


def _fields(given: Any) -> tuple[str, ...]:
    if is_dataclass(given) and not isinstance(given, type):
        return tuple(field.name for field in fields(given))
    return getattr(given, "_fields", ())


def _with_article(name: str) -> str:
    return f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}"
