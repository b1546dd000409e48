"""The engine: groups of experiments, run as waves, and their records."""

import itertools
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from dsl.experiments import Experiment
from dsl.identity import digest, dump
from dsl.program import Program, compile, requires
from runs import inputs as outside
from runs.configure import require
from runs.cost import Cost, estimate
from runs.lanes import blocks, lanes
from runs.mapping import Mapped
from runs.numerics import numerics
from runs.options import RunError, RunOptions
from runs.plan import Group
from runs.records import PointRecord, RecordsError
from runs.store import Conflict, Store, array_name, done
from runs.table import Rows
from runs.userfile import told
from runs.wave import Trace, Wave, run_on_host

Tell = Callable[[dict[str, Any]], None]
"""Hears what happens, as small dicts that are JSON: see `runs.progress`."""

CHUNK_SECONDS = 2.0


@dataclass(frozen=True)
class Layout:
    """How a group lies on the machine: a rule of program and backend alone."""

    devices: int
    blocks: int
    lanes: int
    cost: Cost

    @property
    def wave(self) -> int:
        """Points in a wave."""
        return self.devices * self.blocks * self.lanes

    @property
    def chunk(self) -> int:
        """Steps in one dispatch at most, so that progress is seen every few seconds."""
        return max(1, int(CHUNK_SECONDS / (self.cost.step_seconds * self.lanes * self.blocks)))


def layout(program: Program, knobs: Any, arrays: Mapping[str, Any]) -> Layout:
    """The layout of a traced program's group on the devices of this process."""
    cost = estimate(program, knobs, arrays)
    width = lanes(cost, jax.default_backend())
    steps = [0, *(step for step, _ in program.schedule)]
    gap = statistics.median([b - a for a, b in itertools.pairwise(steps) if b > a] or [1])
    return Layout(len(jax.devices()), blocks(cost, width, gap), width, cost)


def execute(
    groups: Sequence[Group], store: Store, options: RunOptions, tell: Tell, refused: set[str] | None = None
) -> None:
    """Run groups in order; a point that is done is not run again.

    Args:
        groups: what to run, each after what it requires.
        store: where results go and come from.
        options: of the run.
        tell: hears what happens.
        refused: digests whose records conflict with this run, from stages before this one: what reads them waits too.

    Raises:
        RunError: if this process is not set up for their precision, or stored data are missing.
    """
    refused = set() if refused is None else refused
    for group in groups:
        require(group.precision)
        ready = [point for point in group.points if _ready(point, store, tell, refused)]
        for points in _by_inputs(ready, store):
            _guarded(points, store, options, tell, refused)


def _ready(point: Experiment, store: Store, tell: Tell, refused: set[str]) -> bool:
    """Whether everything that a point reads is there, and is of this run's numerics."""
    if blocker := outside.blocked_by(point, store):
        _commit_blocked(point, blocker, store, tell)
        return False
    if read := refused & {digest(inner) for inner in requires(point)}:
        refused.add(digest(point))
        message = f"reads {len(read)} points that were computed differently"
        tell({"event": "conflict", "point": digest(point), "steps": point.last, "message": message})
        return False
    return True


def _by_inputs(points: Sequence[Experiment], store: Store) -> Iterator[list[Experiment]]:
    """Points whose results from others have equal shapes, and whose stored arrays are the same."""
    found: dict[Any, list[Experiment]] = {}
    for point in points:
        key = outside.signature(outside.results(point, store)), outside.contents(point)
        found.setdefault(key, []).append(point)
    yield from found.values()


def _guarded(points: list[Experiment], store: Store, options: RunOptions, tell: Tell, refused: set[str]) -> None:
    """A group that cannot be traced or compiled fails by itself; the other groups go on."""
    try:
        _run(points, store, options, tell, refused)
    except (RunError, RecordsError):  # nothing else would fare better: the records, or the stored data
        raise
    except Exception as error:  # a user's noun may raise anything
        _commit_failed([p for p in points if not done(store.status(digest(p)))], error, store, tell)


def _commit_failed(points: list[Experiment], error: Exception, store: Store, tell: Tell) -> None:
    message = told(error)
    for point in points:
        status = f"failed: {type(error).__name__}: {error}"[:1000]
        store.commit(PointRecord(digest(point), dump(point), {"numerics": {}}, Rows.of([]), {}, status))
        tell({"event": "failed", "point": digest(point), "steps": point.last})
    tell({"event": "error", "kind": type(points[0]).__name__, "points": len(points), "message": message})


