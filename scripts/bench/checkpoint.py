"""What checkpoints cost: the training of `scripts.bench.engine` with and without them, in pairs in one process.

    python -m scripts.bench.checkpoint [--rounds 24] [--steps 15000] [--width 256]

One wave, as the engine lays it out, runs without checkpoints and with one at every dispatch; the order alternates from
pair to pair. What a pair differs by, divided by its checkpoints, is what one of them costs, everything included: its
copy from the devices, its file, and what the devices wait. Divided by the default interval it is the share of a run
that checkpoints take there; no run has to last that long. Reported are medians over the pairs with their intervals
(bootstrap from 8 pairs on), of the wall time and, since that of a busy machine says little, of the processor's time of
this process. Wanted: a share below 3 %. A wider network (`--width 100000 --steps 60`) has a larger state.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from scripts.bench.engine import experiment  # which configures the process before JAX starts

# isort: split
import jax

from dsl import Relu, Standard, TwoLayer, compile
from runs.checkpoint import Checkpoints, Snapshot
from runs.interrupts import Interrupts
from runs.keeping import Keeping
from runs.layout import layout
from runs.mapping import Mapped
from runs.options import RunOptions
from runs.statistics import Interval, median
from runs.wave import Block, Wave

WANTED = 0.03
ALWAYS = 1e-9  # seconds between two checkpoints: one at every dispatch


class Counting(Keeping):
    """Keeps as the engine does, and counts."""

    count, seconds, bytes = 0, 0.0, 0

    def keep(self, snapshots: Mapping[str, Snapshot]) -> None:
        """Write the checkpoints."""
        began = time.perf_counter()
        super().keep(snapshots)
        self.count, self.seconds = self.count + 1, self.seconds + time.perf_counter() - began
        self.bytes = sum(leaf.nbytes for snapshot in snapshots.values() for leaf in snapshot.state)


@dataclass(frozen=True)
class Pair:
    """One run without checkpoints and one with them.

    Attributes:
        without, with_them: seconds, of the wall and of the processor.
        keeper: of the second one.
    """

    without: tuple[float, float]
    with_them: tuple[float, float]
    keeper: Counting

    def ratio(self, clock: int) -> float:
        """Time with checkpoints over time without them, by one of the clocks."""
        return self.with_them[clock] / self.without[clock]

    def each(self, clock: int) -> float:
        """Seconds that one checkpoint costs."""
        return (self.with_them[clock] - self.without[clock]) / self.keeper.count


def wave(steps: int, width: int) -> Wave:
    """A full wave, with its program compiled."""
    point = lambda seed: replace(experiment(seed, steps), model=TwoLayer(width, Relu(), Standard()))
    program = compile(point(0))
    place = layout(program, program.knobs(point(0)), {})
    seeds = range(place.devices * place.blocks * place.lanes)
    knobs = [program.knobs(point(seed)) for seed in seeds]
    parts = [knobs[i : i + place.lanes] for i in seeds[:: place.lanes]]
    blocks = [Block(f"{i:032x}", "", part, [{}] * len(part)) for i, part in enumerate(parts)]
    mapped = Mapped(program, (place.devices, place.blocks, place.lanes), "shard_map")
    return Wave(mapped, blocks, {}, min(place.chunk, -(-steps // 4)))


def timed(wave: Wave, kept: bool) -> tuple[tuple[float, float], Counting]:
    """Seconds of a run, of the wall and of the processor, and its keeper."""
    with tempfile.TemporaryDirectory(prefix="stepwell-bench-") as folder:
        keeper = Counting(Checkpoints(Path(folder)) if kept else None, ALWAYS, Interrupts())
        began = time.perf_counter(), time.process_time()
        wave.run(lambda _: None, keeper)
        return (time.perf_counter() - began[0], time.process_time() - began[1]), keeper


def pairs(wave: Wave, rounds: int) -> list[Pair]:
    """Runs side by side, so that a drift of the machine favours neither."""
    found = []
    for number in range(rounds):
        order = (False, True) if number % 2 else (True, False)
        seconds = {kept: timed(wave, kept) for kept in order}
        found.append(Pair(seconds[False][0], *seconds[True]))
    return found


def main() -> None:
    """Print what checkpoints cost; status 1 where that is too much, or too uncertain to be called little."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=24)
    parser.add_argument("--steps", type=int, default=15_000)
    parser.add_argument("--width", type=int, default=256)
    options = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.2f}, {os.cpu_count()} cores, jax {jax.__version__}, {len(jax.devices())} devices")
    work = wave(options.steps, options.width)
    timed(work, True)  # compiles
    sys.exit(told(pairs(work, options.rounds)))


def told(found: list[Pair]) -> int:
    """Print the pairs; 1 unless the whole interval of the wall time is below what is wanted."""
    keeper, every = found[0].keeper, RunOptions().checkpoint
    print(
        f"{len(found)} pairs, {keeper.count} checkpoints of {keeper.bytes / 1e6:.1f} MB in a run, one at every dispatch"
    )
    print(f"a run without them: {median([p.without[0] for p in found]).estimate:.2f} s (load {os.getloadavg()[0]:.2f})")
    print(f"writing one: {_shown([1e3 * p.keeper.seconds / p.keeper.count for p in found])} ms")
    for clock, name in enumerate(("wall", "processor")):
        each = [1e3 * p.each(clock) for p in found]
        print(f"{name}: ratio {_shown([p.ratio(clock) for p in found])}, one costs {_shown(each)} ms", end=": ")
        print(f"{_shown([each / 10 / every for each in each])} % of a run with one every {every:g} s")
    return 0 if median([p.each(0) / every for p in found]).high < WANTED else 1


def _shown(values: list[float]) -> str:
    found: Interval = median(values)
    return f"{found.estimate:.4g} [{found.low:.4g}, {found.high:.4g}]"


if __name__ == "__main__":
    main()
