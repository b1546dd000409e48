import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from importlib import resources

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from runs.figures import COLOURS, VARIABLES, components, curves, heat_map, panels, save_pdf, svg
from runs.table import Entry, Rows, Table

STEPS = (0, 10, 20)


def study(lrs=(0.1, 0.2), seeds=range(4), status="finished", stop=None):
    entries = [
        Entry(f"{i:064x}", {"lr": lr, "seed": s}, status)
        for i, (lr, s) in enumerate((a, b) for a in lrs for b in seeds)
    ]
    rows = {
        e.digest: Rows.of(
            (
                step,
                float(step),
                {"loss": e.axes["lr"] * step + e.axes["seed"], "coef": [step * k for k in (1.0, 2.0, 3.0)]},
            )
            for step in STEPS[:stop]
        )
        for e in entries
    }
    return Table.build(entries, rows)


class Spy:
    """Keeps the axes that a figure drew on, and draws."""

    def __init__(self, draw):
        self.draw = draw

    def __call__(self, table, axes):
        self.draw(table, axes)
        self.lines = {line.get_label(): (line.get_xdata(), line.get_ydata()) for line in axes.get_lines()}
        self.bands = [path.vertices for band in axes.collections for path in band.get_paths()]


def by_lr(table, axes):
    curves(axes, table, "loss", by="lr")


def test_curves_are_medians_over_seeds():
    spy = Spy(by_lr)
    svg(spy, study())
    assert set(spy.lines) == {"0.1", "0.2"}
    np.testing.assert_array_equal(spy.lines["0.1"][0], STEPS)
    np.testing.assert_allclose(spy.lines["0.2"][1], [1.5, 3.5, 5.5])


def test_band_is_the_quantiles():
    spy = Spy(lambda table, axes: curves(axes, table, "loss", by="lr", band=(0.0, 1.0)))
    svg(spy, study(lrs=(0.1,)))
    at_start = spy.bands[0][spy.bands[0][:, 0] == 0][:, 1]
    assert (at_start.min(), at_start.max()) == (0.0, 3.0)


def test_legend_says_where_points_did_not_finish():
    assert "0.1 (0 of 4 finished)" in svg(by_lr, study(status="diverged at step 11", stop=2))
    assert "finished" not in svg(by_lr, study())


def test_a_diverged_value_is_left_out():
    entries = [Entry(f"{i:064x}", {"lr": 0.1, "seed": i}, "finished") for i in range(2)]
    rows = {
        entries[0].digest: Rows.of([(0, 0.0, {"loss": 1.0}), (1, 0.0, {"loss": np.inf}), (2, 0.0, {"loss": np.nan})]),
        entries[1].digest: Rows.of([(0, 0.0, {"loss": 3.0}), (1, 0.0, {"loss": 3.0})]),
    }
    spy = Spy(by_lr)
    svg(spy, Table.build(entries, rows))
    np.testing.assert_array_equal(spy.lines["0.1"][1], [2.0, 3.0])


def test_points_that_differ_in_more_than_the_seed_are_refused():
    with pytest.raises(ValueError, match="seed 0 occurs 2 times in the table"):
        svg(lambda table, axes: components(axes, table, "coef", "abc"), study())


def test_components_have_one_line_each():
    spy = Spy(lambda table, axes: components(axes, table.where(lr=0.1), "coef", ("a", "b", "c")))
    svg(spy, study())
    np.testing.assert_array_equal(spy.lines["c"][1], [0, 30, 60])


@pytest.mark.parametrize(
    "draw",
    [
        lambda table, axes: components(axes, table.where(lr=0.1), "coef", ("a", "b")),
        lambda table, axes: curves(axes, table, "coef", by="lr"),
    ],
)
def test_shapes_are_checked(draw):
    with pytest.raises(ValueError, match=r"coef has shape \(3,\)"):
        svg(draw, study())


def test_a_table_without_rows_gives_an_empty_figure():
    entries = [Entry("0" * 64, {"lr": 0.1, "seed": 0})]
    rows = {"0" * 64: Rows.of([])}
    table = Table.build(
        [*entries, Entry("1" * 64, {"lr": 0.2, "seed": 0})], rows | {"1" * 64: Rows.of([(0, 0, {"loss": 1.0})])}
    )
    spy = Spy(by_lr)
    svg(spy, table)
    assert len(spy.lines["0.1 (0 of 1 finished)"][0]) == 0


def test_svg_is_one_element_that_is_the_same_each_time():
    picture = svg(by_lr, study())
    assert picture == svg(by_lr, study())
    assert ElementTree.fromstring(picture).tag.endswith("svg")
    assert "<metadata" not in picture
    assert "<!" not in picture


