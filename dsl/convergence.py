"""What features a trained network has, beside what it must have by theory: FACT, and the neural feature ansatz."""

from collections.abc import Callable, Iterable
from typing import Annotated, Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key
from pydantic import Field

from dsl.draws import Exact
from dsl.faults import Fault, folded, nearest
from dsl.losses import decay
from dsl.measurements import GradientNorm, Measurement, mean_loss
from dsl.models import architecture
from dsl.representations import layer_names, outlined
from dsl.ridge import Ridge
from theory.features import agop, cosine, fact, psd_power


class FactAlignment(Measurement):
    """The cosine of W^T W of a layer and FACT, on the training sample: 1 at a critical point of the objective.

    FACT = -W^T G / lam with G the gradient of the mean loss in W, where the objective is that loss plus an `L2(lam)`.
    The theorem holds at a critical point alone, so `GradientNorm()` is measured at the same steps. Layers are counted
    from 0, the readout last, or named; of an `Imported` network they are the modules in it that have a matrix `weight`,
    or `kernel`. Source: 2507.05644, main theorem.
    """

    reads: ClassVar[tuple[str, ...]] = ("task", "model", "loss", "protocol")
    layer: int | str

    def check(self) -> Iterable[Fault]:
        """A number from 0 on, or a name."""
        return _unknown(self.layer)

    def __call__(self, experiment: Any, state: Any, constants: Any, key: Key[Array, ""]) -> Float[Array, ""]:
        """<W^T W, FACT> / (|W^T W| |FACT|)."""
        batch, matrix = Exact().batch(experiment.task, key), _matrix(state.model, self.layer)
        assert matrix is not None
        array, transposed = matrix
        loss = lambda w: mean_loss(experiment, eqx.tree_at(array, state.model, w), batch)
        weight, gradient = array(state.model), jax.grad(loss)(array(state.model))
        weight, gradient = (weight.T, gradient.T) if transposed else (weight, gradient)
        return cosine(weight.T @ weight, fact(weight, gradient, jnp.asarray(decay(experiment.loss))))

    def unfit(self, experiment: Any) -> Iterable[Fault]:
        """No such layer, no critical point to converge to, or nothing that says how far away it is."""
        if any(experiment.model.unfit(experiment.task)):  # the experiment tells it
            return
        misfits = list(_unfit(self.layer, experiment))
        yield from misfits
        if not misfits:
            yield from self._untrained(experiment)
        yield from _without_critical_point(experiment.protocol)
        yield from _without_decay(experiment.loss)
        norms = _steps(experiment, lambda noun: isinstance(noun, GradientNorm))
        if alone := _steps(experiment, lambda noun: noun == self) - norms:
            problem = "FACT holds at a critical point: measure GradientNorm() beside it, at each of its steps"
            yield Fault((), f"{problem}; step {min(alone)} lacks it")

    def _untrained(self, experiment: Any) -> Iterable[Fault]:
        """A layer without a matrix, or one that the protocol leaves as it is."""
        network = outlined(experiment.model, experiment.task)
        name = network.names[self.layer] if isinstance(self.layer, int) else self.layer
        only = getattr(experiment.protocol, "only", "all")
        if _matrix(network, self.layer) is None:
            yield Fault(("layer",), f"{name!r} is no layer W h: it has no matrix of the name weight or kernel")
        elif only not in ("all", name.partition("[")[0]):
            yield Fault(("layer",), f"{name!r} is not trained, with only={only!r}: its gradient need not vanish")


