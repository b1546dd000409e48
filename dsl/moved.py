"""`Moved`: a law, a target, a model or a noise in the frame of a group element.

With all four of them moved by one g, a run is the same run seen through g: its outputs at g x are those of the unmoved
run at x, at every step and to rounding. That fully connected networks train like this is the premise of 2208.03113.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

import equinox as eqx
from jaxtyping import Array, Float, Key

from dsl.domains import inner
from dsl.faults import Fault
from dsl.groups import GroupElement
from dsl.keys import Streams
from dsl.laws import Distribution, Nodes
from dsl.models import Model
from dsl.noise import Noise
from dsl.realise import Combinator, N, realised
from dsl.targets import Target

MOVABLE = (Distribution, Target, Model, Noise)


class MovedLaw(eqx.Module):
    """The law of g x for x from a law."""

    noun: Any
    by: GroupElement

    @property
    def shape(self) -> tuple[int, ...]:
        """As for the law."""
        return self.noun.shape

    @property
    def exact(self) -> bool:
        """As for the law."""
        return self.noun.exact

    @property
    def size(self) -> int | None:
        """As for the law."""
        return self.noun.size

    def sample(self, key: Key[Array, ""], n: int) -> Float[Array, "n d"]:
        """The points g x for n draws of x."""
        return self.by(self.noun.sample(key, n))

    def nodes(self) -> Nodes:
        """The points g x for the nodes x of the law, with their weights."""
        points, weights = self.noun.nodes()
        return self.by(points), weights


class MovedTarget(eqx.Module):
    """f(g^-1 x), which is at g x what f is at x."""

    noun: Any
    by: GroupElement

    @property
    def outputs(self) -> int | None:
        """As for f."""
        return self.noun.outputs

    def __call__(self, x: Float[Array, "*batch d"]) -> Any:
        """The values f(g^-1 x)."""
        return self.noun(self.by.undone(x))


class MovedModel(eqx.Module):
    """A model whose network starts with W g^-1 in the place of its first weights W."""

    noun: Any
    by: GroupElement

    @property
    def time_scale(self) -> float:
        """As for the model."""
        return self.noun.time_scale

    def init(self, key: Key[Array, ""], task: Any) -> eqx.Module:
        """The network of the model, which at g x is what that of the model is at x."""
        return _with_moved_inputs(self.noun.init(key, task), self.by)

    def seeded(self, streams: Streams) -> "MovedModel":
        """The model under `Seeded`, moved."""
        return MovedModel(self.noun.seeded(streams), self.by)


class MovedNoise(eqx.Module):
    """A noise whose part for the first weights is moved as these are."""

    noun: Any
    by: GroupElement

    def draw(self, key: Key[Array, ""], weights: Any) -> Any:
        """The draw of the noise with its first part z as z g^-1."""
        return _with_moved_inputs(self.noun.draw(key, weights), self.by)


def _with_moved_inputs(network: Any, by: GroupElement) -> Any:
    """A network, or a tree in its shape, with W g^-1 for its first weights W; a row of it is g of the row."""
    if not hasattr(network, "hidden"):
        raise TypeError(f"Moved: {type(network).__name__} has no hidden layer whose weights meet the input")
    weight = network.hidden[0].weight
    return network if weight is None else eqx.tree_at(lambda tree: tree.hidden[0].weight, network, by(weight))


def _transported(noun: Any, by: GroupElement) -> Any:
    """By what a realised noun can do: a sample or given weights are no `Spec` any more."""
    forms = {"init": MovedModel, "sample": MovedLaw, "draw": MovedNoise}
    return next((form for does, form in forms.items() if hasattr(noun, does)), MovedTarget)(noun, by)


if TYPE_CHECKING:  # to a type checker, a function from a noun to its type

    def Moved(noun: N, by: GroupElement) -> N:
        """A law, target, model or noise in the frame of a group element."""
        ...

else:

    class Moved(Combinator[N]):
        """A law, target, model or noise in the frame of a group element."""

        once_per_run: ClassVar[bool] = False
        noun: N
        by: GroupElement

        def check(self) -> Iterable[Fault]:
            """Something that can be moved; a law in the dimension of the element."""
            if not isinstance(inner(self.noun), MOVABLE):
                expected = " or ".join(kind.__name__ for kind in MOVABLE)
                yield Fault(("noun",), f"expected a {expected} to move, got {type(self.noun).__name__}")
            elif isinstance(inner(self.noun), Distribution):
                yield from self._misfits(self.noun.shape)

        def misfits(self, law: Distribution[Any]) -> Iterable[Fault]:
            """Of a target: those of the element and of the target."""
            yield from self._misfits(law.shape)
            yield from (fault.under("noun") for fault in self.noun.misfits(law))

        def unfit(self, task: Any) -> Iterable[Fault]:
            """Of a model: inputs on which the element does not act, and what is unfit for the model."""
            yield from self._misfits(task.shape)
            yield from (fault.under("noun") for fault in self.noun.unfit(task))

        def _misfits(self, shape: tuple[int, ...]) -> Iterable[Fault]:
            if len(shape) != 1:
                yield Fault(("noun",), f"a group element acts on vectors, got inputs of shape {shape}")
            else:
                yield from (fault.under("by") for fault in self.by.misfits(shape[0]))

        def realise(self, streams: Streams) -> Any:
            """The realised noun, moved; nothing is drawn for it."""
            return _transported(realised(self.noun, streams), self.by)
