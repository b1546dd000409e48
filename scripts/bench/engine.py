"""The engine against a hand-written JAX loop of the same training, interleaved in one process.

    python -m scripts.bench.engine [--rounds 5] [--steps 20000]

The training: two-layer ReLU network, d = 100, width 256, batch 128, online SGD on x0 + x0x1 + x0x1x2 + x0x1x2x3. The
loop is what one writes by hand: weights in a dict, `jax.grad`, one jitted `fori_loop`, one device, nothing of ours in
it; it draws by the bit as well (`jax.random.rademacher` would cost it 30 % more). Both see the same inputs, and the
benchmark refuses to compare them unless their weights agree after 300 steps.

Reported are medians over the rounds of the ratio of wall times. Wanted: one seed, at most 1.05 of the loop's time; 32
seeds on 2 cores, at least 1.8 times the throughput of the loop over the seeds; a sweep of 32 points of learning rate
and initial scale compiles as often as one point.
"""

import os

from runs.configure import environment

os.environ.update({k: v for k, v in environment("float32", 2).items() if "CACHE" not in k})

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dsl import (
    Descent,
    Fresh,
    Hypercube,
    Labelled,
    Relu,
    Sgd,
    SquaredLoss,
    Standard,
    Training,
    TwoLayer,
    Weights,
    at_end,
    bits,
    compile,
    keys,
    prefixes,
    total,
)
from runs.execute import execute
from runs.layout import layout
from runs.mapping import Mapped
from runs.options import RunOptions
from runs.plan import grouped
from runs.store import InMemory
from runs.wave import Block, Wave

D, WIDTH, BATCH = 100, 256, 128


def experiment(seed: int, steps: int, lr: float = 0.01, gain: float = 1.0) -> Training:
    """The training in the language."""
    return Training(
        task=Labelled(Hypercube(D), total(prefixes(bits(D), 4))),
        model=TwoLayer(WIDTH, Relu(), Standard(gain)),
        loss=SquaredLoss(),
        protocol=Descent(steps, Fresh(BATCH), by=Sgd(lr)),
        measure=(Weights() @ at_end(),),
        seed=seed,
    )


