"""Models: functions with weights, and how they are initialised."""

import abc
import math
from collections.abc import Iterable
from typing import Any, Generic, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from dsl import keys
from dsl.activations import Activation
from dsl.domains import Real, Reals, X_contra, Y, Y_co, inner
from dsl.faults import Fault
from dsl.fields import Count
from dsl.keys import Streams
from dsl.modules import Linear, Network
from dsl.spec import Spec
from theory import boolean, layers

Role = Literal["input", "hidden", "output"]


class Model(Spec, Generic[X_contra, Y_co], abstract=True):
    """A parametrised function of x."""

    @abc.abstractmethod
    def init(self, key: Key[Array, ""], task: Any) -> eqx.Module:
        """A module with random weights that reads the inputs of a task: x of shape (*batch, *shape of x)."""

    @property
    def time_scale(self) -> float:
        """The factor on the gradient in every protocol; the width N in mean-field scaling, where time is N-fold."""
        return 1.0

    def unfit(self, task: Any) -> Iterable[Fault]:
        """Why this model cannot read the inputs of a task, or give its outputs."""
        return ()

    def seeded(self, streams: Streams) -> "OwnStart":
        """The model under `Seeded`: one initialisation for all seeds of a study."""
        return OwnStart(self, streams.init)


class OwnStart(eqx.Module):
    """A model that is initialised from a key of its own."""

    model: Any
    key: Key[Array, ""]

    @property
    def time_scale(self) -> float:
        """As for the model."""
        return self.model.time_scale

    def init(self, key: Key[Array, ""], task: Any) -> eqx.Module:
        """The module of the own key, whatever key is given."""
        return self.model.init(self.key, task)


def architecture(model: Any) -> Any:
    """The noun that says what a model is: inside combinators, and of `Trained` the model of its run."""
    model = inner(model)
    while hasattr(model, "run"):
        model = inner(model.run.model)
    return model


class Scaling(Spec, abstract=True):
    """How weights are drawn, and what multiplies them, by the role of a layer."""

    @abc.abstractmethod
    def weight(self, key: Key[Array, ""], fan_out: int, fan_in: int, role: Role) -> Float[Array, "out in"]:
        """Random weights of a linear map."""

    @abc.abstractmethod
    def bias(self, key: Key[Array, ""], fan_out: int, fan_in: int, role: Role) -> Float[Array, "out"]:
        """Random biases of a linear map."""

    def multiplier(self, fan_in: int, role: Role) -> float:
        """The constant before W x."""
        return 1.0

    def time_scale(self, width: int) -> float:
        """The factor on the gradient in every protocol."""
        return 1.0


class Standard(Scaling):
    """W and b uniform in +-gain/sqrt(fan_in): with gain 1 the default of PyTorch's linear layers."""

    gain: float = 1.0

    def weight(self, key: Key[Array, ""], fan_out: int, fan_in: int, role: Role) -> Float[Array, "out in"]:
        """U(-1/sqrt(fan_in), 1/sqrt(fan_in)) times gain, shape (fan_out, fan_in)."""
        return self.gain * layers.uniform_fan_in(key, (fan_out, fan_in), fan_in)

    def bias(self, key: Key[Array, ""], fan_out: int, fan_in: int, role: Role) -> Float[Array, "out"]:
        """U(-1/sqrt(fan_in), 1/sqrt(fan_in)) times gain, shape (fan_out,)."""
        return self.gain * layers.uniform_fan_in(key, (fan_out,), fan_in)


class MeanField(Scaling):
    """f = (1/N) sum_j a_j act(<w_j, x> + b_j): w uniform on {+-1/sqrt(d)}^d, a and b uniform on [-1, 1].

    Gradients are multiplied by N, so that each neuron moves at rate one whatever the width (2202.08658, the model
    before its theorem 1; the initialisation of b as in 2302.11055; both from memory, unverified). With
    `readout="signs"`, a is uniform on {-1, +1}, as in 2302.11055.
    """

    readout: Literal["uniform", "signs"] = "uniform"

    def weight(self, key: Key[Array, ""], fan_out: int, fan_in: int, role: Role) -> Float[Array, "out in"]:
        """+-1/sqrt(fan_in); at the output U(-1, 1), or signs."""
        if role == "output" and self.readout == "signs":
            return boolean.sample_bits(key, fan_out, fan_in)
        if role == "output":
            return jax.random.uniform(key, (fan_out, fan_in), jnp.float32, -1.0, 1.0)
        return boolean.sample_bits(key, fan_out, fan_in) / math.sqrt(fan_in)

    def bias(self, key: Key[Array, ""], fan_out: int, fan_in: int, role: Role) -> Float[Array, "out"]:
        """U(-1, 1), shape (fan_out,)."""
        return jax.random.uniform(key, (fan_out,), jnp.float32, -1.0, 1.0)

    def multiplier(self, fan_in: int, role: Role) -> float:
        """1/N at the output, 1 elsewhere."""
        return 1.0 / fan_in if role == "output" else 1.0

    def time_scale(self, width: int) -> float:
        """The width N."""
        return float(width)


