"""How terms of a target are written in the sentences of `explain`."""

from typing import Any

from dsl.support import Support, Term


def key(term: Term, support: Support) -> tuple[Any, ...]:
    """A term as a plain value: its coordinates, with their degrees in the Hermite basis."""
    return tuple(term) if support.fourier else tuple(term.items())


def shown(term: Term, support: Support) -> str:
    """`x0*x1` for a character, `he2(x0)*x1` for a Hermite term."""
    factors = (f"x{i}" if k == 1 or support.fourier else f"he{k}(x{i})" for i, k in term.items())
    return "*".join(factors)


def listed(texts: list[str], between: str = ", ", most: int = 12) -> str:
    """The first texts in a row, and how many more there are."""
    rest = f"{between}{len(texts) - most} more" if len(texts) > most else ""
    return between.join(texts[:most]) + rest or "none"
