"""Arrays from outside: found, checked by content, and given to programs."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dsl.barycenters import StoredMeasures
from dsl.experiments import Experiment
from dsl.faults import Path as Where
from dsl.faults import written
from dsl.identity import digest, walk
from dsl.program import references, requires
from dsl.results import Stored
from dsl.stored_examples import StoredExamples
from runs.arrays import Arrays, read_arrays
from runs.options import RunError
from runs.store import Store


def blocked_by(experiment: Experiment, store: Store) -> str | None:
    """The digest of a required experiment that did not finish; None if all did."""
    for inner in requires(experiment):
        if store.status(digest(inner)) != "finished":
            return digest(inner)
    return None


def results(experiment: Experiment, store: Store) -> dict[str, Arrays]:
    """What the experiment reads of the experiments that it requires, by path."""
    sources = {path: noun.source() for path, noun in references(experiment).items()}
    return {p: store.arrays(digest(s[0]), s[1], s[2]) for p, s in sources.items() if s is not None}


def stored(experiment: Experiment, data: Path | None) -> dict[str, Arrays]:
    """The stored arrays that the experiment reads, by path."""
    nouns = {path: noun for path, noun in references(experiment).items() if isinstance(noun, Stored)}
    files = {noun: _read(noun, data) for noun in nouns.values()}
    found = {path: files[noun] for path, noun in nouns.items()}
    for path, noun in walk(experiment):
        if isinstance(noun, (StoredExamples, StoredMeasures)):
            _check(noun, path, found[written((*path, "data"))])
    return found


def misfit(experiment: Experiment, arrays: Mapping[str, Arrays]) -> str | None:
    """Why an experiment cannot be done with the stored arrays that it reads, by path; None if it can."""
    if not (faults := "; ".join(map(str, experiment.misfits(arrays)))):
        return None
    files = sorted({noun.name for noun in references(experiment).values() if isinstance(noun, Stored)})
    return f"the spec does not fit what is in {', '.join(files)}: {faults}"


def data_directory(data: Path | None) -> Path:
    """Where stored arrays are: the run option `--data`, else the variable STEPWELL_DATA, else `data` where we are."""
    return data or Path(os.environ.get("STEPWELL_DATA") or "data")


def _check(noun: StoredExamples | StoredMeasures, path: Where, arrays: Arrays) -> None:
    if faults := [str(fault.under(*path)) for fault in noun.misfits(arrays)]:
        raise RunError(f"{noun.data.name} is not what the spec says: {'; '.join(faults)}")


def contents(experiment: Experiment) -> tuple[tuple[str, str], ...]:
    """The hash of each stored file that the experiment reads, by path: arrays that lanes share must be the same."""
    nouns = references(experiment).items()
    return tuple((path, noun.sha256) for path, noun in nouns if isinstance(noun, Stored))


def _read(noun: Stored, data: Path | None) -> Arrays:
    """Arrays of a file whose bytes are those that the spec names.

    Raises:
        RunError: if the file is not there, or is another one.
    """
    path = data_directory(data) / noun.name
    try:
        content = path.read_bytes()
    except OSError as error:
        advice = "`stepwell add` puts files there; if it is in another directory, say which with --data DIR"
        raise RunError(f"{noun!r}: cannot read {path}: {error.strerror}; {advice}") from None
    found = hashlib.sha256(content).hexdigest()
    if found != noun.sha256:
        raise RunError(f"{path} is not the file that the spec names: its sha256 is {found}, expected {noun.sha256}")
    return read_arrays(path, content)


def signature(arrays: Mapping[str, Arrays]) -> Any:
    """Names, shapes and types: points whose inputs differ in them cannot share a program."""
    return tuple(
        (path, name, value.shape, str(value.dtype)) for path in sorted(arrays) for name, value in arrays[path].items()
    )
