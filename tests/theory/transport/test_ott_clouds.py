"""Cost matrices that are made in parts, on one device and on many, against OTT with the whole matrix."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec

from theory.transport import ott_solvers, pairs
from theory.transport.ott_clouds import Clouds, LinearProblem, PointCloud, Sinkhorn
from theory.transport.pairs import Pair
from theory.transport.rows import Rows

TOLERANCE = 1e-12
"""Of values of order 1 in float64: the parts of a sum are added in another order."""


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def measures(n: int = 7, m: int = 5) -> Pair:
    rng = np.random.default_rng(0)
    x, y, a, b = rng.normal(size=(n, 2)), rng.normal(size=(m, 2)), rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(m))
    return Pair(*(jnp.asarray(z) for z in (x, y, a, b)))


def solved(pair: Pair, rows: Rows) -> tuple[jax.Array, ...]:
    found = ott_solvers.sinkhorn(pair, 10.0, 1e-6, 200, rows)
    coupling = pairs.entropic(pair, found, rows)
    return found.f, found.g, coupling.value, coupling.lower, coupling.marginal_error


def shared(pair: Pair, devices: int, block: int | None) -> tuple[jax.Array, ...]:
    mesh = Mesh(np.array(jax.devices()[:devices]), ("data",))
    one = lambda pair: solved(pair, Rows(block, "data", devices))
    return jax.jit(jax.shard_map(one, mesh=mesh, in_specs=PartitionSpec(), out_specs=PartitionSpec(), check_vma=False))(
        pair
    )


def whole(pair: Pair) -> tuple[jax.Array, jax.Array]:
    """OTT's own potentials, with the whole matrix."""
    clouds = PointCloud(pair.x, pair.y, epsilon=0.1)
    found = jax.jit(Sinkhorn(threshold=1e-6, max_iterations=200))(LinearProblem(clouds, a=pair.a, b=pair.b))
    return found.f, found.g


def test_the_batches_of_ott_still_fail() -> None:
    """When this test fails, `Clouds` has no other use than to share rows among devices."""
    with pytest.raises(AttributeError, match="is_vmappable"):
        PointCloud(measures().x, measures().y, epsilon=0.1, batch_size=2).apply_lse_kernel(
            jnp.zeros(7), jnp.zeros(5), 0.1
        )


@pytest.mark.slow
@pytest.mark.parametrize("block", [None, 3])
def test_rows_in_blocks_give_the_potentials_of_the_whole_matrix(block: int | None) -> None:
    pair = measures()
    found = jax.jit(solved, static_argnums=1)(pair, Rows(block))
    for got, expected in zip(found, whole(pair), strict=False):
        np.testing.assert_allclose(got, expected, atol=TOLERANCE, rtol=0)


@pytest.mark.slow
def test_two_devices_that_make_rows_in_blocks_find_the_potentials_of_the_whole_matrix() -> None:
    pair = measures()
    for got, expected in zip(shared(pair, 2, 3), whole(pair), strict=False):
        np.testing.assert_allclose(got, expected, atol=TOLERANCE, rtol=0)


def solved_alone(pair: Pair) -> tuple[jax.Array, ...]:
    return jax.jit(solved, static_argnums=1)(pair, Rows())


def shapes(jaxpr: object) -> set[tuple[int, ...]]:
    """The shapes of everything that is computed, inner programs included."""
    found = set()
    for equation in getattr(jaxpr, "eqns", ()):
        found |= {variable.aval.shape for variable in equation.outvars}
        for inner in jax.tree.leaves(equation.params, is_leaf=lambda p: hasattr(p, "eqns") or hasattr(p, "jaxpr")):
            found |= shapes(getattr(inner, "jaxpr", inner))
    return found


def test_no_device_has_the_matrix() -> None:
    pair = measures(18, 11)
    traced = lambda devices, block: shapes(jax.make_jaxpr(lambda pair: shared(pair, devices, block))(pair).jaxpr)
    assert (18, 11) in traced(1, None)
    assert (9, 11) in traced(2, None)
    assert not {(18, 11), (18, 11, 2)} & traced(2, None)
    assert not {(18, 11), (9, 11)} & traced(2, 4)


def test_sums_with_weights_are_refused() -> None:
    clouds = Clouds(measures().x, measures().y, Rows(), 0.1)
    with pytest.raises(ValueError, match="sums with weights are not supported"):
        clouds.apply_lse_kernel(jnp.zeros(7), jnp.zeros(5), 0.1, vec=jnp.ones(7))


@pytest.mark.slow
def test_four_devices_find_what_one_finds() -> None:
    code = """
import jax, numpy as np
jax.config.update("jax_enable_x64", True)
from tests.theory.transport.test_ott_clouds import *
alone = solved_alone(measures(50, 33))
for devices in (1, 2, 4):
    for block in (None, 3):
        for got, expected in zip(shared(measures(50, 33), devices, block), alone, strict=True):
            np.testing.assert_allclose(got, expected, atol=TOLERANCE, rtol=0)
"""
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=4", "JAX_PLATFORMS": "cpu"}
    root = Path(__file__).parents[3]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root, env=os.environ | flags)
