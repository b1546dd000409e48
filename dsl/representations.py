"""`Representation`: what a layer of a network makes of the inputs of a task."""

import functools
from collections.abc import Iterable
from typing import Any, Generic

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dsl.domains import X
from dsl.faults import Fault, nearest
from dsl.keys import Streams
from dsl.models import Model, architecture
from dsl.realise import Random, realised
from dsl.tasks import Task


class Features(eqx.Module):
    """What a `Representation` is in one run: the units of a layer at every input, shape (n, d)."""

    values: Float[Array, "n d"]


class Representation(Random, Generic[X]):
    """The outputs of one layer of a model (hidden ones after the activation) at the inputs of a finite sample.

    A layer is a number, from the end where it is negative, or a name: `hidden[0]`, ..., `readout`. So -1 is
    the model's output and -2 the last hidden layer. Layers of an `Imported` network are the modules in it, by their
    paths, in the order of calls. A model that is not `Trained` is as it is initialised.
    """

    model: Model[X, Any]
    on: Task[X, Any]
    layer: int | str

    def check(self) -> Iterable[Fault]:
        """A finite sample, and a layer that the model has."""
        if self.on.size is None:
            yield Fault(("on",), f"expected a finite sample, such as Sample(..., n=...), got {self.on!r}")
            return
        if unfit := list(self.model.unfit(self.on)):
            yield from (fault.under("model") for fault in unfit)
            return
        names = layer_names(self.model, self.on)
        if not names:
            yield Fault(("model",), f"expected a model of layers, got {architecture(self.model)!r}")
        elif isinstance(self.layer, str) and self.layer not in names:
            yield Fault(("layer",), f"the model has no layer {self.layer!r}{nearest(self.layer, names)}")
        elif isinstance(self.layer, int) and not -len(names) <= self.layer < len(names):
            last = len(names) - 1
            closest = last if self.layer > 0 else -len(names)
            yield Fault(("layer",), f"expected {-len(names)} to {last}, got {self.layer} (nearest: {closest})")

    def outline(self) -> tuple[int, int]:
        """(n, d): how many inputs, and how many units the layer has."""
        return _outline(architecture(self.model), self.on, self.layer)

    def realise(self, streams: Streams) -> Features:
        """The units at the inputs of the realised sample."""
        task = realised(self.on, streams)
        module: Any = realised(self.model, streams).init(streams.init, task)
        (x, _), _ = task.nodes()
        return Features(_units(module, x, self.layer))


def _units(module: Any, x: Any, layer: int | str) -> Float[Array, "n d"]:
    number = module.names.index(layer) if isinstance(layer, str) else layer
    return module.outputs(x)[number].reshape(len(x), -1)


@functools.lru_cache(maxsize=1024)  # many networks of a study differ in what they were trained with alone
def _outline(model: Any, on: Any, layer: int | str) -> tuple[int, int]:
    of = lambda x: _units(model.init(jax.random.key(0), on), x, layer)
    return eqx.filter_eval_shape(of, jax.ShapeDtypeStruct((on.size, *on.shape), jnp.zeros(()).dtype)).shape


def outlined(model: Any, task: Any) -> Any:
    """The network of a model on a task, with the shapes of its arrays in their places."""
    return eqx.filter_eval_shape(lambda: architecture(model).init(jax.random.key(0), task))


def layer_names(model: Any, task: Any) -> list[str]:
    """The names of the layers of a model's network on a task, in order; none where it is no stack of layers."""
    return getattr(outlined(model, task), "names", [])
