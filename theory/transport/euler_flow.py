"""Generalised Euler flows: particles on a line that move for k - 1 steps from a place to where it is sent."""

from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Int

from theory.transport.graphical import GraphicalCost, chain_cost

Flow: TypeAlias = Literal["id", "rev", "shift", "tent"]
"""i -> i; i -> n - 1 - i; i -> i + n // 2 modulo n; i -> min(2i, 2n - 2i - 1)."""


def destinations(n: int, flow: Flow) -> Int[np.ndarray, "n"]:
    """sigma(0), ..., sigma(n - 1).

    Args:
        n: the number of places.
        flow: the name of the map.

    Returns:
        Where each place is sent.
    """
    i = np.arange(n)
    maps = {"id": i, "rev": n - 1 - i, "shift": (i + n // 2) % n, "tent": np.minimum(2 * i, 2 * n - 2 * i - 1)}
    return maps[flow]


def euler_flow(n: int, k: int, flow: Flow) -> GraphicalCost:
    """C_j = sum_{t < k - 1} (j_t - j_{t+1})^2 / n^2 + (sigma(j_0) - j_{k-1})^2 / n^2.

    Args:
        n: the number of places.
        k: the number of times, at least 2.
        flow: sigma.

    Returns:
        The cost, of k marginals with n points each: a cycle, of treewidth 2.

    Source: arXiv 2008.03006, generalised Euler flows; the maps are those of the authors' code.
    """
    i = np.arange(n)
    step = (i[:, None] - i) ** 2 / n**2
    return chain_cost([step] * (k - 1), (destinations(n, flow)[:, None] - i) ** 2 / n**2)
