import ast
import io
import itertools
import os
import re
import subprocess
import sys
import tokenize
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LAYERS = ("theory", "dsl", "runs", "scripts")  # each may import those before it
TOP = {"theory", "dsl", "runs", "tests", "scripts", ".ci", ".gitignore", "pyproject.toml", "constraints.txt"}
TOP |= {"Makefile", "LICENSE", "README.md", "CITATION.cff", "CONTRIBUTING.md", "CHANGELOG.md"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
README = (ROOT / "README.md").read_text()
IGNORE = re.compile(r"#\s*(?:noqa|type:\s*ignore|pyright:\s*(?:ignore|basic|standard|strict|report\w+))")
REASONED = re.compile(r"(?:noqa: [A-Z]+\d+(?:, ?[A-Z]+\d+)*|(?:type|pyright): ignore\[[\w, -]+\])\s+(?:#|-|—)\s*\w")


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imported(tree: ast.AST) -> Iterator[str]:
    """Names of imported modules, wherever in the file, also through importlib and __import__."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import"
            yield node.module or ""
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("importlib.import_module", "__import__"):
            yield from (arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str))


def in_git(*options: str) -> list[str]:
    """Files that are tracked or would be added, or those that options of `git ls-files` choose."""
    git = ("git", "-C", str(ROOT))
    top = subprocess.run([*git, "rev-parse", "--show-toplevel"], capture_output=True, text=True, check=False)
    if top.returncode or Path(top.stdout.strip()).resolve() != ROOT:
        pytest.skip("not a git checkout")
    which = options or ("--cached", "--others")
    listed = subprocess.check_output([*git, "ls-files", "-z", "--exclude-standard", *which], text=True)
    return [name for name in listed.split("\0") if name and (ROOT / name).is_file()]


@pytest.mark.parametrize("layer", LAYERS)
def test_imports_go_down_only(layer: str) -> None:
    above = {*LAYERS[LAYERS.index(layer) + 1 :], "tests"}
    found = [(named(p), name) for p in sources(layer) for name in imported(ast.parse(p.read_text()))]
    assert [(path, name) for path, name in found if name.split(".")[0] in above] == []


@pytest.mark.parametrize(
    "text",
    ["import runs", "def f():\n  from runs.a import b", "import a, runs.b as c", "importlib.import_module('runs')"],
)
def test_an_import_is_found_in_every_form(text: str) -> None:
    assert "runs" in {name.split(".")[0] for name in imported(ast.parse(text))}


def test_the_top_level_is_as_agreed() -> None:
    assert {name.split("/")[0] for name in in_git()} == TOP


def test_no_source_is_hidden_from_git_and_so_from_the_wheel() -> None:
    hidden = in_git("--others", "--ignored", "--", *LAYERS, "tests")
    assert [name for name in hidden if "__pycache__" not in name and ".egg-info" not in name] == []


def test_what_is_imported_is_typed() -> None:
    assert [layer for layer in ("theory", "dsl", "runs") if not (ROOT / layer / "py.typed").is_file()] == []


def test_the_version_is_the_same_everywhere() -> None:
    cited = re.search(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    changed = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert cited
    assert changed
    assert cited[1] == changed[1] == PROJECT["version"]


def test_constraints_are_names_and_versions_of_every_dependency() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert [pin for pin in pins if not re.fullmatch(r"[A-Za-z0-9][\w.-]*==[\w.!+]+", pin)] == []
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    needed = itertools.chain(PROJECT["dependencies"], *groups.values())
    wanted = {re.split(r"[\[<>=!~; ]", requirement)[0] for requirement in needed}
    pinned = [re.sub(r"[-_.]+", "-", pin.split("==")[0]).lower() for pin in pins]
    assert len(set(pinned)) == len(pinned)
    assert wanted | {"pip", "hatchling"} <= set(pinned)


def test_files_are_short_and_named_for_what_they_hold() -> None:
    assert [named(p) for p in sources(*LAYERS) if len(p.read_text().splitlines()) > 500] == []
    assert [named(p) for p in sources(*LAYERS, "tests") if "utils" in p.relative_to(ROOT).with_suffix("").parts] == []


def test_every_ignore_names_its_rule_and_has_its_reason() -> None:
    comments = [
        (named(path), token.start[0], token.string)
        for path in sources(*LAYERS, "tests")
        for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline)
        if token.type == tokenize.COMMENT
    ]
    ignores = [comment for comment in comments if IGNORE.search(comment[2])]
    assert [ignore for ignore in ignores if not REASONED.search(ignore[2])] == []


@pytest.mark.parametrize(
    ("comment", "good"),
    [
        ("# noqa: B010 # our errors", True),
        ("# type: ignore[arg-type]  # never empty", True),
        ("# noqa: E741 - the degree l of the text", True),
        ("# noqa", False),
        ("# noqa: B010", False),
        ("# type: ignore  # because", False),
        ("# pyright: ignore[reportCallIssue]", False),
        ("# pyright: basic", False),
    ],
)
def test_an_ignore_without_rule_or_reason_is_found(comment: str, good: bool) -> None:
    assert IGNORE.search(comment)
    assert bool(REASONED.search(comment)) == good


def test_hints_of_nouns_can_be_read() -> None:
    trees = {named(p): ast.parse(p.read_text()) for p in sources("dsl")}
    assert [name for name, tree in trees.items() if "__future__" in set(imported(tree))] == []


def test_no_file_names_a_package_index() -> None:
    index = re.compile(
        rb"https?://\S*(?:py[p]i|python[h]osted|conda\.|/sim[p]le\b|registry\.npm)|--(?:extra-)?index[-]url"
    )
    assert [name for name in in_git() if index.search((ROOT / name).read_bytes())] == []


def test_the_readme_names_targets_that_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named_here = re.findall(r"^    make (\w+)", README + (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    assert {"run", "test"} <= set(named_here) <= targets


def test_the_readme_names_verbs_that_exist() -> None:
    if not (ROOT / "scripts" / "command.py").exists():
        pytest.skip("no command line yet")
    verbs = re.findall(r"^    stepwell (\w+)", README, re.MULTILINE)
    code = "import sys; sys.argv = ['stepwell', '--help']; from scripts.command import main; sys.exit(main())"
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert verbs
    assert set(verbs) <= set(re.findall(r"\w+", shown.stdout))


def test_the_experiment_in_the_readme_works(tmp_path: Path) -> None:
    """The python blocks as one file of a user's, in a process of its own: its nouns stay out of this one."""
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    task = re.search(r"^`(Labelled\(.*?)` is now a task", README, re.MULTILINE)
    points = re.search(r"# (\d+) points in (\d+) programs", README)
    assert len(blocks) == 4
    assert task
    assert points
    (tmp_path / "my_experiment.py").write_text("\n".join(blocks[:3]))
    check = f"""
import dataclasses, jax
from my_experiment import *
specs = [point.spec for point in study.points]
assert (len(specs), len(set(map(jax.tree.structure, specs)))) == ({points[1]}, {points[2]})
one = dataclasses.replace(specs[0], task={task[1]}, measure=(*specs[0].measure, Spread() @ every(100)))
for spec in (*specs, one):
    assert load(dump(spec)) == spec
program = compile(one)
knobs = program.knobs(one)
constants = jax.eval_shape(program.constants, knobs, {{}})
state = jax.eval_shape(program.init, knobs, {{}}, constants)
jax.eval_shape(lambda s, k, c: program.advance(s, k, {{}}, c, 1), state, knobs, constants)
seen = jax.eval_shape(lambda s, k, c: program.observe(s, k, {{}}, c, ("Spread",)), state, knobs, constants)
assert seen["Spread"].shape == ()
assert [claim.accept for claim in study.claims] == [below(0.1)]

from runs.claims import grade_all
from runs.figures import svg
from runs.table import Entry, Rows, Table
found = [Entry(spec.digest, p.axes, "finished") for spec, p in zip(specs, study.points)]
rows = Rows.of([(0, 0, {{"TestLoss": 1.0}}), (9, 1, {{"TestLoss": 0.0}})])
table = Table.build(found, {{entry.digest: rows for entry in found}})
assert [verdict.outcome for verdict in grade_all(study, table)] == ["holds"]
assert svg(study.figures[0], table).startswith("<svg")
"""
    _ran(check, tmp_path)


def test_the_mathematics_in_the_readme_works(tmp_path: Path) -> None:
    """The last block, which uses `theory` alone."""
    block = re.findall(r"```python\n(.*?)```", README, re.DOTALL)[-1]
    checks = "assert 0 < distance < 20 ** 0.5\nassert 0 <= solution.value - solution.lower < 1e-9"
    told = _ran(f"{block}\n{checks}", tmp_path)
    assert len(told.split()) == 2


def _ran(code: str, folder: Path) -> str:
    """What a program prints in a process of its own, which finds the packages of this checkout."""
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    ran = subprocess.run([sys.executable, "-c", code], cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout
