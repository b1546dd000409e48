"""Networks as Equinox modules: what a `Model` initialises.

Modules act on batches: x of shape (*batch, d). A module keeps its weights in `hidden` and `readout`; the nouns that it
holds (activations) are not trained, nor are their knobs.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dsl.spec import Spec
from theory import layers


class Linear(eqx.Module):
    """multiplier * W x + b."""

    weight: Float[Array, "out in"]
    bias: Float[Array, "out"] | None
    multiplier: float = eqx.field(static=True, default=1.0)

    def __call__(self, x: Float[Array, "*batch in"]) -> Float[Array, "*batch out"]:
        """The affine map of each vector of the batch."""
        weight = self.weight if self.multiplier == 1.0 else self.multiplier * self.weight
        return layers.dense(weight, self.bias, x)


class Network(eqx.Module):
    """A stack of layers with a linear readout; residual: each hidden layer after the first adds its input."""

    hidden: tuple[Linear, ...]
    readout: Linear
    activation: Any
    residual: bool = eqx.field(static=True, default=False)
    scalar: bool = eqx.field(static=True, default=True)

    def __call__(self, x: Float[Array, "*batch d"]) -> Float[Array, "..."]:
        """The output for each input, without a last axis where it is one real number."""
        return self.outputs(x)[-1]

    @property
    def names(self) -> list[str]:
        """The names of the hidden layers and the readout."""
        return [*(f"hidden[{i}]" for i in range(len(self.hidden))), "readout"]

    @property
    def layers(self) -> tuple[Linear, ...]:
        """The hidden layers and the readout."""
        return (*self.hidden, self.readout)

    def outputs(self, x: Float[Array, "*batch d"]) -> list[Float[Array, "..."]]:
        """What each layer puts out for each input: hidden ones after the activation, then the output."""
        found = []
        for i, layer in enumerate(self.hidden):
            y = self.activation(layer(x))
            x = y + x if self.residual and i else y
            found.append(x)
        return [*found, self._read(x)]

    def after(self, number: int, h: Float[Array, "*batch in"]) -> Float[Array, "..."]:
        """The output as a function of the input h of one layer, through its weights alone: its skip is held fixed."""
        for i in range(number, len(self.hidden)):
            y, skip = self.activation(self.hidden[i](h)), jax.lax.stop_gradient(h) if i == number else h
            h = y + skip if self.residual and i else y
        return self._read(h)

    def _read(self, x: Float[Array, "*batch in"]) -> Float[Array, "..."]:
        out = self.readout(x)
        return jnp.squeeze(out, axis=-1) if self.scalar else out


class Fixed(eqx.Module):
    """Arrays of a module that are not trained, and without which its weights mean nothing: `kept` has both."""

    arrays: Any


def _held(node: Any) -> bool:
    return isinstance(node, (Spec, Fixed))


def is_weight(module: Any) -> Any:
    """A tree of booleans: True at the arrays that are trained."""
    return jax.tree.map(lambda leaf: not _held(leaf) and eqx.is_inexact_array(leaf), module, is_leaf=_held)


def split(module: Any) -> tuple[Any, Any]:
    """A module as (weights, the rest); `eqx.combine` joins them again."""
    return eqx.partition(module, is_weight(module), is_leaf=_held)


def carried(module: Any) -> tuple[Any, Any]:
    """A module as (all its arrays, the rest): what a state holds, integers included, but nothing that nouns hold."""
    held = lambda node: isinstance(node, Spec)
    arrays = jax.tree.map(lambda leaf: not held(leaf) and eqx.is_array(leaf), module, is_leaf=held)
    return eqx.partition(module, arrays, is_leaf=held)


def kept(module: Any) -> tuple[Any, Any]:
    """A module as (its weights and fixed arrays, the rest): what makes it the function that it is."""
    held = lambda node: isinstance(node, Spec)
    arrays = jax.tree.map(lambda leaf: not held(leaf) and eqx.is_inexact_array(leaf), module, is_leaf=held)
    return eqx.partition(module, arrays, is_leaf=held)


def weights_of(module: Any) -> Any:
    """The trained arrays of a module, in its structure."""
    return split(module)[0]


def in_part(module: Any, part: str) -> Any:
    """A tree of booleans over the weights: True in `hidden`, in `readout`, or everywhere for `all`."""
    select = lambda path, keep: keep and (part == "all" or path[0] == jax.tree_util.GetAttrKey(part))
    return jax.tree_util.tree_map_with_path(select, is_weight(module))


def moving(module: Any, part: str) -> tuple[Any, Any]:
    """A module as (the weights of a part, everything else).

    Raises:
        ValueError: if the module has no weights there.
    """
    chosen = in_part(module, part)
    if not any(jax.tree.leaves(chosen)):
        raise ValueError(f"only={part!r}: {type(module).__name__} has no weights in a part of that name")
    return eqx.partition(module, chosen, is_leaf=_held)