@pytest.mark.slow
def test_svg_is_the_same_in_a_fresh_process():
    code = (
        "from runs.figures import svg; import hashlib; from runs.table import Table\n"
        "draw = lambda t, a: (a.plot([0, 1]), a.fill_between([0, 1], [2, 3]), a.set_title('x'))\n"
        "import sys; sys.stdout.write(hashlib.sha256(svg(draw, Table.build([], {})).encode()).hexdigest())"
    )
    found = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout for _ in "ab"
    }
    assert len(found) == 1


def test_a_heat_map_is_clear_at_zero_and_holds_its_picture():
    matrix = np.array([[0.0, 0.5], [-1.0, 3.0]])
    draw = lambda table, axes: heat_map(axes, matrix, reach=1.0)
    axes = Figure().add_subplot()
    draw(None, axes)
    image = axes.images[0]
    clear, warm, cold, beyond = image.to_rgba(image.get_array()).reshape(4, 4)
    assert clear[3] == pytest.approx(0, abs=0.01)
    assert warm[3] == pytest.approx(0.5, abs=0.01)
    assert to_hex(cold) == COLOURS[0]
    assert to_hex(beyond) == COLOURS[1]
    text = svg(draw, study())
    assert text == svg(draw, study())
    links = [line for line in text.split() if line.startswith("xlink:href=")]
    assert links
    assert all(link.startswith(('xlink:href="data:image/png;base64', 'xlink:href="#')) for link in links)


def test_a_heat_map_without_negative_entries_has_no_colours_for_them():
    axes = Figure().add_subplot()
    heat_map(axes, np.array([[0.0, 1.0], [2.0, 4.0]]))
    image = axes.images[0]
    assert image.get_clim() == (0.0, 4.0)
    clear, _, half, full = image.to_rgba(image.get_array()).reshape(4, 4)
    assert clear[3] == pytest.approx(0, abs=0.01)
    assert half[3] == pytest.approx(0.5, abs=0.01)
    assert to_hex(full) == COLOURS[1]


def test_panels_stand_side_by_side_each_by_its_largest_entry():
    axes = Figure().add_subplot()
    first, second = np.array([[0.0, 2.0], [1.0, 0.0]]), np.array([[0.5, 0.0], [0.0, 0.0]])
    panels(axes, [[first, second], [second, np.zeros((2, 2))]], ["a", "b"], ["top", "bottom"])
    shown = np.asarray(axes.images[0].get_array())
    assert shown.shape == (8, 8)  # a row of room around each
    np.testing.assert_array_equal(shown[1:3, 1:3], first / 2)
    np.testing.assert_array_equal(shown[1:3, 5:7], second * 2)
    np.testing.assert_array_equal(shown[5:7, 1:3], second * 2)
    assert shown.sum() == pytest.approx(1.5 + 1 + 1)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "b"]
    with pytest.raises(ValueError, match="panels: 1 and 0 names for 1 rows of 2 panels"):
        panels(axes, [[first, second]], ["a"])


def test_text_is_text_and_escaped():
    picture = svg(lambda table, axes: axes.set_title("a < b <script>alert(1)</script>"), study())
    assert "a &lt; b &lt;script&gt;" in picture
    assert "<script" not in picture


def test_the_users_settings_neither_matter_nor_change():
    before = svg(by_lr, study())
    with matplotlib.rc_context({"font.size": 30, "lines.linewidth": 9}):
        assert svg(by_lr, study()) == before
        assert matplotlib.rcParams["font.size"] == 30


def test_pyplot_is_not_imported():
    code = (
        "import sys; from runs.figures import svg; from runs.table import Table\n"
        "svg(lambda t, a: None, Table.build([], {})); assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_house_colours_are_variables_that_the_page_knows():
    css = resources.files("runs.report").joinpath("page.css").read_text("utf-8")
    for colour, name in VARIABLES.items():
        assert css.count(f"--{name}: ") == 2  # light and dark
        assert colour in css or colour == "#000000"
    assert f"stroke: var(--c0, {COLOURS[0]})" in svg(by_lr, study())


def test_pdf_is_whole_or_absent(tmp_path):
    path = save_pdf(by_lr, study(), tmp_path / "new" / "loss.pdf")
    assert path.read_bytes().startswith(b"%PDF")
    first = path.read_bytes()
    with pytest.raises(KeyError):
        save_pdf(lambda table, axes: table["no"], study(), path)
    assert save_pdf(by_lr, study(), path).read_bytes() == first
    assert [p.name for p in path.parent.iterdir()] == ["loss.pdf"]
