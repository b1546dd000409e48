"""Many processes that compute together: process 0 leads, the others follow.

Process 0 alone decides and writes. What the others are to do it says in messages, which travel through the key-value
store of JAX's coordination service: it waits without occupying a device, for as long as it takes. A message is JSON and
arrays (safetensors); nothing is ever unpickled.
"""

import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np

from runs.interrupts import Interrupts
from runs.options import Hosts, RunError

PART_BYTES = 2**20
POLL_SECONDS = 1.0
ANSWER_SECONDS = 60.0
START_SECONDS = 300.0
FORGET_EVERY = 256
ANSWERED = ("drop", "end")
"""What followers say that they have read; of the rest they say so now and then, so that it can be forgotten."""
Arrays = Mapping[str, np.ndarray]


class Gone(RunError):
    """Another process has ended without a word, or does not answer: this one cannot part from it in good order."""


@dataclass
class Team:
    """One process among those of a run.

    Attributes:
        client: of the coordination service.
        rank: of this process; 0 leads.
        count: of processes.
    """

    client: Any
    rank: int
    count: int
    _said: int = 0
    _read: int = 0
    _forgotten: int = 0
    _asked: float = field(default_factory=time.monotonic)

    @property
    def leads(self) -> bool:
        """Whether this process decides."""
        return self.rank == 0

    def send(self, message: Mapping[str, Any], arrays: Arrays | None = None) -> None:
        """Say something to all followers, who read it in this order."""
        from safetensors.numpy import save

        data = save({name: np.asarray(array, order="C") for name, array in arrays.items()}) if arrays else b""
        parts = [data[i : i + PART_BYTES] for i in range(0, len(data), PART_BYTES)]
        for i, part in enumerate(parts):
            self.client.key_value_set_bytes(f"{_message(self._said)}/{i}", part)
        answer = message["do"] in ANSWERED or self._said % (FORGET_EVERY // 4) == 0
        told = json.dumps({"message": message, "parts": len(parts), "answer": answer})
        self.client.key_value_set(f"{_message(self._said)}/what", told)  # last, so that the rest is there
        self._said += 1
        if self._said % FORGET_EVERY == 0:
            self._forget()

    def receive(self, seconds: float) -> tuple[dict[str, Any], dict[str, np.ndarray]] | None:
        """What the leader says next; None if it says nothing for so long."""
        from safetensors.numpy import load

        told = self._get(f"{_message(self._read)}/what", seconds)
        if told is None:
            return None
        what = json.loads(told)
        names = [f"{_message(self._read)}/{i}" for i in range(what["parts"])]
        parts = [self.client.blocking_key_value_get_bytes(name, int(1000 * ANSWER_SECONDS)) for name in names]
        self._read += 1
        if what["answer"]:
            self.client.key_value_set(f"{_ROOT}/read/{self.rank}", str(self._read), allow_overwrite=True)
        return what["message"], load(b"".join(parts)) if parts else {}

    def hear_all(self) -> None:
        """Wait until every follower has read everything, of which the last was to be answered.

        Raises:
            Gone: if one of them does not.
        """
        until = time.monotonic() + ANSWER_SECONDS
        while missing := {r for r in range(1, self.count) if self._reads().get(r, 0) < self._said}:
            if time.monotonic() > until:
                raise Gone(f"process {min(missing)} of {self.count} does not answer; finished points are kept")
            time.sleep(0.05)

    def present(self, about: Mapping[str, Any]) -> None:
        """Say what this follower is about to do, or its `error`."""
        self.client.key_value_set(f"{_ROOT}/about/{self.rank}", json.dumps(about))

    def gather(self) -> list[dict[str, Any]]:
        """What each follower is about to do.

        Raises:
            Gone: if one of them does not say so.
        """
        return [self._about(rank) for rank in range(1, self.count)]

    def ask_to_stop(self, signal: int) -> None:
        """Pass a signal on to the leader."""
        self.client.key_value_set(f"{_ROOT}/signal/{self.rank}", str(signal), allow_overwrite=True)

    def asked_to_stop(self) -> int | None:
        """A signal that a follower has received; looked for now and then."""
        if time.monotonic() - self._asked < POLL_SECONDS:
            return None
        self._asked = time.monotonic()
        found = self.client.key_value_dir_get(f"{_ROOT}/signal")
        return int(found[0][1]) if found else None

    def _about(self, rank: int) -> dict[str, Any]:
        told = self._get(f"{_ROOT}/about/{rank}", START_SECONDS)
        if told is None:
            raise Gone(f"process {rank} of {self.count} has not said for {START_SECONDS:.0f} s what it runs")
        return json.loads(told)

    def _get(self, key: str, seconds: float) -> str | None:
        try:
            return self.client.blocking_key_value_get(key, int(1000 * seconds))
        except Exception as error:  # jaxlib has no class for it
            if "DEADLINE_EXCEEDED" in str(error):
                return None
            raise Gone(f"process 0 is gone: {error}") from None

    def _reads(self) -> dict[int, int]:
        """How many messages each follower has read."""
        found = self.client.key_value_dir_get(f"{_ROOT}/read")
        return {int(key.rpartition("/")[2]): int(value) for key, value in found}

    def _forget(self) -> None:
        """Delete what everybody has read."""
        reads = self._reads()
        read = min(reads.get(rank, 0) for rank in range(1, self.count)) if self.count > 1 else self._said
        for number in range(self._forgotten, read):
            self.client.key_value_delete(_message(number))
        self._forgotten = read


class Overhearing(Interrupts):
    """The signals of the leader and of its followers."""

    def __init__(self, own: Interrupts, team: Team) -> None:
        self.own, self.team = own, team

    @property
    def received(self) -> int | None:  # pyright: ignore[reportIncompatibleVariableOverride] # it is only read
        """The first signal of any process."""
        if self.own.received is None and (number := self.team.asked_to_stop()) is not None:
            self.own.receive(number)
        return self.own.received


_ROOT = "stepwell"


def _message(number: int) -> str:
    return f"{_ROOT}/message/{number}"


def join(hosts: Hosts) -> Team:
    """Meet the other processes, before this one uses a device.

    Raises:
        RunError: if they do not meet.
    """
    import jax
    from jax._src import distributed  # the client of the key-value store has no public name

    jax.config.update("jax_enable_preemption_service", False)  # it would take SIGTERM, by which a run is kept
    try:
        if hosts.count is None:
            jax.distributed.initialize(shutdown_timeout_seconds=60)
        else:
            jax.distributed.initialize(hosts.coordinator, hosts.count, hosts.rank, shutdown_timeout_seconds=60)
    except (RuntimeError, ValueError) as error:
        raise RunError(f"--hosts: the processes do not meet: {error}") from None
    team = Team(distributed.global_state.client, jax.process_index(), jax.process_count())
    if len(jax.devices()) < 2:
        # a mesh of one device is another compilation than a mesh of several
        raise RunError("--hosts: expected at least two devices in all processes together, got one")
    return team


def leave() -> None:
    """Part from the others, when all are done."""
    import jax

    jax.distributed.shutdown()


def abandon() -> NoReturn:
    """End this process at once: parting in good order would wait for one that is gone, and then abort."""
    sys.stderr.flush()
    os._exit(1)
