"""The command `stepwell`.

This module knows the arguments alone. What a verb does is in `scripts.verbs`, which imports JAX and is imported only
when there is something to do, so that `--help` answers at once.

Exit status: 0 done (a claim that fails is a result, no error); 1 points failed or conflict with earlier records; 2 the
command could not be carried out, and one message says why.
"""

import os
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Literal

import tyro
from tyro.conf import DisallowNone, Positional, UseAppendAction, arg

if TYPE_CHECKING:
    from runs.options import RunOptions
    from runs.sources import Opened

FAILED, REFUSED, INTERRUPTED = 1, 2, 130

Source = Annotated[Positional[str], arg(metavar="SOURCE")]
Settings = Annotated[UseAppendAction[tuple[str, ...]], arg(name="set", metavar="PATH=VALUE")]


@dataclass(frozen=True, kw_only=True)
class _OnSource:
    """What every verb on a study takes."""

    source: Source
    """A shipped study, a Python file with `study`, or the JSON file of an experiment."""
    scale: Annotated[str | None, arg(metavar="{smoke,small,paper}")] = None
    """The size of a study that has sizes; small if not given."""
    overrides: Settings = ()
    """Set a field in every point that has it, such as protocol.steps=1000."""

    def opened(self) -> "Opened":
        """The study."""
        from runs.sources import open_source

        return open_source(self.source, self.scale, self.overrides)


@dataclass(frozen=True, kw_only=True)
class _OnRecords(_OnSource):
    """What every verb on results takes."""

    records: Annotated[Path, arg(metavar="DIR")] = Path("records")
    """The directory of results."""
    data: Annotated[Path | None, arg(metavar="DIR")] = None
    """The directory in which stored arrays are found; STEPWELL_DATA, or else `data`, if not given."""

    def options(self) -> "RunOptions":
        """How the study is run."""
        from runs.options import RunOptions

        return RunOptions(records=self.records, data=self.data)


@dataclass(frozen=True, kw_only=True)
class _OnDevices(_OnRecords):
    """What every verb on devices takes."""

    mapper: Literal["shard_map", "pmap"] = "shard_map"
    """What maps points over devices; both give the same bits."""
    devices: Annotated[int | None, arg(metavar="N")] = None
    """The number of host devices; one for each core if not given."""
    rerun: bool = False
    """Run points again whose records were made with other versions; the old records are kept aside."""
    accept: bool = False
    """Take such records as they are."""
    checkpoint: Annotated[float, arg(metavar="SECONDS")] = 60.0
    """Between two checkpoints of what is not finished."""
    data_shards: Annotated[int, arg(metavar="K")] = 1
    """Devices that share the batch of each point and average their gradients, or share the rows of its Sinkhorn; this
    changes the last bits."""

    def options(self) -> "RunOptions":
        """How the study is run, devices included."""
        from runs.options import RunError, RunOptions

        if self.devices is not None and self.devices < 1:
            raise RunError(f"--devices {self.devices}: expected at least 1")
        if self.rerun and self.accept:
            raise RunError("--rerun and --accept: expected one of the two; records are run again, or taken as they are")
        if not self.checkpoint > 0:
            raise RunError(f"--checkpoint {self.checkpoint}: expected seconds, more than 0")
        if self.data_shards < 1:
            raise RunError(f"--data-shards {self.data_shards}: expected at least 1")
        return RunOptions(
            self.records,
            self.mapper,
            self.devices,
            self.rerun,
            self.accept,
            self.data,
            self.checkpoint,
            self.data_shards,
        )


@dataclass(frozen=True, kw_only=True)
class List:
    """List the shipped studies, or the nouns of the language."""

    text: Annotated[Positional[str | None], arg(metavar="[TEXT]")] = None
    """Only what has this text in its name or line."""
    nouns: bool = False
    """List the nouns, by what they are, in place of the studies."""

    def __call__(self) -> int:
        """Carry it out; the exit status."""
        if self.nouns:
            return _verbs().list_nouns(self.text or "")
        from runs.shipped import descriptions
        from scripts.tables import aligned

        wanted = (self.text or "").lower()
        found = [(name, line) for name, line in descriptions().items() if wanted in f"{name}\n{line}".lower()]
        if not found:
            print(f"stepwell: list: no shipped study has {self.text!r} in its name or line", file=sys.stderr)
            return REFUSED
        print("\n".join(aligned(found)))
        return 0


@dataclass(frozen=True, kw_only=True)
class Explain(_OnSource):
    """Say what theory predicts, before anything runs."""

    def __call__(self) -> int:
        """Carry it out; the exit status."""
        return _verbs().explain(self.opened())


@dataclass(frozen=True, kw_only=True)
class Plan(_OnDevices):
    """Show programs, points, steps, memory and devices, before anything runs."""

    def __call__(self) -> int:
        """Carry it out; the exit status."""
        return _verbs().plan(self.opened(), self.options())


