"""The data axis: devices that share one batch, of which each takes a part, and average what they find.

Who maps a program over devices says so here (`split_over`) while it is traced; a protocol that averages over a batch
asks for its `part` and for what is `averaged`. Without a data axis both change nothing. A solver that devices share
in another way asks for the `axis` itself.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import jax

from dsl.draws import Batch
from dsl.sample import leading

_AXIS: ContextVar[tuple[str, int] | None] = ContextVar("data axis", default=None)


class Unsplittable(ValueError):
    """A batch that the devices cannot share evenly."""


@contextmanager
def split_over(axis: str, parts: int) -> Iterator[None]:
    """While this is open, batches are split over a mapped axis of so many devices; nothing for one part."""
    token = _AXIS.set((axis, parts) if parts > 1 else None)
    try:
        yield
    finally:
        _AXIS.reset(token)


def axis() -> tuple[str, int] | None:
    """The mapped axis that devices share and its length; None without a data axis."""
    return _AXIS.get()


def part(batch: Batch) -> Batch:
    """This device's part of a batch, of which the mean over devices of its means is the mean of the whole.

    Raises:
        Unsplittable: if the parts would not be of equal size.
    """
    found = _AXIS.get()
    if found is None:
        return batch
    (axis, parts), n = found, leading(batch.points)
    if n % parts:
        raise Unsplittable(f"a batch of {n} examples cannot be split evenly over {parts} devices")
    size = n // parts
    first = jax.lax.axis_index(axis) * size
    mine = lambda leaf: jax.lax.dynamic_slice_in_dim(leaf, first, size)
    weights = None if batch.weights is None else parts * mine(batch.weights)
    return Batch(jax.tree.map(mine, batch.points), weights)


def averaged(tree: Any) -> Any:
    """The mean over the devices that share a batch of what each of them found on its part."""
    found = _AXIS.get()
    return tree if found is None else jax.lax.pmean(tree, found[0])
