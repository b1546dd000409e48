"""Losses and penalties; both add and scale. A loss has no 1/2: a paper with one writes `0.5 * SquaredLoss()`."""

import abc
import functools
from collections.abc import Iterable
from typing import Annotated, Any, Generic

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float
from pydantic import Field

from dsl.domains import Real, Reals, Y_contra
from dsl.faults import Fault
from dsl.identity import digest
from dsl.modules import weights_of
from dsl.spec import Spec


class Penalty(Spec, abstract=True):
    """A function of the model, added to a loss in training; test and train losses leave it out."""

    @abc.abstractmethod
    def __call__(self, model: Any) -> Float[Array, ""]:
        """The penalty of a model."""

    def __add__(self, other: "Penalty") -> "Penalty":
        """The sum of penalties; a loss takes the sum with one upon itself."""
        if not isinstance(other, Penalty):
            return NotImplemented
        return PenaltySum(_sorted((*_penalties(self), *_penalties(other))))

    def __rmul__(self, weight: float) -> "Penalty":
        """The penalty times a number."""
        return _scaled_penalty(weight, self)


class Loss(Spec, Generic[Y_contra], abstract=True):
    """A loss of each example."""

    @abc.abstractmethod
    def __call__(self, prediction: Any, y: Any) -> Float[Array, "n"]:
        """The loss of each of n examples."""

    def penalty(self, model: Any) -> Float[Array, ""] | float:
        """What the penalties in this loss add to its mean over the examples."""
        return 0.0

    def __add__(self, other: "Loss[Y_contra] | Penalty") -> "Loss[Y_contra]":
        """The sum of losses and penalties."""
        losses, penalties = _parts(self)
        more, further = ((), _penalties(other)) if isinstance(other, Penalty) else _parts(other)
        return LossSum(_sorted((*losses, *more)), _sorted((*penalties, *further)))

    def __radd__(self, other: Penalty) -> "Loss[Y_contra]":
        """The sum of a penalty and a loss."""
        return self + other

    def __rmul__(self, weight: float) -> "Loss[Y_contra]":
        """The loss times a number, its penalties included."""
        return _scaled_loss(weight, self)


class LossSum(Loss[Y_contra]):
    """A sum of losses with penalties."""

    losses: tuple[Loss[Y_contra], ...]
    penalties: tuple[Penalty, ...] = ()

    def check(self) -> Iterable[Fault]:
        """At least one loss."""
        return [Fault(("losses",), "expected at least one loss, got none")] if not self.losses else ()

    def __call__(self, prediction: Any, y: Any) -> Float[Array, "n"]:
        """The sum of the losses of each example."""
        return sum(loss(prediction, y) for loss in self.losses)  # type: ignore[return-value]  # never empty

    def penalty(self, model: Any) -> Float[Array, ""] | float:
        """The penalties of the terms and the penalties beside them."""
        return sum(loss.penalty(model) for loss in self.losses) + sum(p(model) for p in self.penalties)


class ScaledLoss(Loss[Y_contra]):
    """weight * loss."""

    weight: float
    loss: Loss[Y_contra]

    def __call__(self, prediction: Any, y: Any) -> Float[Array, "n"]:
        """The loss of each example times weight."""
        return self.weight * self.loss(prediction, y)

    def penalty(self, model: Any) -> Float[Array, ""] | float:
        """What the penalties inside the loss add, times weight."""
        return self.weight * self.loss.penalty(model)


class ScaledPenalty(Penalty):
    """weight * penalty."""

    weight: float
    penalty: Penalty

    def __call__(self, model: Any) -> Float[Array, ""]:
        """The penalty of a model times weight."""
        return self.weight * self.penalty(model)


class PenaltySum(Penalty):
    """A sum of penalties."""

    penalties: tuple[Penalty, ...]

    def check(self) -> Iterable[Fault]:
        """At least one penalty."""
        return [Fault(("penalties",), "expected at least one penalty, got none")] if not self.penalties else ()

    def __call__(self, model: Any) -> Float[Array, ""]:
        """The sum of the penalties of a model."""
        return sum(penalty(model) for penalty in self.penalties)  # type: ignore[return-value]  # never empty


