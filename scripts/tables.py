"""Plain text in columns."""

from collections.abc import Iterator, Sequence

WIDEST = 60
"""What is longer than this does not push the columns after it further away."""


def aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The lines of a table, two spaces between columns."""
    widths = [max(min(len(cell), WIDEST) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (f"{cell:{width}}" for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()
