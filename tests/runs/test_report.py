import functools
import re
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from dsl import (
    Claim,
    Descent,
    Fresh,
    Hypercube,
    Labelled,
    MeanField,
    Point,
    Relu,
    Sgd,
    SquaredLoss,
    Study,
    TestLoss,
    Training,
    TwoLayer,
    above,
    at_end,
    below,
    between,
    bits,
    grid,
    prod,
    within,
)
from dsl.explain import explain
from runs.claims import grade_all
from runs.figures import curves
from runs.report import is_made_from, render, shown, write_report
from runs.report.environment import days, surroundings
from runs.report.expected import expected
from runs.report.points import points_grid
from runs.statistics import Interval, PerSeed
from runs.table import Entry, Rows, Table

VOID = {"meta", "br", "link", "img", "hr", "input"}
EVIL = "<script>alert(1)</script>"
ENVIRONMENT = {
    "numerics": {"versions": {"jax": "0.10.2"}, "precision": "float32", "lanes": 8, "devices": ["cpu", "cpu"]},
    "host": "secret-host",
    "started": "2025-06-03T10:00:00+00:00",
}


@dataclass(frozen=True)
class Foretold:
    name: str = "leap"
    value: Any = 1.0
    applies: bool = True
    why: str = ""
    conditions: str = "uniform bits"
    citation: str = "2302.11055, definition 1"


@dataclass(frozen=True)
class Unread(Foretold):
    verified: bool = False


HALF, NEAR = Interval(0.5, 0.4, 0.6, 8, "bootstrap"), within(0.2)


class Page(HTMLParser):
    """Checks that tags are balanced; keeps the tags, the texts and the loads."""

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.texts = [], [], []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())


def training(depth=2, lr=0.1, seed=0):
    return Training(
        task=Labelled(Hypercube(8), prod(bits(8)[:depth])),
        model=TwoLayer(width=4, activation=Relu(), scaling=MeanField()),
        loss=SquaredLoss(),
        protocol=Descent(steps=10, draw=Fresh(4), by=Sgd(lr=lr)),
        measure=(TestLoss(Fresh(8)) @ at_end(),),
        seed=seed,
    )


def fall(table, axes):
    """The loss falls <b>fast</b>.

    Not shown.
    """
    curves(axes, table, "TestLoss", by="depth")


def broken(table, axes):
    """It asks for too much."""
    raise RuntimeError(f"no such column {EVIL}")


def claim(measured=HALF, accept=NEAR, predicted=0.45, **changes):
    base = Claim("The loss is about a half", "2108.10573, section 3", lambda _: measured, accept, predicted)
    return replace(base, **changes)


def measured_table(points, status="finished"):
    entries = [Entry(f"{i:064x}", point.axes, status) for i, point in enumerate(points)]
    rows = {
        e.digest: Rows.of((s, s / 10, {"TestLoss": 1.0 / (1 + s) + 0.001 * i, "Coef": [1.0, 2.0]}) for s in (0, 5, 10))
        for i, e in enumerate(entries)
    }
    return Table.build(entries, rows)


def page_of(claims=(), figures=(), predictions=(), environments=(ENVIRONMENT,), table=None, points=None, name="demo"):
    points = grid(training, depth=(2, 3), seed=range(2)) if points is None else points
    study = Study(name, points, claims, figures)
    table = measured_table(study.points) if table is None else table
    return render(study, table, grade_all(study, table), predictions, environments, "stepwell run demo")


def test_nothing_is_loaded_from_outside():
    page = page_of((claim(),), (fall,), [("depth=2, seed=0", [Foretold()])])
    for tag, attributes in Page(page).tags:
        assert tag not in {"script", "link", "img", "iframe", "object", "embed"}
        assert "src" not in attributes
        for name in ("href", "xlink:href"):
            assert tag == "a" or attributes.get(name, "#").startswith("#")
    assert not re.search(r"@import|url\((?!#)|\bon\w+=", page)


