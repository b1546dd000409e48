"""How two specs differ, field by field."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dsl.faults import Path, written
from dsl.identity import Composed, digest
from dsl.spec import Spec, hints, kind

ABSENT = "-"
"""What stands where one of the two specs has no such field or item."""


@dataclass(frozen=True)
class Difference:
    """One place in which two specs differ.

    Attributes:
        path: field names and indices from the two specs down to the place; empty for the specs themselves.
        left: what the first one has there, as a reader writes it; of a noun of another kind, its kind.
        right: the same of the second one.
    """

    path: Path
    left: str
    right: str

    @property
    def where(self) -> str:
        """The path as `--set` takes it; `(kind)` for the specs themselves."""
        return written(self.path) or "(kind)"


def differences(left: Spec, right: Spec) -> list[Difference]:
    """Every place in which two specs differ, in the order of the fields; none where their digests are equal.

    Nouns of one kind are compared field by field, and nouns of two kinds by the fields of both after their kinds.
    Inner experiments are entered; a pair of them that is met again is told by the place where it was met first.
    """
    return [] if digest(left) == digest(right) else list(_compared((), left, right, {}))


def _compared(path: Path, left: Any, right: Any, met: dict[tuple[str, str], Path]) -> Iterator[Difference]:
    if isinstance(left, Spec) and isinstance(right, Spec):
        yield from _of_nouns(path, left, right, met)
    elif isinstance(left, tuple) and isinstance(right, tuple):
        for i in range(max(len(left), len(right))):
            if i < min(len(left), len(right)):
                yield from _compared((*path, i), left[i], right[i], met)
            else:
                yield Difference((*path, i), _item(left, i), _item(right, i))
    elif left != right:
        yield Difference(path, repr(left), repr(right))


def _of_nouns(path: Path, left: Spec, right: Spec, met: dict[tuple[str, str], Path]) -> Iterator[Difference]:
    pair = digest(left), digest(right)
    if pair[0] == pair[1]:
        return
    if isinstance(left, Composed) and isinstance(right, Composed):
        if pair in met:
            again = f"as in {written(met[pair])}"
            yield Difference(path, again, again)
            return
        met[pair] = path
    if kind(left) != kind(right):
        yield Difference(path, kind(left), kind(right))
    for name in dict.fromkeys([*hints(type(left)), *hints(type(right))]):
        here = (*path, name)
        if name in hints(type(left)) and name in hints(type(right)):
            yield from _compared(here, getattr(left, name), getattr(right, name), met)
        else:
            yield Difference(here, _field(left, name), _field(right, name))


def _item(items: tuple[Any, ...], i: int) -> str:
    return repr(items[i]) if i < len(items) else ABSENT


def _field(noun: Spec, name: str) -> str:
    return repr(getattr(noun, name)) if name in hints(type(noun)) else ABSENT
