import hashlib
import json
import random
import sys
from pathlib import Path

import pytest

import dsl
from runs import shipped
from runs.overrides import override
from runs.sources import SourceError, open_source

EXPERIMENT = """
from dsl import *

class Pair(Target[Bits, Real]):
    i: int

    def __call__(self, x):
        return x[..., self.i]

def made(lr: float = 0.1, seed: int = 0) -> Training:
    return Training(
        task=Labelled(Hypercube(6), bits(6)[0] + Pair(1)),
        model=Mlp((4,), Relu()),
        loss=SquaredLoss(),
        protocol=Descent(steps=20, draw=Fresh(2), by=Sgd(lr)),
        measure=(TestLoss(Fresh(8)) @ every(5),),
        seed=seed,
    )
"""
VALUE = EXPERIMENT + "study = Study('mine', grid(made, lr=(0.1, 0.2), seed=range(3)))\n"
FUNCTION = EXPERIMENT + "def study(scale):\n    return Study('mine-' + scale, [made()])\n"


@pytest.fixture(autouse=True)
def _tidy(monkeypatch, tmp_path):
    """What a user's file adds to the process is taken out again."""
    before, kinds = set(sys.modules), set(dsl.spec.KINDS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name in set(sys.modules) - before:
        if str(tmp_path) in (getattr(sys.modules[name], "__file__", None) or ""):
            del sys.modules[name]
    for name in set(dsl.spec.KINDS) - kinds:
        if not name[0].isupper():
            del dsl.spec.KINDS[name]


def written(name: str, text: str | bytes) -> str:
    path = Path(name)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return name


def refused(*arguments) -> str:
    with pytest.raises(SourceError) as error:
        open_source(*arguments)
    assert not list(Path.cwd().rglob("__pycache__"))
    return str(error.value)


# ---------------------------------------------------------------- Python files


def test_a_file_with_a_study():
    opened = open_source(written("mine.py", VALUE))
    assert opened.name == "mine"
    assert len(opened.study.points) == 6
    assert opened.file == Path.cwd() / "mine.py"
    assert opened.sha256 == hashlib.sha256(VALUE.encode()).hexdigest()
    assert '"mine.Pair"' in json.dumps(dsl.dump(opened.study.points[0].spec))
    assert [p.name for p in Path.cwd().iterdir()] == ["mine.py"]


def test_a_file_with_a_function_of_the_scale():
    name = written("mine.py", FUNCTION)
    assert open_source(name).name == "mine-small"
    assert open_source(name, "paper").name == "mine-paper"


def test_a_study_opens_alike_a_second_time():
    name = written("mine.py", VALUE)
    first, second = (open_source(name).study.points[0].spec for _ in range(2))
    assert first.digest == second.digest
    assert dsl.load(dsl.dump(second)) == second


def test_overrides_are_laid_over():
    opened = open_source(written("mine.py", VALUE), None, ["protocol.steps=40"])
    assert opened.overrides == ("protocol.steps=40",)
    assert {p.spec.protocol.steps for p in opened.study.points} == {40}
    assert refused("mine.py", None, ["protocol.step=40"]) == (
        "--set: protocol.step: no such field (did you mean 'steps'?)"
    )


def test_files_import_their_neighbours():
    written("lab/mine_helper.py", EXPERIMENT)
    opened = open_source(written("lab/mine.py", "from mine_helper import *\nstudy = Study('mine', [made()])\n"))
    assert opened.name == "mine"
    assert str(Path.cwd() / "lab") not in sys.path
    assert not list(Path.cwd().rglob("__pycache__"))


@pytest.mark.parametrize("stem", ["random", "pytest", "dsl", "json.tool", "my-experiment"])
def test_no_stem_shadows_a_module(stem):
    before = {name: sys.modules.get(name) for name in ("random", "pytest", "dsl", "json.tool")}
    opened = open_source(written(f"{stem}.py", "import random\nassert random.random\n" + VALUE))
    name = type(opened.study.points[0].spec.task.y.terms[1]).__module__
    expected = {"my-experiment": "my-experiment", "json.tool": "json_tool"}.get(stem, f"user_{stem}")
    assert name == expected
    assert {name: sys.modules.get(name) for name in before} == before
    assert sys.modules["random"] is random


def test_two_files_of_one_stem_are_two_modules():
    for folder, module in (("a", "same"), ("b", "user_same"), ("c", "user_same_2")):
        opened = open_source(written(f"{folder}/same.py", VALUE))
        assert type(opened.study.points[0].spec.task.y.terms[1]).__module__ == module


def test_an_error_shows_the_users_frames_alone():
    text = VALUE.replace("steps=20", "steps=0")
    message = refused(written("mine.py", text))
    assert message.startswith("mine.py raised an error\n")
    assert message.count("  File ") == 2  # the study and the function that makes its points; `grid` is ours
    assert "protocol=Descent(steps=0" in message
    assert "dsl/" not in message
    assert "importlib" not in message
    assert message.splitlines()[-1].startswith("SpecError: Descent: steps: expected")


def test_a_file_that_raises_leaves_no_module():
    refused(written("mine.py", "1 / 0\n"))
    assert "mine" not in sys.modules


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def study(:\n", "SyntaxError"),
        (b"\xff\xfe\xff", "SyntaxError"),
        (b"study = 1\x00", "null"),
        ("import no_such_module_at_all\n", "No module named 'no_such_module_at_all'"),
        ("import sys\nsys.exit(3)\n", "SystemExit: 3"),
        ("1 / 0\n", "ZeroDivisionError: division by zero"),
        ("", "no `study` in it"),
        ("studies = 1", "did you mean 'studies'?"),
        ("study = 3\n", "study is 3 of type int; expected a Study"),
        ("def study():\n    pass\n", "study must take one argument, the scale"),
        ("def study(scale):\n    return None\n", "study is None; expected a Study"),
        ("def study(scale):\n    raise KeyError(scale)\n", "KeyError: 'small'"),
        ("from dsl import Study\nstudy = Study('a', [])\n", "'a' has no points"),
        ("from dsl import Study\nstudy = Study('a', [3])\n", "points[0] is 3 of type int"),
        (VALUE.replace("'mine'", "'a/b'"), "the study's name is 'a/b'"),
        ("from dsl import study\n", "no `study` in it; expected"),
    ],
)
def test_files_that_give_no_study(text, message):
    assert message in refused(written("mine.py", text))