@dataclass(frozen=True, kw_only=True)
class Run(_OnDevices):
    """Run a study, or carry on with it, then grade its claims and write its report."""

    hosts: Annotated[str | None, arg(metavar="{N,auto}")] = None
    """Compute with N processes, each of which is started with this command; auto where Slurm, TPU or GKE tells JAX."""
    rank: Annotated[int | None, arg(metavar="R")] = None
    """The number of this process, from 0; process 0 writes the records."""
    coordinator: Annotated[str | None, arg(metavar="HOST:PORT")] = None
    """The address at which process 0 waits for the others."""
    sha256: Annotated[str | None, arg(metavar="HEX")] = None
    """Refuse a file that has another hash, which was changed since it was submitted."""

    def opened(self) -> "Opened":
        """The study, in the file that was meant."""
        from runs.sources import open_source

        return open_source(self.source, self.scale, self.overrides, self.sha256)

    def options(self) -> "RunOptions":
        """How the study is run, other processes included."""
        from runs.options import Hosts, RunError

        if self.hosts is None:
            if (self.rank, self.coordinator) != (None, None):
                raise RunError("--rank and --coordinator need --hosts N")
            return super().options()
        if self.mapper == "pmap":
            raise RunError("--hosts needs --mapper shard_map: pmap maps over the devices of one process")
        return replace(super().options(), hosts=Hosts.of(self.hosts, self.rank, self.coordinator))

    def __call__(self) -> int:
        """Carry it out; the exit status."""
        return _verbs().run(self.opened(), self.options())


@dataclass(frozen=True, kw_only=True)
class Submit(_OnDevices):
    """Run a study in jobs that share its points, on Slurm, on Ray, or on the GPUs of this machine."""

    cluster: Literal["slurm", "local", "ray"] | None = None
    """Where the jobs run; Slurm where there is one if not given, else this machine."""
    jobs: Annotated[int, arg(metavar="N")] = 1
    """How many jobs."""
    gpus_per_job: Annotated[int, arg(metavar="N")] = 0
    """GPUs that each job has for itself; it sees no other."""
    time: Annotated[int, arg(metavar="MINUTES")] = 24 * 60
    """The time limit of a job, which then is queued again and goes on."""
    partition: str | None = None
    """The partition of Slurm."""
    slurm: Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="KEY=VALUE")] = ()
    """Another option of sbatch, such as mem=16G, account=theory or exclusive."""

    def __call__(self) -> int:
        """Carry it out; the exit status."""
        from runs.submit import Request

        others = {key: value if equals else True for key, equals, value in (text.partition("=") for text in self.slurm)}
        request = Request(self.jobs, self.gpus_per_job, self.time, self.partition, others)
        return _verbs().submit(self.opened(), self.options(), self.cluster, request)


@dataclass(frozen=True, kw_only=True)
class Tune(_OnRecords):
    """Measure how many points each program should carry together on this machine, before a study is run."""

    devices: Annotated[int | None, arg(metavar="N")] = None
    """The number of host devices; one for each core if not given."""
    widest: Annotated[int | None, arg(metavar="LANES")] = None
    """The most that is tried; if not given, as many as there are points, at most 32 on a CPU and 1024 elsewhere."""
    write: bool = False
    """Keep the choice in lanes.json of the records, which runs there follow from then on."""
    json: bool = False
    """Print JSON."""

    def __call__(self) -> int:
        """Carry it out; the exit status."""
        from runs.options import RunError, RunOptions

        if any(number is not None and number < 1 for number in (self.devices, self.widest)):
            raise RunError("tune: expected at least 1 device and at least 1 lane")
        options = RunOptions(self.records, devices=self.devices, data=self.data, widest=self.widest)
        return _verbs().tune(self.opened(), options, self.write, self.json)


@dataclass(frozen=True, kw_only=True)
class Report(_OnRecords):
    """Grade the claims of a study on the records there are, and write its report."""

    def __call__(self) -> int:
        """Carry it out; the exit status."""
        return _verbs().report(self.opened(), self.options())


@dataclass(frozen=True, kw_only=True)
class Show(_OnSource):
    """Print an experiment of a study as JSON, which every verb takes as a file where all its nouns are Stepwell's."""

    point: Annotated[int, arg(metavar="I")] = 0
    """The number of the point, from 0."""
    all: bool = False
    """Print the list of all points."""

    def __call__(self) -> int:
        """Carry it out; the exit status."""
        return _verbs().show(self.opened(), None if self.all else self.point)


@dataclass(frozen=True)
class Validate:
    """Check files: Python with `study`, or the JSON of an experiment."""

    files: Annotated[Positional[tuple[str, ...]], arg(metavar="FILE")]
    """The files."""

    def __call__(self) -> int:
        """Carry it out; the exit status."""
        return _verbs().validate(self.files)


