"""When to measure: `every(n)`, `at(...)`, `log_spaced(n)`, `at_end()`, as data."""

import abc
from collections.abc import Iterable

import numpy as np

from dsl.faults import Fault
from dsl.fields import Count
from dsl.spec import Spec


class When(Spec, abstract=True):
    """Steps of a run at which to observe."""

    @abc.abstractmethod
    def steps(self, last: int) -> tuple[int, ...]:
        """The steps, increasing, of a run whose last step is `last`."""

    def unfit(self, last: int) -> Iterable[Fault]:
        """What of this schedule lies beyond the last step."""
        return ()

    def has(self, step: int, last: int) -> bool:
        """Whether a step is one of them; asked before anything is known of how many there are."""
        return step in self.steps(last)


class Every(When):
    """Steps 0, n, 2n, ..."""

    n: Count

    def steps(self, last: int) -> tuple[int, ...]:
        """0, n, 2n, ..., up to the last."""
        return tuple(range(0, last + 1, self.n))

    def has(self, step: int, last: int) -> bool:
        """Multiples of n up to the last."""
        return 0 <= step <= last and step % self.n == 0

    def unfit(self, last: int) -> Iterable[Fault]:
        """A period longer than the run."""
        if self.n > last > 0:
            yield Fault(("n",), f"expected at most {last}, the last step, got {self.n}")


class At(When):
    """These steps."""

    at: tuple[int, ...]

    def steps(self, last: int) -> tuple[int, ...]:
        """The steps, sorted and each once."""
        return tuple(sorted(set(self.at)))

    def check(self) -> Iterable[Fault]:
        """Steps are >= 0."""
        return [Fault(("at", i), f"expected a step >= 0, got {t}") for i, t in enumerate(self.at) if t < 0]

    def unfit(self, last: int) -> Iterable[Fault]:
        """Steps beyond the last."""
        for i, step in enumerate(self.at):
            if step > last:
                yield Fault(("at", i), f"step {step} is beyond the last step, {last}")


class LogSpaced(When):
    """Step 0 and at most n steps from 1 to the last, spaced evenly in the logarithm."""

    n: Count

    def steps(self, last: int) -> tuple[int, ...]:
        """0, and 1 to the last in equal ratios, rounded."""
        spaced = np.geomspace(max(last, 1), 1, self.n).round().astype(int).tolist()  # one alone is the last
        return tuple(sorted({0, *(t for t in spaced if t <= last), last}))


class AtEnd(When):
    """The last step."""

    def steps(self, last: int) -> tuple[int, ...]:
        """The last step alone."""
        return (last,)


def every(n: int) -> Every:
    """Steps 0, n, 2n, ..."""
    return Every(n)


def at(*steps: int) -> At:
    """These steps."""
    return At(tuple(steps))


def log_spaced(n: int) -> LogSpaced:
    """Step 0 and at most n steps from 1 to the last, evenly in the logarithm."""
    return LogSpaced(n)


def at_end() -> AtEnd:
    """The last step."""
    return AtEnd()