class Ntk(Scaling):
    """f = N^(-1/2) sum_j a_j act(<w_j, x> + b_j), all weights standard normal, biases zero; inputs of norm O(1)."""

    def weight(self, key: Key[Array, ""], fan_out: int, fan_in: int, role: Role) -> Float[Array, "out in"]:
        """N(0, 1), shape (fan_out, fan_in)."""
        return layers.normal(key, (fan_out, fan_in), 1.0)

    def bias(self, key: Key[Array, ""], fan_out: int, fan_in: int, role: Role) -> Float[Array, "out"]:
        """Zeros, shape (fan_out,)."""
        return jnp.zeros((fan_out,))

    def multiplier(self, fan_in: int, role: Role) -> float:
        """1/sqrt(N) at the output, 1 elsewhere."""
        return 1.0 / math.sqrt(fan_in) if role == "output" else 1.0


def _linear(scaling: Scaling, key: Key[Array, ""], fan_out: int, fan_in: int, role: Role, bias: bool = True) -> Linear:
    of_weight, of_bias = jax.random.split(key)
    weight = scaling.weight(of_weight, fan_out, fan_in, role).astype(float)
    offset = scaling.bias(of_bias, fan_out, fan_in, role).astype(float) if bias else None
    return Linear(weight, offset, scaling.multiplier(fan_in, role))


def _network(
    widths: tuple[int, ...], activation: Activation, scaling: Scaling, key: Key[Array, ""], task: Any, **options: Any
) -> Network:
    """Hidden layers of these widths on the flat input of a task, and its readout."""
    biases, last = options.pop("bias", True), options.pop("readout_bias", True)
    ins = (math.prod(task.shape), *widths)
    hidden = tuple(
        _linear(scaling, keys.fold(key, i), width, ins[i], "hidden" if i else "input", biases)
        for i, width in enumerate(widths)
    )
    readout = _linear(scaling, keys.fold(key, len(widths)), task.outputs or 1, ins[-1], "output", biases and last)
    return Network(hidden, readout, activation, scalar=task.outputs is None, **options)


def _unfit_vectors(task: Any) -> Iterable[Fault]:
    """Inputs that are no vectors, such as images."""
    if len(task.shape) != 1:
        flat = f"({math.prod(task.shape)},)"
        yield Fault((), f"reads vectors, and an x of the task has shape {task.shape}; expected {flat}")


class TwoLayer(Model[Reals, Real]):
    """sum_j a_j act(<w_j, x> + b_j) with the factors of its scaling, and no bias at the output."""

    width: Count
    activation: Activation
    scaling: Scaling
    bias: bool = True

    def init(self, key: Key[Array, ""], task: Any) -> eqx.Module:
        """One hidden layer and a readout without bias."""
        return _network((self.width,), self.activation, self.scaling, key, task, bias=self.bias, readout_bias=False)

    def unfit(self, task: Any) -> Iterable[Fault]:
        """Inputs that are no vectors."""
        return _unfit_vectors(task)

    @property
    def time_scale(self) -> float:
        """That of the scaling at this width."""
        return self.scaling.time_scale(self.width)


class Mlp(Model[Reals, Y]):
    """Fully connected layers of these widths with a linear readout, initialised as `Standard`."""

    widths: tuple[Count, ...]
    activation: Activation
    bias: bool = True

    def init(self, key: Key[Array, ""], task: Any) -> eqx.Module:
        """A hidden layer for each width, and a readout."""
        return _network(self.widths, self.activation, Standard(), key, task, bias=self.bias)

    def unfit(self, task: Any) -> Iterable[Fault]:
        """Inputs that are no vectors."""
        return _unfit_vectors(task)


class ResNet(Model[Reals, Y]):
    """`depth` hidden layers of one width and a linear readout.

    h_1 = act(W_1 x + b_1) and h_i = act(W_i h_{i-1} + b_i) + h_{i-1} for i > 1.

    With `depth=4, width=40` and ReLU this is the "5x40" network of 2108.10573, which counts all linear maps (authors'
    code, first commit).
    """

    width: Count
    depth: Count
    activation: Activation
    scaling: Scaling = Standard()

    def init(self, key: Key[Array, ""], task: Any) -> eqx.Module:
        """`depth` hidden layers with skips from the second on, and a readout."""
        return _network((self.width,) * self.depth, self.activation, self.scaling, key, task, residual=True)

    def unfit(self, task: Any) -> Iterable[Fault]:
        """Inputs that are no vectors."""
        return _unfit_vectors(task)

    @property
    def time_scale(self) -> float:
        """That of the scaling at this width."""
        return self.scaling.time_scale(self.width)
