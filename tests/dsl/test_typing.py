"""The generics are a promise of the language: pyright accepts and refuses what `tests/typing` says.

A line there that must be refused (or revealed) ends with `# expect: <part of the message>`; every other line must pass.
"""

import json
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "typing"
Line = tuple[str, int]


def expectations() -> dict[Line, str]:
    return {
        (path.name, number): match[1]
        for path in FOLDER.glob("*.py")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if (match := re.search(r"# expect: (.*)$", line))
    }


def diagnostics() -> dict[Line, str]:
    command = [str(Path(sys.executable).with_name("pyright")), "--pythonpath", sys.executable, "--outputjson", FOLDER]
    answer = subprocess.run(command, capture_output=True, text=True, cwd=FOLDER.parents[1], check=False)
    found = defaultdict[Line, str](str)
    for entry in json.loads(answer.stdout)["generalDiagnostics"]:
        # pyright aligns its messages with non-breaking spaces
        message = entry["message"].replace("\N{NO-BREAK SPACE}", " ")
        found[Path(entry["file"]).name, entry["range"]["start"]["line"] + 1] += f"{message}\n"
    return dict(found)


def test_pyright_refuses_exactly_what_is_marked() -> None:
    expected, found = expectations(), diagnostics()
    assert len(expected) > 15
    wrong = {line: text for line, text in found.items() if line not in expected}
    assert not wrong, f"refused or warned, but not expected: {wrong}"
    missing = {line: part for line, part in expected.items() if part not in found.get(line, "")}
    assert not missing, f"accepted, or with another message: {missing}; pyright says {found}"