def test_sections_stand_in_order():
    page = page_of((claim(),), (fall,), [("seed=0", [Foretold()])])
    titles = re.findall("<h2>(.*?)</h2>", page)
    assert titles == [
        "What theory predicts",
        "Claims",
        "Figures",
        "Points",
        "Spec",
        "Environment",
        "How to run it again",
    ]
    assert "4 points: 4 finished, 0 diverged, 0 failed. Run 2025-06-03." in Page(page).text
    assert "stepwell run demo" in page
    assert "secret-host" not in page


def test_everything_from_outside_is_escaped():
    prediction = Foretold(EVIL, EVIL, False, EVIL, EVIL, EVIL)
    table = measured_table([Point(training(), {"depth": EVIL, "seed": seed}) for seed in range(2)], f"failed: {EVIL}")
    environment = {"numerics": {EVIL: EVIL}}
    page = page_of(
        (claim(statement=EVIL, citation=EVIL), claim(measured=PerSeed(np.ones(2), np.arange(2), (EVIL,)))),
        (fall, broken),
        [(EVIL, [prediction])],
        [environment],
        table,
        name=EVIL,
    )
    assert "<script" not in page
    assert "The loss falls &lt;b&gt;fast&lt;/b&gt;." in page
    assert Page(page).text.count(EVIL) >= 10


def test_predicted_and_measured_stand_side_by_side():
    page = page_of((claim(),))
    row = re.search(r"<tbody>\s*<tr>\s*<th scope=\"row\">The loss is.*?</tr>", page, re.DOTALL)
    assert row is not None
    cells = Page(row[0].removeprefix("<tbody>")).text
    assert "Predicted" not in cells  # a label of narrow screens, not text
    assert "0.45 accepted [0.25, 0.65] 0.5 [0.4, 0.6], 95% bootstrap interval, n = 8 ✓ holds" in cells
    assert '<a href="https://arxiv.org/abs/2108.10573">2108.10573</a>, section 3' in page
    assert '<svg class="mark"' in row[0]
    assert "unverified" not in Page(page).text.lower()


def test_verdicts_are_words_and_counted():
    page = page_of((claim(), claim(accept=below(0.1)), claim(accept=above(0.55)), claim(accept=between(0, 1))))
    text = Page(page).text
    assert "✓ 2 hold ✗ 1 fails ? 1 undecided" in text
    assert "the interval crosses an edge of the band" in text
    assert "at most 0.1" in text


def test_an_unverified_source_is_labelled():
    text = Page(page_of((claim(verified=False),))).text
    assert "unverified source" in text
    assert "has not been checked against its text" in text


def test_predictions_of_theory_itself_are_shown():
    page = page_of(predictions=[("seed=0", explain(training()))])
    assert "unverified source" in page_of(predictions=[("seed=0", [Unread()])])
    assert "leap" in Page(page).text


def test_seeds_are_told_one_by_one():
    seeds = PerSeed(np.array([0.5, 0.6, np.nan, np.inf]), np.arange(4), ("seed 2: diverged at step 3",))
    text = Page(page_of((claim(measured=seeds),))).text
    assert "2 of 3 seeds inside" in text
    assert "8 of 8 seeds inside success" in Page(page_of((claim(PerSeed(np.ones(8), range(8)), below(2.0)),))).text
    assert "no value for seed 2" in text
    assert "seed 2: diverged at step 3" in text
    assert "values 0.5, 0.6, ∞" in text


@pytest.mark.parametrize(
    "measured", [Interval(np.nan, np.nan, np.nan, 0, "none"), PerSeed(np.full(2, np.nan), np.arange(2)), "text"]
)
def test_what_is_not_measured_is_undecided(measured):
    page = page_of((claim(measured=measured),))
    assert "? undecided" in Page(page).text
    assert '<svg class="mark"' not in page


@pytest.mark.parametrize("value", [0.0, 1e300, -1e300, np.inf, -np.inf, 5e-324])
@pytest.mark.parametrize("accept", [below(0.0), between(0.0, 0.0), within(1e-300), between(-np.inf, np.inf)])
def test_marks_bear_extreme_numbers(value, accept):
    page = page_of((claim(measured=Interval(value, value, value, 1, "exact"), accept=accept),))
    mark = "".join(re.findall(r'<svg class="mark".*?</svg>', page, re.DOTALL))
    places = [float(v) for v in re.findall(r' (?:x|x1|x2|cx|width)="([^"]*)"', mark)]
    assert all(0 <= place <= 200 for place in places)


