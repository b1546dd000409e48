"""What becomes of points: their records, with the environment that made them."""

import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from dsl.experiments import Experiment
from dsl.identity import digest, dump
from dsl.program import Program, requires
from runs.layout import Layout
from runs.numerics import numerics
from runs.records import PointRecord
from runs.store import Store, array_name
from runs.table import Rows
from runs.userfile import told
from runs.wave import Trace


class Clock:
    """Wall time and compilation time of a wave."""

    def __enter__(self) -> "Clock":
        self.compile_s, self.began = 0.0, time.time()
        self._started = time.monotonic()
        jax.monitoring.register_event_duration_secs_listener(self._heard)
        return self

    def __exit__(self, *_: object) -> None:
        self.wall_s = time.monotonic() - self._started
        jax.monitoring.unregister_event_duration_listener(self._heard)

    def _heard(self, event: str, duration_secs: float, **_: Any) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            self.compile_s += duration_secs


def numerics_of(
    point: Experiment, lanes: int, store: Store, shards: int = 1, process: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The numerics of a point and of the records that it reads; see `runs.numerics.numerics`."""
    read = {digest(inner)[:16]: store.stamp(digest(inner)) for inner in requires(point)}
    return numerics(point, lanes, shards, process) | ({"reads": read} if read else {})


def environment(
    point: Experiment, place: Layout | None, rule: int, clock: Clock, store: Store, shards: int = 1
) -> dict[str, Any]:
    """What the digest of a point does not hold.

    Args:
        point: the experiment.
        place: its layout; None for a host computation.
        rule: the lanes that the rule gives, where the layout has others: its numerics are accepted as well.
        clock: of its wave.
        store: where it reads from.
        shards: devices that shared its batch.
    """
    mine = numerics_of(point, place.lanes if place else 1, store, shards)
    return {
        "numerics": mine,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(clock.began)),
        "wave_wall_s": round(clock.wall_s, 3),
        "wave_compile_s": round(clock.compile_s, 3),
        **({"devices": place.devices, "blocks": place.blocks} if place else {}),
        **({"accepted": [mine | {"lanes": rule}]} if place and rule != place.lanes else {}),
    }


def commit(point: Experiment, program: Program, trace: Trace, about: Mapping[str, Any], store: Store) -> str:
    """Keep what a point measured; its status."""
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
    return status


def failure(program: Program, trace: Trace) -> str | None:
    """What the first measurement says that finds its value to be none; None where there is no such measurement."""
    values = ((name, value) for _, _, seen in trace.observations for name, value in seen.items())
    found = ((name, program.measurements[name].failure(value)) for name, value in values)
    return next((f"{name}: {problem}" for name, problem in found if problem is not None), None)


def commit_failed(points: Sequence[Experiment], error: Exception, store: Store) -> list[dict[str, Any]]:
    """Keep that points failed; what is to be told of it."""
    status = f"failed: {type(error).__name__}: {error}"[:1000]
    for point in points:
        store.commit(_without_result(point, status))
    events = [{"event": "failed", "point": digest(point), "steps": point.last} for point in points]
    if points:
        events.append({"event": "error", "points": [digest(point) for point in points], "message": told(error)})
    return events


def commit_blocked(point: Experiment, blocker: str, store: Store) -> dict[str, Any]:
    """Keep that a point waits for another; what is to be told of it."""
    record = _without_result(point, f"blocked by {blocker}")
    store.commit(record)
    return {"event": "blocked", "point": record.digest, "steps": point.last, "status": record.status}


def _without_result(point: Experiment, status: str) -> PointRecord:
    return replace(PointRecord(digest(point), dump(point), {"numerics": {}}, Rows.of([]), {}), status=status)
