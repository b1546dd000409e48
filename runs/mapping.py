"""A program over many points: devices, blocks and lanes.

Everything has three leading axes: (devices, blocks, lanes). Outside in: `shard_map` (or `pmap`) over devices, `lax.map`
over blocks, `vmap` over lanes, then the program's own steps. A block of which all lanes pad is not computed.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from dsl.program import Program
from runs.options import Mapper

AXIS = "run"
Lane = Callable[..., Any]


@dataclass(frozen=True)
class Points:
    """What a wave computes, with leading axes (devices, blocks, lanes).

    Attributes:
        live: False in a block that only pads.
        knobs: the knobs of each point.
        inputs: results of required experiments, by path.
        shared: stored arrays by path, without the leading axes.
    """

    live: Any
    knobs: Any
    inputs: Any
    shared: Any


class Mapped:
    """The compiled functions of a program on a mesh.

    Args:
        program: what to run.
        shape: devices, blocks, lanes.
        mapper: `shard_map` or `pmap`.
    """

    def __init__(self, program: Program, shape: tuple[int, int, int], mapper: Mapper) -> None:
        self.program, self.shape, self.mapper = program, shape, mapper
        devices = np.array(jax.devices()[: shape[0]])
        self.mesh = Mesh(devices, (AXIS,), axis_types=(AxisType.Auto,))
        self._compiled: dict[Any, Any] = {}

    def share(self, tree: Any) -> Any:
        """Arrays that all lanes share, on every device once."""
        return jax.device_put(tree, NamedSharding(self.mesh, PartitionSpec()))

    def place(self, tree: Any) -> Any:
        """Arrays with the three leading axes, spread over the devices."""
        sharding = NamedSharding(self.mesh, PartitionSpec(AXIS))
        return jax.device_put(tree, sharding)

    def constants(self, points: Points) -> Any:
        """What is drawn once for each lane."""
        lane = lambda shared, knobs, inputs: self.program.constants(knobs, {**inputs, **shared[0]})
        return self._call("constants", lane, points, 0)

    def init(self, points: Points, constants: Any) -> Any:
        """The states at step 0."""
        lane = lambda shared, knobs, inputs, constants: self.program.init(knobs, {**inputs, **shared[0]}, constants)
        return self._call("init", lane, points, 0, constants)

    def advance(self, points: Points, constants: Any, state: Any, n: int) -> Any:
        """The states n steps later; the given ones are consumed."""

        def lane(shared: Any, knobs: Any, inputs: Any, constants: Any, state: Any) -> Any:
            stored, steps = shared
            return self.program.advance(state, knobs, {**inputs, **stored}, constants, steps)

        return self._call("advance", lane, points, n, constants, state)

    def observe(self, points: Points, constants: Any, state: Any, due: tuple[str, ...]) -> Any:
        """The due measurements of each lane, with whether its state is `healthy` and the run `done`."""

        def lane(shared: Any, knobs: Any, inputs: Any, constants: Any, state: Any) -> Any:
            values = self.program.observe(state, knobs, {**inputs, **shared[0]}, constants, due)
            return {"values": values, "healthy": self.program.healthy(state), "done": self.program.finished(state)}

        return self._call(("observe", due), lane, points, 0, constants, state)

    def _call(self, name: Any, lane: Lane, points: Points, n: int, *more: Any) -> Any:
        if name not in self._compiled:
            self._compiled[name] = self._jitted(lane, len(more), donate=name == "advance")
        return self._compiled[name]((points.shared, np.int32(n)), points.live, points.knobs, points.inputs, *more)

    def _jitted(self, lane: Lane, more: int, donate: bool) -> Lane:
        block = functools.partial(_blocks, lane, self.shape[2])
        donated = (_STATE,) if donate else ()
        if self.mapper == "pmap":
            axes = (None, *(0 for _ in range(3 + more)))
            return jax.pmap(block, AXIS, in_axes=axes, donate_argnums=donated, devices=list(self.mesh.devices))
        specs = (PartitionSpec(), *(PartitionSpec(AXIS) for _ in range(3 + more)))
        local = functools.partial(_local, block)
        mapped = jax.shard_map(local, mesh=self.mesh, in_specs=specs, out_specs=PartitionSpec(AXIS), check_vma=False)
        return jax.jit(mapped, donate_argnums=donated)


_STATE = 5  # the place of the state among the arguments: shared, live, knobs, inputs, constants, state


def _local(block: Lane, shared: Any, *args: Any) -> Any:
    """One device's part under `shard_map`, where the mesh axis is kept with length 1."""
    inside = jax.tree.map(lambda leaf: leaf[0], args)
    return jax.tree.map(lambda leaf: leaf[None], block(shared, *inside))


def _blocks(lane: Lane, width: int, shared: Any, live: Any, *args: Any) -> Any:
    """The blocks of one device, one after the other."""
    run = functools.partial(_lanes, lane, width, shared)

    def one(block: Any) -> Any:
        alive, rest = block
        shapes = jax.eval_shape(run, *rest)
        nothing = lambda *_: jax.tree.map(_zeros, shapes)
        return jax.lax.cond(alive[0], run, nothing, *rest)

    return jax.lax.map(one, (live, args))


def _zeros(shape: Any) -> Any:
    if jnp.issubdtype(shape.dtype, jax.dtypes.prng_key):
        return jax.random.wrap_key_data(jnp.zeros((*shape.shape, 2), jnp.uint32))
    return jnp.zeros(shape.shape, shape.dtype)


def _lanes(lane: Lane, width: int, shared: Any, *args: Any) -> Any:
    """The lanes of one block."""
    if width > 1:
        return jax.vmap(functools.partial(lane, shared))(*args)
    # one lane is not batched: a batch of one would take the slower batched products
    single = jax.tree.map(lambda leaf: leaf[0], args)
    return jax.tree.map(lambda leaf: leaf[None], lane(shared, *single))
