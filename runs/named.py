"""One experiment by a name: a point of a study, a file, or the digest of a record."""

import re
from dataclasses import dataclass
from pathlib import Path

from dsl import Experiment, SpecError, load
from dsl.faults import nearest
from runs.overrides import OverrideError, override
from runs.records import DIGEST, Records, RecordsError
from runs.sources import Opened, SourceError, open_source

PREFIX = re.compile(r"[0-9a-f]{6,64}")
NUMBERED = re.compile(r"(.+):([^:/]*)")


@dataclass(frozen=True)
class Named:
    """An experiment, and what to call it."""

    experiment: Experiment
    name: str


def named(what: str, scale: str | None, overrides: tuple[str, ...], records: Path) -> Named:
    """The experiment that a user names.

    Args:
        what: a study, a Python or a JSON file, each with `:I` for another point than the first, or at least six digits
            of the digest of a record, or the path of its directory.
        scale: of a study that has scales; files of one experiment and records have none.
        overrides: fields to set, as `path=value`.
        records: the directory of results.

    Raises:
        SourceError, RecordsError: there is no such experiment; the message says why.
    """
    if is_record(what):
        if overrides:
            raise SourceError(f"{what}: a record is what has run, and --set changes nothing in it")
        return _recorded(what, records)
    numbered = NUMBERED.fullmatch(what)
    source = numbered[1] if numbered else what
    opened = open_source(source, None if source.endswith(".json") else scale)
    points = opened.study.points
    number = _number(what, numbered[2], opened) if numbered else 0
    axes = [f"{name}={value}" for name, value in points[number].axes.items()]
    chosen = f"{opened.name}, point {number}" if len(points) > 1 else opened.name
    told = ", ".join([*axes, *(f"with {text}" for text in overrides)])
    return Named(_changed(points[number].spec, overrides), f"{chosen} ({told})" if told else chosen)


def _number(what: str, text: str, opened: Opened) -> int:
    """The number of a point that the study has."""
    points = len(opened.study.points)
    if re.fullmatch(r"\d{1,9}", text) and int(text) < points:
        return int(text)
    known = "0 alone" if points == 1 else f"0 to {points - 1}"
    raise SourceError(f"{what}: {opened.name} has the points {known}, got {text or 'none'} after the colon")


def _changed(experiment: Experiment, overrides: tuple[str, ...]) -> Experiment:
    try:
        return override(experiment, overrides) if overrides else experiment
    except OverrideError as error:
        raise SourceError(f"--set: {error}") from None


def is_record(what: str) -> bool:
    """Whether a name is that of a record: what is opened last, because it may need the nouns of a file."""
    return PREFIX.fullmatch(what) is not None or _is_path(what)


def _is_path(what: str) -> bool:
    """Whether a name is a path, and not one of a file with or without the number of a point."""
    return "/" in what and Path(what).suffix not in (".py", ".json") and NUMBERED.fullmatch(what) is None


def _recorded(what: str, records: Path) -> Named:
    """The experiment of a record, from the JSON in it: by the beginning of its digest, or by its path."""
    prefix = what
    if _is_path(what):
        prefix, records = Path(what).name, Path(what).parent.parent
        if Path(what).parent.name != "points" or not PREFIX.fullmatch(prefix):
            problem = "is no record" if Path(what).exists() else "there is no such record"
            advice = "expected DIR/points/DIGEST, six or more digits of the digest alone, or a .py or .json file"
            raise RecordsError(f"{what}: {problem}; {advice}")
    return _of_digest(_digest(prefix, records), Records(records))


def _digest(prefix: str, records: Path) -> str:
    """The one record that begins so."""
    known = sorted(path.name for path in (records / "points").glob("*") if DIGEST.fullmatch(path.name))
    found = [name for name in known if name.startswith(prefix)]
    if len(found) == 1:
        return found[0]
    if found:
        several = f"{len(found)} records: {', '.join(name[:12] for name in found[:4])}, ..."
        raise RecordsError(f"{prefix} is the beginning of {several} in {records}")
    held = f"which has {len(known)}{nearest(prefix, [name[:12] for name in known])}" if known else "where there is none"
    raise RecordsError(f"{prefix} is the beginning of no record in {records}, {held}")


def _of_digest(found: str, records: Records) -> Named:
    try:
        experiment = load(records.spec(found), Experiment)
    except SpecError as error:
        raise RecordsError(f"the spec of record {found} cannot be read: {error}") from None
    if experiment.digest != found:
        raise RecordsError(f"record {found} holds the spec of another point, {experiment.digest}; run it again")
    return Named(experiment, f"record {found[:12]}")