def draw(key: Any) -> Any:
    """Uniform points of the cube, one random bit per coordinate, shape (BATCH, D)."""
    words = jax.random.bits(key, (BATCH, -(-D // 32)), jnp.uint32)
    signs = words[:, :, None] << jnp.arange(31, -1, -1, dtype=jnp.uint32) & np.uint32(0x80000000)
    return jax.lax.bitcast_convert_type(signs | np.uint32(0x3F800000), jnp.float32).reshape(BATCH, -1)[:, :D]


@jax.jit
def by_hand(weights: dict[str, Any], key: Any, steps: Any, lr: Any) -> dict[str, Any]:
    """The training written as a loop."""

    def loss(w: dict[str, Any], x: Any, y: Any) -> Any:
        return jnp.mean((jax.nn.relu(x @ w["w"].T + w["b"]) @ w["a"] - y) ** 2)

    def step(i: Any, w: dict[str, Any]) -> dict[str, Any]:
        x = draw(jax.random.fold_in(key, i))
        y = jnp.sum(jnp.cumprod(x[:, :4], axis=1), axis=1)
        return jax.tree.map(lambda v, g: v - lr * g, w, jax.grad(loss)(w, x, y))

    return jax.lax.fori_loop(0, steps, step, weights)


class ByHand:
    """The loop from the engine's initial weights and data keys."""

    def __init__(self, steps: int) -> None:
        self.steps, self.program = steps, compile(experiment(0, steps))

    def start(self, seed: int) -> tuple[dict[str, Any], Any]:
        """Initial weights and the key of the data."""
        program, knobs = self.program, self.program.knobs(experiment(seed, self.steps))
        network = program.init(knobs, {}, program.constants(knobs, {}))["model"]
        layer = network.hidden[0]
        weights = {"w": layer.weight, "b": layer.bias, "a": network.readout.weight[0]}
        return weights, keys.fold(keys.root(seed), "data")

    def run(self, seeds: int) -> Callable[[], Any]:
        """One jitted loop after another over the seeds."""
        starts = [self.start(seed) for seed in range(seeds)]
        lr = np.float32(0.01)
        by_hand(*starts[0], 1, lr)
        return lambda: [jax.block_until_ready(by_hand(w, key, self.steps, lr)) for w, key in starts]


def engine(seeds: int, steps: int) -> Callable[[], Any]:
    """The engine's waves over the seeds, compiled before."""
    points = [experiment(seed, steps) for seed in range(seeds)]
    program = compile(points[0])
    knobs = [program.knobs(point) for point in points]
    place = layout(program, knobs[0], {})
    mapped = Mapped(program, (place.devices, place.blocks, place.lanes), "shard_map")
    blocks = [Block("", "", part, [{} for _ in part]) for part in _parts(knobs, place.lanes)]
    waves = [Wave(mapped, part, {}, place.chunk) for part in _parts(blocks, place.devices * place.blocks)]
    warm = mapped.placed(waves[0].points())
    constants = mapped.constants(warm)
    mapped.observe(warm, constants, mapped.advance(warm, constants, mapped.init(warm, constants), 1), ("Weights",))
    return lambda: [trace for wave in waves for traces in wave.run(lambda _: None) for trace in traces]


def _parts(items: list[Any], size: int) -> list[list[Any]]:
    return [items[i : i + size] for i in range(0, len(items), size)]


def agree() -> bool:
    """Whether both have the same weights after 300 steps, before rounding has grown (1e-8 then, 5e-4 at the end)."""
    ours, theirs = engine(1, 300)(), ByHand(300).run(1)()
    weights = ours[0].observations[-1][2]["Weights"]
    return bool(np.abs(weights["hidden[0].weight"] - theirs[0]["w"]).max() < 1e-6)


def ratio(seeds: int, steps: int, rounds: int) -> list[float]:
    """Engine's time over the loop's, round by round."""
    ours, theirs = engine(seeds, steps), ByHand(steps).run(seeds)
    found = []
    for number in range(rounds):
        # the order alternates, so that a drift of the machine favours neither
        timed = [_timed(run) for run in ((ours, theirs) if number % 2 else (theirs, ours))]
        mine, peer = timed if number % 2 else reversed(timed)
        found.append(mine / peer)
    return found


def _timed(run: Callable[[], Any]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def compilations(points: list[Training]) -> int:
    """XLA compilations of the engine for a sweep, from an empty process cache."""
    heard: list[str] = []
    listener = lambda event, *_, **__: heard.append(event) if event.endswith("backend_compile_duration") else None
    jax.clear_caches()
    jax.monitoring.register_event_duration_secs_listener(listener)
    try:
        execute(grouped(points), InMemory(), RunOptions(), lambda _: None)
    finally:
        jax.monitoring.unregister_event_duration_listener(listener)
    return len(heard)


def sweep(points: int) -> list[Training]:
    """Learning rate x initial scale."""
    return [experiment(0, 100, lr=0.002 * (1 + i % 8), gain=0.25 * (1 + i // 8)) for i in range(points)]


def main() -> None:
    """Print the three comparisons; status 1 if one misses what is wanted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--seeds", type=int, default=32)
    options = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.2f}, {os.cpu_count()} cores, jax {jax.__version__}, {len(jax.devices())} devices")
    if not agree():
        sys.exit("the engine and the loop have different weights: nothing is compared")
    one = _shown("one seed, engine / loop", ratio(1, options.steps, options.rounds))
    many = ratio(options.seeds, options.steps, max(1, options.rounds // 2))
    gain = _shown(f"{options.seeds} seeds, throughput engine / loop", [1 / r for r in many])
    alone, together = compilations(sweep(1)), compilations(sweep(32))
    print(f"compilations: {alone} for one point, {together} for a sweep of 32 points")
    sys.exit(0 if one <= 1.05 and gain >= 1.8 and alone == together else 1)


def _shown(what: str, ratios: list[float]) -> float:
    middle = statistics.median(ratios)
    print(f"{what}: median {middle:.3f} of {len(ratios)} rounds ({min(ratios):.3f} to {max(ratios):.3f})")
    return middle


if __name__ == "__main__":
    main()
