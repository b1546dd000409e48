"""A file that holds no measures is refused before its run, by its name, the path of the noun and the place in it."""

import hashlib

import numpy as np
import pytest

from dsl import *
from runs.inputs import stored
from runs.options import RunError


@pytest.mark.parametrize("problem", [Barycenter, Wasserstein])
@pytest.mark.parametrize(
    ("points", "masses", "message"),
    [
        ([[0, 1, 2], [3, 4, 5]], [[1, 0, 0], [0.4, 0, 0.4]], r"masses\[1\]: the masses sum to 0.8, expected 1"),
        ([[0, 1, 2], [3, 4, 5]], [[1, 0, 0], [0, 1.5, -0.5]], r"masses\[1\]\[2\] is -0.5, expected masses"),
        (
            [[0, 1, 1], [3, 4, 5]],
            [[0, 0.5, 0.5], [1, 0, 0]],
            r"points\[0\]\[2\] = \[1.0\] occurs twice, at points\[0\]\[1\]",
        ),
        ([[0, 1, np.nan], [3, 4, 5]], [[0, 0.5, 0.5], [1, 0, 0]], r"points\[0\]\[2\] = \[nan\], expected finite"),
    ],
)
def test_the_file_the_path_and_the_place_are_named(tmp_path, problem, points, masses, message):
    np.savez(tmp_path / "x.npz", points=np.array(points, float)[:, :, None], masses=np.array(masses, float))
    data = Stored("x.npz", hashlib.sha256((tmp_path / "x.npz").read_bytes()).hexdigest())
    point = Solving(problem(StoredMeasures(data)), NaiveLp(), (Objective(),))
    with pytest.raises(RunError, match=rf"x.npz is not what the spec says: problem.measures.data: {message}"):
        stored(point, tmp_path)
