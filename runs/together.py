"""A worker that is one process of a team: the leader runs the groups, the others follow it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from runs.interrupts import Interrupts
from runs.options import Hosts, Interrupted, RunError
from runs.team import Gone, Overhearing, Team, abandon, join, leave

Tell = Callable[[dict[str, Any]], None]
STATUS = ("failed", "blocked", "conflict")
"""Events that decide the exit status of a run, which is that of all its processes."""


def run_together(job: Mapping[str, Any], tell: Tell, interrupts: Interrupts) -> None:
    """Meet the other processes, then lead them or follow.

    Raises:
        RunError, RecordsError, SourceError: in all processes, if one of them cannot go on.
        Interrupted: in all processes, after a signal to any of them.
    """
    team = join(Hosts(**job["options"]["hosts"]))
    tell({"event": "process", "rank": team.rank})
    (_lead if team.leads else _follow)(job, team, tell, interrupts)


def _lead(job: Mapping[str, Any], team: Team, tell: Tell, interrupts: Interrupts) -> None:
    from runs.job import EXPECTED, read_groups, run
    from runs.records import Records

    status: list[dict[str, Any]] = []

    def tell_and_note(event: dict[str, Any]) -> None:
        tell(event)
        if event["event"] in STATUS:
            status.append(event)

    ended: dict[str, Any] = {"refused": "process 0 has failed; it says why"}
    try:
        groups = read_groups(job)
        _agree(job, team)
        Records(job["options"]["records"]).prepare()
        run(job, groups, tell_and_note, Overhearing(interrupts, team), team)
        ended = {}
    except Gone as error:
        tell({"event": "refused", "message": str(error)})
        abandon()
    except Interrupted as stopped:
        ended = {"signal": stopped.signal}
        raise
    except EXPECTED as error:
        ended = {"refused": str(error)}
        raise
    finally:
        team.send({"do": "end", "status": status, **ended})
        leave()


def _agree(job: Mapping[str, Any], team: Team) -> None:
    """See that all processes run one command.

    Raises:
        RunError: naming what differs.
    """
    from runs.numerics import differences

    mine = _about(job)
    for rank, theirs in enumerate(team.gather(), start=1):
        if "error" in theirs:
            raise RunError(f"process {rank} of {team.count}: {theirs['error']}")
        if found := differences(mine, theirs):
            told = "; ".join(found).replace(" then,", " in process 0,").replace(" now", f" in process {rank}")
            raise RunError(f"the processes were started with other commands: {told}")


def _about(job: Mapping[str, Any]) -> dict[str, Any]:
    import hashlib
    import json

    from runs.numerics import versions

    told = json.dumps([job["experiments"], job["groups"], job["sha256"]])
    names = "mapper", "data_shards"
    return {
        "study": hashlib.sha256(told.encode()).hexdigest()[:16],
        "precision": job["precision"],
        "versions": versions(),
        "options": {name: job["options"][name] for name in names},
    }


def _follow(job: Mapping[str, Any], team: Team, tell: Tell, interrupts: Interrupts) -> None:
    from dsl.identity import digest
    from runs.following import Follower
    from runs.job import EXPECTED, read_groups

    try:
        groups = read_groups(job)
        team.present(_about(job))
    except EXPECTED as error:
        groups = []
        team.present({"error": str(error)})
    data = Path(job["options"]["data"]) if job["options"]["data"] else None
    points = {digest(point): point for group in groups for point in group.points}
    try:
        ended = Follower(team, points, data).follow(interrupts)
    except Exception as error:  # what went wrong in this process alone: the leader cannot be met again
        tell({"event": "refused", "message": f"process {team.rank} of {team.count}: {error}"})
        abandon()
    leave()
    for event in ended["status"]:
        tell(event)
    if "signal" in ended:
        raise Interrupted(ended["signal"])
    if "refused" in ended:
        raise RunError(ended["refused"])
