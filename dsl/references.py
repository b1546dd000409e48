"""References: nouns whose arrays come from outside, and the slots that stand for them in a program.

A reference is replaced by a slot before grouping and compiling, so that experiments which differ only in what they read
share a program; the arrays are arguments of the program, never constants in it.
"""

import abc
from collections.abc import Mapping
from typing import Any

from dsl.experiments import Experiment
from dsl.identity import Composed
from dsl.spec import Spec, hints, rebuilt


class Slot(Spec, abstract=True):
    """Interface of what stands in a closed experiment where a reference was."""

    @abc.abstractmethod
    def supplied(self, arrays: Mapping[str, Any]) -> Any:
        """The noun's meaning, with these arrays."""


class Reference(Spec, abstract=True):
    """Interface of nouns that are read from outside: from another experiment, or from stored data."""

    @abc.abstractmethod
    def slot(self) -> Slot:
        """What remains of the noun when the arrays are taken out."""

    def source(self) -> tuple[Experiment, str, int] | None:
        """The experiment, its measurement and the step that are read; None for stored data."""
        return None


def closed(value: Any, inside: bool = False) -> Any:
    """An experiment with slots for its references: its tree structure is what is compiled."""
    if isinstance(value, Reference):
        return value.slot()
    if isinstance(value, tuple):
        return tuple(closed(item, True) for item in value)
    if not isinstance(value, Spec) or (isinstance(value, Composed) and inside):
        return value
    return rebuilt(value, **{name: closed(getattr(value, name), True) for name in hints(type(value))})
