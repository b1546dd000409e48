"""How a group of points lies on the machine."""

import itertools
import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax

from dsl.program import Program
from runs.cost import Cost, estimate
from runs.lanes import blocks, fitting, lanes

CHUNK_SECONDS = 2.0


@dataclass(frozen=True)
class Layout:
    """How a group lies on the machine: a rule of program and backend alone."""

    devices: int
    blocks: int
    lanes: int
    cost: Cost

    @property
    def memory(self) -> int:
        """Bytes that a wave needs on all its devices: a bound on a group of any number of points."""
        return self.devices * self.blocks * self.lanes * self.cost.lane_bytes

    @property
    def chunk(self) -> int:
        """Steps in one dispatch at most, so that progress is seen every few seconds."""
        return max(1, int(CHUNK_SECONDS / (self.cost.step_seconds * self.lanes * self.blocks)))

    def narrower(self) -> "Layout":
        """Half the lanes, after memory has run out."""
        return replace(self, lanes=math.ceil(self.lanes / 2), blocks=1)


def layout(program: Program, knobs: Any, arrays: Mapping[str, Any], chosen: int | None = None) -> Layout:
    """The layout of a traced program's group on the devices of this process.

    Args:
        program: of the group.
        knobs: of one of its points.
        arrays: its inputs, by path.
        chosen: lanes that `stepwell tune` has chosen, in place of the rule's.
    """
    cost = estimate(program, knobs, arrays)
    width = fitting(chosen or lanes(cost, jax.default_backend()), cost, jax.local_devices()[0])
    steps = [0, *(step for step, _ in program.schedule)]
    gap = statistics.median([b - a for a, b in itertools.pairwise(steps) if b > a] or [1])
    return Layout(len(jax.devices()), blocks(cost, width, gap), width, cost)
