"""Progress with an estimate of the time left: a bar on a terminal, a plain line now and then in a log."""

import io
import sys
import time
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

PLAIN_SECONDS = 10.0
NEARLY_ALL = 0.99
"""Of the steps: what is left after it may be few steps of much work, about which their number says nothing."""


class Meter:
    """Shows how far a study is, in steps of all its points.

    Args:
        name: of the study.
        steps: of all points together.
        points: how many there are.
        stream: where to show it; standard error, as it is then, if not given.
    """

    def __init__(self, name: str, steps: int, points: int, stream: TextIO | None = None) -> None:
        self.name, self.steps, self.points, self.stream = name, max(1, steps), points, stream or sys.stderr
        self.done_steps = self.done_points = 0
        self.began = self.shown = time.monotonic()
        self._bar = _bar(self.stream) if self.stream.isatty() else None

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task(self.name, total=self.steps, points=f"0/{self.points} points")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()
        elif kind is None:
            self._line()

    def advance(self, steps: int) -> None:
        """So many steps were made."""
        self.done_steps += steps
        self._show()

    def finish(self, points: int = 1) -> None:
        """So many points are done."""
        self.done_points += points
        self._show()

    def hush(self) -> None:
        """Show nothing any more: another process does."""
        if self._bar is not None:
            self._bar.stop()
        self._bar, self.stream = None, io.StringIO()

    def note(self, text: str) -> None:
        """Say something without disturbing the bar."""
        if self._bar is not None:
            self._bar.console.print(text, markup=False)
        else:
            print(text, file=self.stream, flush=True)

    def _show(self) -> None:
        if self._bar is not None:
            points = f"{self.done_points}/{self.points} points"
            self._bar.update(self._task, completed=self.done_steps, points=points)
        elif time.monotonic() - self.shown >= PLAIN_SECONDS:
            self._line()

    def _line(self) -> None:
        self.shown = time.monotonic()
        share, spent = min(1.0, self.done_steps / self.steps), self.shown - self.began
        left = f", about {spent * (1 - share) / share:.0f} s left" if 0 < share < NEARLY_ALL else ""
        done = f"{self.done_points}/{self.points} points, {100 * share:.0f} % of the steps"
        print(f"{self.name}: {done}, {spent:.0f} s{left}", file=self.stream, flush=True)


def _bar(stream: TextIO) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[points]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=Console(file=stream),
    )
