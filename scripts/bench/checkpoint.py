"""What checkpoints cost: the training of `scripts.bench.engine` with and without them, interleaved in one process.

    python -m scripts.bench.checkpoint [--rounds 3] [--steps 600000] [--every 60 1]

One wave, as the engine lays it out, runs without checkpoints and with one each so many seconds; a run must last longer
than that, or nothing is kept. Reported are medians over the rounds of the ratio of wall times, the checkpoints of a
run, and what one of them took. Wanted: less than 3 % at the default interval of 60 seconds.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from scripts.bench.engine import experiment  # which configures the process before JAX starts

# isort: split
import jax

from dsl import compile
from runs.checkpoint import Checkpoints, Snapshot
from runs.interrupts import Interrupts
from runs.keeping import Keeping
from runs.layout import layout
from runs.mapping import Mapped
from runs.options import RunOptions
from runs.wave import Block, Wave

WANTED = 1.03


class Counting(Keeping):
    """Keeps as the engine does, and counts."""

    count, seconds = 0, 0.0

    def keep(self, snapshots: Mapping[str, Snapshot]) -> None:
        """Write the checkpoints."""
        began = time.perf_counter()
        super().keep(snapshots)
        self.count, self.seconds = self.count + 1, self.seconds + time.perf_counter() - began


def wave(steps: int) -> Wave:
    """A full wave, with its program compiled."""
    program = compile(experiment(0, steps))
    place = layout(program, program.knobs(experiment(0, steps)), {})
    seeds = range(place.devices * place.blocks * place.lanes)
    knobs = [program.knobs(experiment(seed, steps)) for seed in seeds]
    parts = [knobs[i : i + place.lanes] for i in seeds[:: place.lanes]]
    blocks = [Block(f"{i:032x}", "", part, [{}] * len(part)) for i, part in enumerate(parts)]
    mapped = Mapped(program, (place.devices, place.blocks, place.lanes), "shard_map")
    made = Wave(mapped, blocks, {}, place.chunk)
    warm = mapped.placed(made.points())
    constants = mapped.constants(warm)
    mapped.observe(warm, constants, mapped.advance(warm, constants, mapped.init(warm, constants), 1), ("Weights",))
    return made


def timed(wave: Wave, every: float | None) -> tuple[float, int, float]:
    """Seconds of a run, its checkpoints, and the seconds of one of them."""
    with tempfile.TemporaryDirectory(prefix="stepwell-bench-") as folder:
        keeper = Counting(Checkpoints(Path(folder)) if every is not None else None, every or 0.0, Interrupts())
        began = time.perf_counter()
        wave.run(lambda _: None, keeper)
        return time.perf_counter() - began, keeper.count, keeper.seconds / max(1, keeper.count)


def main() -> None:
    """Print the comparison; status 1 if the default interval costs too much, or was too long to be measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=600_000)
    parser.add_argument("--every", type=float, nargs="+", default=[RunOptions().checkpoint, 1.0])
    options = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.2f}, {os.cpu_count()} cores, jax {jax.__version__}, {len(jax.devices())} devices")
    sys.exit(compared(wave(options.steps), options.every, options.rounds))


def compared(work: Wave, intervals: list[float], rounds: int) -> int:
    """Print each interval against none."""
    found: dict[float | None, list[tuple[float, int, float]]] = {every: [] for every in (None, *intervals)}
    for number in range(rounds):
        # the order alternates, so that a drift of the machine favours none
        for every in (list(found), list(reversed(found)))[number % 2]:
            found[every].append(timed(work, every))
    plain = [seconds for seconds, _, _ in found[None]]
    print(f"without checkpoints: {statistics.median(plain):.1f} s (load {os.getloadavg()[0]:.2f})")
    status = 0
    for every in intervals:
        ratios = [seconds / alone for (seconds, _, _), alone in zip(found[every], plain, strict=True)]
        middle, counts = statistics.median(ratios), [count for _, count, _ in found[every]]
        one = statistics.median([each for _, _, each in found[every]])
        spread = f"{min(ratios):.3f} to {max(ratios):.3f}"
        print(f"every {every:g} s: ratio {middle:.3f} ({spread}), {min(counts)} to {max(counts)} of {1e3 * one:.0f} ms")
        if every == RunOptions().checkpoint and (middle > WANTED or not min(counts)):
            status = 1
    return status


if __name__ == "__main__":
    main()
