"""When the blocks of a wave are kept: every so many seconds, and when a signal asks to stop."""

import time
from collections.abc import Mapping

from runs.checkpoint import Checkpoints, Snapshot
from runs.interrupts import Interrupts
from runs.options import Interrupted


class Keeping:
    """The keeper of a wave's blocks.

    Args:
        checkpoints: where; None keeps nothing.
        every: seconds between two checkpoints.
        interrupts: the signals of this process.
    """

    def __init__(self, checkpoints: Checkpoints | None, every: float, interrupts: Interrupts) -> None:
        self.checkpoints, self.every, self.interrupts = checkpoints, every, interrupts
        self._last = time.monotonic()

    def wanted(self) -> bool:
        """Whether a signal came, or the time is over."""
        late = self.checkpoints is not None and time.monotonic() - self._last >= self.every
        return late or self.interrupts.received is not None

    def keep(self, snapshots: Mapping[str, Snapshot]) -> None:
        """Write the checkpoints.

        Raises:
            Interrupted: after that, if a signal came.
        """
        if self.checkpoints is not None:
            for name, snapshot in snapshots.items():
                self.checkpoints.save(name, snapshot)
        self._last = time.monotonic()
        if self.interrupts.received is not None:
            raise Interrupted(self.interrupts.received)
