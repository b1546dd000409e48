"""A noun's code is what it names, and no more."""

import sys
import textwrap
from collections import Counter

import pytest

from dsl.spec import KINDS
from runs.execute import execute
from runs.heard import Heard
from runs.options import RunOptions
from runs.plan import stages
from runs.records import Records
from runs.sourcehash import source_hash
from runs.sources import open_source
from runs.store import OnDisk
from runs.userfile import run_file

TEXT = """
    from beside import SCALE
    C = 1.0
    UNUSED = 2.0

    def helper(x):
        return C * x

    class Noun:
        '''A noun.'''

        def __call__(self, x):
            return SCALE * helper(x)
"""


@pytest.fixture
def hashed(tmp_path):
    made = iter(range(100))

    def hash_of(text, beside="SCALE = 1.0\n"):
        folder = tmp_path / str(next(made))
        folder.mkdir()
        (folder / "beside.py").write_text(beside)
        file = folder / "nouns_of_mine.py"
        file.write_text(textwrap.dedent(text))
        for name in ("beside", "nouns_of_mine"):
            sys.modules.pop(name, None)
        module = run_file(file, file.read_bytes())
        try:
            return source_hash(module.Noun)
        finally:
            for name in ("beside", "nouns_of_mine"):
                sys.modules.pop(name, None)

    return hash_of


def test_comments_and_what_is_not_used_do_not_count(hashed):
    assert hashed(TEXT) == hashed(TEXT.replace("C = 1.0", "C = 1.0  # one").replace("UNUSED = 2.0", "UNUSED = 3.0"))


@pytest.mark.parametrize(
    ("old", "new"), [("C = 1.0", "C = 2.0"), ("C * x", "C + x"), ("SCALE * helper", "SCALE + helper")]
)
def test_constants_helpers_and_the_body_count(hashed, old, new):
    assert hashed(TEXT) != hashed(TEXT.replace(old, new))


def test_a_file_beside_it_counts(hashed):
    assert hashed(TEXT) != hashed(TEXT, beside="SCALE = 3.0\n")


NOUN = """
from dsl import *

class Kinked(Activation):
    def __call__(self, z):
        return abs(z) * {factor}

study = Study("kinks", [Training(
    task=Labelled(Hypercube(3), bits(3)[0]), model=TwoLayer(2, Kinked(), Standard()), loss=SquaredLoss(),
    protocol=Descent(3, Exact(), by=Sgd(0.1)), measure=(TestLoss(Exact()) @ at_end(),), seed=0)])
"""


@pytest.fixture
def opened(tmp_path):
    def open_with(factor):
        file = tmp_path / "kinked_study.py"
        file.write_text(NOUN.format(factor=factor))
        return open_source(str(file)).study.points[0].spec

    yield open_with
    sys.modules.pop("kinked_study", None)
    for name in [name for name in KINDS if name.startswith("kinked_study")]:
        del KINDS[name]


def ran(point, root, **choice):
    """What the engine tells of one point, with its records in a directory."""
    told = []
    store = OnDisk.at(root, choice.get("rerun", False), choice.get("accept", False))
    for stage in stages([point]):
        execute(stage.groups, store, RunOptions(records=root), told.append)
    return [event for event in told if event["event"] in ("done", "skipped", "conflict")]


def loss(root, point):
    return float(Records(root).rows(point.digest).value[0])


def test_a_noun_that_was_changed_under_its_name_is_told_and_then_rerun_or_accepted(opened, tmp_path):
    root = tmp_path / "records"
    first = opened("1.0")
    assert [event["event"] for event in ran(first, root)] == ["done"]
    before = loss(root, first)
    again = opened("1.0  # the same")
    assert [event["event"] for event in ran(again, root)] == ["skipped"]

    changed = opened("2.0")
    assert changed.digest == first.digest  # the name is the same, and so is the digest
    (event,) = ran(changed, root)
    assert event["event"] == "conflict"
    assert event["message"] == "the code of kinked_study.Kinked, or what it uses, is another"
    assert loss(root, first) == before  # it was left alone

    told = Heard({}, conflicts=Counter([event["message"]])).told_conflicts()
    assert "1 point: the code of kinked_study.Kinked, or what it uses, is another" in told
    assert "--rerun (the old records are kept aside), or take them as they are with --accept" in told

    assert [event["event"] for event in ran(changed, root, accept=True)] == ["skipped"]
    assert [event["event"] for event in ran(changed, root)] == ["skipped"]  # an acceptance is remembered
    assert loss(root, first) == before
    assert [event["event"] for event in ran(changed, root, rerun=True)] == ["done"]
    assert loss(root, first) != before
    assert [path.name for path in (root / "superseded").iterdir()] == [f"{first.digest}-1"]
    assert [event["event"] for event in ran(opened("1.0"), root)] == ["conflict"]  # the first code is now the other one
