"""Figures of a study that has none of its own: what was measured, against the step."""

from typing import Any

import numpy as np

from runs.figures import Draw, components, curves
from runs.report import shown
from runs.table import Table

MOST_CURVES, MOST_GROUPS, MOST_COMPONENTS = 8, 4, 16


def default_figures(table: Table) -> list[Draw]:
    """Curves of each scalar measurement, and the components of each short vector where there are few groups."""
    by = _varied(table)
    groups = [group for _, group in table.groups(*by)] if by else [table]
    found = list[Draw]()
    for name in table.observed:
        sizes = table.values[name].shape[1:]
        if len(np.unique(table["step"][table.seen(name)])) < 2:  # one step is no curve; the points table has its value
            continue
        if not sizes and len(groups) <= MOST_CURVES:
            found.append(_curves(name, by))
        elif len(sizes) == 1 and sizes[0] <= MOST_COMPONENTS and len(groups) <= MOST_GROUPS:
            found += [_components(name, group, by) for group in groups]
    return found


def _varied(table: Table) -> tuple[str, ...]:
    """The axes besides the seed in which points differ; without axes, the points themselves."""
    if not table.axes:
        return ("point",) if len(table.points["point"]) > 1 else ()
    several = lambda axis: len(set(map(repr, table.points[axis].tolist()))) > 1
    return tuple(axis for axis in table.axes if axis != "seed" and several(axis))


def _curves(name: str, by: tuple[str, ...]) -> Draw:
    def draw(table: Table, axes: Any) -> None:
        curves(axes, table, name, by)

    each = f", for each {', '.join(by)}" if by else ""
    return _captioned(draw, f"{name} against the step: median and 10% to 90% band over seeds{each}.")


def _components(name: str, group: Table, by: tuple[str, ...]) -> Draw:
    def draw(_: Table, axes: Any) -> None:
        components(axes, group, name, [f"[{k}]" for k in range(group.values[name].shape[1])])

    where = ", ".join(f"{axis}={shown.cell(group.points[axis].tolist()[0], 6)}" for axis in by)
    return _captioned(draw, f"Components of {name} against the step: median over seeds{' with ' * bool(by)}{where}.")


def _captioned(draw: Draw, caption: str) -> Draw:
    draw.__doc__ = f"{caption} The study has no figures of its own."
    return draw
