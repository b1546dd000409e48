"""The support of a target: its nonzero terms in the orthogonal basis of the law it is learned on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dsl.domains import inner, stands_for_noun
from dsl.groups import GroupElement
from dsl.laws import Gaussian, Hypercube
from dsl.polynomials import FourierPolynomial, Polynomial, fourier
from dsl.spec import Spec
from dsl.targets import Additive, Scaled, Sum, total
from dsl.tasks import Labelled
from dsl.training import Training

ROUNDING = 1e-12
"""Coefficients below this share of the largest are what rounding left of a cancelled term."""

Term = Mapping[int, int]


@dataclass(frozen=True)
class Support:
    """The nonzero terms of a target on its law, coordinate -> exponent, without the constant.

    Attributes:
        terms: all exponents are 1 in the Fourier basis; Hermite degrees in the other one.
        coefficients: of the terms, in their order.
        d: the number of coordinates of the law.
        fourier: whether the basis is that of the cube.
        conditions: the law and the basis in words.
    """

    terms: tuple[Term, ...]
    coefficients: tuple[float, ...]
    d: int
    fourier: bool
    conditions: str


class Unknown(Exception):
    """A support cannot be given; the message says why."""


def target_support(spec: Spec) -> Support:
    """The support of the target that a training learns, on the law behind any sample.

    Raises:
        Unknown: with the reason, where it is not known.
    """
    return _support(_labelled(spec))


def _labelled(spec: Spec) -> Labelled[Any, Any]:
    if not isinstance(spec, Training):
        raise Unknown(f"a {type(spec).__name__} has no target to learn; this needs a Training")
    task = inner(spec.task)
    if not isinstance(task, Labelled):
        raise Unknown(f"the task is a {type(task).__name__}, not Labelled(law, target): its target is not known")
    return task


def _support(task: Labelled[Any, Any]) -> Support:
    law, target = inner(task.x), _polynomial(task.y, task.shape)
    if isinstance(law, Hypercube):
        scaled = target.scaled(1.0)  # terms of weight 0 go, and a constant has one form
        on_bits = fourier(scaled) if isinstance(scaled, Polynomial) else scaled
        assert isinstance(on_bits, FourierPolynomial)
        weights = {tuple((i, 1) for i in term.on): term.weight for term in on_bits.terms}
        return Support(
            *_kept(weights, target), law.d, True, "uniform bits; Fourier basis; the law behind any finite sample"
        )
    if isinstance(law, Gaussian) and law.scale == 1.0 and isinstance(target, Polynomial):
        conditions = (
            "standard Gaussian inputs; Hermite basis in the given coordinates; the law behind any finite sample"
        )
        return Support(*_kept(target.hermite_terms(), target), law.d, False, conditions)
    if isinstance(law, Gaussian) and law.scale != 1.0:
        raise Unknown(f"the Hermite basis used here is that of Gaussian(scale=1.0), the law has scale={law.scale}")
    raise Unknown(f"no orthogonal basis is known for the law {type(law).__name__}")


def _polynomial(noun: Any, shape: tuple[int, ...]) -> Polynomial | FourierPolynomial:
    """The polynomial that a target is, also when a file writes its terms one by one."""
    if stands_for_noun(type(noun)):
        return _in_frame(_polynomial(noun.noun, shape), noun.__dict__.get("by"), shape)
    if isinstance(noun, Scaled):
        return _polynomial(noun.target, shape).scaled(noun.weight)  # type: ignore[return-value]  # scaling keeps the class
    if isinstance(noun, Sum):
        noun = total(_polynomial(term, shape) for term in noun.terms)
    if not isinstance(noun, Additive):
        raise Unknown(f"no sparse expansion of {type(noun).__name__} is known")
    return noun  # type: ignore[return-value]  # the two polynomials are the only ones


def _in_frame(target: Any, by: Any, shape: tuple[int, ...]) -> Any:
    """f(g^-1 x) for the element g of a `Moved`: signs[i] * x[i] in the place of coordinate order[i] of f."""
    if not isinstance(by, GroupElement):
        return target
    order, signs = by.parts(shape[0])
    inverse = np.argsort(order)
    return target.renamed(inverse.tolist(), signs[inverse].tolist())


def _kept(
    weights: Mapping[tuple[tuple[int, int], ...], float], written: Any
) -> tuple[tuple[Term, ...], tuple[float, ...]]:
    sizes = [abs(w) for w in weights.values()] + [abs(term.weight) for term in written.terms]
    kept = [key for key, weight in weights.items() if key and abs(weight) > ROUNDING * max(sizes)]
    ordered = sorted(kept, key=lambda key: (sum(k for _, k in key), key))
    return tuple(map(dict, ordered)), tuple(weights[key] for key in ordered)
