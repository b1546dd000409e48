"""The rule of `explain` on what a network's activation can never give: terms on which it is zero for all weights."""

import math
from dataclasses import dataclass
from typing import Any

from dsl.activations import Activation, HermiteSeries
from dsl.domains import inner
from dsl.limits import MeanFieldLimit
from dsl.models import Mlp, ResNet, TwoLayer
from dsl.optimizers import SphericalSgd
from dsl.prediction import Prediction
from dsl.protocols import Descent
from dsl.results import Trained
from dsl.spec import Spec
from dsl.support import Support, Unknown, target_support
from dsl.training import Training
from dsl.wording import key, listed, shown

NAME = "beyond the activation"
_SOURCE = "derived; 2202.08658 and 2302.11055 ask for activations without such zeros"
_CONDITIONS = "a fully connected network, whatever its weights"


@dataclass(frozen=True)
class Reach:
    """The terms that some network of an architecture has, by their degree.

    A neuron act(<w, x>) has a term of degree k only if the part of act with the parity of k is no polynomial of lower
    degree. Biases mix the parities, and so does a second layer unless the first is wholly even or odd.

    Attributes:
        activation: of all layers.
        layers: the number of hidden layers.
        biased: whether they have biases.
        unit: whether every w has norm 1: on Gaussian inputs, he_k(<w, x>) is then wholly of degree k.
    """

    activation: Activation
    layers: int
    biased: bool
    unit: bool = False

    def has(self, degree: int, gaussian: bool) -> bool:
        """Whether some network has a term of this degree, at least 1."""
        if self.unit and gaussian and isinstance(self.activation, HermiteSeries):
            return any(c != 0 for c in self.activation.coefficients[degree : degree + 1])
        even, odd = self.activation.degrees
        highest = max(even, odd)
        if not self.biased and (self.layers == 1 or min(even, odd) == -1):
            highest = odd if degree % 2 else even
        return degree <= (-1 if highest < 0 else max(highest, 0) ** self.layers)


def reach_rule(spec: Spec) -> Prediction | None:
    """The terms of the target that the model's activation cannot give, whatever the weights."""
    reach = _reach(spec) if isinstance(spec, Training) else None
    if reach is None:
        return None
    try:
        support = target_support(spec)
    except Unknown as reason:
        return Prediction(NAME, None, False, str(reason), _CONDITIONS, _SOURCE, True)
    lost = [i for i, term in enumerate(support.terms) if not reach.has(sum(term.values()), not support.fourier)]
    terms = tuple(key(support.terms[i], support) for i in lost)
    conditions = f"{support.conditions}; {_CONDITIONS}"
    return Prediction(NAME, terms, True, _why(reach, support, lost), conditions, _SOURCE, True)


def _why(reach: Reach, support: Support, lost: list[int]) -> str:
    name, biases = type(reach.activation).__name__, "with biases" if reach.biased else "without biases"
    if not lost:
        return f"nothing: {name} {biases} can give every term of this target"
    floor, whole = (sum(support.coefficients[i] ** 2 for i in chosen) for chosen in (lost, range(len(support.terms))))
    words = listed([shown(support.terms[i], support) for i in lost])
    return (
        f"this activation cannot learn this target: {name} {biases} leaves {words} at 0 whatever the weights, so that "
        f"E (f - y)^2 stays at {floor:.4g} of {whole:.4g} or above{_remedy(reach, support, lost)}"
    )


def _remedy(reach: Reach, support: Support, lost: list[int]) -> str:
    biased = Reach(reach.activation, reach.layers, True)
    helps = not reach.biased and all(biased.has(sum(support.terms[i].values()), False) for i in lost)
    return "; biases, or a shift of the activation, would bring all terms within reach" if helps else ""


def _reach(training: Training[Any, Any]) -> Reach | None:
    """What the model of a training can reach; None for a model of which that is not known."""
    model = inner(training.model)
    while isinstance(model, Trained):
        model = inner(model.run.model)
    if isinstance(model, TwoLayer):
        return Reach(model.activation, 1, model.bias, not model.bias and _on_the_sphere(training))
    if isinstance(model, MeanFieldLimit):
        return Reach(model.activation, 1, False)
    if isinstance(model, Mlp) and model.widths:
        return Reach(model.activation, len(model.widths), model.bias)
    if isinstance(model, ResNet) and max(model.activation.degrees) == math.inf:
        return Reach(model.activation, model.depth, True)
    return None


def _on_the_sphere(training: Training[Any, Any]) -> bool:
    """Whether the protocol holds the first layer on the sphere."""
    by = training.protocol
    return isinstance(by, Descent) and isinstance(by.by, SphericalSgd) and by.only != "readout"
