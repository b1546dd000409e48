"""What a study will do: the graph of its experiments, flattened and grouped by structure, before anything runs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from dsl.experiments import Experiment
from dsl.identity import digest
from dsl.program import compile, requires, structure
from dsl.solving import Solver, Solving


@dataclass(frozen=True)
class Group:
    """Experiments that share a program."""

    points: tuple[Experiment, ...]
    precision: str

    @property
    def program(self) -> Any:
        """The program of all points."""
        return compile(self.points[0])

    @property
    def steps(self) -> int:
        """Steps of all points together."""
        return sum(point.last for point in self.points)


@dataclass(frozen=True)
class Stage:
    """Groups that one worker runs, in order: all of one precision, with everything they require done before."""

    precision: str
    groups: tuple[Group, ...]


def flatten(experiments: Iterable[Experiment]) -> dict[str, Experiment]:
    """All experiments and those that they require, by digest, each after what it requires."""
    found: dict[str, Experiment] = {}
    pending = [(experiment, False) for experiment in reversed(list(experiments))]
    while pending:  # no recursion: a chain of self-training may be long
        experiment, entered = pending.pop()
        if digest(experiment) in found:
            continue
        if entered:
            found[digest(experiment)] = experiment
        else:
            pending.append((experiment, True))
            pending.extend((inner, False) for inner in reversed(requires(experiment)))
    return found


def stages(experiments: Iterable[Experiment]) -> tuple[Stage, ...]:
    """The order of work: as few workers as precisions and requirements allow."""
    waiting, done, found = flatten(experiments), set[str](), list[Stage]()
    while waiting:
        precision: str = next(_precision(e) for e in waiting.values() if _ready(e, done))
        groups: list[Group] = []
        while ready := [e for e in waiting.values() if _precision(e) == precision and _ready(e, done)]:
            groups.extend(grouped(ready))
            done.update(digest(e) for e in ready)
            waiting = {name: e for name, e in waiting.items() if name not in done}
        found.append(Stage(precision, tuple(groups)))
    return tuple(found)


def grouped(experiments: Sequence[Experiment]) -> tuple[Group, ...]:
    """Experiments by structure, in the order in which structures first appear."""
    found: dict[Any, list[Experiment]] = {}
    for experiment in experiments:
        found.setdefault((_precision(experiment), structure(experiment)), []).append(experiment)
    return tuple(Group(tuple(points), precision) for (precision, _), points in found.items())


def length(experiments: Iterable[Experiment]) -> str:
    """How far experiments go in all, in words: `2,000 steps`, `at most 300 rounds` of solvers; `no steps` for none."""
    found: dict[str, tuple[int, bool]] = {}
    for experiment in (e for e in experiments if e.last):
        unit = "round" if isinstance(experiment, Solving) else "step"
        known, early = found.get(unit, (0, False))
        found[unit] = known + experiment.last, early or _may_end_early(experiment)
    told = [
        f"{'at most ' * early}{count:,} {unit}{'s' * (count != 1)}" for unit, (count, early) in sorted(found.items())
    ]
    return " and ".join(reversed(told)) or "no steps"


def _may_end_early(experiment: Any) -> bool:
    if isinstance(experiment, Solving):
        return type(experiment.by).finished is not Solver.finished
    return getattr(getattr(experiment, "protocol", None), "stop", None) is not None


def _precision(experiment: Any) -> str:
    return experiment.precision


def _ready(experiment: Experiment, done: set[str]) -> bool:
    return all(digest(inner) in done for inner in requires(experiment))
