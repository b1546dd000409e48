"""One battery for every noun of the language; a new one joins by being defined."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import chex
import jax
import numpy as np
import pytest

import dsl
from dsl import (
    Distance,
    Draw,
    Experiment,
    FeatureMachine,
    Kernel,
    Model,
    Optimizer,
    Program,
    Protocol,
    Spec,
    Stop,
    compile,
    digest,
    dump,
    load,
)
from dsl.domains import stands_for_noun
from dsl.spec import hints, kind, kinds
from tests.conformance.candidates import instance
from tests.conformance.harness import HARNESSES, PARTS, SLOW, experiment, inputs, interface

NOUNS = [noun for name, noun in kinds().items() if "." not in name]
USED = [noun for noun in NOUNS if interface(noun) in HARNESSES or stands_for_noun(noun)]
EVENT = "/jax/core/compile/backend_compile_duration"
every_noun = pytest.mark.parametrize("noun", NOUNS, ids=kind)


def test_every_noun_has_a_harness_or_a_reason() -> None:
    lacking = {
        noun.__name__: [base.__name__ for base in noun.__mro__[1:] if base is not Spec and issubclass(base, Spec)]
        for noun in NOUNS
        if interface(noun) is None and not stands_for_noun(noun)
    }
    assert not lacking, f"no harness for the interfaces of {lacking}; add one to tests/conformance/harness.py"
    assert all(PARTS.values())


# ---------------------------------------------------------------- values


@every_noun
def test_json_repr_and_pytree_give_the_noun_again(noun: type[Spec]) -> None:
    spec = instance(noun)
    assert load(json.loads(json.dumps(dump(spec), allow_nan=False))) == spec
    nouns = {cls.__name__: cls for cls in [*kinds().values(), *NOUNS]}  # ours last: a user's may have their names
    assert eval(repr(spec), vars(dsl) | nouns) == spec
    leaves, structure = jax.tree.flatten(spec)
    assert jax.tree.unflatten(structure, leaves) == spec
    assert hash(load(dump(spec))) == hash(spec)


def knobs_by_type(spec: Any, hint: Any = None) -> list[Any]:
    """What is traced, read from the declared types: floats, `Knob`s, and those of the nouns inside."""
    marks = hint.__metadata__ if get_origin(hint) is Annotated else ()
    if "static" in marks:
        return []
    if "knob" in marks or isinstance(spec, float):
        return [spec]
    if isinstance(spec, tuple):
        return [leaf for item in spec for leaf in knobs_by_type(item, get_args(hint)[0] if hint else None)]
    if isinstance(spec, Spec):
        return [leaf for name, h in hints(type(spec)).items() for leaf in knobs_by_type(getattr(spec, name), h)]
    return []


@every_noun
def test_the_knobs_are_the_floats_and_the_knobs(noun: type[Spec]) -> None:
    spec = instance(noun)
    assert jax.tree.leaves(spec) == knobs_by_type(spec)


def test_digests_are_the_same_in_a_fresh_process() -> None:
    specs = [instance(noun) for noun in NOUNS]
    code = (
        "import json, sys, dsl, tests.conformance.stand_ins\n"
        "print(json.dumps([dsl.digest(dsl.load(data)) for data in json.load(sys.stdin)]))"
    )
    root = Path(__file__).parents[2]
    text = json.dumps([dump(spec) for spec in specs])
    command = [sys.executable, "-c", code]
    answer = subprocess.run(command, input=text, capture_output=True, text=True, check=True, cwd=root)
    assert json.loads(answer.stdout) == [digest(spec) for spec in specs]


# ---------------------------------------------------------------- experiments


@contextmanager
def compilations() -> Iterator[list[str]]:
    """The XLA compilations that happen inside."""
    found: list[str] = []
    listen = lambda event, _, **__: found.append(event) if event == EVENT else None
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield found
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


def measured(program: Program, knobs: Any, given: Any) -> Any:
    """The whole run of one lane, as one function: the last state and everything that is measured at the end."""
    constants = program.constants(knobs, given)
    state = program.advance(program.init(knobs, given, constants), knobs, given, constants, program.last)
    due = tuple(name for names in dict(program.schedule).values() for name in names)
    return state, program.observe(state, knobs, given, constants, due)


def lanes(program: Program, of: Experiment) -> Any:
    """Three points of one structure: the knobs of the experiment, moved a little, and other seeds."""
    knobs = program.knobs(of)
    moved = [jax.tree.map(lambda leaf, i=i: _moved(leaf, i), knobs) for i in range(3)]
    return jax.tree.map(lambda *leaves: np.stack(leaves), *moved)


def _moved(leaf: np.ndarray, lane: int) -> np.ndarray:
    return leaf + lane if np.issubdtype(leaf.dtype, np.integer) else (leaf * (1 + 0.05 * lane)).astype(leaf.dtype)


def lane(tree: Any, i: int) -> Any:
    return jax.tree.map(lambda leaf: leaf[i], tree)


def same_every_time(program: Program, of: Experiment, given: Any) -> None:
    """A host program compiles nothing and has no lanes: what it measures of a point depends on nothing else."""
    sweep = lanes(program, of)
    found = [[measured(program, lane(sweep, i), given)[1] for i in range(3)] for _ in range(2)]
    chex.assert_tree_all_finite(found)
    chex.assert_trees_all_equal(*found)


def of_all(program: Program, given: Any) -> Any:
    """The points of a sweep, one after the other."""
    return lambda knobs: jax.lax.map(lambda point: measured(program, point, given), knobs)


@pytest.mark.parametrize(
    "noun", [pytest.param(noun, marks=pytest.mark.slow if noun in SLOW else (), id=kind(noun)) for noun in USED]
)
def test_a_sweep_is_one_program(noun: type[Spec]) -> None:
    """It is traced with no value of a knob at hand, so that all points of a structure share what is compiled."""
    of = experiment(noun)
    program, given = compile(of), inputs(of)
    if not program.traced:
        return same_every_time(program, of, given)
    for leaf in jax.tree.leaves(jax.eval_shape(of_all(program, given), lanes(program, of))):
        assert leaf.shape[0] == 3


FIRST = {interface(noun): noun for noun in reversed(USED)}
"""One noun of each interface."""
LOOPS = {FIRST[base] for base in (Experiment, Protocol, Draw, Optimizer, Model, Kernel, Stop, FeatureMachine, Distance)}
"""What brings a loop or a state of its own; the others are parts of such a program, and compiled in the slow tests."""
TRACED = [
    pytest.param(noun, marks=() if noun in LOOPS and noun not in SLOW else pytest.mark.slow, id=kind(noun))
    for noun in USED
    if compile(experiment(noun)).traced
]


@pytest.mark.parametrize("noun", TRACED)
def test_a_sweep_compiles_once_and_a_lane_does_not_feel_the_others(noun: type[Spec]) -> None:
    of = experiment(noun)
    program, given, sweep = compile(of), inputs(of), lanes(compile(of), of)
    padded = jax.tree.map(lambda leaf: np.stack([leaf[0]] * 3), sweep)
    mapped = jax.jit(of_all(program, given))
    with compilations() as counted:
        beside, alone = jax.block_until_ready((mapped(sweep), mapped(padded)))
    assert len(counted) == 1
    chex.assert_tree_all_finite(beside)
    chex.assert_trees_all_equal(lane(beside, 0), lane(alone, 0))


@pytest.mark.slow
@pytest.mark.parametrize("noun", [noun for noun in TRACED if noun.values[0] in FIRST.values()])
def test_a_lane_has_the_numbers_of_a_run_alone(noun: type[Spec]) -> None:
    of = experiment(noun)
    program, given, sweep = compile(of), inputs(of), lanes(compile(of), of)
    one = jax.jit(lambda knobs: measured(program, knobs, given))
    abreast = jax.jit(jax.vmap(one))(sweep)
    for i in range(3):
        chex.assert_trees_all_close(lane(abreast, i), one(lane(sweep, i)), rtol=1e-4, atol=1e-5)
