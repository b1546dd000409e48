"""What each verb of the command line does; the text it prints and its exit status."""

import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dsl import Point, Spec, dump
from dsl.difference import differences
from dsl.explain import Prediction
from dsl.explain import explain as predictions
from dsl.faults import nearest
from dsl.schema import schema as schema_of
from dsl.spec import KINDS
from runs.claims import Verdict, claims_table, grade_all
from runs.named import Named, is_record, named
from runs.options import RunOptions
from runs.records import Records, RecordsError, table
from runs.sources import Opened, SourceError, open_source
from scripts.tables import aligned


def explain(opened: Opened) -> int:
    """Print what theory predicts, once for all points of which it says the same."""
    groups = defaultdict[tuple[Prediction, ...], list[Point]](list)
    for point in opened.study.points:
        groups[predictions(point.spec)].append(point)
    for found, points in groups.items():
        print(_heading(opened, points))
        print("\n".join(_told(found)))
    return 0


def plan(opened: Opened, options: RunOptions) -> int:
    """Print what a run would do."""
    from runs.launch import plan_study

    print(plan_study(opened, options))
    return 0


def run(opened: Opened, options: RunOptions) -> int:
    """Run a study and print the fate of its claims; 1 if points failed, or conflict with earlier records."""
    from runs.launch import run_study

    outcome = run_study(opened, options)
    if outcome.report is None:  # the process that this one followed says everything
        return 1 if outcome.failed or outcome.conflicts else 0
    _print_claims(outcome.verdicts)
    if outcome.conflicts:
        print(outcome.conflicts, file=sys.stderr)
    if outcome.failed:
        print(f"{outcome.failed} of {len(opened.study.points)} points failed", file=sys.stderr)
    print(f"report: {outcome.report}")
    return 1 if outcome.failed or outcome.conflicts else 0


def submit(opened: Opened, options: RunOptions, cluster: Any, request: Any) -> int:
    """Hand over jobs, and print how they are followed and how the study goes on after them."""
    from runs.submit import submit as submitted

    jobs = submitted(opened, options, cluster, request)
    for job in jobs:
        print(f"job {job.job_id}: {job.paths.stderr}")
    print("each line names a job and the file that its progress goes to; when a job ends early, submit again: the")
    print("study goes on from what is done, and nothing is done twice")
    return 0


def tune(opened: Opened, options: RunOptions, write: bool, as_json: bool) -> int:
    """Print what each number of lanes costs each program, and keep the best if that is asked for."""
    from runs.choices import FILE, keep
    from runs.launch import tune_study

    found = tune_study(opened, options)
    print(json.dumps([asdict(tuned) for tuned in found], indent=1) if as_json else "\n".join(_tuned(found)))
    if write:
        keep(options.records, found)
        print(f"kept in {options.records / FILE}; runs there follow it", file=sys.stderr)
    return 0


def _tuned(found: Sequence[Any]) -> Iterator[str]:
    """A table of microseconds for each step and point; the choice is starred."""
    widths = sorted({width for tuned in found for width in map(int, tuned.microseconds)})
    yield f"us per step and point by lanes, {found[0].device} ({found[0].backend}); * the choice, ' the rule"
    rows = [["program", *map(str, widths)]]
    for tuned in found:
        marks = {tuned.lanes: "*", tuned.rule: "'"} | ({tuned.lanes: "*'"} if tuned.lanes == tuned.rule else {})
        cells = [(tuned.microseconds.get(str(width)), marks.get(width, "")) for width in widths]
        rows.append([tuned.what, *("" if us is None else f"{us:.3g}{mark}" for us, mark in cells)])
    yield from aligned(rows)


def report(opened: Opened, options: RunOptions) -> int:
    """Grade the claims on the records there are, and write the page."""
    from runs.launch import report_study

    records = Records(options.records)
    if all(records.status(point.spec.digest) is None for point in opened.study.points):
        others = sorted(path.stem for path in (options.records / "studies").glob(f"{opened.name}*.json"))
        others = [name for name in others if re.fullmatch(rf"{re.escape(opened.name)}(-.*)?", name)]
        known = f" (it has {', '.join(others)}: name the same --scale and --set)" if others else ""
        raise RecordsError(f"{options.records} has no records of {opened.index}{known}; `stepwell run` makes them")
    _print_claims(grade_all(opened.study, table(opened.study, options.records)))
    print(f"report: {report_study(opened, options)}")
    return 0


def list_nouns(text: str) -> int:
    """Print the nouns that have this text in their name, line or interface."""
    from runs.nouns import heading, matching, nouns

    found = matching(text)
    if not found:
        known = {name for group in nouns().values() for name in group} | nouns().keys()
        raise SourceError(f"list: no noun has {text!r} in its name or line{nearest(text, known)}")
    for what, group in found.items():
        print(heading(what))
        print("\n".join(f"  {line}" for line in aligned(list(group.items()))))
    return 0


