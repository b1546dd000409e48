"""How large an instance may be: the limits of host algorithms, sizes as a reader writes them, and what still fits."""

from collections.abc import Callable

from theory.transport.cost import MAX_DENSE, MAX_LISTED
from theory.transport.cost import written_size as written_size
from theory.transport.graphical import MAX_TABLE

TABLE = MAX_TABLE
"""The most entries of one array: a table of variable elimination, costs to a grid, points of a reduction."""
TENSOR = MAX_LISTED
"""The most entries of a tensor that are columns of `NaiveLp()`, and the most answers that brute force goes through."""
SEARCHED = MAX_DENSE
"""The most entries of a tensor that is searched exactly where nothing better is known."""


def limit(most: int) -> str:
    """A limit that is a power of two: `2^26`."""
    return f"2^{most.bit_length() - 1}"


def largest(fits: Callable[[int], bool], most: int) -> int:
    """The largest number that fits, of 0 to `most`, where all smaller ones fit too.

    Args:
        fits: whether a positive number does.
        most: where to stop.

    Returns:
        The number; 0 if none fits.
    """
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low