def test_equal_predictions_are_shown_once():
    labels = [(f"depth={d}, seed={s}", [Foretold(value=d)]) for d in (2, 3) for s in range(8)]
    found = expected(labels)
    assert [each.title for each in found] == ["depth=2 (8 points)", "depth=3 (8 points)"]
    assert [each.title for each in expected([("seed=3", [Foretold()])] * 2)] == ["every point (2 points)"]
    many = expected([(f"n={n}, seed=0", [Foretold()]) for n in range(6)])
    assert many[0].title == "n=0; n=1; n=2; n=3; and 2 more (6 points)"


def test_a_prediction_that_does_not_apply_says_why():
    page = page_of(predictions=[("seed=0", [Foretold(applies=False, why="the law is not uniform", value="secret")])])
    text = Page(page).text
    assert "1 prediction does not apply" in text
    assert "leap the law is not uniform" in text
    assert "secret" not in text


def test_predictions_that_do_not_apply_are_folded_and_those_of_one_reason_share_a_row():
    off = [Foretold(name, applies=False, why="no expansion") for name in ("support", "leap", "leap")]
    other = Foretold("csq", applies=False, why="no group")
    (group,) = expected([("seed=0", [Foretold("kappa"), *off, other, Foretold("kappa")])])
    assert [(row.name, times) for row, times in group.rows] == [("kappa", 2)]
    assert [(row.names, row.why) for row in group.silent] == [
        ("support, leap (2 times)", "no expansion"),
        ("csq", "no group"),
    ]
    (unread,) = expected([("seed=0", [Unread(applies=False)])])
    assert unread.silent[0].citations == "2302.11055, definition 1 (unverified source)"
    page = page_of(predictions=[("seed=0", [Foretold("kappa"), *off])])
    folded = page[page.index('<details class="off">') : page.index("</details>")]
    assert "<summary>3 predictions do not apply</summary>" in folded
    assert "no expansion" in folded
    assert page.count("no expansion") == 1
    assert "kappa" not in folded


def test_a_failed_figure_leaves_the_page():
    page = page_of(figures=(broken, fall))
    text = Page(page).text
    assert "RuntimeError: no such column" in text
    assert "Figure 1. It asks for too much." in text
    assert page.count('role="img"') == 1


def test_what_a_users_function_raises_has_its_line():
    text = Page(page_of((claim(lambda t: t["TestLoss"][10**6]),), (broken,))).text
    line = broken.__code__.co_firstlineno + 2
    assert f"This figure failed. test_report.py:{line}: RuntimeError: no such column" in text
    verdict = grade_all(Study("s", [training()], [Claim("c", "", lambda t: 1 / 0, below(1.0))]), measured_table([]))[0]
    assert re.fullmatch(r"test_report\.py:\d+: ZeroDivisionError: division by zero", verdict.detail)


def test_before_a_point_has_finished_that_is_the_reason():
    points = [Point(training(seed=s), {"depth": 2, "seed": s}) for s in range(2)]
    table = Table.build([Entry(p.spec.digest, p.axes) for p in points], {})
    lost = Claim("c", "", lambda t: t["TestLoss"], below(1.0))
    text = Page(page_of((lost,), (fall,), table=table, points=points)).text
    assert text.count("no point has finished") == 2
    assert "ColumnError" not in text


def test_a_study_without_figures_has_learning_curves():
    text = Page(page_of()).text
    assert "TestLoss against the step: median and 10% to 90% band over seeds, for each depth." in text
    assert "Components of Coef against the step: median over seeds with depth=3." in text
    assert "no figures of its own" not in page_of(figures=(fall,))
    two = page_of(points=grid(training, depth=(2, 3), lr=(0.1, 0.2)))
    assert "over seeds, for each depth, lr." in two
    assert "3, 0.2" in two
    many = grid(training, lr=[0.1 + k / 100 for k in range(9)])
    assert "This study has no figures." in Page(page_of(points=many)).text


