"""The page of a study: what theory says beside what was measured, and all it takes to check it."""

import functools
import inspect
import json
import os
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import jax
import jinja2
from markupsafe import Markup

from dsl import Point, Study, dump
from runs.claims import Verdict, failure
from runs.figures import svg
from runs.report import shown
from runs.report.defaults import default_figures
from runs.report.environment import days, surroundings
from runs.report.expected import expected
from runs.report.graded import WIDTH, badges, graded
from runs.report.points import KINDS, ended, points_grid
from runs.table import Table

HEAD_BYTES = 1000
"""The beginning of a page, before its style and its text, in which the mark of what it was made from is."""


@dataclass(frozen=True)
class Drawing:
    """A figure of the page: its picture, or the error that its function raised."""

    name: str
    caption: str
    picture: Markup | None
    error: str = ""


@dataclass(frozen=True)
class Structure:
    """A structure of specs, shown by the first point that has it."""

    title: str
    note: str
    text: str


def write_report(
    study: Study,
    table: Table,
    verdicts: Sequence[Verdict],
    predictions: Sequence[tuple[str, Sequence[Any]]],
    environments: Sequence[Mapping[str, Any]],
    command: str,
    path: Path,
    made_from: str = "",
    tell: Callable[[str], None] = lambda text: None,
) -> Path:
    """Write the report of a study as one HTML file, all of it or nothing.

    Args:
        study: its name, points and figures.
        table: its measurements.
        verdicts: its graded claims.
        predictions: for each point its label and what `explain` says of it: objects with `name`, `value`, `applies`,
            `why`, `conditions` and `citation`.
        environments: the environments of the points; `numerics` is shown, each distinct one once.
        command: the command line that makes these results again.
        path: the file.
        made_from: a hash of all these, by which `is_made_from` knows the page again; a page on which a figure has
            failed is not known again, so that the next run tries and tells once more.
        tell: hears a line on each figure that failed.

    Returns:
        The path.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    page = render(study, table, verdicts, predictions, environments, command, made_from, tell)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        draft.write_text(page, "utf-8", errors="replace")  # text of errors may hold lone surrogates
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    return path


def is_made_from(path: Path, made_from: str) -> bool:
    """Whether a page is there that was written from things with this hash."""
    try:
        with path.open("rb") as file:
            return _mark(made_from).encode() in file.read(HEAD_BYTES)
    except OSError:
        return False


def _mark(made_from: str) -> Markup:
    return Markup('<meta name="stepwell-made-from" content="{}">').format(made_from)


def render(
    study: Study,
    table: Table,
    verdicts: Sequence[Verdict],
    predictions: Sequence[tuple[str, Sequence[Any]]],
    environments: Sequence[Mapping[str, Any]],
    command: str,
    made_from: str = "",
    tell: Callable[[str], None] = lambda text: None,
) -> str:
    """The text of the page; equal input gives equal text."""
    figures = [_drawing(draw, table, i) for i, draw in enumerate(study.figures or default_figures(table))]
    failed = [figure for figure in figures if figure.picture is None]
    for figure in failed:
        tell(f"the figure {figure.name} failed: {' '.join(figure.error.split())}")
    return _template().render(
        name=study.name,
        points=len(study.points),
        ended=ended(table, len(study.points)),
        kinds=KINDS,
        days=days(environments),
        badges=badges(verdicts),
        expected=expected(predictions),
        claims=[graded(verdict) for verdict in verdicts],
        mark_width=WIDTH,
        figures=figures,
        grid=points_grid(table),
        structures=_structures(study.points),
        surroundings=surroundings(environments),
        command=command,
        made_from="" if failed else made_from,
    )


def _template() -> jinja2.Template:
    source = lambda name: resources.files(__package__ or "runs.report").joinpath(name).read_text("utf-8")
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(source),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"linked": shown.linked, "plural": shown.plural, "mark": _mark}
    return environment.get_template("page.html.j2")


def _drawing(draw: Callable[[Any, Any], None], table: Table, place: int) -> Drawing:
    name, caption = _name_and_caption(draw)
    try:
        return Drawing(name, caption, Markup(_embedded(svg(draw, table), place)))  # our own writer, which escapes text
    except Exception as reason:  # a user's function may raise anything, and the rest of the page stands
        return Drawing(name, caption, None, failure(reason, table))


def _name_and_caption(draw: Callable[[Any, Any], None]) -> tuple[str, str]:
    """The name of the function, and the first line of its docstring, for which the name stands where there is none."""
    while isinstance(draw, functools.partial):
        draw = draw.func
    first = (inspect.getdoc(draw) or "").partition("\n")[0]
    name = getattr(draw, "__name__", "figure")
    return name, first or name.replace("_", " ")


def _embedded(picture: str, place: int) -> str:
    """An SVG that may stand beside others: identifiers of its own, and the width of the page."""
    own = lambda tag: re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>f{place}-", tag[0])
    opening, rest = picture.split(">", 1)
    opening = re.sub(r'\s(width|height)="[^"]*"', "", opening)
    return re.sub(r"<[^<>]+>", own, f'{opening} role="img" aria-labelledby="caption-{place}">{rest}')


def _structures(points: Sequence[Point]) -> list[Structure]:
    """One spec for each distinct structure: the others differ from it in knobs and seeds alone."""
    found: dict[Any, list[Point]] = {}
    for point in points:
        found.setdefault(jax.tree_util.tree_structure(point.spec), []).append(point)
    return [_structure(same) for same in found.values()]


def _structure(same: Sequence[Point]) -> Structure:
    first = same[0]
    common = {name: value for name, value in first.axes.items() if all(p.axes.get(name) == value for p in same)}
    title = f"{type(first.spec).__name__} {_axes(common)}".strip() + f" ({shown.plural(len(same), 'point')})"
    note = f"Shown: {_axes(first.axes) or 'the first point'}; digest {first.spec.digest[:12]}"
    return Structure(title, note, json.dumps(dump(first.spec), indent=2, ensure_ascii=False))


def _axes(axes: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={shown.cell(value, 6)}" for name, value in axes.items())
