"""Optimizers: how a gradient moves the weights, as Optax transformations."""

import abc
from typing import Any

import optax

from dsl.rates import Rate
from dsl.spec import Spec


class Optimizer(Spec, abstract=True):
    """A gradient transformation; its state is the protocol's memory."""

    @abc.abstractmethod
    def transformation(self, steps: int) -> optax.GradientTransformation:
        """The transformation for a run of so many steps; `update` may read the extra arguments `key` and `step`."""


def _schedule(lr: Any, steps: int) -> Any:
    return (lambda count: lr(count, steps)) if isinstance(lr, Rate) else lr


class Sgd(Optimizer):
    """w <- w - lr * gradient."""

    lr: float | Rate

    def transformation(self, steps: int) -> optax.GradientTransformation:
        """-lr * gradient."""
        return optax.sgd(_schedule(self.lr, steps))


class Adam(Optimizer):
    """Adam (1412.6980) with Optax's defaults: b1 = 0.9, b2 = 0.999, eps = 1e-8 outside the root."""

    lr: float | Rate

    def transformation(self, steps: int) -> optax.GradientTransformation:
        """-lr * m / (sqrt(v) + eps), with bias-corrected moments m and v."""
        return optax.adam(_schedule(self.lr, steps))


class AdamW(Optimizer):
    """Adam with decoupled weight decay (1711.05101): w <- w - lr * (adam + decay * w)."""

    lr: float | Rate
    decay: float

    def transformation(self, steps: int) -> optax.GradientTransformation:
        """-lr * (m / (sqrt(v) + eps) + decay * w), with bias-corrected moments m and v."""
        return optax.adamw(_schedule(self.lr, steps), weight_decay=self.decay)
