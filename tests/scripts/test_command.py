import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import dsl
from runs.claims import Verdict
from runs.options import Interrupted, RunError, RunOptions
from runs.records import PointRecord, Records, RecordsError
from runs.table import Rows
from scripts.command import answer, main

ROOT = Path(__file__).parents[2]

STUDY = """
from dsl import *

class Odd(Target[Bits, Real]):
    i: int

    def __call__(self, x):
        return x[..., self.i]

def made(depth: int = 2, seed: int = 0) -> Training:
    x = bits(6)
    return Training(
        task=Labelled(Hypercube(6), total(prefixes(x, depth)) if depth else Odd(1)),
        model=Mlp((4,), Relu()),
        loss=SquaredLoss(),
        protocol=Descent(steps=20, draw=Fresh(2), by=Sgd(0.1)),
        measure=(TestLoss(Fresh(8)) @ at(0, 20),),
        seed=seed,
    )

study = Study("mine", grid(made, depth=(0, 2), seed=range(3)))
"""


@pytest.fixture(autouse=True)
def _tidy(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    yield
    for name in [n for n, m in sys.modules.items() if str(tmp_path) in (getattr(m, "__file__", None) or "")]:
        del sys.modules[name]
    for name in [n for n in dsl.spec.KINDS if n.startswith("command_study")]:
        del dsl.spec.KINDS[name]


@pytest.fixture
def study() -> str:
    Path("command_study.py").write_text(STUDY)
    return "command_study.py"


@pytest.fixture
def experiment(study, capsys):
    """The JSON of an experiment, to be spoiled."""
    assert answer(["show", study, "--point", "5"]) == 0
    Path(study).unlink()
    return json.loads(capsys.readouterr().out)


def subprocessed(*arguments: str) -> "subprocess.CompletedProcess[str]":
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env=env, check=False)


def refused(capsys, *arguments: str) -> str:
    """The one message of a command line that cannot be carried out and leaves nothing behind."""
    before = sorted(Path.cwd().rglob("*"))
    assert answer(arguments) == 2
    out, err = capsys.readouterr()
    assert sorted(Path.cwd().rglob("*")) == before
    assert "Traceback" not in err
    assert not out
    assert err.startswith("stepwell: ")
    return err


# ---------------------------------------------------------------- bad input


def spoiled(data, path, value):
    *above, last = path
    node = data
    for step in above:
        node = node[step]
    if isinstance(node, dict) and value is None:
        node[last + "z"] = node.pop(last)
    else:
        node[last] = value


BAD = {
    "unknown kind": (["protocol", "by", "kind"], "Sgdd", "protocol.by: unknown kind 'Sgdd', expected an Optimizer"),
    "misspelt field": (["protocol", "steps"], None, "protocol.stepsz: no such field (did you mean 'steps'?)"),
    "wrong type": (["protocol", "steps"], "many", "protocol.steps: expected"),
    "out of range": (["protocol", "steps"], 0, "protocol.steps: expected greater than or equal to 1, got 0"),
    "NaN": (["protocol", "by", "lr"], float("nan"), "protocol.by.lr: expected"),
    "coordinate": (["task", "y", "terms", 1, "on"], [0, 37], "task.y.terms[1].on[1]: 37 is not a coordinate of"),
    "schedule": (["measure", 0, "when", "at"], [0, 21], "measure[0].when.at[1]: step 21 is beyond the last step, 20"),
    "underflow": (["protocol", "by", "lr"], 1e-64, "protocol.by.lr: 1e-64 is 0 in float32"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("verb", ["validate", "explain", "run"])
def test_faults_of_an_experiment(capsys, experiment, name, verb):
    path, value, message = BAD[name]
    spoiled(experiment, path, value)
    Path("a.json").write_text(json.dumps(experiment))
    assert message in refused(capsys, verb, "a.json")


def test_all_faults_are_told_at_once(capsys, experiment):
    for path, value, _ in (BAD["wrong type"], BAD["unknown kind"]):
        spoiled(experiment, path, value)
    Path("a.json").write_text(json.dumps(experiment))
    err = refused(capsys, "plan", "a.json")
    assert "2 faults" in err
    assert "protocol.steps" in err
    assert "protocol.by" in err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"kind": "Training", "task": {', "not JSON: "),
        (b'{"kind": "\xff"}', "not UTF-8 text: byte 10"),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "nested deeper than 100 levels"),
    ],
)
def test_files_that_are_no_json(capsys, content, message):
    Path("a.json").write_bytes(content)
    assert message in refused(capsys, "run", "a.json")


