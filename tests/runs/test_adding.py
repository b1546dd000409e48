"""The user's files in the data directory: what is read, what is refused, and what experiments make of them."""

import hashlib
import io
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from dsl import *
from runs import inputs, parquet
from runs.adding import add, task_of, told
from runs.arrays import read_arrays
from runs.here import run
from runs.options import RunError

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(20, 4)).astype(np.float32), np.arange(20) % 3


@pytest.fixture(autouse=True)
def _here(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STEPWELL_DATA", raising=False)


def npz(path="a.npz", **arrays):
    np.savez(path, **(arrays or {"x": X, "y": Y}))
    return Path(path)


def images(folder="im", classes=("cat", "dog"), size=(3, 5)):
    """Two random images of each class, and what they hold."""
    found = RNG.integers(0, 256, (2 * len(classes), *size), dtype=np.uint8)
    for i, pixels in enumerate(found):
        Path(folder, classes[i // 2]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(Path(folder, classes[i // 2], f"{i}.png"))
    return Path(folder), found


def test_a_file_is_copied_whole_and_named_by_its_content():
    source = npz()
    added = add(source)
    assert added.path == Path("data/a.npz")
    assert added.path.read_bytes() == source.read_bytes()
    assert added.noun == Stored("a.npz", hashlib.sha256(source.read_bytes()).hexdigest())
    assert add(source).noun == added.noun
    assert [path.name for path in Path("data").iterdir()] == ["a.npz"]
    np.testing.assert_array_equal(inputs.stored(Analysis(of=added.noun, measure=()), None)["of"]["x"], X)


def test_the_data_directory_is_an_option_or_a_variable(monkeypatch):
    assert add(npz(), data=Path("one")).path == Path("one/a.npz")
    monkeypatch.setenv("STEPWELL_DATA", "two")
    assert add(npz()).path == Path("two/a.npz")
    assert add(npz(), "b.npz", Path("three")).path == Path("three/b.npz")


def test_every_format_is_read():
    rows = ", ".join(f"({list(map(float, x))}::float[], {y})" for x, y in zip(X, Y, strict=True))
    parquet.database().execute(f"copy (select * from (values {rows}) t(x, y)) to 'a.parquet' (format parquet)")
    save_file({"x": X, "y": Y}, "a.safetensors")
    np.save("a.npy", X)
    for name in ("a.parquet", "a.safetensors"):
        found = add(Path(name)).arrays
        np.testing.assert_array_equal(found["x"], X)
        np.testing.assert_array_equal(found["y"], Y)
    np.testing.assert_array_equal(add(Path("a.npy")).arrays["value"], X)


def test_a_folder_of_images_is_one_file_of_pixels_and_classes():
    folder, pixels = images()
    (folder / ".hidden").write_text("not an image")
    added = add(folder)
    assert (added.noun.name, added.classes) == ("im.safetensors", ("cat", "dog"))
    found = read_arrays(added.path, added.path.read_bytes())
    np.testing.assert_array_equal(found["x"], pixels)
    np.testing.assert_array_equal(found["y"], [0, 0, 1, 1])
    assert add(folder).noun == added.noun
    assert list(add(folder / "cat").arrays) == ["x"]


def test_the_noun_is_printed_with_the_task_that_its_arrays_make():
    lines = list(told(add(npz())))
    noun = eval(lines[0])
    assert noun == add(npz()).noun
    assert eval(lines[-1].removeprefix("as a task: ")) == StoredExamples(noun, 20, (4,), 3)
    assert task_of(add(images()[0])) == StoredExamples(add(Path("im")).noun, 4, (3, 5), 2, scale=1 / 255)
    assert task_of(add(npz("b.npz", x=X, y=X[:, 0]))).y_length is None
    assert task_of(add(npz("c.npz", x=X, y=X[:, :2]))).y_length == 2
    assert task_of(add(npz("d.npz", x=X, y=Y > 1))).y_length == 2
    assert task_of(add(npz("e.npz", x=X[:, 0], y=Y))).x_shape == (1,)


@pytest.mark.parametrize(
    ("arrays", "why"),
    [
        ({"x": X, "y": Y[:3]}, "n: expected 20 examples in 'y', got shape (3,)"),
        ({"x": X * np.nan, "y": Y}, "x: 80 of the 80 numbers of 'x' are NaN or infinite"),
        ({"x": X, "y": np.zeros((20, 2, 2))}, "y has shape (20, 2, 2); expected (20,) or (20, k)"),
        ({"x": X[:, :0], "y": Y}, "x has shape (20, 0) and y (20,): there are no numbers"),
        ({"x": X[0, 0], "y": Y[0]}, "x has shape () and y (): there are no examples"),
    ],
)
def test_what_makes_no_task_is_told_with_the_reason(arrays, why):
    added = add(npz(**arrays))
    *_, reason, advice = told(added)
    assert task_of(added) is None
    assert reason == f"x and y make no task: {why}"
    assert advice.endswith("x='...', y='...') makes a task of two arrays")


def test_the_noun_of_measures_is_printed_where_the_points_are_some():
    points, masses = RNG.normal(size=(3, 4, 2)), np.full((3, 4), 0.25)
    noun, *_, line = told(add(npz(points=points, masses=masses)))
    assert line == f"as measures: {StoredMeasures(eval(noun))!r}"
    noun, *_, line = told(add(npz("b.npz", points=points, weights=masses)))
    equal = "as measures, of equal masses, because there is no array 'masses': "
    assert line == f"{equal}{StoredMeasures(eval(noun))!r}"
    *_, line, task = told(add(npz("c.npz", points=points, x=X, y=Y)))
    assert line.startswith(equal)
    assert task.startswith("as a task: ")
    *_, line, advice = told(add(npz("d.npz", points=points, masses=masses[:2])))
    assert line == "points make no measures: masses have shape (2, 4), expected (3, 4), one a point"
    assert advice.endswith("makes a task of two arrays")


def test_columns_are_told_to_be_taken_together():
    parquet.database().execute(
        "copy (select i / 3 as a, i * i as b, i % 3 as kind from range(20) t(i)) to 'a.parquet' (format parquet)"
    )
    added = add(Path("a.parquet"))
    *_, last = told(added)
    assert last.endswith("x_shape=(k,), x=('...', '...'), y='...') makes a task of k + 1 columns")
    assert not any("no task" in line for line in told(added))
    assert list(told(add(npz(x=X))))[-1].endswith("x='...', y='...') makes a task of two arrays")
    task = StoredExamples(added.noun, n=20, x_shape=(2,), x=("a", "b"), y="kind", y_length=3)
    x, y = realised_examples(task)
    np.testing.assert_allclose(x, [[i / 3, i * i] for i in range(20)], rtol=1e-6)
    np.testing.assert_array_equal(np.argmax(y, axis=1), np.arange(20) % 3)


def realised_examples(task):
    """The examples of a stored task, as an experiment reads them."""
    program = compile(of := trained(task))
    return program.supplied(program.knobs(of), inputs.stored(of, None)).task.nodes()[0]


@pytest.mark.parametrize("order", [">", "<"])
def test_arrays_of_any_byte_order_are_read_as_this_machine_has_them(order):
    added = add(npz(x=X.astype(f"{order}f4"), y=Y.astype(f"{order}i8")))
    assert all(array.dtype.isnative for array in added.arrays.values())
    x, y = realised_examples(task_of(added))
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(y, np.eye(3)[Y])


def test_truth_values_are_two_classes():
    _, y = realised_examples(task_of(add(npz(x=X, y=Y > 1))))
    np.testing.assert_array_equal(y, np.eye(2)[(Y > 1).astype(int)])


def test_what_is_not_finite_is_told():
    (line,) = [line for line in told(add(npz(x=np.array([1.0, np.nan, np.inf])))) if "  x" in line]
    assert line == "  x: float64, shape (3,); 2 are NaN or infinite"


class Code:
    """A pickle that would leave a file behind."""

    def __reduce__(self):
        return open, ("ran", "w")


def broken(path):
    folder, _ = images()
    Path("im/dog/2.png").write_bytes(path.read_bytes()[:30])
    return folder


FILES = {
    "pickle": (lambda: npz(x=np.array([Code()], object)), "the array 'x' holds Python objects (a pickle)"),
    "pickled npy": (lambda: np.save("a.npy", np.array([Code()], object)) or Path("a.npy"), "holds Python objects"),
    "no numpy": (lambda: _written("a.npz", pickle.dumps(Code())), "a.npz is no .npz file, an archive of arrays"),
    "text": (lambda: npz(x=np.array(["a"])), "the array 'x' has the type <U1; expected real numbers"),
    "long": (lambda: npz(x=X.astype(np.longdouble)), "expected real numbers of at most 64 bits"),
    "bfloat16": (lambda: _tensor("BF16", 2), "'x' has the type BF16, which NumPy lacks; save it as float32"),
    "float8": (lambda: _tensor("F8_E4M3", 1), "'x' has the type F8_E4M3, which NumPy lacks"),
    "complex": (lambda: _tensor("C64", 8), "'x' has the type complex64; expected real numbers"),
    "cut npz": (lambda: _written("a.npz", npz().read_bytes()[:-50]), "it is damaged or cut short"),
    "cut array": (lambda: _written("a.npy", _npy(X)[:-9]), "it is damaged or cut short"),
    "cut tensors": (lambda: _written("a.safetensors", b"\x08"), "cannot be read as a .safetensors file"),
    "cut parquet": (lambda: _written("a.parquet", b"PAR1" + bytes(9)), "cannot be read as a .parquet file"),
    "empty": (lambda: npz(**{"x": X}) and _written("a.npz", _empty()), "holds no arrays"),
    "suffix": (lambda: _written("a.npzz", b""), "got .npzz (did you mean '.npz'?)"),
    "no suffix": (lambda: _written("a", b""), "got no suffix (known: .npy, .npz, .parquet, .safetensors)"),
    "nothing": (lambda: Path("nothing.npz"), "nothing.npz: there is no such file or folder"),
    "name": (lambda: npz("my file.npz"), "choose one: --name my-file.npz"),
    "broken image": (lambda: broken(images()[0] / "cat" / "0.png"), "im/dog/2.png cannot be read as an image"),
    "nested": (lambda: (images(), images("im/more", ("a",)), Path("im"))[-1], "im/more/a cannot be read as an image"),
    "sizes": (lambda: (images(), images("im", ("fox",), (2, 2)), Path("im"))[-1], "expected equal ones"),
    "loose": (lambda: (images(), _written("im/a.txt", b""), Path("im"))[-1], "im/a.txt lies beside folders of images"),
    "no images": (lambda: (Path("im").mkdir(), Path("im"))[-1], "im holds no images"),
    "animated": (lambda: _frames("im/a.webp"), "im/a.webp has 2 frames; expected one: save each as a file of its own"),
    "pages": (lambda: _frames("im/a.tiff"), "im/a.tiff has 2 frames"),
    "animated gif": (lambda: _frames("im/a.gif"), "im/a.gif has 2 frames"),
    "mode": (lambda: (_rgba("im/a.png"), Path("im"))[-1], "im/a.png has the mode RGBA; expected L (grey) or RGB"),
}


def _written(path, content):
    Path(path).write_bytes(content)
    return Path(path)


def _npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def _empty():
    file = io.BytesIO()
    np.savez(file)
    return file.getvalue()


def _tensor(kind, size):
    """Four numbers of a type, as a safetensors file with the head that its format asks for."""
    head = json.dumps({"x": {"dtype": kind, "shape": [4], "data_offsets": [0, 4 * size]}}).encode()
    return _written("a.safetensors", len(head).to_bytes(8, "little") + head + bytes(4 * size))


def _frames(path):
    Path(path).parent.mkdir()
    first, second = (Image.new("RGB", (4, 4), colour) for colour in ("red", "blue"))
    first.save(path, save_all=True, append_images=[second])
    return Path(path).parent


def _rgba(path):
    Path(path).parent.mkdir()
    Image.new("RGBA", (2, 2)).save(path)


@pytest.mark.parametrize("case", FILES)
def test_bad_files_are_refused_by_name_and_never_run(case, tmp_path):
    make, message = FILES[case]
    with pytest.raises(RunError) as error:
        add(make())
    assert message in str(error.value)
    assert not Path("data").exists()
    assert not Path("ran").exists()


def test_columns_that_are_no_numbers_are_refused_by_name():
    def written(sql):
        parquet.database().execute(f"copy (select {sql} from range(3) t(i)) to 'a.parquet' (format parquet)")
        return Path("a.parquet")

    with pytest.raises(RunError, match="the array 't' has the type"):
        add(written("i as x, 'a' as t"))
    with pytest.raises(RunError, match="1 of 3 numbers of 'x' are missing"):
        add(written("nullif(i, 1) as x"))
    with pytest.raises(RunError, match="the lists of 'x' have different lengths"):
        add(written("range(i) as x"))


def test_a_name_is_taken_by_one_content_and_keeps_its_format():
    add(npz())
    with pytest.raises(RunError, match=r"data/a.npz is another file, .* --name"):
        add(npz(x=X))
    with pytest.raises(RunError, match=r"expected one that ends in .npz"):
        add(npz(), "a.npy")
    with pytest.raises(RunError, match=r"expected letters, digits"):
        add(npz(), "../a.npz")


def test_a_file_that_was_changed_or_removed_is_told():
    of = Analysis(of=add(npz()).noun, measure=())
    Path("data/a.npz").write_bytes(npz(x=X).read_bytes())
    with pytest.raises(RunError, match="is not the file that the spec names"):
        inputs.stored(of, None)
    Path("data/a.npz").unlink()
    with pytest.raises(RunError, match=r"No such file .* `stepwell add` .* say which with --data DIR"):
        inputs.stored(of, None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n": 19}, r"task.n: expected 19 examples in 'x', got shape \(20, 4\)"),
        ({"x_shape": (5,)}, "task.x_shape: expected 5 numbers for each example, got 4"),
        ({"y_length": 2}, "task.y_length: expected labels 0 to 1, got 0 to 2"),
        ({"y": "z"}, r"task.y_length: expected y of shape \(20, 3\), got \(20,\) of float32"),
        ({"y": "yy"}, r"task.y: the file has no array 'yy' \(did you mean 'y'\?\)"),
        ({"x": "bad"}, "task.x: 1 of the 80 numbers of 'bad' are NaN or infinite"),
    ],
)
def test_a_task_that_its_file_does_not_bear_out_is_refused(changes, message):
    bad = np.where(np.arange(80).reshape(20, 4) == 5, np.nan, X)
    noun = add(npz(x=X, y=Y, z=X[:, 0], bad=bad)).noun
    task = StoredExamples(**({"data": noun, "n": 20, "x_shape": (4,), "y_length": 3} | changes))
    with pytest.raises(RunError, match=message):
        inputs.stored(trained(task), None)


def trained(task, draw=None, on=None):
    return Training(
        task=task, model=Mlp((8,), Tanh()), loss=CrossEntropy(),
        protocol=Descent(60, draw or Exact(), by=Adam(0.1)),
        measure=(TrainLoss() @ at(0, 60), TestError(Exact(), on=on) @ at_end()), seed=0)  # fmt: skip


@pytest.mark.slow
def test_networks_train_on_stored_examples():
    centres = RNG.normal(size=(3, 4)) * 4
    task = task_of(add(npz(x=X + centres[Y], y=Y)))
    for of in (
        trained(task),
        trained(Split(task, "train"), Shuffled(8), Split(task, "test")),
        trained(Sample(task, n=12, replace=False), Cyclic(4), Rest()),
    ):
        found = run(of)
        assert found["TrainLoss"][1] < 0.2 * found["TrainLoss"][0]
        assert found["TestError"][1] <= 0.5
