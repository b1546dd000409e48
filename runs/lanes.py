"""How many points share one vectorised program.

Lanes are a function of the program and the backend alone, never of how many points are asked for or of a timing,
because the width can change the last bits of a result. They are kept in a record's `numerics`.
"""

import math
from typing import Any

from runs.cost import Cost

DISPATCH_SECONDS = 0.01


def lanes(cost: Cost, backend: str) -> int:
    """Points in one block, which `vmap` carries together.

    On a CPU a step of a small network gains little from company (22 against 18 us a step and seed, 1 against 8 lanes,
    for the ResNet of the staircase study) and its evaluations lose, so only the tiniest steps are widened. On an
    accelerator a step of a small network is bound by launches, and lanes are nearly free.
    """
    if backend != "cpu":
        return 128
    working_set = cost.state + cost.step_bytes
    return 32 if working_set <= 2**15 else 8 if working_set <= 2**17 else 1


def blocks(cost: Cost, width: int, gap: float) -> int:
    """Blocks that a device runs one after the other in one dispatch of `gap` steps, so that it lasts about 10 ms."""
    return max(1, min(8, math.ceil(DISPATCH_SECONDS / (gap * width * cost.step_seconds))))


def fitting(width: int, cost: Cost, device: Any) -> int:
    """The lanes that fit a device: halved until a block takes at most half of its memory, where JAX knows that."""
    limit = (device.memory_stats() or {}).get("bytes_limit", math.inf)
    while width > 1 and width * cost.lane_bytes > limit / 2:
        width //= 2
    return width
