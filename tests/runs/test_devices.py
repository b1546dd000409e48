"""The number of devices, the mapper and the other points change no bits: whole processes, with all optimizations."""

import os
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import pytest

from runs.configure import environment

ROOT = Path(__file__).parents[2]


def result(devices: int, mapper: str, tmp: Path) -> str:
    with patch.dict(os.environ, XLA_FLAGS="", JAX_DISABLE_MOST_OPTIMIZATIONS="0", XDG_CACHE_HOME=str(tmp)):
        env = os.environ | environment("float32", devices)
    done = subprocess.run(
        [sys.executable, "-m", "tests.runs.adam", mapper],
        env=env,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def on_two(tmp_path_factory):
    return result(2, "shard_map", tmp_path_factory.mktemp("two"))


@pytest.mark.slow
def test_there_are_both_kinds_of_lanes_and_a_point_alone_has_the_bits_it_has_beside_others(on_two):
    assert on_two.startswith("10 [1, 32] alone the same "), on_two


@pytest.mark.slow
@pytest.mark.parametrize("devices", [4, 8])
def test_adam_has_equal_bits_on_2_4_and_8_devices(devices, on_two, tmp_path):
    assert result(devices, "shard_map", tmp_path) == on_two


@pytest.mark.slow
@pytest.mark.parametrize("devices", [4])
def test_pmap_has_the_bits_of_shard_map(devices, on_two, tmp_path):
    assert result(devices, "pmap", tmp_path) == on_two


def test_xla_has_threads_beside_those_that_wait():
    """With as many threads as devices, a batched factorisation on each device waits for ever."""
    assert int(environment("float64", 2)["PJRT_NPROC"]) >= 4
    assert int(environment("float64", 8)["PJRT_NPROC"]) >= 16


def test_factorisations_have_one_thread_each():
    """Those of devices that compute side by side would wait for one another, and their number decides last bits."""
    asked = (
        "import scipy.linalg, sklearn.ensemble, threadpoolctl; "
        "print({pool['num_threads'] for pool in threadpoolctl.threadpool_info()})"
    )
    done = subprocess.run(
        [sys.executable, "-c", asked],
        env=os.environ | environment("float64", 2),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "{1}"
