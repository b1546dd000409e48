"""Benchmarks say what they have not measured."""

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parents[2]
TINY = """
import sys
sys.modules["xrfm"] = None
from scripts.bench import features
features.SIZES = ((12, 3, 1),)
features.main()
"""


@pytest.mark.slow
def test_a_peer_that_is_not_installed_is_no_success():
    """In a process of its own: a benchmark sets threads when it is imported."""
    run = [sys.executable, "-W", "ignore", "-c", TINY, "--rounds", "2"]
    done = subprocess.run(run, cwd=HERE, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert done.stdout.splitlines()[-1].startswith("the peer xRFM is not installed")
