"""Names that do not exist, in a user's file."""

import sys
from pathlib import Path

import pytest

from runs.misspelt import meant
from runs.sources import SourceError, open_source

TOLD = {
    "a noun after a star import": (
        "from dsl import *\nLabeled(1, 2)",
        "NameError: name 'Labeled' is not defined (did you mean 'Labelled' or 'Labels'?)",
    ),
    "a noun of the module": (
        "import dsl\ndsl.Labeled(1, 2)",
        "AttributeError: module 'dsl' has no attribute 'Labeled' (did you mean 'Labelled' or 'Labels'?)",
    ),
    "an import": ("from dsl import Labeled", "(did you mean 'Labelled' or 'Labels'?)"),
    "an import of another module": ("from runs.figures import curve", "(did you mean 'curves'?)"),
    "capital letters": ("from dsl import *\ndef f(): return mlp((4,))\nf()", "(did you mean 'Mlp'?)"),
    "a noun that was not imported": ("import dsl\nHypercube(3)", "(it is in dsl: `from dsl import Hypercube`)"),
    "a name of the file": ("from dsl import *\nmy_law = 1\nmy_lav", "(did you mean 'my_law'?)"),
    "a field": (
        "from dsl import *\nDescent(steps=2, draw=Exact(), by=Sgd(0.1)).step_s",
        "AttributeError: 'Descent' object has no attribute 'step_s' (did you mean 'steps' or 'step'?)",
    ),
    "nothing near": ("qqqqqqqq", "NameError: name 'qqqqqqqq' is not defined"),
}


@pytest.mark.parametrize("what", TOLD)
def test_the_nearest_name_ends_the_message(tmp_path: Path, what: str) -> None:
    code, message = TOLD[what]
    file = tmp_path / "misspelt_study.py"
    file.write_text(code)
    with pytest.raises(SourceError) as refused:
        open_source(str(file))
    assert str(refused.value).endswith(message)
    assert "misspelt_study" not in sys.modules


@pytest.mark.parametrize(
    "error", [ValueError("Labeled"), UnboundLocalError("x"), AttributeError("no name"), ImportError()]
)
def test_other_errors_have_no_hint(error: Exception) -> None:
    assert meant(error) == ""
