"""The number of devices and the mapper change no bits: whole processes, because both belong to a process.

This process has two devices.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from runs.configure import environment
from tests.runs.adam import answer

ROOT = Path(__file__).parents[2]


def result(devices: int, mapper: str, tmp: Path) -> str:
    env = {**os.environ, "XLA_FLAGS": "", **environment("float32", devices), "JAX_PLATFORMS": "cpu"}
    env |= {"JAX_COMPILATION_CACHE_DIR": str(tmp), "PYTHONPATH": str(ROOT)}
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
def on_two():
    return answer("shard_map")


def test_the_study_has_both_kinds_of_lanes(on_two):
    assert on_two.startswith("10 [1, 32] "), on_two


@pytest.mark.parametrize("devices", [*(pytest.param(n, marks=pytest.mark.slow) for n in (2, 4)), 8])
def test_adam_has_equal_bits_on_2_4_and_8_devices(devices, on_two, tmp_path):
    assert result(devices, "shard_map", tmp_path) == on_two


@pytest.mark.parametrize("devices", [pytest.param(4, marks=pytest.mark.slow)])
def test_pmap_has_the_bits_of_shard_map(devices, on_two, tmp_path):
    assert result(devices, "pmap", tmp_path) == on_two


def test_xla_has_threads_beside_those_that_wait():
    """With as many threads as devices, a batched factorisation on each device waits for ever."""
    assert int(environment("float64", 2)["PJRT_NPROC"]) >= 4
    assert int(environment("float64", 8)["PJRT_NPROC"]) >= 16
