"""Running a study: plan here, compute in workers, then tables, claims and the report.

This process, pinned to the CPU, only plans: each precision of a study runs in a worker of its own, which is spawned and
configured before it imports the user's file.
"""

import hashlib
import importlib
import json
import os
import shlex
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dsl import dump, explain
from dsl.identity import digest
from runs.choices import Tuned
from runs.circumstances import circumstances, code
from runs.claims import Verdict, grade_all
from runs.configure import environment
from runs.expected import Expected, Settled
from runs.heard import Heard
from runs.interrupts import Forwarding, listening
from runs.options import Interrupted, RunError, RunOptions
from runs.plan import Group, Stage, flatten, length, stages
from runs.progress import Meter
from runs.records import Records, RecordsError, entries, table
from runs.report import is_made_from, write_report
from runs.sources import Opened
from runs.store import OnDisk
from runs.table import Table
from runs.warned import Warned, complain


@dataclass
class Outcome:
    """What became of a run.

    Attributes:
        table: everything measured.
        verdicts: on the study's claims.
        report: the page; None in a process that follows another, which writes it and has the table and the verdicts.
        failed: points that have no result.
        conflicts: what differs between records and this run; empty if nothing does.
        messages: why points failed.
    """

    table: Table
    verdicts: list[Verdict]
    report: Path | None
    failed: int
    conflicts: str
    messages: list[str] = field(default_factory=list)


def run_study(opened: Opened, options: RunOptions) -> Outcome:
    """Run what is not done of a study, grade its claims, write its page.

    Where everything is done, no worker is started, and a page that says the same is left as it is.

    Raises:
        RunError, RecordsError: with one clear message, before anything has run.
        Interrupted: after a signal, when what is unfinished is kept.
    """
    records, of_code = Records(options.records), code()  # the files as they were imported, before somebody edits them
    if options.hosts is None:
        records.prepare()
    experiments = [point.spec for point in opened.study.points]
    every, found = flatten(experiments), stages(experiments)
    heard = Heard.of(opened.study.points)
    signals, settled = Forwarding(), _settled(opened, options, of_code)
    with listening(signals), Meter(opened.name, sum(max(1, e.last) for e in every.values()), len(every)) as meter:
        for stage in found:
            for event in _done_or_worked(stage, settled, opened, options, signals, heard.refused):
                if event["event"] == "laid" and settled is not None and code() == of_code:
                    settled.expected.keep(event["groups"], every)
                heard.hear(event, meter)
    if not heard.leads:
        return Outcome(
            Table.build([], {}), [], None, sum(heard.failed.values()), heard.told_conflicts(), heard.messages
        )
    records.write_study(opened.index, entries(opened.study))
    records.compact(every)  # also what a killed process had left
    measured = table(opened.study, options.records)
    verdicts = grade_all(opened.study, measured)
    page = _page(opened, options, measured, verdicts, of_code)
    return Outcome(measured, verdicts, page, sum(heard.failed.values()), heard.told_conflicts(), heard.messages)


def _settled(opened: Opened, options: RunOptions, of_code: str) -> Settled | None:
    """What tells of groups that are done; None where a worker has to: it repairs, or decides with others."""
    if options.rerun or options.hosts is not None:
        return None
    path = options.records / "studies" / f"{opened.index}.expected"
    expected = Expected.read(path, circumstances(of_code, options))
    return Settled(OnDisk.at(options.records, rerun=False, accept=False), expected, options.data_shards)


def _done_or_worked(
    stage: Stage,
    settled: Settled | None,
    opened: Opened,
    options: RunOptions,
    signals: Forwarding,
    refused: Collection[str],
) -> Iterator[dict[str, Any]]:
    """The events of a stage, of which a worker does the groups that are not known to be done."""
    left: list[Group] = []
    for group in stage.groups:
        if settled is not None and settled.holds(group):
            yield from ({"event": "skipped", "point": digest(e), "steps": e.last} for e in group.points)
        else:
            left.append(group)
    if left:
        imports = threading.Thread(target=_import_what_comes_last, daemon=True)
        imports.start()
        yield from _worked(Stage(stage.precision, tuple(left)), opened, options, "run", signals, refused)
        imports.join()