def _sorted(terms: tuple[Any, ...]) -> tuple[Any, ...]:
    """One order, so that a + b and b + a have one digest."""
    return tuple(sorted(terms, key=digest))


def _scaled_loss(weight: float, loss: Any) -> Any:
    if isinstance(loss, LossSum):
        penalties = tuple(_scaled_penalty(weight, penalty) for penalty in loss.penalties)
        return LossSum(_sorted(tuple(_scaled_loss(weight, part) for part in loss.losses)), _sorted(penalties))
    if isinstance(loss, ScaledLoss):
        weight, loss = weight * loss.weight, loss.loss
    return loss if weight == 1.0 else ScaledLoss(weight, loss)


def _scaled_penalty(weight: float, penalty: Penalty) -> Penalty:
    if isinstance(penalty, PenaltySum):
        return PenaltySum(_sorted(tuple(_scaled_penalty(weight, part) for part in penalty.penalties)))
    if isinstance(penalty, ScaledPenalty):
        weight, penalty = weight * penalty.weight, penalty.penalty
    return penalty if weight == 1.0 else ScaledPenalty(weight, penalty)


def _penalties(penalty: Penalty) -> tuple[Penalty, ...]:
    return penalty.penalties if isinstance(penalty, PenaltySum) else (penalty,)


def _parts(loss: Loss[Any]) -> tuple[tuple[Loss[Any], ...], tuple[Penalty, ...]]:
    return (loss.losses, loss.penalties) if isinstance(loss, LossSum) else ((loss,), ())


class SquaredLoss(Loss[Reals]):
    """(f - y)^2, summed over the coordinates of a vector; no 1/2."""

    def __call__(self, prediction: Float[Array, "n *k"], y: Float[Array, "n *k"]) -> Float[Array, "n"]:
        """sum_k (f_k - y_k)^2 of each example."""
        return jnp.sum(jnp.square(prediction - y).reshape(len(y), -1), axis=-1)


class LogisticLoss(Loss[Real]):
    """log(1 + exp(-y f)) for labels y in {-1, +1}."""

    def __call__(self, prediction: Float[Array, "n"], y: Float[Array, "n"]) -> Float[Array, "n"]:
        """log(1 + exp(-y f)) of each example, without overflow."""
        return jax.nn.softplus(-y * prediction)


class CrossEntropy(Loss[Reals]):
    """-sum_k y_k log softmax(f)_k for labels y that are one-hot vectors, or probabilities of the classes."""

    def __call__(self, prediction: Float[Array, "n k"], y: Float[Array, "n k"]) -> Float[Array, "n"]:
        """The cross-entropy of each example, in nats."""
        if jnp.ndim(prediction) != 2:
            raise ValueError(f"CrossEntropy: expected an output for each class, got shape {jnp.shape(prediction)}")
        return optax.softmax_cross_entropy(prediction, y)


class CorrelationLoss(Loss[Real]):
    """-f y: the part of the squared loss that a network of vanishing size feels."""

    def __call__(self, prediction: Float[Array, "n"], y: Float[Array, "n"]) -> Float[Array, "n"]:
        """-f y of each example."""
        return -prediction * y


class L2(Penalty):
    """lam / 2 times the squared norm of all weights, biases included."""

    lam: Annotated[float, Field(ge=0)]

    def __call__(self, model: Any) -> Float[Array, ""]:
        """The sum of w^2 over everything that is trained, times lam / 2."""
        squares = [jnp.sum(jnp.square(w)) for w in jax.tree.leaves(weights_of(model))]
        return self.lam / 2 * functools.reduce(jnp.add, squares)


def decay(term: Loss[Any] | Penalty) -> Any:
    """The lam of the penalty lam/2 |w|^2 on all weights that a loss, or a penalty, contains.

    Raises:
        ValueError: if a penalty is not of this form.
    """
    match term:
        case L2():
            return term.lam
        case ScaledLoss():
            return term.weight * decay(term.loss)
        case ScaledPenalty():
            return term.weight * decay(term.penalty)
        case LossSum():
            return sum(map(decay, (*term.losses, *term.penalties)))
        case PenaltySum():
            return sum(map(decay, term.penalties))
        case Penalty():
            raise ValueError(f"{term!r} is no penalty lam/2 |w|^2 on all weights")
    return 0.0