def test_a_python_file_that_raises(capsys):
    Path("command_study.py").write_text("def broken():\n    return 1 / 0\n\nstudy = broken()\n")
    err = refused(capsys, "run", "command_study.py")
    assert err.count("  File ") == err.count('command_study.py", line ') == 2
    assert "return 1 / 0" in err
    assert err.endswith("ZeroDivisionError: division by zero\n")


def test_an_unknown_study(capsys):
    assert "'staircas' (did you mean 'staircase'?); shipped: " in refused(capsys, "run", "staircas")


def test_fields_and_points_that_do_not_exist(capsys, study):
    assert "protocol.step: no such field" in refused(capsys, "plan", study, "--set", "protocol.step=3")
    assert "6 points, counted from 0" in refused(capsys, "show", study, "--point", "6")
    assert "6 points, counted from 0" in refused(capsys, "show", study, "--point", "-1")
    assert "has no scales" in refused(capsys, "show", study, "--scale", "smoke")
    assert "at least one file" in refused(capsys, "validate")
    assert "there is no such file" in refused(capsys, "validate", "gone.json")


@pytest.mark.parametrize(
    "arguments", [[], ["rum", "x"], ["run"], ["run", "x", "--mapper", "map"], ["run", "x", "--sett"]]
)
def test_arguments_that_do_not_exist(capsys, arguments):
    with pytest.raises(SystemExit) as status:
        answer(arguments)
    assert status.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


# ---------------------------------------------------------------- the verbs


def test_list_names_the_shipped_studies(capsys):
    assert answer(["list"]) == 0
    assert any(line.startswith("staircase  ") and len(line) > 20 for line in capsys.readouterr().out.splitlines())


def test_add_prints_the_noun_of_a_file_and_refuses_another_of_its_name(capsys):
    np.savez("a.npz", x=np.ones((4, 2)), y=np.arange(4.0))
    assert answer(["add", "a.npz", "--data", "here"]) == 0
    lines = capsys.readouterr().out.splitlines()
    noun = eval(lines[0], vars(dsl))
    assert (Path("here") / noun.name).read_bytes() == Path("a.npz").read_bytes()
    assert eval(lines[-1].removeprefix("as a task: "), vars(dsl)) == dsl.StoredExamples(noun, 4, (2,))
    np.savez("a.npz", x=np.ones(3))
    assert "is another file" in refused(capsys, "add", "a.npz", "--data", "here")
    assert "nothing.npz: there is no such file" in refused(capsys, "add", "nothing.npz")


def test_explain_says_where_nothing_is_known(capsys, tmp_path):
    path = tmp_path / "lone.py"
    path.write_text(
        "from dsl import *\n"
        "of = RandomMeasures(n=2, k=2, d=1, half_width=1.0)\n"
        "point = Analysis(of=of, measure=())\n"
        'study = Study("lone", [point])\n'
    )
    assert answer(["explain", str(path)]) == 0
    assert "no prediction is known" in capsys.readouterr().out


def test_explain_groups_the_points_of_which_it_says_the_same(capsys, study):
    assert answer(["explain", study]) == 0
    out = capsys.readouterr().out
    assert "mine: 3 of 6 points with depth=0" in out
    assert "mine: 3 of 6 points with depth=2" in out
    assert out.count("does not apply: no sparse expansion of Odd is known") == 2  # of two kinds of conditions
    assert "leap: 1: found in the order x0 (+1) then x0*x1 (+1)" in out
    assert "2302.11055 (from memory, unverified)" in out


