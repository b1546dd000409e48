"""`Representation`: what a layer of a network makes of the inputs of a task."""

from collections.abc import Iterable
from typing import Any, Generic

import equinox as eqx
import jax
from jaxtyping import Array, Float

from dsl.domains import X
from dsl.faults import Fault, nearest
from dsl.keys import Streams
from dsl.models import Model, architecture
from dsl.modules import Network
from dsl.realise import Random, realised
from dsl.tasks import Task


class Features(eqx.Module):
    """What a `Representation` is in one run: the units of a layer at every input, shape (n, d)."""

    values: Float[Array, "n d"]


class Representation(Random, Generic[X]):
    """The outputs of one layer of a model (hidden ones after the activation) at the inputs of a finite sample.

    A layer is a number, from the end where it is negative, or a name: `hidden[0]`, ..., `readout`. So -1 is
    the model's output and -2 the last hidden layer. A model that is not `Trained` is as it is initialised.
    """

    model: Model[X, Any]
    on: Task[X, Any]
    layer: int | str

    def check(self) -> Iterable[Fault]:
        """A finite sample, and a layer that the model has."""
        if self.on.size is None:
            yield Fault(("on",), f"expected a finite sample, such as Sample(..., n=...), got {self.on!r}")
            return
        yield from (fault.under("model") for fault in self.model.unfit(self.on))
        names = layer_names(self.model, self.on)
        if not names:
            yield Fault(("model",), f"expected a model of layers, got {architecture(self.model)!r}")
        elif isinstance(self.layer, str) and self.layer not in names:
            yield Fault(("layer",), f"the model has no layer {self.layer!r}{nearest(self.layer, names)}")
        elif isinstance(self.layer, int) and not -len(names) <= self.layer < len(names):
            last = len(names) - 1
            closest = last if self.layer > 0 else -len(names)
            yield Fault(("layer",), f"expected {-len(names)} to {last}, got {self.layer} (nearest: {closest})")

    def realise(self, streams: Streams) -> Features:
        """The units at the inputs of the realised sample."""
        task = realised(self.on, streams)
        module: Any = realised(self.model, streams).init(streams.init, task)
        (x, _), _ = task.nodes()
        number = _names(module).index(self.layer) if isinstance(self.layer, str) else self.layer
        return Features(module.outputs(x)[number].reshape(len(x), -1))


def layer_names(model: Any, task: Any) -> list[str]:
    """The names of the layers of a model's network on a task, in order; none where it is no stack of layers."""
    module = eqx.filter_eval_shape(lambda: architecture(model).init(jax.random.key(0), task))
    return _names(module) if isinstance(module, Network) else []


def _names(network: Network) -> list[str]:
    return [*(f"hidden[{i}]" for i in range(len(network.hidden))), "readout"]
