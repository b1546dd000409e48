"""SIGTERM and SIGINT: the first one asks to stop, and the work stops where it can be kept."""

import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM)
ECHO_SECONDS = 2.0
"""One signal may come twice: a cluster sends it to all processes of a job, and the job's own process passes it on."""


class Interrupts:
    """The signal that this process has received, if any."""

    def __init__(self) -> None:
        self.received: int | None = None

    def receive(self, number: int, _frame: object = None) -> None:
        """Note the first signal."""
        self.received = self.received or number


class Forwarding(Interrupts):
    """Passes the first signal on to a worker, which stops where it can be kept; another one later ends it at once."""

    def __init__(self) -> None:
        super().__init__()
        self.worker: subprocess.Popen[str] | None = None
        self._first = 0.0

    def receive(self, number: int, _frame: object = None) -> None:
        """Note the first signal, and pass it on."""
        again = self.received is not None
        super().receive(number)
        self._first = self._first if again else time.monotonic()
        if self.worker is not None and again and time.monotonic() - self._first > ECHO_SECONDS:
            self.worker.kill()
        elif self.worker is not None:
            self.worker.send_signal(number)


@contextmanager
def listening(interrupts: Interrupts) -> Iterator[None]:
    """Signals are noted and nothing else, until the block ends; only the main thread can listen."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, interrupts.receive) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