def _run(points: list[Experiment], store: Store, options: RunOptions, tell: Tell, refused: set[str]) -> None:
    program, shared = compile(points[0]), outside.stored(points[0], options.data)
    if not program.traced:
        _run_untraced(program, points, shared, store, tell, refused)
        return
    example = {**outside.results(points[0], store), **shared}
    place = layout(program, program.knobs(points[0]), example)
    waiting = _waiting(points, place.lanes, store, tell, refused)
    mapped = Mapped(program, (place.devices, place.blocks, place.lanes), options.mapper)
    for start in range(0, len(waiting), place.wave):
        _run_wave(waiting[start : start + place.wave], mapped, place, shared, store, tell)


def _waiting(points: list[Experiment], width: int, store: Store, tell: Tell, refused: set[str]) -> list[Experiment]:
    """The points that have to be computed; `refused` grows by those whose records are other than this run's."""
    waiting = []
    for point in points:
        try:
            if store.finished(digest(point), _numerics(point, width, store)):
                tell({"event": "skipped", "point": digest(point), "steps": point.last})
            else:
                waiting.append(point)
        except Conflict as conflict:
            refused.add(digest(point))
            tell({"event": "conflict", "point": digest(point), "steps": point.last, "message": str(conflict)})
    return waiting


def _run_wave(
    points: list[Experiment], mapped: Mapped, place: Layout, shared: Mapping[str, Any], store: Store, tell: Tell
) -> None:
    program = mapped.program
    wave = Wave(
        mapped,
        [program.knobs(point) for point in points],
        [outside.results(point, store) for point in points],
        shared,
        place.chunk,
    )
    clock = _Clock()
    with clock:
        traces = wave.run(lambda n: tell({"event": "steps", "n": n * len(points)}))
    for point, trace in zip(points, traces, strict=True):
        about = _environment(point, place.lanes, clock, store, {"devices": place.devices, "blocks": place.blocks})
        _commit(point, program, trace, about, store, tell)
    store.compact([digest(point) for point in points])


def _run_untraced(
    program: Program, points: list[Experiment], shared: Mapping[str, Any], store: Store, tell: Tell, refused: set[str]
) -> None:
    for point in _waiting(points, 1, store, tell, refused):
        clock = _Clock()
        try:
            with clock:
                trace = run_on_host(program, program.knobs(point), {**outside.results(point, store), **shared})
        except Exception as error:  # one instance that a solver cannot do says nothing of the others
            _commit_failed([point], error, store, tell)
            continue
        tell({"event": "steps", "n": point.last})
        _commit(point, program, trace, _environment(point, 1, clock, store, {}), store, tell)
    store.compact([digest(point) for point in points if store.status(digest(point)) is not None])


class _Clock:
    """Wall time and compilation time of a wave."""

    def __enter__(self) -> "_Clock":
        self.compile_s, self.began = 0.0, time.time()
        jax.monitoring.register_event_duration_secs_listener(self._heard)
        return self

    def __exit__(self, *_: object) -> None:
        self.wall_s = time.time() - self.began
        jax.monitoring.unregister_event_duration_listener(self._heard)

    def _heard(self, event: str, duration_secs: float, **_: Any) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            self.compile_s += duration_secs


def _numerics(point: Experiment, width: int, store: Store) -> dict[str, Any]:
    """The numerics of a point and of the records that it reads."""
    read = {digest(inner)[:16]: store.stamp(digest(inner)) for inner in requires(point)}
    return numerics(point, width) | ({"reads": read} if read else {})


def _environment(
    point: Experiment, width: int, clock: _Clock, store: Store, extra: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "numerics": _numerics(point, width, store),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(clock.began)),
        "wave_wall_s": round(clock.wall_s, 3),
        "wave_compile_s": round(clock.compile_s, 3),
        **extra,
    }


def _commit(point: Experiment, program: Program, trace: Trace, about: dict[str, Any], store: Store, tell: Tell) -> None:
    apart = {name for name, noun in program.measurements.items() if noun.stores_arrays}
    rows = [(t, s, {n: v for n, v in values.items() if n not in apart}) for t, s, values in trace.observations]
    arrays = {
        array_name(name, t, part): np.asarray(value)
        for t, _, values in trace.observations
        for name in apart & values.keys()
        for part, value in values[name].items()
    }
    status = "finished" if trace.diverged is None else f"diverged at step {trace.diverged}"
    store.commit(PointRecord(digest(point), dump(point), about, Rows.of(rows), arrays, status))
    tell({"event": "done", "point": digest(point), "status": status})


def _commit_blocked(point: Experiment, blocker: str, store: Store, tell: Tell) -> None:
    status = f"blocked by {blocker}"
    store.commit(PointRecord(digest(point), dump(point), {"numerics": {}}, Rows.of([]), {}, status))
    tell({"event": "blocked", "point": digest(point), "steps": point.last, "status": status})
