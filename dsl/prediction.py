"""A statement of theory about a spec, and how one is made from the support of the spec's target."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dsl.analysis import Analysis
from dsl.solving import Problem, Solving
from dsl.spec import Spec
from dsl.support import Support, Unknown, target_support


@dataclass(frozen=True)
class Prediction:
    """One statement of theory about a spec.

    Attributes:
        name: what is predicted.
        value: the prediction (a number, a truth value, a tuple); None where it does not apply.
        applies: whether the spec meets the conditions.
        why: how the value comes about, or why the theory does not apply.
        conditions: what the spec must be for the theory to apply.
        citation: the arXiv number of the source, or `by definition`.
        verified: False while the source was quoted from memory.
    """

    name: str
    value: Any
    applies: bool
    why: str
    conditions: str
    citation: str
    verified: bool


_NEEDS = "a Training on Labelled(law, target) with a polynomial target on uniform bits or standard Gaussian inputs"


def about(
    spec: Spec, name: str, citation: str, value: Callable[[Support], tuple[Any, str]], verified: bool
) -> Prediction | None:
    """A prediction from the support alone; `value` gives it with its reason. None of what has no target."""
    if isinstance(spec, (Problem, Solving, Analysis)):
        return None
    try:
        support = target_support(spec)
        found, why = value(support)
    except Unknown as reason:
        return Prediction(name, None, False, str(reason), _NEEDS, citation, verified)
    return Prediction(name, found, True, why, support.conditions, citation, verified)
