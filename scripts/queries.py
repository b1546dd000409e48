"""The verb `sql`: questions about the records; without JAX, because nothing is computed."""

import csv
import json
import math
import sys
from pathlib import Path
from typing import Any

from runs.options import RunError
from runs.query import Answer, query
from scripts.tables import aligned


def sql(text: str, records: Path, as_csv: bool, as_json: bool) -> int:
    """Print the answer to a question."""
    if as_csv and as_json:
        raise RunError("--csv and --json: expected one of the two")
    answer = query(records, text)
    if as_csv:
        csv.writer(sys.stdout, lineterminator="\n").writerows([answer.columns, *answer.rows])
    elif as_json:
        print(_json(answer))
    else:
        print("\n".join(aligned([answer.columns, *([_shown(value) for value in row] for row in answer.rows)])))
    return 0


def _json(answer: Answer) -> str:
    rows = [dict(zip(answer.columns, map(_plain, row), strict=True)) for row in answer.rows]
    return json.dumps(rows, indent=1, ensure_ascii=False, allow_nan=False, default=str)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _shown(value: Any) -> str:
    """A cell; line breaks would break the table, and a stranger's text may hold what a terminal obeys."""
    if value is None:
        return "NULL"
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
