"""One large Sinkhorn problem whose rows are shared among host devices: memory of each device, and agreement.

    python -m scripts.bench.sinkhorn [--points 20000] [--iterations 10] [--run-points 4000]

Memory is what XLA plans for temporary arrays of one device, at the full size, with all rows of a device at a time and
with the blocks that the noun `Sinkhorn` takes; nothing is run for it. The agreement is that of values and potentials
with one device, after a run at a size that a laptop can bear, in float32.
"""

import os

os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=4".strip()
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ.setdefault("PJRT_NPROC", "8")  # devices that wait for one another hang where XLA has fewer threads than this

import argparse
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from theory.transport import ott_solvers, pairs
from theory.transport.rows import Rows

DEVICES = (1, 2, 4)


def problem(n: int) -> pairs.Pair:
    """Two clouds of n points in the plane."""
    x, y = np.random.default_rng(0).uniform(-1, 1, size=(2, n, 2)).astype(np.float32)
    mass = np.full(n, 1 / n, np.float32)
    return pairs.Pair(*(jnp.asarray(leaf) for leaf in (x, y, mass, mass)))


def shared(devices: int, block: int | None, iterations: int) -> Any:
    """Sinkhorn and its certificate, on some devices."""
    rows, mesh = Rows(block, "data", devices), Mesh(np.array(jax.devices()[:devices]), ("data",))

    def solve(pair: pairs.Pair) -> tuple[jax.Array, ...]:
        found = ott_solvers.sinkhorn(pair, 20.0, 1e-9, iterations, rows)
        coupling = pairs.entropic(pair, found, rows)
        return found.f, coupling.value, coupling.lower

    return jax.jit(
        jax.shard_map(solve, mesh=mesh, in_specs=PartitionSpec(), out_specs=PartitionSpec(), check_vma=False)
    )


def main() -> None:
    """Print a line for each number of devices."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=20_000)
    parser.add_argument("--iterations", type=int, default=10)
    parser.add_argument("--run-points", type=int, default=4000)
    given = parser.parse_args()
    large, small = problem(given.points), problem(given.run_points)
    blocks = pairs.split(large).block
    print(f"n = m = {given.points}, float32: MiB of temporary arrays of one device")
    for devices in DEVICES:
        planned = [shared(devices, b, given.iterations).lower(large).compile() for b in (None, blocks)]
        sizes = [plan.memory_analysis().temp_size_in_bytes / 2**20 for plan in planned]
        print(f"  {devices} devices: {sizes[0]:8.1f} with all rows at a time, {sizes[1]:8.1f} in blocks of {blocks}")
    print(f"n = m = {given.run_points}, {given.iterations} iterations, run in blocks")
    alone: Any = None
    for devices in DEVICES:
        run = shared(devices, pairs.split(small).block, given.iterations).lower(small).compile()
        began = time.perf_counter()
        found = [np.asarray(leaf) for leaf in run(small)]
        alone = found if alone is None else alone
        apart = [float(np.abs(a - b).max()) for a, b in zip(found, alone, strict=True)]
        seconds = time.perf_counter() - began
        print(f"  {devices} devices: {seconds:6.2f} s; from one device: f {apart[0]:.1e}, value {apart[1]:.1e}")


if __name__ == "__main__":
    main()
