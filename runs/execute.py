"""The engine: groups of experiments, run as waves of blocks, and their records."""

import hashlib
import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import jax

from dsl.experiments import Experiment
from dsl.identity import digest
from dsl.program import Program, compile, requires
from dsl.shards import Unsplittable
from runs import inputs as outside
from runs.choices import Choices
from runs.configure import require
from runs.following import Led
from runs.interrupts import Interrupts
from runs.keeping import Keeping
from runs.layout import Layout, layout
from runs.mapping import Mapped
from runs.numerics import here
from runs.options import Interrupted, RunError, RunOptions
from runs.outcome import Clock, commit, commit_blocked, commit_failed, environment, failure, numerics_of
from runs.plan import Group
from runs.queue import Queue, Taken, blocks, name_of
from runs.records import RecordsError
from runs.store import Conflict, Store, done
from runs.team import Team
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
        choices: lanes that `stepwell tune` has chosen.
        team: the processes that this one leads; None where it is alone.
        laid: how each group was laid out: see `runs.expected`.
    """

    store: Store
    options: RunOptions
    tell: Tell
    refused: set[str] = field(default_factory=set)
    interrupts: Interrupts = field(default_factory=Interrupts)
    choices: Choices = field(default_factory=Choices)
    team: Team | None = None
    laid: list[dict[str, Any]] = field(default_factory=list)

    def run(self, groups: Sequence[Group]) -> None:
        """Run groups in order; a point that is done is not run again.

        Raises:
            RunError: if this process is not set up for their precision, stored data are missing, or the batches of a
                program cannot be shared by devices as the options ask.
            Interrupted: after a signal, with everything kept.
        """
        for group in groups:
            check_shards(group.program, self.options)
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
        except Unsplittable as error:
            raise RunError(f"--data-shards {self.options.data_shards}: {error}") from None
        except (RunError, RecordsError, Interrupted):  # the records, the stored data, or a signal: nothing goes on
            raise
        except Exception as error:  # a user's noun may raise anything
            self._failed([p for p in points if not done(self.store.status(digest(p)))], error)

    def _failed(self, points: list[Experiment], error: Exception) -> None:
        for event in commit_failed(points, error, self.store):
            self.tell(event)

    def _run(self, points: list[Experiment]) -> None:
        program, shared = compile(points[0]), outside.stored(points[0], self.options.data)
        if problem := outside.misfit(points[0], shared):  # others of the group differ in knobs alone
            self._failed([p for p in points if not done(self.store.status(digest(p)))], ValueError(problem))
            return
        _warn_of_doubts(points)
        if not program.traced:
            self._run_on_host(program, points, shared)
            return
        arrays = {**outside.results(points[0], self.store), **shared}
        place = layout(program, program.knobs(points[0]), arrays, self.choices.of(points[0]))
        self._laid(points, place.lanes)
        place = replace(place, devices=place.devices // self.options.data_shards)
        self._run_as_blocks(points, Work(program, shared, place, place.lanes))

    def _laid(self, points: list[Experiment], lanes: int) -> None:
        self.laid.append({"points": [digest(point) for point in points], "lanes": lanes, "process": here()})

    def _run_as_blocks(self, points: list[Experiment], work: "Work") -> None:
        """Blocks on waves; after the memory of a device has run out, what is left on half the lanes."""
        place, mapped = work.place, self._mapped(points[0], work)
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

    def _mapped(self, point: Experiment, work: "Work") -> Mapped:
        place, shards = work.place, self.options.data_shards
        shape = place.devices, place.blocks, place.lanes
        if self.team is None:
            return Mapped(work.program, shape, self.options.mapper, shards)
        return Led(self.team, point, shape, shards)

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
        numerics = [
            numerics_of(point, work.place.lanes, self.store, self.options.data_shards) for point in taken.points
        ]
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
            self._commit(point, work.program, trace, self._environment(point, work, clock))
        self.store.compact([digest(point) for point in points])
        if self.store.checkpoints is not None:
            for block in taken:
                self.store.checkpoints.drop(block.name)

    def _environment(self, point: Experiment, work: "Work", clock: Clock) -> dict[str, Any]:
        return environment(point, work.place, work.rule, clock, self.store, self.options.data_shards)

    def _commit(self, point: Experiment, program: Program, trace: Trace, about: Mapping[str, Any]) -> None:
        if (problem := failure(program, trace)) is not None:
            self._failed([point], ValueError(problem))
            return
        short = program.told_missed(point, trace.missed) if trace.missed > 0 else None
        status = commit(point, program, trace, {**about, "short": short} if short else about, self.store)
        self.tell({"event": "done", "point": digest(point), "status": status, **({"short": short} if short else {})})

    def waiting(self, points: Sequence[Experiment], lanes: int) -> list[Experiment]:
        """The points that have to be computed; `refused` grows by those whose records are other than this run's."""
        return [point for point in points if not self._stands(point, lanes)]

    def _stands(self, point: Experiment, lanes: int) -> bool:
        try:
            if not self.store.finished(digest(point), numerics_of(point, lanes, self.store, self.options.data_shards)):
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

        self._laid(points, 1)
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


def check_shards(program: Program, options: RunOptions) -> None:
    """Whether devices can share the batches of a program.

    Raises:
        RunError: if not, saying why.
    """
    shards = options.data_shards
    if shards == 1:
        return
    if len(jax.devices()) % shards:
        raise RunError(f"--data-shards {shards}: expected a divisor of the number of devices, {len(jax.devices())}")
    if options.mapper == "pmap":
        raise RunError(f"--data-shards {shards} needs --mapper shard_map: pmap has one axis")
    if not program.averages:
        noun = getattr(program.experiment, "protocol", getattr(program.experiment, "by", program.experiment))
        raise RunError(f"--data-shards {shards}: {type(noun).__name__} averages over no batch that devices could share")


def _warn_of_doubts(points: Sequence[Experiment]) -> None:
    pairs = ((item.measurement, point) for point in points for item in point.observed().values())
    for text in dict.fromkeys(text for noun, point in pairs for text in noun.doubts(point)):
        warnings.warn(text, stacklevel=2)


def _out_of_memory(error: Exception) -> bool:
    return "RESOURCE_EXHAUSTED" in str(error)