def test_scales_where_there_are_none():
    assert "has no scales" in refused(written("mine.py", VALUE), "smoke")
    assert "expected one of smoke, small, paper" in refused("mine.py", "huge")


def test_files_that_cannot_be_read():
    assert refused("gone.py") == "gone.py: there is no such file"
    Path("folder.py").mkdir()
    assert "cannot be read" in refused("folder.py")


# ---------------------------------------------------------------- shipped studies


@pytest.fixture
def studies(monkeypatch, tmp_path):
    for name in ("staircase", "leap_complexity"):
        written(f"studies/{name}.py", f'"""The {name}.\n\nMore.\n"""\n{FUNCTION}')
    written("studies/__init__.py", "")
    monkeypatch.setattr(shipped, "FOLDER", tmp_path / "studies")


def test_shipped_studies_are_listed_without_importing_them(studies):
    assert shipped.descriptions() == {"leap-complexity": "The leap_complexity.", "staircase": "The staircase."}
    assert "runs.studies.leap_complexity" not in sys.modules


def test_shipped_studies_open_at_a_scale(studies, monkeypatch):
    monkeypatch.syspath_prepend(str(Path.cwd()))
    monkeypatch.setattr("runs.sources.module", lambda name: f"studies.{name.replace('-', '_')}")
    opened = open_source("leap-complexity")
    assert (opened.name, opened.file, opened.sha256) == ("mine-small", None, None)
    assert open_source("leap-complexity", "smoke").name == "mine-smoke"
    assert shipped.module("leap-complexity") == "runs.studies.leap_complexity"


def test_an_unknown_study_has_a_nearest_name_and_the_list(studies):
    message = refused("stairs")
    assert "'stairs' (did you mean 'staircase'?); shipped: leap-complexity, staircase" in message
    assert "ends in .py or .json" in message
    assert "did you mean" not in refused("qqq/zzz.txt")


# ---------------------------------------------------------------- JSON


@pytest.fixture
def experiment():
    opened = open_source(written("mine.py", VALUE.replace("+ Pair(1)", "")))
    return opened.study.points[0].spec


def test_a_dumped_experiment_is_a_study_of_one_point(experiment):
    opened = open_source(written("my run (2).json", json.dumps(dsl.dump(experiment))))
    assert opened.name == "my-run-2-"
    assert opened.study.points == (dsl.Point(experiment),)
    overridden = open_source("my run (2).json", None, ["seed=9"]).study.points[0].spec
    assert overridden == override(experiment, ["seed=9"])


def test_json_has_no_scales(experiment):
    assert "no scales" in refused(written("a.json", json.dumps(dsl.dump(experiment))), "smoke")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "a.json: the file is empty"),
        (b" \n", "a.json: the file is empty"),
        (b'{"kind": "br.Wrong"}', "its module br is not imported: name the Python file that defines it"),
        (b'{"kind": "Training", "task"', "not JSON: Expecting ':' delimiter at line 1"),
        (b'{"kind": "Tr\xff"}', "not UTF-8 text: byte 12"),
        (b"[" * 10_000 + b"]" * 10_000, "nested deeper than 100 levels"),
        (b'{"a": ' * 10_000 + b"1" + b"}" * 10_000, "nested deeper than 100 levels"),
        (b"1" * 5000, "too many digits"),
        (b'{"kind": "Hypercube", "d": 3}', "expected an Experiment"),
        (b'{"kind": "Trainig"}', "unknown kind 'Trainig', expected an Experiment (did you mean 'Training'?)"),
        (b"[]", "expected an Experiment"),
    ],
)
def test_json_that_is_no_experiment(content, message):
    assert message in refused(written("a.json", content))


NETS = """
import equinox as eqx

class Line(eqx.Module):
    linear: eqx.nn.Linear

    def __init__(self, size: int, *, key):
        self.linear = eqx.nn.Linear(size, 1, key=key)

    def __call__(self, x):
        return self.linear(x)
"""


def test_json_of_an_imported_network_loads_only_where_its_module_is_imported():
    written("line_nets.py", NETS)
    study = EXPERIMENT.replace("Mlp((4,), Relu())", "Imported('line_nets:Line', size=6)")
    study = study.replace(" + Pair(1)", "") + "import line_nets\nstudy = Study('mine', [made()])\n"
    spec = open_source(written("mine.py", study)).study.points[0].spec
    file = written("point.json", json.dumps(dsl.dump(spec)))
    assert open_source(file).study.points[0].spec == spec
    del sys.modules["line_nets"]
    assert "model.net: the module 'line_nets' is not imported, and a spec imports nothing" in refused(file)
    assert "line_nets" not in sys.modules
