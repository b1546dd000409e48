"""What features a trained network has, beside what it must have by theory: FACT, and the neural feature ansatz."""

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float, Key
from pydantic import Field

from dsl.draws import Exact
from dsl.faults import Fault
from dsl.losses import decay
from dsl.measurements import GradientNorm, Measurement, mean_loss
from dsl.models import architecture
from dsl.optimizers import AdamW
from dsl.representations import layer_names
from theory.features import agop, cosine, fact_of_layer, psd_power

Layer = Annotated[int, Field(ge=0)]


class FactAlignment(Measurement):
    """The cosine of W^T W of a layer and FACT, on the training sample: 1 at a critical point of the objective.

    FACT = -W^T G / lam with G the gradient of the mean loss in W, where the objective is that loss plus an `L2(lam)`.
    The theorem holds at a critical point alone, so `GradientNorm()` is measured beside it; decoupled weight decay has
    no such point. Layers are counted from 0, the readout last. Source: 2507.05644, main theorem.
    """

    reads: ClassVar[tuple[str, ...]] = ("task", "model", "loss", "protocol")
    layer: Layer

    def __call__(self, experiment: Any, state: Any, constants: Any, key: Key[Array, ""]) -> Float[Array, ""]:
        """<W^T W, FACT> / (|W^T W| |FACT|)."""
        batch = Exact().batch(experiment.task, key)
        weight = lambda model: model.layers[self.layer].weight
        loss = lambda model: mean_loss(experiment, model, batch)
        found = fact_of_layer(state.model, weight, loss, jnp.asarray(decay(experiment.loss)))
        return cosine(weight(state.model).T @ weight(state.model), found)

    def unfit(self, experiment: Any) -> Iterable[Fault]:
        """No such layer, no critical point to converge to, or nothing that says how far away it is."""
        yield from _unfit(self.layer, experiment)
        if isinstance(getattr(experiment.protocol, "by", None), AdamW):
            problem = "AdamW decays weights apart from its gradient: where it stops, grad L = -lam W does not hold"
            yield Fault((), f"{problem}; put L2(lam) in the loss and train by Adam or Sgd")
        yield from _without_decay(experiment.loss)
        if not any(isinstance(item.measurement, GradientNorm) for item in experiment.measure):
            yield Fault((), "FACT holds at a critical point: measure GradientNorm() beside it")


class NfaAlignment(Measurement):
    """The cosine of W^T W of a layer and AGOP^power, on the training sample: the neural feature ansatz.

    AGOP is the mean of J^T J, with J the Jacobian of the network in the input of the layer, through W alone. Layers are
    counted from 0, the readout last. Source: the ansatz that 2507.05644 compares with.
    """

    reads: ClassVar[tuple[str, ...]] = ("task", "model")
    layer: Layer
    power: Annotated[float, Field(gt=0)]

    def __call__(self, experiment: Any, state: Any, constants: Any, key: Key[Array, ""]) -> Float[Array, ""]:
        """<W^T W, AGOP^power> / (|W^T W| |AGOP^power|)."""
        batch, model = Exact().batch(experiment.task, key), state.model
        x, _ = batch.points
        points = x.reshape(len(x), -1) if self.layer == 0 else model.outputs(x)[self.layer - 1]
        found = agop(lambda h: model.after(self.layer, h), points, weights=batch.weights)
        weight = model.layers[self.layer].weight
        return cosine(weight.T @ weight, psd_power(found, jnp.asarray(self.power)))

    def unfit(self, experiment: Any) -> Iterable[Fault]:
        """No such layer, or a task that is neither a sample nor exact."""
        yield from _unfit(self.layer, experiment)


def _unfit(layer: int, experiment: Any) -> Iterable[Fault]:
    yield from Exact().unfit(experiment.task)
    count = len(layer_names(experiment.model, experiment.task))
    if not count:
        yield Fault((), f"expected a stack of layers W h, got {architecture(experiment.model)!r}")
    elif layer >= count:
        yield Fault(("layer",), f"expected 0 to {count - 1}, the layers of the network, got {layer}")


def _without_decay(loss: Any) -> Iterable[Fault]:
    try:
        lam = decay(loss)
    except ValueError as error:
        yield Fault((), f"FACT needs the penalty L2(lam) alone: {error}")
        return
    if not lam > 0:
        yield Fault((), f"FACT needs a positive penalty, loss + L2(lam); here lam is {lam}")
