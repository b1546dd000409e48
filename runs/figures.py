"""Figures of studies: the house style, SVG and PDF without global state, and drawings that studies share.

A figure is a function `draw(table, axes)`. Its SVG holds text as text, has no date and no random identifier, and names
its house colours as CSS variables with a fallback, so that a page can turn it dark while the file alone stays as drawn.
"""

import io
import math
import os
import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float64, Int64

from runs.table import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure

Draw = Callable[[Table, Any], None]

INK, FAINT = "#20242b", "#d9dce1"
COLOURS = ("#1f6fb4", "#d1542f", "#2e8b63", "#8e5bb0", "#b8860b", "#3a9bb3", "#c2558d", "#6b7280")
SEQUENCE = ("#3566b8", "#1e93a8", "#3aa06a", "#a99a25", "#d97b2b", "#c8423f")  # middle lightness: for white and black
VARIABLES = {INK: "ink", "#000000": "ink", FAINT: "faint"} | {c: f"c{i}" for i, c in enumerate(COLOURS)}
STYLE: dict[Any, Any] = {
    "figure.figsize": (7.2, 3.7),
    "figure.constrained_layout.use": True,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # it comes with matplotlib: the same layout on every machine
    "font.size": 9.5,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.7,
    "lines.solid_capstyle": "round",
    "legend.frameon": False,
    "legend.fontsize": 9,
    "svg.fonttype": "none",
    "svg.hashsalt": "stepwell",
    "pdf.fonttype": 42,  # TrueType: journals refuse Type 3
} | dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK)


@contextmanager
def house_style() -> Iterator[None]:
    """Matplotlib's defaults with the house style over them, whatever the user's own settings are."""
    import matplotlib
    from cycler import cycler

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        matplotlib.rcParams["axes.prop_cycle"] = cycler(color=COLOURS)
        yield


