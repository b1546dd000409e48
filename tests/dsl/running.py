"""Runs one experiment through its program, in this process."""

from collections.abc import Mapping
from typing import Any

import jax

from dsl import Experiment, Program, compile


def run(
    experiment: Experiment, inputs: Mapping[str, Any] | None = None, by: Program | None = None
) -> dict[str, dict[int, Any]]:
    """Every measurement at every step at which it is due: {name: {step: value}}; `by` another point's program."""
    given, program = inputs or {}, by or compile(experiment)
    jit = jax.jit if program.traced else lambda f, static_argnames=(): f
    knobs = program.knobs(experiment)
    constants = jit(program.constants)(knobs, given)
    state = jit(program.init)(knobs, given, constants)
    advance, observe = jit(program.advance), jit(program.observe, static_argnames="due")
    found: dict[str, dict[int, Any]] = {name: {} for name in program.measurements}
    for step, due in program.schedule:
        state = advance(state, knobs, given, constants, step - int(state["step"]))
        for name, value in observe(state, knobs, given, constants, due=due).items():
            found[name][step] = value
    return found


def weights(experiment: Experiment, inputs: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """What the experiment's `Weights()` gives, step after step."""
    return list(run(experiment, inputs)["Weights"].values())