def test_an_interval_is_told_with_the_digits_in_which_its_ends_differ():
    narrow = Interval(1.01204, 1.01198, 1.01211, 8, "bootstrap")
    assert "1.01204 [1.01198, 1.01211], 95% bootstrap" in Page(page_of((claim(narrow),))).text
    assert shown.bracket(12500.1, 12500.4) == "[12,500.10, 12,500.40]"
    assert shown.bracket(0.5, 0.5) == "[0.5, 0.5]"
    assert shown.bracket(-np.inf, 1.0) == "[\N{MINUS SIGN}∞, 1]"


def test_figures_have_captions_and_identifiers_of_their_own():
    page = page_of(figures=(fall, functools.partial(fall), lambda table, axes: axes.plot([0, 1])))
    identifiers = re.findall(r'\bid="([^"]*)"', page)
    assert len(identifiers) == len(set(identifiers))
    for used in re.findall(r'(?:href="#|url\(#|aria-labelledby=")([^")]*)', page):
        assert used in identifiers
    assert page.count("The loss falls") == 2
    assert "&lt;lambda&gt;" in page


def test_an_empty_study_has_a_page():
    page = page_of(table=Table.build([], {}), points=[], environments=())
    text = Page(page).text
    assert "0 points: 0 finished" in text
    for sentence in ("makes no claims", "no figures", "There are no points", "No environment", "No prediction"):
        assert sentence in text


def test_points_that_did_not_run_are_counted():
    points = grid(training, seed=range(3))
    entries = [Entry(f"{i:064x}", p.axes) for i, p in enumerate(points)]
    assert (
        "3 points: 0 finished, 0 diverged, 0 failed, 3 not run"
        in Page(page_of(table=Table.build([], {}), points=points)).text
    )
    text = Page(page_of((claim(lambda t: t["loss"]),), (fall,), table=Table.build(entries, {}), points=points)).text
    assert "3 not run" in text
    assert "blocked" not in text


def test_each_point_is_a_row_with_its_final_values():
    grid_of = points_grid(measured_table(grid(training, lr=(0.1, 0.25), seed=range(2))))
    assert grid_of.header == ("lr", "seed", "status", "TestLoss", "Coef", "wall time")
    assert grid_of.rows[3] == ("0.25", "1", "finished", "0.09391", "(1, 2)", "1 s")


def test_arrays_are_shown_by_their_numbers_or_by_how_many_they_are():
    """All that an `Analysis` measures may be arrays, of other sizes in other points."""
    values = {"n": np.eye(2), "m": np.arange(9.0).reshape(3, 3), "k": np.array([np.nan])}
    rows = {name * 64: Rows.of([(0, 0.5, {"Matrix": value})]) for name, value in values.items()}
    table = Table.build([Entry(name * 64, {"axis": name}, "finished") for name in values], rows)
    assert [row[2] for row in points_grid(table).rows] == ["(1, 0, 0, 1)", "9 numbers in [0, 8]", "NaN"]
    assert points_grid(table).header == ("axis", "status", "Matrix", "wall time")


def test_rows_that_repeat_exactly_are_one_with_a_count():
    entries = [Entry(f"{i:064x}", {}, "failed: memory" if i < 3 else "missing") for i in range(4)]
    found = points_grid(Table.build(entries, {}))
    assert (found.header, found.named) == (("points", "status", "wall time"), 1)
    assert found.rows == (("3", "failed: memory", "–"), ("1", "not run", "–"))  # noqa: RUF001 # the sign for nothing


def test_many_points_are_summarised_without_the_seed():
    points = grid(training, lr=(0.1, 0.2), seed=range(250))
    page = page_of((claim(),), (lambda table, axes: curves(axes, table, "TestLoss", by="lr"),), points=points)
    summary = points_grid(measured_table(points))
    assert summary.header == ("lr", "finished", "TestLoss", "Coef", "wall time")
    assert "Of arrays, [smallest, largest] of all their numbers." in summary.notes
    assert [row[:2] for row in summary.rows] == [("0.1", "250 of 250"), ("0.2", "250 of 250")]
    assert "500 points: 500 finished" in Page(page).text
    assert "Training (500 points)" in Page(page).text


