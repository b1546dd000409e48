import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runs.table import ColumnError, Entry, Rows, Table, plain

DIGESTS = [f"{i:064x}" for i in range(6)]


def entry(i, status="finished", **axes):
    return Entry(DIGESTS[i], axes, status)


def small():
    rows = {
        DIGESTS[i]: Rows.of([(0, 0.0, {"loss": 4.0 + i, "coef": [1.0, 2.0]}), (10, 1.0, {"loss": 2.0 + i})])
        for i in range(4)
    }
    return Table.build([entry(i, lr=0.1 * (1 + i // 2), seed=i % 2, act=Noun()) for i in range(4)], rows)


class Noun:
    def __repr__(self):
        return "Relu()"


def brute_pivot(entries, observations, name, width):
    """(point, step) -> padded values, by plain loops."""
    cells = {}
    for i, one in enumerate(entries):
        for step, _, values in observations.get(one.digest, []):
            cell = cells.setdefault((i, step), [np.nan] * width)
            for k, value in enumerate(values.get(name, ())):
                cell[k] = value
    return [(key, cells[key]) for key in sorted(cells)]


number = st.floats(allow_nan=False, allow_infinity=True, width=32)
steps = st.lists(st.integers(0, 50), unique=True, max_size=5)


@st.composite
def observed(draw):
    observations = {}
    for digest in DIGESTS[: draw(st.integers(0, 5))]:
        width = draw(st.integers(1, 3))
        values = st.fixed_dictionaries({}, optional={"v": st.lists(number, min_size=width, max_size=width)})
        observations[digest] = [(step, step / 2, draw(values)) for step in draw(steps)]
    return observations


@settings(max_examples=60, deadline=None)
@given(observed(), st.randoms())
def test_pivot_agrees_with_loops(observations, random):
    entries = [entry(i, seed=i) for i in range(6)]
    random.shuffle(entries)
    table = Table.build(entries, {digest: Rows.of(rows) for digest, rows in observations.items()})
    taken = {d: [row for row in rows if row[2]] for d, rows in observations.items()}
    if "v" not in table.columns:
        assert len(table) == 0
        return
    expected = brute_pivot(entries, taken, "v", table["v"].shape[1] if table["v"].ndim > 1 else 1)
    assert list(zip(table.owner.tolist(), table["step"].tolist(), strict=True)) == [key for key, _ in expected]
    np.testing.assert_array_equal(table["v"].reshape(len(expected), -1), np.array([row for _, row in expected]))
    np.testing.assert_array_equal(table["wall_s"], table["step"] / 2)
    assert table["point"].tolist() == [entries[i].digest for i in table.owner]


def test_order_of_long_rows_does_not_matter():
    rows = Rows.of([(s, s, {"a": s, "b": [s, 2 * s]}) for s in range(7)])
    shuffle = np.random.default_rng(0).permutation(len(rows))
    columns = {name: getattr(rows, name)[shuffle] for name in ("step", "name", "index", "value", "wall_s")}
    one, two = (Table.build([entry(0)], {DIGESTS[0]: r}) for r in (rows, Rows(**columns, shapes=rows.shapes)))
    for name in one.columns:
        np.testing.assert_array_equal(one[name], two[name])


def test_columns_types_and_missing_values():
    table = small()
    assert table.columns == ("lr", "seed", "act", "point", "status", "step", "wall_s", "loss", "coef")
    assert table.axes == ("lr", "seed", "act")
    assert len(table) == 8
    assert table["lr"].dtype == np.float64
    assert table["seed"].dtype == np.int64
    assert table["act"].tolist() == ["Relu()"] * 8
    assert table["coef"].shape == (8, 2)
    assert np.isnan(table.at(10)["coef"]).all()
    assert table["loss"].tolist() == [4, 2, 5, 3, 6, 4, 7, 5]


def test_arrays_of_different_size_are_padded_and_matrices_keep_their_shape():
    rows = {
        DIGESTS[0]: Rows.of([(0, 0, {"v": [1.0, 2.0], "m": np.arange(6).reshape(2, 3), "mixed": 1.0})]),
        DIGESTS[1]: Rows.of([(0, 0, {"v": [3.0, 4.0, 5.0], "m": np.ones((3, 2)), "mixed": [7.0, 8.0]})]),
    }
    table = Table.build([entry(0), entry(1)], rows)
    np.testing.assert_array_equal(table["v"], [[1, 2, np.nan], [3, 4, 5]])
    assert table["m"].shape == (2, 3, 3)
    np.testing.assert_array_equal(table["m"][0, :2], [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(table["mixed"], [[1, np.nan], [7, 8]])


def test_where_selects_points_and_rows():
    table = small()
    assert table.where(lr=0.2)["loss"].tolist() == [6, 4, 7, 5]
    assert table.where(lr=0.2, seed=np.int64(1), step=10)["loss"].tolist() == [5]
    assert len(table.where(act=Noun())) == 8
    assert table.where(lr=0.2).points["seed"].tolist() == [0, 1]


def test_a_value_that_no_point_has_is_refused_with_those_there_are():
    with pytest.raises(ColumnError, match=r"^lr has no value 0.3; it has 0.1, 0.2$"):
        small().where(lr=0.3)
    with pytest.raises(ColumnError, match=r"it has 0, 1, 2, 3, 4, 5, 6, 7, \.\.\.$"):
        Table.build([Entry(f"{i:064x}", {"n": i}) for i in range(9)], {}).where(n=9)
    assert len(small().where(status="missing").where(lr=0.1)) == 0
    assert len(small().where(status="missing", lr=0.1)) == 0


def test_rows_filtered_away_leave_their_points():
    table = small().at(3)
    assert len(table) == 0
    assert len(table.points["point"]) == 4
    assert len(small().last()) == 4
    assert set(small().last()["step"]) == {10}


def test_points_without_rows_count():
    table = Table.build([entry(0, "failed: out of memory", seed=0), entry(1, "missing", seed=1)], {})
    assert len(table) == 0
    assert table.points["status"].tolist() == ["failed: out of memory", "missing"]


def test_one_point_under_two_axis_values_has_rows_for_both():
    table = Table.build([entry(0, a=1), entry(0, a=2)], {DIGESTS[0]: Rows.of([(0, 0, {"loss": 3.0})])})
    assert table["a"].tolist() == [1, 2]
    assert table["loss"].tolist() == [3, 3]


def test_groups_follow_the_study():
    groups = dict(small().groups("lr"))
    assert list(groups) == [(0.1,), (0.2,)]
    assert groups[(0.1,)]["loss"].tolist() == [4, 2, 5, 3]
    assert [key for key, _ in small().groups("seed", "lr")] == [(0, 0.1), (1, 0.1), (0, 0.2), (1, 0.2)]
    with pytest.raises(ColumnError, match="step"):
        list(small().groups("step"))


def test_dropna_keeps_rows_with_a_number():
    table = small()
    assert set(table.dropna("coef")["step"]) == {0}
    assert len(table.dropna("act")) == 8
    assert len(table.at(3).dropna("coef")) == 0


def test_observed_nan_is_not_the_same_as_unobserved():
    table = Table.build([entry(0)], {DIGESTS[0]: Rows.of([(0, 0, {"a": np.nan}), (1, 0, {"b": 1.0})])})
    assert table.seen("a").tolist() == [True, False]
    assert np.isnan(table["a"]).all()


def test_axes_that_only_some_points_have_are_none_elsewhere():
    table = Table.build([entry(0, a=1), entry(1, b=True)], {d: Rows.of([(0, 0, {"l": 1})]) for d in DIGESTS})
    assert table["a"].tolist() == [1, None]
    assert table["b"].tolist() == [None, True]
    assert len(table.dropna("a")) == 1
    assert len(table.where(a=None)) == 1


def test_tables_cannot_be_changed():
    table = small()
    for name in table.columns:
        with pytest.raises(ValueError, match="read-only"):
            table[name][0] = table[name][1]


def test_unknown_column_names_the_nearest():
    with pytest.raises(ColumnError, match=r"no column 'los' \(did you mean 'loss'\?\)"):
        small()["los"]
    with pytest.raises(KeyError, match=r"did you mean 'seed'"):
        small().where(seeds=1)


def test_clashing_names_are_refused():
    with pytest.raises(ValueError, match="axis 'step'"):
        Table.build([entry(0, step=1)], {})
    with pytest.raises(ValueError, match="measurement 'lr'"):
        Table.build([entry(0, lr=1)], {DIGESTS[0]: Rows.of([(0, 0, {"lr": 1.0})])})


def test_rows_are_checked():
    with pytest.raises(ValueError, match="differ in length"):
        Rows(np.zeros(2), np.array(["a"]), np.zeros(2), np.zeros(2), np.zeros(2))
    with pytest.raises(ValueError, match="a has index 3 as its largest; expected 1 by its shape"):
        Rows(np.zeros(1), np.array(["a"]), np.array([3]), np.zeros(1), np.zeros(1), {"a": (2,)})
    with pytest.raises(ValueError, match="a at step 1"):
        Rows.of([(0, 0, {"a": 1.0}), (1, 0, {"a": [1.0]})])
    guessed = Rows(np.zeros(3), np.array(["a", "b", "b"]), np.array([0, 0, 1]), np.zeros(3), np.zeros(3))
    assert guessed.shapes == {"a": (), "b": (2,)}


def test_plain_axis_values():
    assert plain(np.float64(0.5)) == 0.5
    assert type(plain(np.int32(3))) is int
    assert plain(None) is None
    assert plain((1, 2)) == "(1, 2)"
    big = Table.build([entry(0, n=2**70), entry(1, n=1)], {})
    assert big.points["n"].tolist() == [2**70, 1]


def test_head_and_repr():
    assert "4 points, 8 rows" in repr(small())
    lines = small().head(2).splitlines()
    assert len(lines) == 3
    assert lines[0].split() == list(small().columns)
    assert Table.build([], {}).head().split() == ["point", "status", "step", "wall_s"]
