"""What a newcomer's mistakes look like on the terminal."""

import sys
from pathlib import Path

import pytest

import dsl
from scripts.command import answer


@pytest.fixture(autouse=True)
def _tidy(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    yield
    for name in [n for n, m in sys.modules.items() if str(tmp_path) in (getattr(m, "__file__", None) or "")]:
        del sys.modules[name]
    for name in [n for n in dsl.spec.KINDS if n.startswith("telling_study")]:
        del dsl.spec.KINDS[name]


FAILING = '''
import warnings
import jax.numpy as jnp
from dsl import *

class Mean(Measurement):
    traced = False

    def __call__(self, experiment, state, constants, key):
        warnings.warn("take care")
        x, _ = experiment.of.nodes()
        if x.shape[1] > 2:
            raise ValueError("three is too many")
        return jnp.mean(x)

def made(d: int, seed: int) -> Analysis:
    return Analysis(of=Hypercube(d), measure=(Mean(),), seed=seed)

def means(table, axes):
    """The means."""
    raise KeyError("no\\nsuch column")

study = Study("failing", grid(made, d=(2, 3), seed=range(2)), figures=[means])
'''


def test_failures_warnings_and_broken_figures_are_told_in_the_terminal(capsys):
    Path("telling_study.py").write_text(FAILING)
    assert answer(["run", "telling_study.py"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines.count("warning: telling_study.py:10: take care") == 1
    assert "point 2 (d=3, seed=0) failed:" in lines
    assert "point 3 (d=3, seed=1) failed, with the same error" in lines
    assert sum(line.endswith("ValueError: three is too many") for line in lines) == 1
    broken = r"the figure means failed: telling_study.py:21: KeyError: 'no\nsuch column'"
    assert broken in lines
    assert answer(["run", "telling_study.py", "--accept"]) == 1
    assert broken in capsys.readouterr().err.splitlines()


def test_list_prints_the_nouns_by_what_they_are(capsys):
    assert answer(["list", "--nouns"]) == 0
    lines = capsys.readouterr().out.splitlines()
    nouns = [line.split()[0] for line in lines if line.startswith("  ")]
    public = [getattr(dsl, name) for name in dsl.__all__]
    final = {
        c.__name__ for c in public if isinstance(c, type) and issubclass(c, dsl.Spec) and c.__spec_hints__ is not None
    }
    assert sorted(nouns) == sorted(final)
    assert lines.index(next(line for line in lines if line.startswith("Solver: "))) < lines.index(
        next(line for line in lines if line.startswith("  Sinkhorn  "))
    )
    assert any(line.startswith("Other nouns") for line in lines)


def test_list_prints_what_has_a_text(capsys):
    assert answer(["list", "--nouns", "staircase"]) == 2
    assert answer(["list", "--nouns", "Hypercub"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("Distribution: ")
    assert any(line.startswith("  Hypercube  ") for line in out)
    assert not any(line.startswith("  Mlp") for line in out)
    assert answer(["list", "leap"]) == 0
    assert any(line.startswith("leap ") for line in capsys.readouterr().out.splitlines())
    assert answer(["list", "nothing like it"]) == answer(["list", "--nouns", "Hypercubes"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "stepwell: list: no shipped study has 'nothing like it' in its name or line",
        "stepwell: list: no noun has 'Hypercubes' in its name or line (did you mean 'Hypercube'?)",
    ]
