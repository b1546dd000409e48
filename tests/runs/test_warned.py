"""Warnings in plain words."""

import importlib.util
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest

from runs.warned import warnings_told

USER = """
import warnings
import numpy as np

def careful(n):
    for i in range(n):
        warnings.warn("take\\n   care")

def divide():
    return np.ones(1) / np.zeros(1)
"""


@pytest.fixture
def mine(tmp_path: Path):
    path = tmp_path / "mine.py"
    path.write_text(USER)
    spec = importlib.util.spec_from_file_location("mine_of_warned", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def told(*calls) -> list[str]:
    """What is said of the warnings, all of which Python lets through."""
    said: list[str] = []
    with warnings_told(said.append):
        warnings.simplefilter("always")
        for call in calls:
            call()
    return said


def test_a_warning_is_one_line_with_the_place_in_the_users_file_and_is_said_once(mine) -> None:
    assert told(lambda: mine.careful(3), mine.divide) == [
        "warning: mine.py:7: take care",
        "warning: mine.py:10: RuntimeWarning: divide by zero encountered in divide",
    ]


def test_a_warning_of_a_library_names_the_users_line_that_called_it_or_else_the_library(mine) -> None:
    library = "import warnings\ndef old():\n    warnings.warn('old', DeprecationWarning)"
    exec(compile(library, "/x/lib/python3/site-packages/kit/a.py", "exec"), found := {})
    exec(compile("def called(f):\n    f()", mine.__file__, "exec"), found)
    assert told(lambda: found["called"](found["old"])) == ["warning: mine.py:2: DeprecationWarning: old"]

    def alone() -> None:
        thread = threading.Thread(target=found["old"])
        thread.start()
        thread.join()

    assert told(alone) == ["warning: kit: DeprecationWarning: old"]


def test_filters_decide_as_ever_and_python_shows_warnings_again_afterwards() -> None:
    before = warnings.showwarning
    said: list[str] = []
    with warnings_told(said.append):
        warnings.simplefilter("ignore")
        np.log(np.zeros(1))
        warnings.simplefilter("error")
        with pytest.raises(RuntimeWarning):
            np.log(np.zeros(1))
    assert warnings.showwarning is before
    assert said == []
