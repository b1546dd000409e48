"""What a program costs, read off its traced form before anything is compiled."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np

from dsl.program import Program


@dataclass(frozen=True)
class Cost:
    """Estimates for one lane, in bytes and floating-point operations.

    Attributes:
        constants: what is drawn once.
        state: weights and the protocol's memory.
        step_bytes: everything that one step writes; where there are no steps, the observation.
        step_flops: the products of one step (its matrix products) and one operation for every other number.
    """

    constants: int
    state: int
    step_bytes: int
    step_flops: int

    @property
    def step_seconds(self) -> float:
        """A rough time of one step on one core: 50 GFLOP/s, 10 GB/s, and 2 us for dispatch inside the program."""
        return 2e-6 + self.step_flops / 5e10 + self.step_bytes / 1e10

    @property
    def lane_bytes(self) -> int:
        """Memory of one lane while it runs."""
        return self.constants + 2 * self.state + self.step_bytes


def estimate(program: Program, knobs: Any, inputs: Any) -> Cost:
    """The cost of one lane of a traced program."""
    constants = jax.eval_shape(program.constants, knobs, inputs)
    state = jax.eval_shape(program.init, knobs, inputs, constants)
    equations = list(_equations(_work(program, state, knobs, inputs, constants)))
    return Cost(
        constants=_size(constants),
        state=_size(state),
        step_bytes=sum(_written(e) for e in equations),
        step_flops=sum(_flops(e) for e in equations),
    )


def _work(program: Program, state: Any, knobs: Any, inputs: Any, constants: Any) -> Any:
    """What a point does again and again: the body of its steps; where it has none, its one observation."""
    if not program.last:
        due = tuple(name for _, names in program.schedule for name in names)
        return jax.make_jaxpr(partial(program.observe, due=due))(state, knobs, inputs, constants).jaxpr
    steps = jax.make_jaxpr(program.advance)(state, knobs, inputs, constants, np.int32(1))
    return max(_loops(steps.jaxpr), key=lambda j: sum(_written(e) for e in j.eqns), default=steps.jaxpr)


def _size(tree: Any) -> int:
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def _inner(equation: Any) -> Iterator[Any]:
    for value in equation.params.values():
        for item in value if isinstance(value, (tuple, list)) else (value,):
            jaxpr = getattr(item, "jaxpr", item)
            if hasattr(jaxpr, "eqns"):
                yield jaxpr


def _loops(jaxpr: Any) -> Iterator[Any]:
    """The bodies of the outermost loops."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "while":
            yield equation.params["body_jaxpr"].jaxpr
        else:
            for inner in _inner(equation):
                yield from _loops(inner)


def _equations(jaxpr: Any) -> Iterator[Any]:
    """All equations, those of inner calls once each."""
    for equation in jaxpr.eqns:
        inside = list(_inner(equation))
        for inner in inside:
            yield from _equations(inner)
        if not inside:
            yield equation


def _numbers(variable: Any) -> int:
    return math.prod(getattr(variable.aval, "shape", ()))


def _written(equation: Any) -> int:
    return sum(_numbers(v) * getattr(getattr(v.aval, "dtype", None), "itemsize", 0) for v in equation.outvars)


def _flops(equation: Any) -> int:
    out = sum(map(_numbers, equation.outvars))
    if equation.primitive.name != "dot_general":
        return out
    (contracted, _), _ = equation.params["dimension_numbers"]
    return 2 * out * math.prod(equation.invars[0].aval.shape[i] for i in contracted)
