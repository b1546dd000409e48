"""One experiment by a name: a point of a study, a file, or the digest of a record."""

import re
from dataclasses import dataclass
from pathlib import Path

from dsl import Experiment, SpecError, load
from runs.overrides import OverrideError, override
from runs.records import DIGEST, Records, RecordsError
from runs.sources import SourceError, open_source

PREFIX = re.compile(r"[0-9a-f]{6,64}")
NUMBERED = re.compile(r"(.+):(\d+)")


@dataclass(frozen=True)
class Named:
    """An experiment, and what to call it."""

    experiment: Experiment
    name: str


def named(what: str, scale: str | None, overrides: tuple[str, ...], records: Path) -> Named:
    """The experiment that a user names.

    Args:
        what: a study, a Python or a JSON file, each with `:I` for another point than the first, or at least six digits
            of the digest of a record.
        scale: of a study that has scales; files of one experiment and records have none.
        overrides: fields to set, as `path=value`.
        records: the directory of results.

    Raises:
        SourceError, RecordsError: there is no such experiment; the message says why.
    """
    if PREFIX.fullmatch(what):
        if overrides:
            raise SourceError(f"{what}: a record is what has run, and --set changes nothing in it")
        return _recorded(what, Records(records))
    numbered = NUMBERED.fullmatch(what)
    source, number = (numbered[1], int(numbered[2])) if numbered else (what, 0)
    opened = open_source(source, None if source.endswith(".json") else scale)
    points = opened.study.points
    if number >= len(points):
        raise SourceError(f"{what}: the last point of {opened.name} is number {len(points) - 1}")
    axes = [f"{name}={value}" for name, value in points[number].axes.items()]
    chosen = f"{opened.name}, point {number}" if len(points) > 1 else opened.name
    told = ", ".join([*axes, *(f"with {text}" for text in overrides)])
    return Named(_changed(points[number].spec, overrides), f"{chosen} ({told})" if told else chosen)


def _changed(experiment: Experiment, overrides: tuple[str, ...]) -> Experiment:
    try:
        return override(experiment, overrides) if overrides else experiment
    except OverrideError as error:
        raise SourceError(f"--set: {error}") from None


def is_record(what: str) -> bool:
    """Whether a name is that of a record: what is opened last, because it may need the nouns of a file."""
    return PREFIX.fullmatch(what) is not None


def _recorded(prefix: str, records: Records) -> Named:
    """The experiment of a record, from the JSON in it."""
    found = sorted(path.name for path in (records.root / "points").glob(f"{prefix}*") if DIGEST.fullmatch(path.name))
    if len(found) != 1:
        several = f"{len(found)} records: {', '.join(name[:12] for name in found[:4])}, ..."
        raise RecordsError(f"{prefix} is the beginning of {several if found else 'no record'} in {records.root}")
    try:
        experiment = load(records.spec(found[0]), Experiment)
    except SpecError as error:
        raise RecordsError(f"the spec of record {found[0]} cannot be read: {error}") from None
    if experiment.digest != found[0]:
        raise RecordsError(f"record {found[0]} holds the spec of another point, {experiment.digest}; run it again")
    return Named(experiment, f"record {found[0][:12]}")
