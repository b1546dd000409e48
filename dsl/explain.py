"""What theory says of a spec before it runs: `explain(spec)`.

A rule is one function from a spec to a `Prediction`, or to None where it has nothing to say; `RULES` holds them all. A
rule that speaks also says when it does not apply, and why.
"""

from collections.abc import Callable

from dsl import feature_rules, hardness, reach, transport_rules
from dsl.prediction import Prediction as Prediction
from dsl.prediction import about
from dsl.spec import Spec
from dsl.support import Support, Unknown
from dsl.wording import key, listed, shown
from theory import leap as orders


def explain(spec: Spec) -> tuple[Prediction, ...]:
    """Every prediction of theory for a spec, those that do not apply included; nothing is run or sampled."""
    found = (rule(spec) for rule in RULES)
    return tuple(prediction for prediction in found if prediction is not None)


# ---------------------------------------------------------------- the rules


def support_rule(spec: Spec) -> Prediction | None:
    """The terms of the target in the basis of its law."""
    return about(spec, "support", "by definition", lambda s: (tuple(key(t, s) for t in s.terms), _counted(s)), True)


def staircase_rule(spec: Spec) -> Prediction | None:
    """Whether the target is a staircase function (2108.10573; without its bounds on the coefficients)."""
    return about(spec, "staircase", "2108.10573", _staircase, False)


def merged_staircase_rule(spec: Spec) -> Prediction | None:
    """Whether the target has the merged-staircase property (2202.08658)."""
    return about(spec, "merged staircase", "2202.08658", _merged, True)


def leap_rule(spec: Spec) -> Prediction | None:
    """The leap of the target (2302.11055), with the order in which its terms can be found."""
    return about(spec, "leap", "2302.11055", lambda s: (orders.leap(s.terms), _order(s)), False)


RULES: tuple[Callable[[Spec], Prediction | None], ...] = (
    support_rule,
    staircase_rule,
    merged_staircase_rule,
    leap_rule,
    hardness.isoleap_rule,
    hardness.exponent_rule,
    hardness.alignment_rule,
    hardness.csq_rule,
    hardness.linear_rule,
    hardness.kernel_rule,
    reach.reach_rule,
    *feature_rules.RULES,
    *transport_rules.RULES,
)


def _staircase(support: Support) -> tuple[bool, str]:
    _need_bits(support, "a staircase")
    if not support.terms:
        return True, _order(support)
    if orders.is_staircase(support.terms):
        return True, f"every term of two and more coordinates has one with one of them removed; {_order(support)}"
    known = {frozenset(term) for term in support.terms}
    lone = next(t for t in support.terms if len(t) > 1 and not any(frozenset(t) - {i} in known for i in t))
    return False, f"{shown(lone, support)} has no term with one of its coordinates removed"


def _merged(support: Support) -> tuple[bool, str]:
    _need_bits(support, "the merged-staircase property")
    if not support.terms:
        return True, _order(support)
    if orders.is_merged_staircase(support.terms):
        return True, f"each of its terms brings at most one new coordinate when {_order(support)}"
    term, new = next((t, new) for t, new in orders.discovery(support.terms) if new > 1)
    return False, f"even in the best order, {shown(term, support)} brings {new} new coordinates at once"


def _need_bits(support: Support, what: str) -> None:
    if not support.fourier:
        raise Unknown(f"{what} is defined for functions of bits; the leap extends it to Gaussian inputs")


# ---------------------------------------------------------------- words


def _counted(support: Support) -> str:
    n = len(support.terms)
    return f"{n} nonconstant term{'s' * (n != 1)}: {listed([shown(t, support) for t in support.terms])}"


def _order(support: Support) -> str:
    steps = [f"{shown(term, support)} (+{new})" for term, new in orders.discovery(support.terms)]
    unit = "coordinates" if support.fourier else "degrees on new coordinates"
    return f"found in the order {listed(steps, ' then ')}, with the number of new {unit}" if steps else "it is constant"