def svg(draw: Draw, table: Table) -> str:
    """The drawing as one `<svg>` element, the same text for the same table.

    Raises:
        Exception: whatever `draw` raises.
    """
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    target = io.StringIO()
    with house_style():
        figure = _drawn(draw, table)
        FigureCanvasSVG(figure).print_svg(target, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    return _element(target.getvalue())


def save_pdf(draw: Draw, table: Table, path: Path) -> Path:
    """Write the drawing as a PDF for papers, all of it or nothing; returns the path."""
    from matplotlib.backends.backend_pdf import FigureCanvasPdf

    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with house_style():
            FigureCanvasPdf(_drawn(draw, table)).print_pdf(draft, metadata={"CreationDate": None})
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    return path


def curves(
    axes: "Axes",
    table: Table,
    name: str,
    by: str | Sequence[str],
    over: str = "seed",
    band: tuple[float, float] = (0.1, 0.9),
) -> None:
    """A scalar measurement against the step: median over seeds, a quantile band, one colour for each value of `by`.

    `by` is one axis or several; with none there is one curve.
    The legend says where not all points finished, because a median over survivors is another thing.

    Raises:
        ValueError: the measurement is an array, or points of one line differ in more than `over`.
    """
    by = (by,) if isinstance(by, str) else tuple(by)
    for values, group in table.groups(*by) if by else [((), table)]:
        told = ", ".join(f"{axis}={value!r}" for axis, value in zip(by, values, strict=True))
        steps, lines = _lines(group, name, over, where=told or "the table")
        low, middle, high = _quantiles(lines, (band[0], 0.5, band[1]))
        (line,) = axes.plot(steps, middle[:, 0], label=f"{', '.join(map(str, values))}{_unfinished(group)}")
        axes.fill_between(steps, low[:, 0], high[:, 0], color=line.get_color(), alpha=0.18, linewidth=0)
    _dress(axes, name, title=", ".join(by))


def components(axes: "Axes", table: Table, name: str, labels: Sequence[str], over: str = "seed") -> None:
    """A vector measurement against the step: one line for each component (median over seeds), coloured in order.

    Raises:
        ValueError: the labels are not one for each component, or points differ in more than `over`.
    """
    steps, lines = _lines(table, name, over, where="the table", size=len(labels))
    (middle,) = _quantiles(lines, (0.5,))
    for line, label, colour in zip(middle.T, labels, _sequence(len(labels)), strict=True):
        axes.plot(steps, line, label=label, color=colour)
    _dress(axes, name, loc="center left", bbox_to_anchor=(1.0, 0.5))


def heat_map(axes: "Axes", matrix: Float64[np.ndarray, "rows columns"], reach: float | None = None) -> None:
    """A matrix as colours, with their scale: blue below zero, clear at zero, red above.

    `reach` is the absolute value of the full colours, the largest of the matrix if not given; what is beyond has them
    too. Where nothing is below zero, neither is the scale.
    """
    bound = float(np.max(np.abs(matrix))) if reach is None else reach
    least = 0.0 if np.min(matrix) >= 0 else -bound
    image = axes.imshow(matrix, cmap=_colours(least < 0), vmin=least, vmax=bound, interpolation="nearest")
    axes.grid(False)
    axes.figure.colorbar(image, ax=axes)


def panels(
    axes: "Axes",
    rows: Sequence[Sequence[Float64[np.ndarray, "height width"]]],
    columns: Sequence[str],
    names: Sequence[str] = (),
) -> None:
    """Matrices of one size and without negative entries side by side, each scaled by its own largest entry.

    `columns` and `names` are what stands below the columns and beside the rows.

    Raises:
        ValueError: if there is not one name for each column, or for each row where there are any.
    """
    if len(columns) != len(rows[0]) or len(names) not in (0, len(rows)):
        raise ValueError(f"panels: {len(columns)} and {len(names)} names for {len(rows)} rows of {len(rows[0])} panels")
    room = max(1, max(rows[0][0].shape) // 20)
    height, width = (size + 2 * room for size in rows[0][0].shape)
    scaled = [[np.pad(matrix / max(float(matrix.max()), 1e-300), room) for matrix in row] for row in rows]
    axes.imshow(np.block(scaled), cmap=_colours(False), vmin=0, vmax=1, interpolation="nearest")
    axes.grid(False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xticks((np.arange(len(columns)) + 0.5) * width, columns)
    axes.set_yticks((np.arange(len(names)) + 0.5) * height, names)


def _colours(signed: bool) -> "LinearSegmentedColormap":
    """Clear at zero, so that it suits a white page and a black one."""
    from matplotlib.colors import LinearSegmentedColormap

    above = ((0.5 if signed else 0.0, "#d1542f00"), (1.0, "#d1542f"))
    below = ((0.0, "#1f6fb4"), (0.5, "#1f6fb400")) if signed else ()
    return LinearSegmentedColormap.from_list("stepwell-zero", [*below, *above])


def _drawn(draw: Draw, table: Table) -> "Figure":
    from matplotlib.figure import Figure

    figure = Figure()
    axes = figure.add_subplot()
    draw(table, axes)
    for each in figure.axes:
        each.yaxis.label.set_rotation_mode("anchor")  # centred in the viewer's font too
    return figure


def _element(document: str) -> str:
    """The SVG element of a document, without prolog and comments, with house colours as variables."""
    text = re.sub(r"<!--.*?-->\s*", "", document[document.index("<svg") :], flags=re.DOTALL)
    named = lambda m: f"{m[1]}: var(--{VARIABLES[m[2]]}, {m[2]})" if m[2] in VARIABLES else m[0]
    return re.sub(r"\b(fill|stroke): (#[0-9a-f]{6})\b", named, text).strip()


def _lines(
    table: Table, name: str, over: str, where: str, size: int = 1
) -> tuple[Int64[np.ndarray, " steps"], Float64[np.ndarray, "points steps size"]]:
    """The values of each point at each step at which any has one, NaN elsewhere; a diverged value is none."""
    _require_repetitions(table, over, where)
    column = table[name].reshape(len(table), math.prod(table[name].shape[1:]))
    if len(table) and column.shape[1] != size:
        raise ValueError(f"{name} has shape {table[name].shape[1:]} in every row; expected {size} components")
    rows = np.flatnonzero(np.isfinite(column).any(axis=1))
    steps, place = np.unique(table["step"][rows], return_inverse=True)
    lines = np.full((len(table.points["point"]), len(steps), size), np.nan)
    if len(rows):
        lines[table.owner[rows], place] = np.where(np.isfinite(column), column, np.nan)[rows]
    return steps, lines


def _require_repetitions(table: Table, over: str, where: str) -> None:
    values = table.points[over].tolist() if over in table.points else []
    twice = next((value for value in values if values.count(value) > 1), None)
    if twice is not None:
        raise ValueError(f"{over} {twice} occurs {values.count(twice)} times in {where}; fix the other axes by where()")


def _quantiles(
    lines: Float64[np.ndarray, "points steps size"], levels: Sequence[float]
) -> Float64[np.ndarray, "levels steps size"]:
    known = ~np.isnan(lines).all(axis=0)
    found = np.full((len(levels), *lines.shape[1:]), np.nan)
    if known.any():  # nanquantile warns where there is nothing
        found[:, known] = np.nanquantile(lines[:, known], levels, axis=0)
    return found


def _unfinished(group: Table) -> str:
    status = group.points["status"]
    finished = int(np.sum(status == "finished"))
    return "" if finished == len(status) else f" ({finished} of {len(status)} finished)"


def _sequence(n: int) -> Float64[np.ndarray, "n 4"]:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("stepwell", SEQUENCE)(np.linspace(0, 1, n))


def _dress(axes: "Axes", name: str, **legend: Any) -> None:
    axes.set_xlabel("step")
    axes.set_ylabel(name)
    axes.margins(x=0.01)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(alignment="left", **legend)
