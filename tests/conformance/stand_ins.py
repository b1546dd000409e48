"""Nouns for interfaces of which the language has none of its own, a measurement of arrays, and a user's network."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from dsl import Measurement, Problem, Solver


class Number(Problem):
    """A number to be reached."""

    value: float


class Halving(Solver):
    """Half of the distance at every step."""

    rate: float = 0.5

    @property
    def last(self) -> int:
        return 3

    def init(self, problem: Any, key: Any) -> Any:
        return jnp.zeros(())

    def step(self, problem: Any, state: Any, key: Any) -> Any:
        return state + self.rate * (problem.value - state)

    def answer(self, problem: Any, state: Any) -> Any:
        return state


class Net(eqx.Module):
    """A user's network."""

    linear: eqx.nn.Linear

    def __init__(self, size: int = 4, *, key: Any) -> None:
        self.linear = eqx.nn.Linear(size, 1, key=key)

    def __call__(self, x: Any) -> Any:
        return jnp.tanh(self.linear(x))


class Seen(Measurement):
    """The sum of all numbers in the answer of a solver, or in the nouns of an analysis."""

    def __call__(self, experiment: Any, state: Any, constants: Any, key: Any) -> Any:
        held = getattr(state, "answer", None) if hasattr(state, "answer") else getattr(experiment, "of", 0.0)
        return sum((jnp.sum(jnp.asarray(leaf, float)) for leaf in jax.tree.leaves(held)), jnp.zeros(()))
