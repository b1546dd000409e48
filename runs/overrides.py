"""Fields set from outside: `protocol.steps=1000`, laid over the JSON of an experiment and checked like any file.

A path is written as in the faults of a spec, `measure[0].measurement.draw.n`; a value is JSON, or else text. Inner
experiments are not entered: their fields are set where they are written.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from dsl import Experiment, Point, SpecError, Study, dump, load
from dsl.faults import Fault, Path, nearest, short, written
from dsl.spec import KINDS, hints

PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*|\[\d+\])*")
STEP = re.compile(r"[A-Za-z_]\w*|\d+")
NO_FIELD = "no such field"


class OverrideError(ValueError):
    """A field cannot be set."""


@dataclass(frozen=True)
class Override:
    """One field and its new value, as parsed JSON."""

    path: Path
    value: Any


def parse(text: str) -> Override:
    """Read `path=value`.

    Raises:
        OverrideError: the text is not of that form.
    """
    path, equals, value = text.partition("=")
    if not equals or not PATH.fullmatch(path):
        raise OverrideError(f"{text!r}: expected PATH=VALUE, such as protocol.steps=1000 or measure[0].when.n=10")
    steps = tuple(int(step) if step.isdigit() else step for step in STEP.findall(path))
    return Override(steps, _value(value))


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise OverrideError("the value is nested too deep") from None
    except ValueError:
        return text


def override(experiment: Experiment, texts: Sequence[str]) -> Experiment:
    """The experiment with other field values, checked as when it is loaded from a file.

    Raises:
        OverrideError: a field does not exist, or its value is at fault; with the path.
    """
    return override_study(Study("override", [experiment]), texts).points[0].spec


def override_study(study: Study, texts: Sequence[str]) -> Study:
    """The study with fields set in every point that has them.

    The axes of its points stay as they were, and each field that was set is one more column, named by its path.

    Raises:
        OverrideError: a field exists in no point, a value is at fault, or two points have become one.
    """
    drafts = [dump(point.spec) for point in study.points]
    settings = [parse(text) for text in texts]
    changed = set[int]()
    for setting in settings:
        _refuse_axis(study.points, drafts, setting)
        changed |= _laid_over(drafts, setting)
    points = [_loaded(p, drafts[i], i, settings) if i in changed else p for i, p in enumerate(study.points)]
    _refuse_merged(points)
    return Study(study.name, points, study.claims, study.figures)


def _refuse_axis(points: Sequence[Point], drafts: list[Any], setting: Override) -> None:
    """Refuse the name of an axis that is no field, naming the fields that hold the values of the axis."""
    name = setting.path[0]
    if len(setting.path) > 1 or not all(name in point.axes for point in points):
        return
    roots = [_root(draft) for draft in drafts]
    if any(_absent(root, name, True) is None for root in roots):
        return
    leaves = [dict(_leaves(root)) for root in roots]
    same = lambda path: all(path in d and d[path] == p.axes[str(name)] for d, p in zip(leaves, points, strict=True))
    fields = [written(path) for path in (leaves[0] if leaves else ()) if same(path)]
    advice = f"; its values stand in {', '.join(fields[:3])}" if fields else ""
    raise OverrideError(f"{name}: this is an axis of the study, not a field{advice}")


def _leaves(node: Any, above: Path = ()) -> Iterator[tuple[Path, Any]]:
    """The numbers and texts of a draft with their paths; inner experiments are references."""
    if isinstance(node, dict | list):
        for step, child in node.items() if isinstance(node, dict) else enumerate(node):
            yield from _leaves(child, (*above, step))
    elif above and above[-1] not in ("kind", "ref"):
        yield above, node


def _root(draft: Any) -> Any:
    return draft if "kind" in draft else draft["spec"]


def _laid_over(drafts: list[Any], setting: Override) -> set[int]:
    """Set a field wherever it exists; the numbers of the drafts that have it."""
    problems = [_assign(_root(d), setting) for d in drafts]
    if problems and all(problems):
        # the point in which most of the path exists knows best what was meant, and there one that has fields
        reached, problem = max((p for p in problems if p), key=lambda p: (len(p[0]), p[1].startswith(NO_FIELD)))
        raise OverrideError(f"{written(reached)}: {problem}")
    return {i for i, problem in enumerate(problems) if not problem}


def _assign(node: Any, setting: Override) -> tuple[Path, str] | None:
    """Set the field, or say at which step the path leaves the spec."""
    for i, step in enumerate(setting.path):
        last = i == len(setting.path) - 1
        problem = _absent(node, step, last)
        if problem:
            return setting.path[: i + 1], problem
        if last:
            node[step] = setting.value
        else:
            node = node[step]
    return None


def _absent(node: Any, step: str | int, last: bool) -> str | None:
    if isinstance(node, list):
        return _no_item(node, step)
    if not isinstance(node, dict):
        return f"there are no fields in {short(node)}"
    if set(node) == {"ref"}:
        return "this is inside another experiment, which is not entered; set it where that experiment is written"
    # a value that was set before may leave out defaults, which can still be set one by one
    known = hints(KINDS[node["kind"]]) if node.get("kind") in KINDS else {}
    if step in node or (last and step in known):
        return None
    if isinstance(step, int):
        return "this has fields, not items"
    return f"{NO_FIELD}{nearest(step, {*node, *known} - {'kind'})}"


def _no_item(items: list[Any], step: str | int) -> str | None:
    if isinstance(step, str):
        return f"this is a list of {len(items)}; choose an item by [0]"
    return None if step < len(items) else f"this is a list of {len(items)}, counted from 0"


def _loaded(point: Point, draft: Any, number: int, settings: Sequence[Override]) -> Point:
    columns = {written(setting.path): setting.value for setting in settings}
    try:
        return Point(load(draft, type(point.spec)), {**point.axes, **columns})
    except SpecError as refused:
        error = SpecError(refused.kind, [_advised(fault, settings) for fault in refused.faults])
        axes = ", ".join(f"{name}={value}" for name, value in point.axes.items())
        where = f"point {number} ({axes}): " if axes else ""
        raise OverrideError(f"{where}{error}") from None


def _advised(fault: Fault, settings: Sequence[Override]) -> Fault:
    """Counts are written without a point or an exponent, and 1e3 is a float in JSON."""
    for s in settings:
        if s.path == fault.path and isinstance(s.value, float) and s.value.is_integer() and "int" in fault.problem:
            return Fault(fault.path, f"{fault.problem}; write {int(s.value)}")
    return fault


def _refuse_merged(after: Sequence[Point]) -> None:
    """Two points that become one would lie in the table under axis values that they do not have."""
    first = dict[str, int]()
    for i, point in enumerate(after):
        twin = first.setdefault(point.spec.digest, i)
        if twin != i:
            raise OverrideError(f"points {twin} and {i} would be the same experiment: an axis of the study is set")