@dataclass(frozen=True, kw_only=True)
class Diff:
    """Print field by field in what two experiments differ; status 0 if in nothing, 1 if they differ."""

    a: Annotated[Positional[str], arg(metavar="A")]
    """A study or a file, with :I for its point I, or a record: its path, or at least six digits of its digest."""
    b: Annotated[Positional[str | None], arg(metavar="[B]")] = None
    """The same; A again if not given, which --set then changes."""
    scale: Annotated[str | None, arg(metavar="{smoke,small,paper}")] = None
    """The size of studies that have sizes; small if not given."""
    overrides: Settings = ()
    """Set a field in B, such as protocol.steps=1000."""
    records: Annotated[Path, arg(metavar="DIR")] = Path("records")
    """The directory of results, for digests."""

    def __call__(self) -> int:
        """Carry it out; the exit status."""
        return _verbs().diff(self.a, self.b, self.scale, self.overrides, self.records)


@dataclass(frozen=True)
class Schema:
    """Print the JSON Schema of spec files, by which editors complete and check them."""

    kind: Annotated[Positional[str], arg(metavar="[KIND]")] = "Experiment"
    """A noun or an interface, such as Target; files of experiments if not given."""

    def __call__(self) -> int:
        """Carry it out; the exit status."""
        return _verbs().schema(self.kind)


@dataclass(frozen=True, kw_only=True)
class Add:
    """Add your data to the data directory, and print the noun by which experiments read it.

    A file of arrays (.npz, .npy, .safetensors, .parquet), or a folder of images of one size, with a folder for each
    class if it has classes.
    """

    path: Annotated[Positional[Path], arg(metavar="PATH")]
    """The file or folder."""
    name: str | None = None
    """Its name in the data directory; its own if not given."""
    data: Annotated[Path | None, arg(metavar="DIR")] = None
    """The data directory; if not given, the variable STEPWELL_DATA names it, or else it is `data`."""

    def __call__(self) -> int:
        """Carry it out; the exit status."""
        return _verbs().add(self.path, self.name, self.data)


@dataclass(frozen=True, kw_only=True)
class Sql:
    """Ask the records in SQL; nothing is written.

    Tables: metrics (point, step, name, index, value, wall_s), points (point, status, environment), specs (point, spec),
    studies (study, point, axes). The last column of each of the last three is JSON: axes->>'lr' is the value of lr as
    text.
    """

    query: Annotated[Positional[str], arg(metavar="SELECT")]
    """One SELECT of DuckDB's SQL, in quotes."""
    records: Annotated[Path, arg(metavar="DIR")] = Path("records")
    """The directory of results."""
    csv: bool = False
    """Print CSV."""
    json: bool = False
    """Print a JSON list of objects; NaN and infinities, which JSON does not have, are null."""

    def __call__(self) -> int:
        """Carry it out; the exit status."""
        from scripts.queries import sql  # which does without JAX

        return sql(self.query, self.records, self.csv, self.json)


Verb = List | Explain | Plan | Run | Submit | Tune | Report | Show | Validate | Diff | Schema | Add | Sql


def main() -> None:
    """The console entry."""
    sys.exit(answer(sys.argv[1:]))


def answer(arguments: Sequence[str]) -> int:
    """Carry out a command line; the exit status."""
    if list(arguments) == ["--version"]:
        return _version()
    description = "Write a theory of learning down once, then put it to the test. `--version` prints the version."
    config = (tyro.conf.FlagCreatePairsOff, tyro.conf.CascadeSubcommandArgs, DisallowNone)
    verb: Verb = tyro.cli(Verb, prog="stepwell", description=description, args=arguments, config=config)
    try:
        return _guarded(verb)
    except KeyboardInterrupt:
        print("stepwell: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # `stepwell show ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def _guarded(verb: Callable[[], int]) -> int:
    """Expected errors are one message; any other is a defect of ours and keeps its traceback."""
    if isinstance(verb, List) and not verb.nouns:
        return verb()
    from runs.configure import pin_to_cpu
    from runs.options import Interrupted, RunError
    from runs.records import RecordsError
    from runs.userfile import SourceError
    from runs.warned import complain, warnings_told

    if not isinstance(verb, Sql):
        pin_to_cpu()  # before a user's file is imported: the accelerators belong to the workers
    try:
        with warnings_told(complain):
            return verb()
    except Interrupted as stopped:
        print(f"stepwell: {stopped}; go on with: {shlex.join(['stepwell', *sys.argv[1:]])}", file=sys.stderr)
        return 128 + stopped.signal
    except (SourceError, RunError, RecordsError) as error:
        print(f"stepwell: {error}", file=sys.stderr)
        return REFUSED


def _verbs() -> ModuleType:
    from scripts import verbs

    return verbs


def _version() -> int:
    from importlib.metadata import PackageNotFoundError, version

    try:
        print(f"stepwell {version('stepwell')}")
    except PackageNotFoundError:
        print("stepwell (not installed)")
    return 0


if __name__ == "__main__":
    main()