def test_a_summary_takes_finished_points_alone():
    points = grid(training, lr=(0.1,), seed=range(201))
    whole, lost = measured_table(points), measured_table(points, "diverged at step 11")
    assert points_grid(whole).rows == (("0.1", "201 of 201", "0.1909 [0.09091, 0.2909]", "[1, 2]", "1 s"),)
    assert points_grid(lost).rows == (("0.1", "0 of 201", "–", "–", "–"),)  # noqa: RUF001 # the page's sign for nothing
    assert "201 points: diverged at step 11" in points_grid(lost).notes


def test_a_summary_without_axes_and_one_with_too_many():
    entries = [Entry(f"{i:064x}", {"seed": i}, "failed: memory\nat home") for i in range(201)]
    assert points_grid(Table.build(entries, {})).rows == (("0 of 201", "–"),)  # noqa: RUF001 # the page's sign for nothing
    assert "201 points: failed: memory" in points_grid(Table.build(entries, {})).notes
    many = points_grid(Table.build([Entry(f"{i:064x}", {"n": i}) for i in range(300)], {}))
    assert len(many.rows) == 200
    assert "The first 200 of 300 combinations" in many.notes[1]


def test_one_spec_for_each_structure():
    text = Page(page_of(points=grid(training, depth=(2, 3), lr=(0.1, 0.2), seed=range(2)))).text
    assert "Training depth=2 (4 points) Shown: depth=2, lr=0.1, seed=0; digest" in text
    assert text.count('"kind": "TwoLayer"') == 2


def test_each_environment_is_shown_once():
    other = {"numerics": ENVIRONMENT["numerics"] | {"lanes": 1}, "finished": 0.0}
    found = surroundings([ENVIRONMENT, ENVIRONMENT, other])
    assert [each.title for each in found] == ["2 points", "1 point"]
    assert found[0].rows == (("jax", "0.10.2"), ("precision", "float32"), ("lanes", "8"), ("devices", "cpu, cpu"))
    assert surroundings([{"numerics": {}}, {}]) == []
    assert days([ENVIRONMENT, other]) == "1970-01-01 to 2025-06-03"
    assert days([{"started": "soon", "time": 1e300}, {}]) == ""


def test_the_page_is_the_same_for_equal_input():
    arguments = ((claim(),), (fall,), [("seed=0", [Foretold()])])
    assert page_of(*arguments) == page_of(*arguments)


def test_the_file_is_whole_or_as_before(tmp_path):
    study = Study("demo", grid(training, seed=range(2)))
    arguments = (measured_table(study.points), [], [], [], "stepwell run demo", tmp_path / "new" / "demo.html")
    path = write_report(study, *arguments)
    first = path.read_text("utf-8")
    with pytest.raises(AttributeError):
        write_report(study, arguments[0], ["no verdict"], *arguments[2:])
    assert path.read_text("utf-8") == first
    assert [p.name for p in path.parent.iterdir()] == ["demo.html"]


def test_a_page_is_known_by_what_it_was_made_from(tmp_path):
    study, path = Study("demo", grid(training, seed=range(2))), tmp_path / "demo.html"
    arguments = (study, measured_table(study.points), [], [], [], "stepwell run demo", path)
    assert not is_made_from(path, "a" * 64)
    write_report(*arguments)
    assert not is_made_from(path, "")
    write_report(*arguments, "a" * 64)
    assert is_made_from(path, "a" * 64)
    assert not is_made_from(path, "b" * 64)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.31623, "0.3162"),
        (12500.0, "12,500"),
        (8000.0, "8,000"),
        (1.2e-5, "1.2·10⁻⁵"),
        (np.inf, "∞"),
        (np.nan, "NaN"),
        (0.0, "0"),
    ],
)
def test_numbers_are_written_as_people_do(value, text):
    assert shown.number(value) == text


def test_signs_are_minus_signs():
    assert shown.number(-1e-9) == "\N{MINUS SIGN}1·10⁻⁹"
    assert shown.number(-np.inf) == "\N{MINUS SIGN}∞"


def test_only_identifiers_become_links():
    assert shown.linked("see 2302.11055v2 & 12.3456") == (
        'see <a href="https://arxiv.org/abs/2302.11055">2302.11055v2</a> &amp; 12.3456'
    )
    assert "<a" not in shown.linked("10.1000/12345.67890")
