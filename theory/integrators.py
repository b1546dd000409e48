"""Integration of ordinary differential equations whose state is any pytree of arrays."""

from collections.abc import Callable
from typing import TypeVar

import jax

from theory.arrays import Scalar

State = TypeVar("State")


def rk4_step(velocity: Callable[[State], State], state: State, step: Scalar) -> State:
    """One step of the classical Runge-Kutta method of order 4 for state' = velocity(state).

    Args:
        velocity: the right-hand side, from a pytree of arrays to one of the same structure.
        state: where the step starts.
        step: its length in time; negative to go back.

    Returns:
        The state after the step, with an error of order step^5.

    Source: standard.
    """
    after = lambda slope, part: jax.tree.map(lambda x, v: x + part * step * v, state, slope)
    k1 = velocity(state)
    k2 = velocity(after(k1, 0.5))
    k3 = velocity(after(k2, 0.5))
    k4 = velocity(after(k3, 1.0))
    return after(jax.tree.map(lambda a, b, c, d: (a + 2 * b + 2 * c + d) / 6, k1, k2, k3, k4), 1.0)
