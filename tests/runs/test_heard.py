"""What a run says of its points while it runs."""

import io

import pytest

from dsl import *
from runs.heard import NAMED, Heard, label
from runs.progress import Meter


def analysis(seed: int) -> Analysis:
    return Analysis(of=Hypercube(3), measure=(), seed=seed)


POINTS = grid(analysis, seed=range(7))
DIGESTS = [point.spec.digest for point in POINTS]


def said(*events: dict[str, object]) -> list[str]:
    stream = io.StringIO()
    heard, meter = Heard.of(POINTS), Meter("mine", 7, 7, stream)
    for event in events:
        heard.hear(event, meter)
    return stream.getvalue().splitlines()


def test_a_point_is_called_by_its_number_and_its_axes() -> None:
    assert label(4, Point(analysis(0), {"depth": 2, "lr": 0.1})) == "point 4 (depth=2, lr=0.1)"
    assert label(0, Point(analysis(0))) == "point 0"


def test_points_that_fail_are_named_and_an_error_is_written_out_once() -> None:
    error = {"event": "error", "message": "ValueError: three"}
    assert said(error | {"points": [DIGESTS[3]]}, error | {"points": [DIGESTS[5]]}, error | {"points": ["f" * 64]}) == [
        "point 3 (seed=3) failed:",
        "ValueError: three",
        "point 5 (seed=5) failed, with the same error",
        "the experiment ffffffffffff that others read failed, with the same error",
    ]


@pytest.mark.parametrize("n", [2, 7])
def test_points_that_fail_together(n: int) -> None:
    named = "; ".join(f"point {i} (seed={i})" for i in range(min(n, NAMED)))
    more = "; and 3 more" if n == 7 else ""
    assert said({"event": "error", "points": DIGESTS[:n], "message": "why"}) == [
        f"{n} points failed, {named}{more}:",
        "why",
    ]


def test_a_divergence_names_its_point() -> None:
    assert said({"event": "done", "point": DIGESTS[1], "status": "diverged at step 3"}) == [
        "point 1 (seed=1): diverged at step 3"
    ]


def test_a_warning_of_several_workers_is_said_once() -> None:
    event = {"event": "warning", "message": "warning: a.py:3: take care"}
    assert said(event, event) == ["warning: a.py:3: take care"]