def _import_what_comes_last() -> None:
    """What reads records and draws figures, imported while the workers compute and this process waits."""
    for name in ("duckdb", "matplotlib.backends.backend_svg"):
        importlib.import_module(name)


def report_study(opened: Opened, options: RunOptions) -> Path:
    """Write the page of a study from the records there are, also where nothing says that it would be another."""
    found = table(opened.study, options.records)
    return _page(opened, options, found, grade_all(opened.study, found), code(), always=True)


def _page(
    opened: Opened, options: RunOptions, found: Table, verdicts: Sequence[Verdict], of_code: str, always: bool = False
) -> Path:
    known = Records(options.records).environments(digest(point.spec) for point in opened.study.points)
    path, command = options.records / "reports" / f"{opened.index}.html", _command(opened, options)
    named = [(dict(entry.axes), entry.digest, known.get(entry.digest)) for entry in entries(opened.study)]
    made_from = hashlib.sha256(json.dumps([of_code, command, opened.name, named]).encode()).hexdigest()
    if not always and is_made_from(path, made_from):
        return path
    environments = [json.loads(text) for _, text in known.values()]
    predictions = [(_label(point), list(explain(point.spec))) for point in opened.study.points]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return write_report(
            opened.study, found, verdicts, predictions, environments, command, path, made_from, complain
        )
    except OSError as error:
        raise RecordsError(f"cannot write the report {path}: {error.strerror}") from None


def _label(point: Any) -> str:
    return ", ".join(f"{name}={value}" for name, value in point.axes.items() if name != "seed") or "the experiment"


def _command(opened: Opened, options: RunOptions) -> str:
    source = opened.source if opened.file is None else Path(opened.source).name
    parts = ["stepwell", "run", source]
    if opened.scale is not None:
        parts += ["--scale", opened.scale]
    if options.records != RunOptions().records:
        parts += ["--records", options.records.name]  # the page may be read on another machine
    return shlex.join([*parts, *(word for text in opened.overrides for word in ("--set", text))])


# ---------------------------------------------------------------- workers


def _worked(
    stage: Stage, opened: Opened, options: RunOptions, mode: str, signals: Forwarding, refused: Collection[str] = ()
) -> Iterator[dict[str, Any]]:
    """The events of a worker that does one stage."""
    if signals.received is not None:
        raise Interrupted(signals.received)
    with tempfile.TemporaryDirectory(prefix="stepwell-") as folder:
        job = Path(folder) / "job.json"
        job.write_text(json.dumps(_job(stage, opened, options, mode) | {"refused": sorted(refused)}))
        with (Path(folder) / "stderr").open("w+") as complaints:
            yield from _events(_start(job, stage.precision, options, complaints), complaints, signals)


def _answers(found: Sequence[Stage], opened: Opened, options: RunOptions, mode: str) -> Iterator[dict[str, Any]]:
    """What workers that only lay groups out, or measure them, answer: an event for each group.

    Raises:
        RunError: one of them refuses.
    """
    warned = Warned()
    for event in (event for stage in found for event in _worked(stage, opened, options, mode, Forwarding())):
        if event["event"] == "refused":
            raise RunError(event["message"])
        if event["event"] == "warning":
            warned.say(event["message"], complain)
        else:
            yield event


def _job(stage: Stage, opened: Opened, options: RunOptions, mode: str) -> dict[str, Any]:
    experiments = [point for group in stage.groups for point in group.points]
    numbers = iter(range(len(experiments)))
    is_code = opened.file is not None and opened.file.suffix == ".py"
    return {
        "mode": mode,
        "precision": stage.precision,
        "file": str(opened.file) if is_code else None,
        "sha256": opened.sha256 if is_code else None,
        "experiments": [dump(experiment) for experiment in experiments],
        "groups": [[next(numbers) for _ in group.points] for group in stage.groups],
        "options": {name: str(v) if isinstance(v, Path) else v for name, v in asdict(options).items()},
    }


