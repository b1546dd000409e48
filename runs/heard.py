"""What the workers of a run told, and how it is said while they run."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from dsl import Point
from dsl.identity import digest
from runs.options import Interrupted, RunError
from runs.progress import Meter
from runs.warned import Warned

NAMED = 4
"""So many points are named where some fail together; the records and the page name all of them."""


@dataclass
class Heard:
    """What the workers told.

    Attributes:
        labels: what each point of the study is called, by its digest.
        failed: points without a result, by why.
        conflicts: points that are left alone, by what differs.
        messages: why points failed.
        refused: the points that are left alone.
        warned: the warnings that were said.
        leads: whether this process writes what all of them have found.
    """

    labels: dict[str, str]
    failed: Counter[str] = field(default_factory=Counter)
    conflicts: Counter[str] = field(default_factory=Counter)
    messages: list[str] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    warned: Warned = field(default_factory=Warned)
    leads: bool = True

    @classmethod
    def of(cls, points: Sequence[Point]) -> "Heard":
        """Nothing yet, of these points."""
        return cls({digest(point.spec): label(i, point) for i, point in enumerate(points)})

    def hear(self, event: dict[str, Any], meter: Meter) -> None:
        """Keep what an event says, and say what cannot wait.

        Raises:
            Interrupted, RunError: the worker cannot go on.
        """
        match event["event"]:
            case "steps":
                meter.advance(event["n"])
            case "done":
                meter.finish()
                if event["status"] != "finished":
                    meter.note(f"{self._called(event['point'])}: {event['status']}")
                elif "short" in event:
                    meter.note(f"{self._called(event['point'])}: {event['short']}")
            case "skipped":
                meter.advance(event["steps"])
                meter.finish()
            case "conflict":
                self.refused.add(event["point"])
                self.conflicts[event["message"]] += 1
            case "failed" | "blocked":
                self.failed[event.get("status", "failed")] += 1
            case "note":
                meter.note(event["message"])
            case "warning":
                self.warned.say(event["message"], meter.note)
            case "error":
                meter.note(self._failure(event["points"], event["message"]))
                self.messages.append(event["message"])
            case "process":
                self.leads = event["rank"] == 0
                if not self.leads:
                    meter.hush()
            case "interrupted":
                raise Interrupted(event["signal"])
            case "refused":
                raise RunError(event["message"])

    def _failure(self, points: Sequence[str], message: str) -> str:
        """Which points failed, and why; an error that was said already is not said again."""
        if len(points) == 1:
            who = f"{self._called(points[0])} failed"
        else:
            more = f"; and {len(points) - NAMED} more" if len(points) > NAMED else ""
            who = f"{len(points)} points failed, {'; '.join(map(self._called, points[:NAMED]))}{more}"
        return f"{who}, with the same error" if message in self.messages else f"{who}:\n{message}"

    def _called(self, point: str) -> str:
        return self.labels.get(point, f"the experiment {point[:12]} that others read")

    def told_conflicts(self) -> str:
        """Which points were left alone, why, and what to do; empty if none was."""
        if not self.conflicts:
            return ""
        lines = [f"  {count} point{'s' * (count != 1)}: {what}" for what, count in self.conflicts.items()]
        advice = "run them again with --rerun (the old records are kept aside), or take them as they are with --accept"
        return "\n".join(["finished points were computed differently and were left alone:", *lines, advice])


def label(number: int, point: Point) -> str:
    """A point by its number and its axes: `point 5 (depth=2, lr=0.1)`."""
    axes = ", ".join(f"{name}={value}" for name, value in point.axes.items())
    return f"point {number}{f' ({axes})' if axes else ''}"
