"""The engine: groups of experiments, run as waves of blocks, and their records."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from dsl.experiments import Experiment
from dsl.identity import digest
from dsl.program import Program, compile, requires
from runs import inputs as outside
from runs.configure import require
from runs.interrupts import Interrupts
from runs.keeping import Keeping
from runs.layout import Layout, layout
from runs.mapping import Mapped
from runs.options import Interrupted, RunError, RunOptions
from runs.outcome import Clock, commit, commit_blocked, commit_failed, environment, numerics_of
from runs.plan import Group
from runs.queue import Queue, Taken, blocks, name_of
from runs.records import RecordsError
from runs.store import Conflict, Store, done
from runs.wave import Block, Trace, Wave, run_on_host

Tell = Callable[[dict[str, Any]], None]
"""Hears what happens, as small dicts that are JSON: see `runs.progress`."""


@dataclass(frozen=True)
class Engine:
    """What a run of groups works with.

    Attributes:
        store: where results go and come from.
        options: of the run.
        tell: hears what happens.
        refused: digests whose records conflict with this run: what reads them waits too.
        interrupts: signals that ask to stop.
    """

    store: Store
    options: RunOptions
    tell: Tell
    refused: set[str] = field(default_factory=set)
    interrupts: Interrupts = field(default_factory=Interrupts)

    def run(self, groups: Sequence[Group]) -> None:
        """Run groups in order; a point that is done is not run again.

        Raises:
            RunError: if this process is not set up for their precision, or stored data are missing.
            Interrupted: after a signal, with everything kept.
        """
        for group in groups:
            require(group.precision)
            ready = [point for point in group.points if self._ready(point)]
            for points in self._by_inputs(ready):
                self._guarded(points)

    def _ready(self, point: Experiment) -> bool:
        """Whether everything that a point reads is there, and is of this run's numerics."""
        if blocker := outside.blocked_by(point, self.store):
            self.tell(commit_blocked(point, blocker, self.store))
            return False
        if read := self.refused & {digest(inner) for inner in requires(point)}:
            self.refused.add(digest(point))
            message = f"reads {len(read)} points that were computed differently"
            self.tell({"event": "conflict", "point": digest(point), "steps": point.last, "message": message})
            return False
        return True

    def _by_inputs(self, points: Sequence[Experiment]) -> Iterator[list[Experiment]]:
        """Points whose results from others have equal shapes, and whose stored arrays are the same."""
        found: dict[Any, list[Experiment]] = {}
        for point in points:
            key = outside.signature(outside.results(point, self.store)), outside.contents(point)
            found.setdefault(key, []).append(point)
        yield from found.values()

    def _guarded(self, points: list[Experiment]) -> None:
        """A group that cannot be traced or compiled fails by itself; the other groups go on."""
        try:
            self._run(points)
        except (RunError, RecordsError, Interrupted):  # the records, the stored data, or a signal: nothing goes on
            raise
        except Exception as error:  # a user's noun may raise anything
            self._failed([p for p in points if not done(self.store.status(digest(p)))], error)

    def _failed(self, points: list[Experiment], error: Exception) -> None:
        for event in commit_failed(points, error, self.store):
            self.tell(event)

    def _run(self, points: list[Experiment]) -> None:
        program, shared = compile(points[0]), outside.stored(points[0], self.options.data)
        if not program.traced:
            self._run_on_host(program, points, shared)
            return
        place = layout(program, program.knobs(points[0]), {**outside.results(points[0], self.store), **shared})
        self._run_as_blocks(points, Work(program, shared, place, place.lanes))

    def _run_as_blocks(self, points: list[Experiment], work: "Work") -> None:
        """Blocks on waves; after the memory of a device has run out, what is left on half the lanes."""
        place = work.place
        mapped = Mapped(work.program, (place.devices, place.blocks, place.lanes), self.options.mapper)
        run = lambda taken: self._run_waves(taken, mapped, work)
        try:
            self._queue(place.lanes).drain(points, place.lanes, place.devices * place.blocks, run)
            self._tidy(points, place.lanes)
        except Exception as error:
            if place.lanes == 1 or not _out_of_memory(error):
                raise
            left = [point for point in points if not done(self.store.status(digest(point)))]
            self.tell({"event": "note", "message": f"out of memory with {place.lanes} lanes: going on with fewer"})
            self._run_as_blocks(left, replace(work, place=place.narrower()))

    def _tidy(self, points: Sequence[Experiment], lanes: int) -> None:
        """Drop the checkpoints of blocks that are done, which a killed process has left."""
        found = self.store.checkpoints
        if found is not None and (kept := found.names()):
            for name in kept & {name_of(block) for block in blocks(points, lanes)}:
                found.drop(name)

    def _queue(self, lanes: int) -> Queue:
        return Queue(self.store.locks, lambda points: self.waiting(points, lanes), self.interrupts)

    def _run_waves(self, taken: list[Taken], mapped: Mapped, work: "Work") -> None:
        """Blocks in waves of those that go on at one step."""
        blocks = [self._block(block, work) for block in taken]
        found = self.store.checkpoints
        kept = [found.load(block.name, block.stamp) if found else None for block in blocks]
        steps = [snapshot.step if snapshot else 0 for snapshot in kept]
        for step in sorted(set(steps)):
            here = [i for i, at in enumerate(steps) if at == step]
            snapshots = [snapshot for i in here if (snapshot := kept[i]) is not None]
            wave = Wave(mapped, [blocks[i] for i in here], work.shared, work.place.chunk, snapshots)
            self._run_wave(wave, [taken[i] for i in here], work)

    def _block(self, taken: Taken, work: "Work") -> Block:
        numerics = [numerics_of(point, work.place.lanes, self.store) for point in taken.points]
        told = json.dumps([[digest(point) for point in taken.points], numerics], sort_keys=True)
        return Block(
            taken.name,
            hashlib.sha256(told.encode()).hexdigest(),
            [work.program.knobs(point) for point in taken.points],
            [outside.results(point, self.store) for point in taken.points],
        )

    def _run_wave(self, wave: Wave, taken: list[Taken], work: "Work") -> None:
        points, clock = [point for block in taken for point in block.points], Clock()
        keeper = Keeping(self.store.checkpoints, self.options.checkpoint, self.interrupts)
        with clock:
            blocks = wave.run(lambda n: self.tell({"event": "steps", "n": n * len(points)}), keeper)
        for point, trace in zip(points, (trace for traces in blocks for trace in traces), strict=True):
            self._commit(point, work.program, trace, environment(point, work.place, work.rule, clock, self.store))
        self.store.compact([digest(point) for point in points])
        if self.store.checkpoints is not None:
            for block in taken:
                self.store.checkpoints.drop(block.name)

    def _commit(self, point: Experiment, program: Program, trace: Trace, about: Mapping[str, Any]) -> None:
        status = commit(point, program, trace, about, self.store)
        self.tell({"event": "done", "point": digest(point), "status": status})

    def waiting(self, points: Sequence[Experiment], lanes: int) -> list[Experiment]:
        """The points that have to be computed; `refused` grows by those whose records are other than this run's."""
        return [point for point in points if not self._stands(point, lanes)]

    def _stands(self, point: Experiment, lanes: int) -> bool:
        try:
            if not self.store.finished(digest(point), numerics_of(point, lanes, self.store)):
                return False
            self.tell({"event": "skipped", "point": digest(point), "steps": point.last})
        except Conflict as conflict:
            self.refused.add(digest(point))
            self.tell({"event": "conflict", "point": digest(point), "steps": point.last, "message": str(conflict)})
        return True

    def _run_on_host(self, program: Program, points: list[Experiment], shared: Mapping[str, Any]) -> None:
        def run(taken: list[Taken]) -> None:
            for point in (point for block in taken for point in block.points):
                self._solve(program, point, shared)

        self._queue(1).drain(points, 1, 1, run)
        self.store.compact([digest(point) for point in points if self.store.status(digest(point)) is not None])

    def _solve(self, program: Program, point: Experiment, shared: Mapping[str, Any]) -> None:
        clock = Clock()
        try:
            with clock:
                trace = run_on_host(program, program.knobs(point), {**outside.results(point, self.store), **shared})
        except Exception as error:  # one instance that a solver cannot do says nothing of the others
            self._failed([point], error)
            return
        self.tell({"event": "steps", "n": point.last})
        self._commit(point, program, trace, environment(point, None, 1, clock, self.store))


@dataclass(frozen=True)
class Work:
    """What the blocks of a group need.

    Attributes:
        program: of the group.
        shared: stored arrays, by path.
        place: the layout in use.
        rule: the lanes that the rule gives.
    """

    program: Program
    shared: Mapping[str, Any]
    place: Layout
    rule: int


def execute(groups: Sequence[Group], store: Store, options: RunOptions, tell: Tell) -> None:
    """Run groups in order; see `Engine.run`."""
    Engine(store, options, tell).run(groups)


def _out_of_memory(error: Exception) -> bool:
    return "RESOURCE_EXHAUSTED" in str(error)
