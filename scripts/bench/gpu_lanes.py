"""What a step of a point costs by lanes, 1 to 1024, on the programs of the staircase and leap studies.

    python -m scripts.bench.gpu_lanes [--scale small] [--widest 1024] [--studies staircase leap]

Written for a GPU, where lanes are nearly free until the device is full; with small widths it runs on a CPU as well. The
table goes to `scripts/bench/results/lanes-<device kind>.md`, with the versions that were measured. It is `stepwell
tune` on several studies, in workers of the right precision.
"""

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from runs.choices import Tuned
from runs.configure import pin_to_cpu
from runs.options import RunError, RunOptions

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", default="small")
    parser.add_argument("--widest", type=int, default=1024)
    parser.add_argument("--studies", nargs="+", default=["staircase", "leap"])
    parser.add_argument("--to", type=Path, default=RESULTS)
    options = parser.parse_args()
    pin_to_cpu()  # the devices belong to the workers
    from runs.launch import tune_study
    from runs.sources import open_source

    try:
        measured = {
            study: tune_study(open_source(study, options.scale), RunOptions(widest=options.widest))
            for study in options.studies
        }
    except RunError as error:
        sys.exit(str(error))
    text = "\n".join(written(measured, options.scale))
    device = next(iter(measured.values()))[0].device
    path = options.to / f"lanes-{re.sub(r'[^a-z0-9]+', '-', device.lower())}.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    print(f"{text}\n{path}")


def written(measured: Mapping[str, Sequence[Tuned]], scale: str) -> list[str]:
    """The lines of the page: one table for each study."""
    from runs.numerics import versions

    first = next(iter(measured.values()))[0]
    used = ", ".join(f"{name} {versions()[name]}" for name in ("stepwell", "jax", "jaxlib"))
    lines = [f"# Lanes on {first.device} ({first.backend})", "", f"Microseconds per step and point; {used}.", ""]
    for study, programs in measured.items():
        widths = sorted({int(width) for tuned in programs for width in tuned.microseconds})
        head = ["program", *map(str, widths), "fastest", "rule"]
        lines += [f"## {study}, {scale}", "", _row(head), _row(["---"] * len(head))]
        for tuned in programs:
            times = [tuned.microseconds.get(str(width)) for width in widths]
            cells = ["" if time is None else f"{time:.3g}" for time in times]
            lines.append(_row([tuned.what, *cells, str(tuned.lanes), str(tuned.rule)]))
        lines.append("")
    return lines


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
