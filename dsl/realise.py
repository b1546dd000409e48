"""Randomness inside a spec, drawn once per run, and the combinators that stand for a noun.

A random noun (a sample, a teacher, a tree) is realised when a run starts: what it draws are constants of the program,
drawn again on resume. Two equal random nouns in one experiment are one draw, because a key depends on the seed and the
noun's purpose alone.
"""

import abc
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from dsl import keys
from dsl.faults import Fault, Path, written
from dsl.fields import Seed
from dsl.identity import Composed, walk
from dsl.keys import Streams
from dsl.spec import Spec, children, hints, rebuilt

N = TypeVar("N", bound=Spec)


class Random(Spec, abstract=True):
    """Interface of nouns that hold something to be drawn; `once_per_run` where they draw something themselves."""

    once_per_run: ClassVar[bool] = True

    @abc.abstractmethod
    def realise(self, streams: Streams) -> Any:
        """What the noun is in the run with these keys: a pytree with its meaning and no randomness left."""


class Combinator(Random, Generic[N], abstract=True):
    """Interface of nouns that stand for the noun in their field `noun`: accepted wherever it is, with its names."""

    __stands_for_noun__: ClassVar[bool] = True

    def __getattr__(self, name: str) -> Any:
        """What the combinator does not say of itself, the noun inside says."""
        if name.startswith("_") or "noun" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        return getattr(self.__dict__["noun"], name)


def realised(noun: Any, streams: Streams) -> Any:
    """The noun with everything random inside it drawn, from the keys of a run."""
    if isinstance(noun, Random):
        return noun.realise(streams)
    if isinstance(noun, tuple):
        return tuple(realised(item, streams) for item in noun)
    if not isinstance(noun, Spec) or isinstance(noun, Composed):
        return noun
    return rebuilt(noun, **{name: realised(getattr(noun, name), streams) for name in hints(type(noun))})


if TYPE_CHECKING:  # a combinator stands for its noun: to a type checker it is a function from the noun to its type

    def Seeded(noun: N, seed: int) -> N:
        """The noun with a key of its own instead of its experiment's: one draw for all seeds of a study."""
        ...

else:

    class Seeded(Combinator[N]):
        """The noun with a key of its own instead of its experiment's: one draw for all seeds of a study."""

        noun: N
        seed: Seed

        def check(self) -> Iterable[Fault]:
            """Something inside is drawn once per run: else the seed would say what it does not do."""
            if not any(getattr(noun, "once_per_run", hasattr(noun, "seeded")) for _, noun in walk(self.noun)):
                yield Fault(("noun",), f"nothing in {type(self.noun).__name__} is drawn once per run: use Sample")

        def realise(self, streams: Streams) -> Any:
            """What the noun is under the keys of its own seed."""
            own = keys.streams(self.seed)
            noun = realised(self.noun, own)
            return noun.seeded(own) if hasattr(noun, "seeded") else noun


def draws(spec: Spec, streams: Streams) -> dict[str, Any]:
    """Everything random in a spec, realised, by path; `placed` puts it where it was."""
    found: dict[str, Any] = {}
    _collect(spec, (), streams, found)
    return found


def _collect(spec: Spec, path: Path, streams: Streams, found: dict[str, Any]) -> None:
    if isinstance(spec, Random):
        found[written(path)] = spec.realise(streams)
        return
    for step, child in children(spec):
        if not isinstance(child, Composed):
            _collect(child, (*path, *step), streams, found)


S = TypeVar("S", bound=Spec)


def placed(spec: S, values: Mapping[str, Any]) -> S:
    """The spec with the nouns at these paths replaced by what they are in one run, unvalidated."""
    return _placed(spec, values, ()) if values else spec


def _placed(value: Any, values: Mapping[str, Any], path: Path) -> Any:
    if path and written(path) in values:
        return values[written(path)]
    if isinstance(value, tuple):
        return tuple(_placed(item, values, (*path, i)) for i, item in enumerate(value))
    if not isinstance(value, Spec) or (isinstance(value, Composed) and path):
        return value
    return rebuilt(value, **{n: _placed(getattr(value, n), values, (*path, n)) for n in hints(type(value))})
