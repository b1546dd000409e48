"""What a log says of a run: how far it is, and how long it still takes where that can be told."""

import io
from unittest.mock import patch

import pytest

from runs.progress import Meter


@pytest.mark.parametrize(
    ("steps", "line"),
    [
        (0, "study: 1/4 points, 0 % of the steps, 30 s"),
        (250, "study: 1/4 points, 25 % of the steps, 30 s, about 90 s left"),
        (995, "study: 1/4 points, 100 % of the steps, 30 s"),
    ],
)
def test_the_time_left_is_told_unless_steps_say_nothing_of_it(steps, line):
    """The last few steps may be those of large points: of a kernel machine beside networks."""
    stream = io.StringIO()
    with patch("time.monotonic", side_effect=[0.0, 30.0, 30.0, 30.0, 30.0]):
        meter = Meter("study", steps=1000, points=4, stream=stream)
        meter.done_steps = steps
        meter.finish()
    assert stream.getvalue().strip() == line