def test_show_prints_what_every_verb_takes(capsys, study):
    assert answer(["show", study, "--point", "5", "--set", "protocol.steps=50"]) == 0
    Path("a.json").write_text(capsys.readouterr().out)
    assert answer(["show", "a.json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown == json.loads(Path("a.json").read_text())
    assert shown["protocol"]["steps"] == 50
    assert answer(["show", study, "--all"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 6


def test_validate_goes_on_after_a_fault(capsys, study):
    Path("a.json").write_text("[")
    assert answer(["validate", "a.json", study, "notes.txt"]) == 2
    out, err = capsys.readouterr()
    assert out == "command_study.py: ok (6 points of Training)\n"
    assert "a.json: " in err
    assert "notes.txt: expected a file that ends in .py or .json" in err
    assert answer(["validate", study]) == 0


@pytest.fixture
def launch(monkeypatch):
    """An engine that only remembers what it was asked."""
    asked = []
    claim = dsl.Claim("It is learned", "1234.5678", lambda table: None, dsl.below(1.0))
    verdicts = [Verdict(claim, "fails", None, None, (0.0, 1.0), "2 against [0, 1]")]
    outcome = SimpleNamespace(table=None, verdicts=verdicts, report=Path("page.html"), failed=0, conflicts="")

    def noted(result):
        return lambda opened, options: asked.append((opened, options)) or result

    fake = SimpleNamespace(plan_study=noted("a plan"), run_study=noted(outcome), report_study=noted(Path("page.html")))
    monkeypatch.setitem(sys.modules, "runs.launch", fake)
    return SimpleNamespace(asked=asked, outcome=outcome, engine=fake)


def test_a_claim_that_fails_is_a_result(capsys, study, launch):
    assert answer(["run", study, "--records", "r", "--mapper", "pmap", "--devices", "4", "--rerun", "--data", "d"]) == 0
    opened, options = launch.asked[0]
    assert opened.name == "mine"
    assert options == RunOptions(Path("r"), "pmap", 4, rerun=True, data=Path("d"))
    out = capsys.readouterr().out
    assert "It is learned" in out
    assert "fails" in out
    assert "report: page.html" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--devices", "0"], "--devices 0: expected at least 1"),
        (["--devices", "-3"], "--devices -3: expected at least 1"),
        (["--rerun", "--accept"], "--rerun and --accept: expected one of the two"),
        (["--scale", "huge"], "scale 'huge': expected one of smoke, small, paper\n"),
    ],
)
def test_options_that_make_no_sense(capsys, study, launch, arguments, message):
    assert message in refused(capsys, "run", study, *arguments)
    assert launch.asked == []


def test_a_report_without_records_names_the_variants_that_have_some(capsys, study):
    Path("r/studies").mkdir(parents=True)
    for name in ("mine-1a2b3c4d", "mineral"):
        Path(f"r/studies/{name}.json").write_text("{}")
    err = refused(capsys, "report", study, "--records", "r")
    assert "r has no records of mine (it has mine-1a2b3c4d: name the same --scale and --set)" in err


def test_points_that_failed_or_conflict_are_status_1(capsys, study, launch):
    launch.outcome.failed = 2
    assert answer(["run", study]) == 1
    assert "2 " in capsys.readouterr().err
    launch.outcome.failed, launch.outcome.conflicts = 0, "jax 0.10.1 differs"
    assert answer(["run", study]) == 1
    assert "jax 0.10.1 differs" in capsys.readouterr().err


def test_plan_and_report(capsys, monkeypatch, study, launch):
    assert answer(["plan", study, "--devices", "2"]) == 0
    assert capsys.readouterr().out == "a plan\n"
    assert "r has no records of mine" in refused(capsys, "report", study, "--records", "r")
    monkeypatch.setattr("scripts.verbs.Records.status", lambda self, digest: "finished")
    monkeypatch.setattr("scripts.verbs.table", lambda study, root: None)
    assert answer(["report", study, "--records", "r"]) == 0
    assert "report: page.html" in capsys.readouterr().out
    assert [options for _, options in launch.asked] == [RunOptions(devices=2), RunOptions(records=Path("r"))]


@pytest.mark.parametrize(
    ("error", "status"), [(RunError("no device"), 2), (RecordsError("no space"), 2), (KeyboardInterrupt(), 130)]
)
def test_errors_of_the_engine_are_one_message(capsys, study, launch, error, status):
    def raises(opened, options):
        raise error

    launch.engine.run_study = raises
    assert answer(["run", study]) == status
    assert capsys.readouterr().err == f"stepwell: {str(error) or 'interrupted'}\n"


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_says_how_to_go_on(capsys, monkeypatch, study, launch, number, status):
    def raises(opened, options):
        raise Interrupted(number)

    launch.engine.run_study = raises
    monkeypatch.setattr("sys.argv", ["stepwell", "run", "my study.py", "--devices", "2"])
    assert answer(["run", study]) == status
    name = signal.Signals(number).name
    go_on = "go on with: stepwell run 'my study.py' --devices 2"
    assert capsys.readouterr().err == f"stepwell: stopped by {name}; everything so far is kept; {go_on}\n"


def test_a_defect_of_ours_keeps_its_traceback(study, launch):
    launch.engine.run_study = lambda opened, options: [][0]
    with pytest.raises(IndexError):
        answer(["run", study])


def test_the_console_entry(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["stepwell", "--version"])
    with pytest.raises(SystemExit) as status:
        main()
    assert status.value.code == 0
    assert capsys.readouterr().out.startswith("stepwell ")


# ---------------------------------------------------------------- what differs, schemas, questions


def test_diff_of_points_of_a_study(capsys, study):
    assert answer(["diff", f"{study}:0", f"{study}:1"]) == 1
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("A: mine, point 0 (depth=0, seed=0), ")
    assert out[1].startswith("B: mine, point 1 (depth=0, seed=1), ")
    assert out[2:] == ["      A  B", "seed  0  1"]
    assert answer(["diff", f"{study}:3", f"{study}:3"]) == answer(["diff", study]) == 0
    assert capsys.readouterr().out.startswith("equal: ")


def test_diff_of_a_noun_of_a_user_that_is_opened_twice(capsys, study):
    assert answer(["diff", study, "--set", "task.y.i=2"]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "task.y.i  1  2"


def test_diff_sets_fields_of_b_in_columns(capsys, study):
    settings = ["--set", "protocol.steps=50", "--set", "model.activation.kind=Tanh", "--set", "measure[0].when.at=[50]"]
    assert answer(["diff", f"{study}:5", "--set", "seed=0", *settings]) == 1
    out = capsys.readouterr().out.splitlines()
    assert "with seed=0, with protocol.steps=50" in out[1]
    assert out[2:] == [
        "                       A     B",
        "model.activation       Relu  Tanh",
        "protocol.steps         20    50",
        "measure[0].when.at[0]  0     50",
        "measure[0].when.at[1]  20    -",
        "seed                   2     0",
    ]


def recorded(root, spec, digest):
    records = Records(root)
    records.prepare()
    if records.status(digest) is not None:
        records.supersede(digest)
    assert records.commit(PointRecord(digest, spec, {"numerics": {}}, Rows.of([])))


def test_diff_of_files_and_records(capsys, study, experiment):
    spec = dsl.load(experiment)
    other = experiment | {"seed": 1}
    recorded(Path("r"), other, dsl.digest(dsl.load(other)))
    Path("a.json").write_text(json.dumps(experiment))
    digest = dsl.digest(dsl.load(other))
    assert answer(["diff", digest[:8], "a.json", "--records", "r"]) == 1
    out = capsys.readouterr().out.splitlines()
    assert out[0] == f"A: record {digest[:12]}, {digest[:12]}"
    assert out[-1] == "seed  1  2"
    recorded(Path("r"), experiment, spec.digest)
    assert answer(["diff", "a.json", spec.digest, "--records", "r"]) == 0
    assert answer(["diff", f"r/points/{spec.digest}", f"r/points/{digest[:8]}"]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "seed  2  1"
    recorded(Path("r"), other, spec.digest)
    capsys.readouterr()
    assert "holds the spec of another point" in refused(capsys, "diff", "a.json", spec.digest, "--records", "r")


def test_a_record_with_a_noun_of_a_file_is_read_after_the_file(capsys, study):
    assert answer(["show", study]) == 0
    spec = json.loads(capsys.readouterr().out)
    digest = dsl.digest(dsl.load(spec))
    recorded(Path("records"), spec, digest)
    for name in [n for n in dsl.spec.KINDS if n.startswith("command_study")]:
        del dsl.spec.KINDS[name]
    assert "unknown kind 'command_study.Odd'" in refused(capsys, "diff", digest, digest)
    assert answer(["diff", digest, f"{study}:1"]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "seed  0  1"


def test_diff_of_what_there_is_not(capsys, study):
    for digest in ("a" * 64, "aaaaaaa" + "b" * 57):
        recorded(Path("records"), {}, digest)
    assert "abcdef0 is the beginning of no record in records, which has 2" in refused(capsys, "diff", "abcdef0", study)
    assert "(did you mean 'aaaaaaabbbbb'?)" in refused(capsys, "diff", "aaaaaaabbbbc")
    assert "no record in gone, where there is none" in refused(capsys, "diff", "abcdef0", "--records", "gone")
    assert "records/points: is no record; expected DIR/points/DIGEST" in refused(capsys, "diff", "records/points")
    assert "records/point/aaa: there is no such record; expected" in refused(capsys, "diff", "records/point/aaa")
    assert "abcdef0 is the beginning of no record in records" in refused(capsys, "diff", "records/points/abcdef0")
    assert "aaaaaaa is the beginning of 2 records: aaaaaaaaaaaa, aaaaaaabbbbb" in refused(capsys, "diff", "aaaaaaa")
    for number in ("6", "-1", "x", ""):
        err = refused(capsys, "diff", study, f"{study}:{number}")
        assert f"{study}:{number}: mine has the points 0 to 5, got {number or 'none'} after the colon" in err
    assert "--set: protocol.step: no such field" in refused(capsys, "diff", study, "--set", "protocol.step=3")
    assert "--set changes nothing in it" in refused(capsys, "diff", study, "a" * 64, "--set", "seed=3")
    assert "cannot be read: Experiment: " in refused(capsys, "diff", "a" * 64)
    assert "there is no such file" in refused(capsys, "diff", study, "gone.json")


def test_schema_prints_what_files_of_a_kind_look_like(capsys):
    assert answer(["schema"]) == 0
    whole = json.loads(capsys.readouterr().out)
    assert whole["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert whole["anyOf"][0] == {"$ref": "#/$defs/Experiment"}
    assert answer(["schema", "Mlp"]) == 0
    assert json.loads(capsys.readouterr().out)["anyOf"][0] == {"$ref": "#/$defs/Mlp"}
    assert "'Mpl' (did you mean 'Mlp'?)" in refused(capsys, "schema", "Mpl")


def test_sql_in_three_forms(capsys, tmp_path):
    records = Records(tmp_path / "r")
    records.prepare()
    rows = Rows.of([(0, 0.5, {"loss": 1.0}), (10, 1.0, {"loss": float("inf")})])
    records.commit(PointRecord("1" * 64, {"kind": "Training"}, {"numerics": {}}, rows, status="failed: two\nlines"))
    question = "select step, value, null as nothing from metrics order by step"
    assert answer(["sql", question, "--records", "r"]) == 0
    assert capsys.readouterr().out == "step  value  nothing\n0     1      NULL\n10    inf    NULL\n"
    assert answer(["sql", question, "--records", "r", "--csv"]) == 0
    assert capsys.readouterr().out == "step,value,nothing\n0,1.0,\n10,inf,\n"
    assert answer(["sql", question, "--records", "r", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [
        {"step": 0, "value": 1.0, "nothing": None},
        {"step": 10, "value": None, "nothing": None},
    ]
    assert answer(["sql", "select status from points", "--records", "r"]) == 0
    assert capsys.readouterr().out == "status\nfailed: two\\nlines\n"
    assert "--csv and --json: expected one of the two" in refused(capsys, "sql", question, "--csv", "--json")
    assert "sql: expected a SELECT, got DROP" in refused(capsys, "sql", "drop table metrics", "--records", "r")
    assert "records has no records" in refused(capsys, "sql", question)


# ---------------------------------------------------------------- processes


@pytest.mark.parametrize(
    "arguments", [["--help"], ["run", "--help"], ["diff", "--help"], ["sql", "--help"], ["--version"], ["list"]]
)
def test_help_does_not_wait_for_jax(arguments):
    code = f"""
import sys
from scripts.command import answer
try:
    status = answer({arguments!r})
except SystemExit as end:
    status = end.code or 0
print(sorted({{"jax", "dsl", "matplotlib", "duckdb"}} & set(sys.modules)), file=sys.stderr)
sys.exit(status)
"""
    done = subprocessed("-c", code)
    assert (done.returncode, done.stderr) == (0, "[]\n")
    assert done.stdout


def test_a_process_plans_on_the_cpu_and_ends_with_the_status(experiment):
    spoiled(experiment, *BAD["coordinate"][:2])
    Path("a.json").write_text(json.dumps(experiment))
    done = subprocessed("-m", "scripts.command", "explain", "a.json")
    assert done.returncode == 2
    assert done.stderr.startswith("stepwell: a.json: Experiment: task.y.terms[1].on[1]: 37")
    assert not done.stdout
    assert [path.name for path in Path.cwd().iterdir()] == ["a.json"]


@pytest.mark.slow
def test_a_closed_pipe_is_no_traceback(study):
    done = subprocess.run(
        f"{sys.executable} -m scripts.command show {study} --all | head -1",
        shell=True, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False,
    )  # fmt: skip
    assert done.stdout == "[\n"
    assert "Traceback" not in done.stderr