def _start(job: Path, precision: str, options: RunOptions, complaints: Any) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "runs.worker", str(job)],  # -P: a file of the working directory hides no module
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=complaints,
        start_new_session=True,  # a terminal's Ctrl-C comes here, and is passed on once
        text=True,
        env={**os.environ, **environment(precision, options.devices, options.data_shards, options.hosts is None)},
    )


def _events(worker: "subprocess.Popen[str]", complaints: Any, signals: Forwarding) -> Iterator[dict[str, Any]]:
    signals.worker = worker
    try:
        assert worker.stdout is not None  # it is a pipe
        for line in worker.stdout:
            yield json.loads(line)
        worker.wait()
    finally:
        if worker.poll() is None:
            worker.kill()
        worker.communicate()  # reaps it and closes the pipe
        signals.worker = None
    if signals.received is not None:
        raise Interrupted(signals.received)
    if worker.returncode:
        complaints.seek(0)
        said = complaints.read().strip().splitlines()
        last = "\n".join(said[-20:]) or "it said nothing"
        raise RunError(f"the worker ended with status {worker.returncode}; finished points are kept:\n{last}")


# ---------------------------------------------------------------- the plan


def plan_study(opened: Opened, options: RunOptions) -> str:
    """What a run would do: programs, points, steps, memory, lanes and devices, before anything runs."""
    experiments = [point.spec for point in opened.study.points]
    every, found = flatten(experiments), stages(experiments)
    groups = [(stage, group) for stage in found for group in stage.groups]
    layouts = _answers(found, opened, options, "plan")
    counted = _counted(len(every), "point"), _counted(len(groups), "program")
    lines = [f"{opened.name}: {', '.join([*counted, length(every.values())])}"]
    if extra := len(every) - len(set(map(digest, experiments))):
        lines.append(f"  {extra} of the points are experiments that others require")
    for (_, group), event in zip(groups, layouts, strict=True):
        lines.append(_planned(group, opened, event))
    return "\n".join(lines)


def tune_study(opened: Opened, options: RunOptions) -> list[Tuned]:
    """What each number of lanes costs the programs of a study, measured in workers.

    Raises:
        RunError: where no program can be measured before other experiments have run.
    """
    every = stages(point.spec for point in opened.study.points)
    groups = [group for stage in every for group in stage.groups]
    found: list[Tuned] = []
    for group, event in zip(groups, _answers(every, opened, options, "tune"), strict=True):
        if event["found"] is not None:
            found.append(Tuned(**event["found"] | {"what": _varied(group, opened) or type(group.points[0]).__name__}))
    if not found:
        raise RunError(f"{opened.name}: nothing to measure: no steps, or inputs that other experiments make first")
    return found


def _planned(group: Any, opened: Opened, event: dict[str, Any]) -> str:
    what = _varied(group, opened) or type(group.points[0]).__name__
    one = group.points[0]
    far = f" x {length([one])}" if one.last else ", no steps"
    line = f"  {_counted(len(group.points), 'point')}{far}, {group.precision}: {what}"
    if "lanes" not in event:
        return f"{line}\n    {event['devices']} {event['backend']} devices; laid out when its inputs are known"
    waves = -(-len(group.points) // event["wave"])
    shared = f" ({event['shards']} for each point)" if "shards" in event else ""
    shape = f"{event['devices']} {event['backend']} devices{shared} x {event['blocks']} blocks x {event['lanes']} lanes"
    return f"{line}\n    {_counted(waves, 'wave')} of {shape}, {-(-event['memory'] // 2**20)} MiB each"


def _varied(group: Any, opened: Opened) -> str:
    """The axes of a group's points: their one value, or how many there are."""
    members = {digest(point) for point in group.points}
    axes: dict[str, set[str]] = {}
    for point in opened.study.points:
        if digest(point.spec) in members:
            for name, value in point.axes.items():
                axes.setdefault(name, set()).add(str(value))
    show: Callable[[set[str]], str] = lambda values: next(iter(values)) if len(values) == 1 else f"{len(values)} values"
    return ", ".join(f"{name}={show(values)}" for name, values in axes.items())


def _counted(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"
