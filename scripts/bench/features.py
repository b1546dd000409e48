"""Kernel machines that learn features: an iteration by FACT against one by the average gradient outer product (AGOP).

    python -m scripts.bench.features [--rounds 9] [--precision float64]

A machine is a fit by kernel ridge regression and then, five times, an update of the metric and a fit in it, with the
Laplace kernel on n examples of d columns and c outputs. Ours have the updates of `FactUpdate` and `NfaUpdate`. The
peers run where they can be imported: xRFM (`pip install xrfm`), by its RFM with Cholesky, its faster solver, and
without early stopping; and, with torch alone, AGOP in a closed form of ours. Beside the machines stand the updates
alone, whose values agree or nothing is compared. All have one thread and are timed in turn, round by round, in
processor time, which other programs on the machine hardly change; a ratio is the peer's time by that of FACT, with the
interval of a bootstrap over the rounds. Wanted: at least 1 for the machine of xRFM; without it the status is 2.
"""

import os

os.environ.update(dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
os.environ |= {"JAX_ENABLE_X64": "1", "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false"}

import argparse
import importlib
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from runs.statistics import bootstrap_interval
from theory.features import clean_distances, fact_update, kernel_agop, metric_distances, nfa_update, psd_power, slopes
from theory.kernels import kernel_ridge, laplace_kernel

torch: Any
RFM: Any
try:
    torch = importlib.import_module("torch")  # a peer, and no dependency
except ImportError:
    torch = None
try:
    RFM = importlib.import_module("xrfm").RFM  # the same
except ImportError:
    RFM = None

SIZES = ((500, 20, 1), (1000, 64, 10), (2000, 30, 1), (1000, 256, 1))
UPDATES, BANDWIDTH, RIDGE = 5, 5.0, 1e-2
ABSENT = "the peer xRFM is not installed, and nothing is compared with it: pip install xrfm"
Update = Callable[[Any, Any, Any, Any], Any]
Run = Callable[[], Any]
OURS: dict[str, Update] = {"FACT": fact_update, "AGOP": lambda *fit: nfa_update(*fit, power=1.0)}


def data(n: int, d: int, c: int, precision: str) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian inputs, and labels that depend on few coordinates."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, d))
    return x.astype(precision), np.sin(x[:, :3] @ rng.normal(size=(3, c))).astype(precision)


def kernel(q: Any) -> Any:
    """The Laplace kernel of squared distances."""
    return laplace_kernel(q, BANDWIDTH)


def fit(y: Any, squared: Any) -> Any:
    """Dual coefficients, from the squared distances in a metric."""
    return kernel_ridge(kernel(squared), y, jnp.full(len(y), 1 / len(y), y.dtype), RIDGE / len(y))


def machine(x: Any, y: Any, update: Update) -> Any:
    """Our machine: the last coefficients and the last metric, of trace d."""

    def turn(_: Any, kept: Any) -> Any:
        alpha, metric, root = kept
        metric = update(x, alpha, metric, slopes(kernel, clean_distances(x @ root, x @ root)))
        metric = metric * len(metric) / jnp.trace(metric)
        root = psd_power(metric, 0.5)
        return fit(y, clean_distances(x @ root, x @ root)), metric, root

    start = jnp.eye(x.shape[1], dtype=x.dtype)
    return jax.lax.fori_loop(0, UPDATES, turn, (fit(y, clean_distances(x, x)), start, start))


def machines(x: np.ndarray, y: np.ndarray) -> dict[str, Run]:
    """All machines on the same data."""
    found = {name: _compiled(machine, update, x, y) for name, update in OURS.items()}
    if RFM is not None:
        found["AGOP, xRFM"] = lambda: _xrfm(x, y)
    if torch is not None:
        found["AGOP, torch"] = lambda: _torch_machine(torch.from_numpy(x), torch.from_numpy(y))
    return found


def updates(x: np.ndarray, y: np.ndarray) -> dict[str, Run]:
    """The updates alone, from one fit."""
    metric = np.diag(np.linspace(0.5, 1.5, x.shape[1])).astype(x.dtype)
    alpha = np.array(jax.jit(lambda x, y, metric: fit(y, metric_distances(x, x, metric)))(x, y, metric))
    found = {name: _compiled(alone, update, x, alpha, metric) for name, update in OURS.items()}
    if torch is not None:
        there = tuple(map(torch.from_numpy, (x, alpha, metric)))
        found["AGOP, torch"] = lambda: _torch_agop(*there)
        if RFM is not None:
            theirs = _rfm().kernel_obj
            theirs.is_adaptive_bandwidth = True
            root = torch.from_numpy(np.sqrt(metric))
            found["AGOP, xRFM"] = lambda: theirs.get_agop(there[0], there[0], there[1].T, root) / len(x)
    expected = _compiled(alone, kernel_agop, x, alpha, metric)()
    for name in set(found) - {"FACT"}:
        np.testing.assert_allclose(found[name](), expected, rtol=1e-3, atol=1e-4 * np.max(np.abs(expected)))
    return found


def alone(x: Any, alpha: Any, metric: Any, update: Update) -> Any:
    """One update of a fit."""
    return update(x, alpha, metric, slopes(kernel, metric_distances(x, x, metric)))


def _compiled(make: Callable[..., Any], update: Update, *arrays: np.ndarray) -> Run:
    run, here = jax.jit(lambda *arrays: make(*arrays, update)), tuple(map(jnp.asarray, arrays))
    return lambda: jax.block_until_ready(run(*here))


def _rfm() -> Any:
    return RFM(kernel="l2", bandwidth=BANDWIDTH, iters=UPDATES, device="cpu", verbose=False, solver="cholesky")


def _xrfm(x: np.ndarray, y: np.ndarray) -> Any:
    """Its validation set, which it cannot do without, is one example."""
    there, one = (torch.from_numpy(x), torch.from_numpy(y)), (torch.from_numpy(x[:1]), torch.from_numpy(y[:1]))
    model = _rfm()
    settings = {"early_stop_rfm": False, "return_best_params": False, "solver": "cholesky"}
    model.fit(there, one, iters=UPDATES, method="lstsq", reg=RIDGE, verbose=False, **settings)
    return model.M


def _torch_machine(x: Any, y: Any) -> Any:
    metric = torch.eye(x.shape[1], dtype=x.dtype)
    for _ in range(UPDATES):
        metric = _torch_agop(x, _torch_fit(x, y, metric), metric)
        metric = metric * len(metric) / torch.trace(metric)
    return _torch_fit(x, y, metric), metric


def _torch_fit(x: Any, y: Any, metric: Any) -> Any:
    values, vectors = torch.linalg.eigh(metric)
    moved = x @ (vectors * values.clamp(min=0).sqrt())
    gram = torch.exp(-torch.cdist(moved, moved) / BANDWIDTH)
    gram.diagonal().add_(RIDGE)
    return torch.cholesky_solve(y, torch.linalg.cholesky(gram))


def _torch_agop(x: Any, alpha: Any, metric: Any) -> Any:
    """All Jacobians at once, an array of n c d numbers, as public code does."""
    values, vectors = torch.linalg.eigh(metric)
    moved = x @ (vectors * values.clamp(min=0).sqrt())
    distance = torch.cdist(moved, moved)
    slope = torch.where(distance > 0, -torch.exp(-distance / BANDWIDTH) / (BANDWIDTH * distance), 0.0)
    rows = (slope @ alpha)[:, :, None] * x[:, None] - torch.einsum("ij,jc,jd->icd", slope, alpha, x)
    rows = (rows @ metric).reshape(-1, x.shape[1])
    return rows.T @ rows / len(x)


def timed(runs: dict[str, Run], rounds: int) -> dict[str, list[float]]:
    """Seconds of each in each round, in turn; the first call, which compiles, is left out."""
    for run in runs.values():
        run()
    found: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            began = time.process_time()
            run()
            found[name].append(time.process_time() - began)
    return found


def shown(what: str, seconds: dict[str, list[float]], parts: int) -> dict[str, float]:
    """Print the times and the ratios; returns the median ratio of each peer."""
    ratios = {}
    print(f"  {what:20} {'FACT':12} {1e3 * statistics.median(seconds['FACT']) / parts:9.2f} ms")
    for name in list(seconds)[1:]:
        each = np.array(seconds[name]) / np.array(seconds["FACT"])
        found = bootstrap_interval(each)
        ratios[name] = found.estimate
        milliseconds = 1e3 * statistics.median(seconds[name]) / parts
        print(f"  {'':20} {name:12} {milliseconds:9.2f} ms, {found.estimate:.2f} [{found.low:.2f}, {found.high:.2f}]")
    return ratios


def main() -> None:
    """Print times and ratios; status 1 if the machine of xRFM is faster at some size, 2 if there is none."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--precision", choices=("float32", "float64"), default="float64")
    options = parser.parse_args()
    if torch is not None:
        torch.set_num_threads(1)
    found: list[float] = []
    for n, d, c in SIZES:
        x, y = data(n, d, c, options.precision)
        print(f"n {n}, d {d}, c {c}, {options.precision}, {options.rounds} rounds, load {os.getloadavg()[0]:.2f}")
        shown("update alone", timed(updates(x, y), options.rounds), 1)
        ratios = shown("machine, by update", timed(machines(x, y), options.rounds), UPDATES)
        found += [ratio for name, ratio in ratios.items() if name == "AGOP, xRFM"]
    print(f"least ratio of the machine of xRFM: {min(found):.2f}" if found else ABSENT)
    sys.exit(verdict(found))


def verdict(ratios: list[float]) -> int:
    """The status: 0 where all ratios are at least 1, 1 where one is not, 2 where there are none."""
    if not ratios:
        return 2
    return 0 if min(ratios) >= 1 else 1


if __name__ == "__main__":
    main()
