"""Optimizers: how a gradient moves the weights, as Optax transformations."""

import abc
from typing import Annotated, Any, ClassVar

import jax
import jax.numpy as jnp
import optax
from pydantic import Field

from dsl.noise import Noise
from dsl.rates import Rate
from dsl.spec import Spec
from theory.spherical import spherical_step


class Optimizer(Spec, abstract=True):
    """A gradient transformation; its state is the protocol's memory.

    `no_critical_point` says why it does not come to rest where the gradient of the objective is 0; None where it does.
    """

    no_critical_point: ClassVar[str | None] = None

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

    no_critical_point: ClassVar[str | None] = (
        "decays weights apart from its gradient: where it stops, grad L = -lam W does not hold"
    )
    lr: float | Rate
    decay: float

    def transformation(self, steps: int) -> optax.GradientTransformation:
        """-lr * (m / (sqrt(v) + eps) + decay * w), with bias-corrected moments m and v."""
        return optax.adamw(_schedule(self.lr, steps), weight_decay=self.decay)


class SphericalSgd(Optimizer):
    """Projected SGD of unit vectors with clipped coordinates: phase 1 of 2302.11055 (from memory, unverified).

    Every row of a weight matrix is a neuron on the sphere; biases stand still. With `clip=1.0` nothing is clipped.
    """

    no_critical_point: ClassVar[str | None] = "keeps rows on the sphere: where it stops, the gradient is normal to it"
    lr: float | Rate
    clip: float = 1.0

    def transformation(self, steps: int) -> optax.GradientTransformation:
        """The step of `theory.spherical.spherical_step`, counted from 0."""
        rate = _schedule(self.lr, steps)

        def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
            lr: Any = rate(state) if callable(rate) else rate
            step = lambda g, w: spherical_step(w, g, lr, self.clip) - w if w.ndim == 2 else jnp.zeros_like(w)
            return jax.tree.map(step, updates, params), state + 1

        return optax.GradientTransformation(lambda params: jnp.zeros((), jnp.int32), update)


class NoisyGd(Optimizer):
    """w <- w - lr * clip(gradient) + lr * noise: noisy gradient descent of 2208.03113 (from memory, unverified).

    The gradient over all moving weights is clipped to the Euclidean norm `radius`. With `Isotropic(sigma)` a step adds
    N(0, lr^2 sigma^2 I), the paper's noise of variance eta^2 tau^2 if tau is sigma; that factor eta^2 is unverified.
    """

    no_critical_point: ClassVar[str | None] = "adds noise in every step: it does not stop"
    lr: float | Rate
    radius: Annotated[float, Field(gt=0)]
    noise: Noise

    def transformation(self, steps: int) -> optax.GradientTransformation:
        """The step lr * (noise - gradient * min(1, radius / |gradient|)), the noise from the `key` of the step."""
        rate, clip = _schedule(self.lr, steps), optax.clip_by_global_norm(self.radius)

        def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
            lr: Any = rate(extra["step"]) if callable(rate) else rate
            clipped, noise = clip.update(updates, state)[0], self.noise.draw(extra["key"], updates)
            return jax.tree.map(lambda g, z: lr * (z - g), clipped, noise), state

        return optax.GradientTransformationExtraArgs(clip.init, update)
