"""What the leader of a team tells its followers to do with their devices, and what they do.

A program on a mesh of many processes runs only where each of them makes the same calls in the same order. So the leader
announces every call of a wave (`Announcing`), and the followers, who know the study, repeat it (`follow`).
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from dsl.experiments import Experiment
from dsl.identity import digest
from dsl.program import compile
from runs import inputs as outside
from runs.interrupts import Interrupts
from runs.mapping import Machine, Mapped, Points
from runs.options import Interrupted
from runs.team import ANSWER_SECONDS, POLL_SECONDS, Arrays, Team


class Led(Mapped):
    """The compiled functions of a program on the devices of a team, for its leader.

    Args:
        team: whose followers hear each call.
        point: an experiment of the program.
        shape: devices along `run`, blocks, lanes.
        shards: devices along `data`.
    """

    def __init__(self, team: Team, point: Experiment, shape: tuple[int, int, int], shards: int) -> None:
        super().__init__(compile(point), shape, "shard_map", shards)
        self.team, self.point = team, digest(point)

    def start(self) -> Machine:
        """The devices of all processes, with nothing on them."""
        self.team.send({"do": "start", "point": self.point, "shape": self.shape, "shards": self.shards})
        return Announcing(self)


class Announcing(Machine):
    """A machine that tells the followers what it does."""

    mapped: Led

    def __exit__(self, kind: type[BaseException] | None = None, *_: object) -> None:
        """After an error, also see that the followers are still there: one that is gone is no fault of the points."""
        self.drop()
        if kind is not None and not issubclass(kind, Interrupted):
            self.mapped.team.hear_all()

    def begin(self, points: Points) -> None:
        """Send the points too; stored arrays each process has read for itself."""
        knobs = {f"knobs/{i}": leaf for i, leaf in enumerate(jax.tree.leaves(points.knobs))}
        inputs = {json.dumps([path, name]): a for path, found in points.inputs.items() for name, a in found.items()}
        self._tell({"do": "begin"}, {"live": points.live, **knobs, **inputs})
        super().begin(points)

    def init(self) -> None:
        """Announced."""
        self._tell({"do": "init"})
        super().init()

    def resume(self, leaves: Sequence[np.ndarray]) -> None:
        """Send the leaves too."""
        self._tell({"do": "resume"}, {str(i): leaf for i, leaf in enumerate(leaves)})
        super().resume(leaves)

    def advance(self, n: int) -> None:
        """Announced."""
        self._tell({"do": "advance", "n": n})
        super().advance(n)

    def observe(self, due: tuple[str, ...]) -> Any:
        """Announced."""
        self._tell({"do": "observe", "due": due})
        return super().observe(due)

    def kept(self) -> list[np.ndarray]:
        """Announced."""
        self._tell({"do": "kept"})
        return super().kept()

    def drop(self) -> None:
        """Announced."""
        self._tell({"do": "drop"})
        super().drop()

    def _tell(self, message: Mapping[str, Any], arrays: Arrays | None = None) -> None:
        self.mapped.team.send(message, arrays)


class Follower:
    """A process that repeats on its devices what the leader announces.

    Args:
        team: of which this process is one.
        points: the experiments of the study, by digest.
        data: the directory of stored arrays.
    """

    def __init__(self, team: Team, points: Mapping[str, Experiment], data: Path | None) -> None:
        self.team, self.points, self.data = team, points, data
        self._mapped: dict[str, Mapped] = {}
        self._shared: Mapping[str, Any] = {}
        self._point: Any = None
        self._machine: Any = None

    def follow(self, interrupts: Interrupts) -> dict[str, Any]:
        """Do what the leader says until it ends the run; how it ended.

        Raises:
            RunError: if the leader is gone.
            Exception: what went wrong here and not there.
        """
        failed, passed = None, False
        while True:
            heard = self.team.receive(POLL_SECONDS if failed is None else ANSWER_SECONDS)
            if interrupts.received is not None and not passed:
                self.team.ask_to_stop(interrupts.received)
                passed = True
            if heard is None and failed is None:
                continue
            if heard is None or (failed is not None and heard[0]["do"] not in ("drop", "end")):
                assert failed is not None  # the leader waits for this process, or has done what failed here
                raise failed
            message, arrays = heard
            if message["do"] == "end":
                return message
            failed = self._done(message, arrays)

    def _done(self, message: Mapping[str, Any], arrays: Arrays) -> Exception | None:
        """Do one thing; what went wrong, which the leader has met too or not."""
        try:
            getattr(self, f"_{message['do']}")(message, arrays)
        except Exception as error:  # a user's noun may raise anything
            return error
        return None

    def _start(self, message: Mapping[str, Any], _: Arrays) -> None:
        self._point = self.points[message["point"]]
        key = json.dumps([message["point"], message["shape"], message["shards"]])
        if key not in self._mapped:
            devices, blocks, lanes = message["shape"]
            mapped = Mapped(compile(self._point), (devices, blocks, lanes), "shard_map", message["shards"])
            self._mapped = {key: mapped}
            self._shared = outside.stored(self._point, self.data)
        self._machine = self._mapped[key].start()

    def _begin(self, _: Mapping[str, Any], arrays: Arrays) -> None:
        structure = jax.tree.structure(self._machine.mapped.program.knobs(self._point))
        knobs = jax.tree.unflatten(structure, [arrays[f"knobs/{i}"] for i in range(structure.num_leaves)])
        inputs: dict[str, Any] = {}
        for key in arrays:
            if key.startswith("["):
                path, name = json.loads(key)
                inputs.setdefault(path, {})[name] = arrays[key]
        self._machine.begin(Points(arrays["live"], knobs, inputs, dict(self._shared)))

    def _init(self, _: Mapping[str, Any], __: Arrays) -> None:
        self._machine.init()

    def _resume(self, _: Mapping[str, Any], arrays: Arrays) -> None:
        self._machine.resume([arrays[str(i)] for i in range(len(arrays))])

    def _advance(self, message: Mapping[str, Any], _: Arrays) -> None:
        self._machine.advance(message["n"])

    def _observe(self, message: Mapping[str, Any], _: Arrays) -> None:
        self._machine.observe(tuple(message["due"]))

    def _kept(self, _: Mapping[str, Any], __: Arrays) -> None:
        self._machine.kept()

    def _drop(self, _: Mapping[str, Any], __: Arrays) -> None:
        if self._machine is not None:
            self._machine.drop()
