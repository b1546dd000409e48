"""Rules of `explain` on features: what converged networks must have (2507.05644), what GULP bounds (2210.06545)."""

from collections.abc import Callable
from typing import Any

from dsl.activations import HermiteSeries
from dsl.analysis import Analysis
from dsl.distances import DistanceMatrix, Gulp
from dsl.losses import decay
from dsl.models import Mlp, architecture
from dsl.prediction import Prediction
from dsl.protocols import Descent
from dsl.spec import Spec
from dsl.training import Training

_CONDITIONS = "loss + L2(lam), lam > 0, by an optimizer that comes to rest where the gradient of that sum is 0"


def fact_rule(spec: Spec) -> Prediction | None:
    """What W^T W is at a critical point; silent where the loss has no penalty and the weights do not decay."""
    if not isinstance(spec, Training) or not isinstance(spec.protocol, Descent):
        return None
    lam, obstacle = _penalty(spec.loss), spec.protocol.by.no_critical_point
    told = lambda value, why: Prediction("FACT", value, value is not None, why, _CONDITIONS, "2507.05644", True)
    if not lam and not hasattr(spec.protocol.by, "decay"):
        return None
    if obstacle is not None:
        return told(None, f"{type(spec.protocol.by).__name__} {obstacle}")
    if not lam:
        return told(None, f"{spec.loss!r} has no penalty L2(lam)")
    return told(1.0, "the cosine of W^T W and -W^T G / lam, G the gradient of the loss in W, in every trained layer")


def ansatz_rule(spec: Spec) -> Prediction | None:
    """The powers of the neural feature ansatz in a linear network: layer l of L has 1 / (L - l + 1)."""
    model = architecture(spec.model) if isinstance(spec, Training) else None
    if not isinstance(spec, Training) or not isinstance(model, Mlp) or not _linear(model) or not _penalty(spec.loss):
        return None
    count = len(model.widths) + 1
    powers = tuple(1 / (count - layer) for layer in range(count))
    why = f"W^T W is proportional to AGOP to the {', '.join(f'1/{count - layer}' for layer in range(count))}, by layer"
    conditions = "a linear network without biases, balanced as it is where loss + L2(lam) is least"
    return Prediction("powers of the ansatz", powers, True, why, conditions, "derived; 2510.15563", True)


def gulp_rule(spec: Spec) -> Prediction | None:
    """What the distances between representations bound, and what they are at the ends of the ridges."""
    if not isinstance(spec, Analysis):
        return None
    matrices = (noun.distance for noun in spec.measure if isinstance(noun, DistanceMatrix))
    lams = tuple(sorted({float(lam) for distance in matrices if isinstance(distance, Gulp) for lam in distance.lams}))
    if not lams:
        return None
    ends = "at 0 its square is a linear function of mean squared CCA (full ranks), for large lam it is that of CKA"
    why = f"at {', '.join(f'{lam:g}' for lam in lams)}: for every task with E eta^2 <= 1 two ridge regressions at lam "
    why += f"differ by at most the distance, in L2; {ends}"
    conditions = "centred representations of trace 1, of the law of the inputs; from n inputs the error is O(n^-1/2)"
    return Prediction("GULP bounds gaps", lams, True, why, conditions, "2210.06545", True)


RULES: tuple[Callable[[Spec], Prediction | None], ...] = (fact_rule, ansatz_rule, gulp_rule)


def _linear(model: Mlp) -> bool:
    activation: Any = model.activation
    if model.bias or not isinstance(activation, HermiteSeries):
        return False
    return len(activation.coefficients) == 2 and activation.coefficients[0] == 0


def _penalty(loss: Any) -> float:
    try:
        return float(decay(loss))
    except ValueError:  # a penalty other than L2
        return 0.0
