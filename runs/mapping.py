"""A program over many points: devices, blocks and lanes.

Everything has three leading axes: (devices, blocks, lanes). Outside in: `shard_map` (or `pmap`) over devices, `lax.map`
over blocks, `vmap` over lanes, then the program's own steps. A block of which all lanes pad is not computed.

The mesh has two axes: `run`, over which points are spread, and `data`, over which the batch of each point is. The
devices along `data` hold the same states; the mesh may span many processes, which then do the same calls in one order.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from dsl.program import Program
from dsl.shards import split_over
from runs.options import Mapper

AXIS, DATA = "run", "data"
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
        shape: devices along `run`, blocks, lanes.
        mapper: `shard_map` or `pmap`.
        shards: devices along `data`; `pmap` has only one.
    """

    def __init__(self, program: Program, shape: tuple[int, int, int], mapper: Mapper, shards: int = 1) -> None:
        self.program, self.shape, self.mapper, self.shards = program, shape, mapper, shards
        devices = np.array(jax.devices()[: shape[0] * shards]).reshape(shape[0], shards)
        self.mesh = Mesh(devices, (AXIS, DATA), axis_types=(AxisType.Auto, AxisType.Auto))
        self._compiled: dict[Any, Any] = {}

    def start(self) -> "Machine":
        """The devices, with nothing on them."""
        return Machine(self)

    def share(self, tree: Any) -> Any:
        """Arrays that all lanes share, on every device once."""
        return self._placed(tree, PartitionSpec())

    def place(self, tree: Any) -> Any:
        """Arrays with the three leading axes, spread over the devices."""
        return self._placed(tree, PartitionSpec(AXIS))

    def placed(self, points: Points) -> Points:
        """Points on the devices, from arrays of the host."""
        return Points(
            self.place(points.live), self.place(points.knobs), self.place(points.inputs), self.share(points.shared)
        )

    def gathered(self, tree: Any) -> Any:
        """Arrays that this process can read: on a mesh of many processes, a copy on every device."""
        if self.mesh.is_multi_process:
            whole = NamedSharding(self.mesh, PartitionSpec())
            return self._once("gather", lambda: jax.jit(lambda leaves: leaves, out_shardings=whole))(tree)
        return tree

    def _placed(self, tree: Any, spec: PartitionSpec) -> Any:
        sharding = NamedSharding(self.mesh, spec)
        if not self.mesh.is_multi_process:
            return jax.device_put(tree, sharding)
        return jax.tree.map(lambda leaf: _global(leaf, sharding), tree)

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
        """The due measurements of each lane, with what else `Program.seen` says."""

        def lane(shared: Any, knobs: Any, inputs: Any, constants: Any, state: Any) -> Any:
            return self.program.seen(state, knobs, {**inputs, **shared[0]}, constants, due)

        return self._call(("observe", due), lane, points, 0, constants, state)

    def _call(self, name: Any, lane: Lane, points: Points, n: int, *more: Any) -> Any:
        compiled = self._once(name, lambda: self._jitted(lane, len(more), donate=name == "advance"))
        return compiled((points.shared, np.int32(n)), points.live, points.knobs, points.inputs, *more)

    def _once(self, name: Any, make: Callable[[], Any]) -> Any:
        if name not in self._compiled:
            self._compiled[name] = make()
        return self._compiled[name]

    def _jitted(self, lane: Lane, more: int, donate: bool) -> Lane:
        block = functools.partial(_blocks, lane, self.shape[2])
        donated = (_STATE,) if donate else ()
        if self.mapper == "pmap":
            axes = (None, *(0 for _ in range(3 + more)))
            return jax.pmap(block, AXIS, in_axes=axes, donate_argnums=donated, devices=list(self.mesh.devices.flat))
        specs = (PartitionSpec(), *(PartitionSpec(AXIS) for _ in range(3 + more)))
        local = functools.partial(_local, block, self.shards)
        mapped = jax.shard_map(local, mesh=self.mesh, in_specs=specs, out_specs=PartitionSpec(AXIS), check_vma=False)
        return jax.jit(mapped, donate_argnums=donated)


_STATE = 5  # the place of the state among the arguments: shared, live, knobs, inputs, constants, state


class Machine:
    """What the devices hold of one wave, and what they do with it.

    Every call of a wave is one of these methods, in an order that the host decides.
    """

    def __init__(self, mapped: Mapped) -> None:
        self.mapped = mapped
        self._points: Any = None
        self._constants: Any = None
        self._state: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.drop()

    def begin(self, points: Points) -> None:
        """Take points, as arrays of the host, and draw their constants."""
        self._points = self.mapped.placed(points)
        self._constants = self.mapped.constants(self._points)

    def init(self) -> None:
        """Be at step 0."""
        self._state = self.mapped.init(self._points, self._constants)

    def shapes(self) -> list[jax.ShapeDtypeStruct]:
        """What the leaves of the states are as numbers: a key by its data."""
        return jax.tree.leaves(jax.eval_shape(lambda: _data(self.mapped.init(self._points, self._constants))))

    def resume(self, leaves: Sequence[np.ndarray]) -> None:
        """Be where these leaves were kept."""
        shapes = jax.eval_shape(lambda: self.mapped.init(self._points, self._constants))
        placed = jax.tree.unflatten(jax.tree.structure(shapes), self.mapped.place(list(leaves)))
        self._state = jax.tree.map(
            lambda a, leaf: jax.random.wrap_key_data(leaf) if _is_key(a) else leaf, shapes, placed
        )

    def advance(self, n: int) -> None:
        """Be n steps later."""
        self._state = self.mapped.advance(self._points, self._constants, self._state, n)

    def wait(self) -> None:
        """Until the devices of this process are there."""
        jax.block_until_ready(self._state)

    def observe(self, due: tuple[str, ...]) -> Any:
        """What is due, on its way from the devices."""
        seen = self.mapped.observe(self._points, self._constants, self._state, due)
        return self.mapped.gathered(seen)

    def kept(self) -> list[np.ndarray]:
        """The leaves of the states, here; one after the other, as a copy of each is on every device for a moment."""
        return [np.asarray(self.mapped.gathered(leaf)) for leaf in jax.tree.leaves(_data(self._state))]

    def drop(self) -> None:
        """Hold nothing any more."""
        self._points = self._constants = self._state = None


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _data(tree: Any) -> Any:
    """A tree as numbers: a key by its data."""
    return jax.tree.map(lambda leaf: jax.random.key_data(leaf) if _is_key(leaf) else leaf, tree)


def _global(leaf: Any, sharding: NamedSharding) -> jax.Array:
    """An array that every process has, each of which puts the parts of its own devices there."""
    whole = np.asarray(leaf, jax.dtypes.canonicalize_dtype(leaf.dtype))
    return jax.make_array_from_callback(whole.shape, sharding, lambda index: whole[index])


def _local(block: Lane, shards: int, shared: Any, *args: Any) -> Any:
    """One device's part under `shard_map`, where the mesh axis is kept with length 1."""
    inside = jax.tree.map(lambda leaf: leaf[0], args)
    with split_over(DATA, shards):
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
