"""Problems on graphs by going through every answer: what reductions are compared with."""

import itertools
import math

import numpy as np

from theory.transport.cost import MAX_LISTED
from theory.transport.reductions import Adjacency


def most_pairs(adjacency: Adjacency, k: int) -> int:
    """The most pairs i < i' with adjacent j_i and j_i', over all k-tuples of vertices; k (k - 1) / 2 for a k-clique.

    Vertices may occur more than once, as in `clique_to_pairwise`; a vertex is not adjacent to itself.

    Args:
        adjacency: of the graph.
        k: the length of the tuples.

    Returns:
        The number.

    Raises:
        ValueError: if there are more than 2^20 multisets of k vertices.
    """
    _expect_few(math.comb(len(adjacency) + k - 1, k), "multisets of vertices")
    multisets = itertools.combinations_with_replacement(range(len(adjacency)), k)
    return max(int(adjacency[np.ix_(chosen, chosen)].sum()) // 2 for chosen in multisets)


def max_cut(adjacency: Adjacency) -> int:
    """The most edges whose ends differ, over all sides that vertices may take.

    Args:
        adjacency: of the graph.

    Returns:
        The number.

    Raises:
        ValueError: if the graph has more than 21 vertices.
    """
    _expect_few(2 ** (len(adjacency) - 1), "cuts")
    sides = itertools.product((0, 1), repeat=len(adjacency) - 1)
    return max(int((1 - s) @ adjacency @ s) for s in (np.array((0, *side)) for side in sides))


def _expect_few(count: int, what: str) -> None:
    if count > MAX_LISTED:
        raise ValueError(f"brute force: {count:.3g} {what}, more than {MAX_LISTED}; take a smaller graph")