class NfaAlignment(Measurement):
    """The cosine of W^T W of a layer and AGOP^power, on the training sample: the neural feature ansatz.

    AGOP is the mean of J^T J, with J the Jacobian of the network in the input of the layer, through W alone. Layers are
    counted from 0, the readout last, or named. Source: the ansatz that 2507.05644 compares with.
    """

    reads: ClassVar[tuple[str, ...]] = ("task", "model")
    layer: int | str
    power: Annotated[float, Field(gt=0)]

    def check(self) -> Iterable[Fault]:
        """A number from 0 on, or a name."""
        return _unknown(self.layer)

    def __call__(self, experiment: Any, state: Any, constants: Any, key: Key[Array, ""]) -> Float[Array, ""]:
        """<W^T W, AGOP^power> / (|W^T W| |AGOP^power|)."""
        batch, model = Exact().batch(experiment.task, key), state.model
        number = self.layer if isinstance(self.layer, int) else model.names.index(self.layer)
        x, _ = batch.points
        points = x.reshape(len(x), -1) if number == 0 else model.outputs(x)[number - 1]
        found = agop(lambda h: model.after(number, h), points, weights=batch.weights)
        weight = model.layers[number].weight
        return cosine(weight.T @ weight, psd_power(found, jnp.asarray(self.power)))

    def unfit(self, experiment: Any) -> Iterable[Fault]:
        """No such layer, a task that is no sample and not exact, or a network that hides the inputs of its layers."""
        if any(experiment.model.unfit(experiment.task)):  # the experiment tells it
            return
        misfits = list(_unfit(self.layer, experiment))
        yield from misfits
        if not misfits and not hasattr(outlined(experiment.model, experiment.task), "after"):
            problem = "has no output as a function of the input of a layer, in which AGOP differentiates"
            yield Fault((), f"{folded(architecture(experiment.model))} {problem}; FactAlignment needs none")


def _unknown(layer: int | str) -> Iterable[Fault]:
    if isinstance(layer, int) and layer < 0:
        yield Fault(("layer",), f"expected a name or a number from 0, the first layer, got {layer}")


def _matrix(network: Any, layer: int | str) -> tuple[Callable[[Any], Any], bool] | None:
    """Picks the array of W, or (True) of W^T as Flax has it, from a network; None where the layer has no matrix."""
    name = network.names[layer] if isinstance(layer, int) else layer
    if hasattr(network, "layers"):
        number = network.names.index(name)
        return (lambda network: network.layers[number].weight), False
    for path, transposed in ((f"{name}.weight", False), (f"{name}.kernel", True)):
        if path in network.weights and network.weights[path].ndim == 2:
            return (lambda network, path=path: network.weights[path]), transposed
    return None


def _steps(experiment: Any, of: Callable[[Measurement], bool]) -> set[int]:
    """The steps at which some measurements are taken."""
    return {t for item in experiment.measure if of(item.measurement) for t in item.when.steps(experiment.last)}


def _unfit(layer: int | str, experiment: Any) -> Iterable[Fault]:
    yield from Exact().unfit(experiment.task)
    names = layer_names(experiment.model, experiment.task)
    if not names:
        yield Fault((), f"expected a stack of layers W h, got {folded(architecture(experiment.model))}")
    elif isinstance(layer, str) and layer not in names:
        yield Fault(("layer",), f"the network has no layer {layer!r}{nearest(layer, names)}")
    elif isinstance(layer, int) and layer >= len(names):
        yield Fault(("layer",), f"expected 0 to {len(names) - 1}, the layers of the network, got {layer}")


def _without_critical_point(protocol: Any) -> Iterable[Fault]:
    by = getattr(protocol, "by", None)
    if (reason := getattr(by, "no_critical_point", None)) is not None:
        yield Fault((), f"{type(by).__name__} {reason}; put L2(lam) in the loss and train by Adam or Sgd")
    if isinstance(protocol, Ridge):
        yield Fault((), "Ridge solves a regression of its own, whatever the loss: the objective's gradient stays")


def _without_decay(loss: Any) -> Iterable[Fault]:
    try:
        lam = decay(loss)
    except ValueError as error:
        yield Fault((), f"FACT needs the penalty L2(lam) alone: {error}")
        return
    if not lam > 0:
        yield Fault((), f"FACT needs a positive penalty, loss + L2(lam); here lam is {lam}")