def show(opened: Opened, point: int | None) -> int:
    """Print the spec of one point, or the list of all for None."""
    points = opened.study.points
    if point is not None and not 0 <= point < len(points):
        raise SourceError(f"--point {point}: {opened.name} has {_counted(len(points))}, counted from 0")
    shown = [dump(p.spec) for p in points] if point is None else dump(points[point].spec)
    print(json.dumps(shown, indent=2, ensure_ascii=False))
    return 0


def validate(files: Sequence[str]) -> int:
    """Print `ok` or the faults of each file; 2 if one has any."""
    if not files:
        raise SourceError("validate: name at least one file that ends in .py or .json")
    return max([_validated(file) for file in files])


def diff(a: str, b: str | None, scale: str | None, overrides: tuple[str, ...], records: Path) -> int:
    """Print in what two experiments differ; 1 if they do."""
    asked = {"A": (a, ()), "B": (a if b is None else b, overrides)}
    found: dict[str, Named] = {}
    for side in sorted(asked, key=lambda side: is_record(asked[side][0])):
        found[side] = named(asked[side][0], scale, asked[side][1], records)
    differing = differences(found["A"].experiment, found["B"].experiment)
    if not differing:
        print(f"equal: {found['A'].experiment.digest}")
        return 0
    for side in asked:
        print(f"{side}: {found[side].name}, {found[side].experiment.digest[:12]}")
    print("\n".join(aligned([("", "A", "B"), *((d.where, d.left, d.right) for d in differing)])))
    return 1


def schema(kind: str) -> int:
    """Print the schema of the files of one noun or interface."""
    known = {noun.__name__: noun for cls in KINDS.values() for noun in cls.__mro__ if issubclass(noun, Spec)} | KINDS
    if kind not in known:
        raise SourceError(f"schema: no noun or interface is called {kind!r}{nearest(kind, known)}")
    print(json.dumps(schema_of(known[kind]), indent=2, ensure_ascii=False))
    return 0


def add(path: Path, name: str | None, data: Path | None) -> int:
    """Put data into the data directory and print its noun."""
    from runs.adding import add as added
    from runs.adding import told

    print("\n".join(told(added(path, name, data))))
    return 0


def _validated(file: str) -> int:
    try:
        if not file.endswith((".py", ".json")):
            raise SourceError(f"{file}: expected a file that ends in .py or .json")
        points = open_source(file).study.points
    except SourceError as error:
        print(f"stepwell: {error}", file=sys.stderr)
        return 2
    print(f"{file}: ok ({_counted(len(points))} of {', '.join(sorted({type(p.spec).__name__ for p in points}))})")
    return 0


def _print_claims(verdicts: Sequence[Verdict]) -> None:
    from rich.console import Console

    if verdicts:
        Console().print(claims_table(verdicts))


# ---------------------------------------------------------------- the words of explain


def _heading(opened: Opened, points: Sequence[Point]) -> str:
    """How many points of the study these are, and the axes that tell them from the others."""
    everything = opened.study.points
    axes = {n: _values(points, n) for n in points[0].axes if len(_values(everything, n)) > len(_values(points, n))}
    where = ", ".join(f"{name}={' or '.join(values)}" for name, values in axes.items())
    share = _counted(len(points)) if len(points) == len(everything) else f"{len(points)} of {_counted(len(everything))}"
    return f"{opened.name}: {share}{' with ' * bool(where)}{where}"


def _values(points: Sequence[Point], axis: str) -> list[str]:
    return list(dict.fromkeys(str(point.axes.get(axis)) for point in points))


def _told(found: Sequence[Prediction]) -> Iterator[str]:
    """The lines on one spec; predictions that do not apply for one reason share a line."""
    silent = defaultdict[tuple[str, str], list[str]](list)
    if not found:
        yield "  no prediction is known"
    for p in found:
        if p.applies:
            # a list is told in words
            value = f"{p.value:.4g}" if isinstance(p.value, float) else p.value
            yield f"  {p.name}: {p.why}" if isinstance(p.value, tuple) else f"  {p.name}: {value}: {p.why}"
            yield f"    conditions: {p.conditions}"
            yield f"    source: {p.citation}{'' if p.verified else ' (from memory, unverified)'}"
        else:
            silent[p.why, p.conditions].append(p.name)
    for (why, conditions), names in silent.items():
        yield f"  {', '.join(names)}: does not apply: {why}"
        yield f"    conditions: {conditions}"


def _counted(n: int) -> str:
    return f"{n} point{'s' * (n != 1)}"
