from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import sqrtm

from theory.features import (
    agop,
    block_circulance,
    cosine,
    fact,
    fact_factor,
    fact_mean_update,
    fact_of_layer,
    fact_update,
    kernel_agop,
    kernel_fact,
    metric_distances,
    nfa_update,
    psd_power,
    slopes,
)
from theory.kernels import gaussian_kernel, kernel_ridge, laplace_kernel

KERNELS = {
    "gaussian": lambda q: gaussian_kernel(q, 1.7),
    "laplace": lambda q: laplace_kernel(q, 1.7),
}


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def data(seed: int = 0, n: int = 12, d: int = 4, c: int = 2):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(d, d))
    return tuple(map(jnp.asarray, (rng.normal(size=(n, d)), rng.normal(size=(n, c)), root @ root.T / d)))


def fitted(x, y, metric, kernel, ridge):
    """alpha of (K + ridge I) alpha = y."""
    n = len(x)
    return kernel_ridge(kernel(metric_distances(x, x, metric)), y, jnp.full(n, 1 / n), ridge / n)


def slope(kernel, x, metric):
    """k'(q) for all pairs, by which the updates know the kernel."""
    return slopes(kernel, metric_distances(x, x, metric))


def function(x, alpha, metric, kernel):
    """f at one point, from the definition."""
    q = lambda z: jnp.einsum("nd,de,ne->n", z[None] - x, metric, z[None] - x)
    return lambda z: kernel(q(z)) @ alpha


# ---------------------------------------------------------------- networks


def test_fact_is_the_sum_over_examples_by_a_probe_on_the_layers_input():
    model = eqx.nn.MLP(5, 3, 7, 2, activation=jnp.tanh, key=jax.random.key(0))
    x, y = jax.random.normal(jax.random.key(1), (20, 5)), jax.random.normal(jax.random.key(2), (20, 3))
    lam, layer = 0.1, 1

    def loss(model):
        return jnp.mean(jnp.sum((jax.vmap(model)(x) - y) ** 2, axis=1))

    def rest(model, i, x, probe):
        """The network from a probed input of layer i on, and that input."""
        for j, linear in enumerate(model.layers):
            h = x
            if j == i:
                inside = h
                x = linear(h + probe)
            else:
                x = linear(h)
            x = jnp.tanh(x) if j < 2 else x
        return x, inside

    total = jnp.zeros((7, 7))
    for xi, yi in zip(x, y, strict=True):
        g = jax.grad(lambda p, xi=xi, yi=yi: jnp.sum((rest(model, layer, xi, p)[0] - yi) ** 2))(jnp.zeros(7))
        total += jnp.outer(g, rest(model, layer, xi, jnp.zeros(7))[1])
    found = fact_of_layer(model, lambda m: m.layers[layer].weight, loss, lam)
    np.testing.assert_allclose(found, -total / (20 * lam), rtol=1e-11, atol=1e-12)


def test_at_a_critical_point_it_is_the_gram_matrix_of_the_weights():
    """A linear layer with L2: the critical point is ridge regression."""
    rng, lam, n = np.random.default_rng(0), 0.3, 50
    h, y = jnp.asarray(rng.normal(size=(n, 6))), jnp.asarray(rng.normal(size=(n, 4)))
    weight = jnp.linalg.solve(h.T @ h / n + lam * jnp.eye(6), h.T @ y / n).T
    gradient = jax.grad(lambda w: jnp.mean(jnp.sum((h @ w.T - y) ** 2, axis=1)) / 2)(weight)
    found = fact(weight, gradient, lam)
    np.testing.assert_allclose(found, weight.T @ weight, atol=1e-12)
    np.testing.assert_allclose(cosine(found, weight.T @ weight), 1.0, rtol=1e-12)
    away = fact(weight + 1, jax.grad(lambda w: jnp.mean(jnp.sum((h @ w.T - y) ** 2, axis=1)) / 2)(weight + 1), lam)
    assert cosine(away, (weight + 1).T @ (weight + 1)) < 0.9


@pytest.mark.parametrize("lam", [0.0, -0.1, np.nan, jnp.zeros(())])
def test_a_penalty_that_is_not_positive_has_no_fact(lam):
    with pytest.raises(ValueError, match=r"lam is .*; expected a positive"):
        fact(jnp.eye(2), jnp.eye(2), lam)
    with pytest.raises(ValueError, match=r"lam is .*; expected a positive"):
        fact_of_layer(eqx.nn.Linear(2, 2, key=jax.random.key(0)), lambda m: m.weight, lambda m: jnp.sum(m.weight), lam)
    assert not np.isfinite(jax.jit(fact)(jnp.eye(2), jnp.eye(2), 0.0)).all()  # a program knows its knobs only when run


@pytest.mark.parametrize("chunk", [5, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 12, 64))])
def test_agop_is_the_mean_of_jacobian_products(chunk):
    x, _, _ = data()
    f = lambda z: jnp.sin(z @ jnp.ones((4, 3))) * z[0]
    jacobians = jnp.stack([jax.jacfwd(f)(z) for z in x])
    np.testing.assert_allclose(agop(f, x, chunk), jnp.einsum("ncd,nce->de", jacobians, jacobians) / 12, rtol=1e-12)
    np.testing.assert_allclose(agop(lambda z: z[1], x), np.diag([0.0, 1.0, 0.0, 0.0]))


@pytest.mark.parametrize("power", [0.25, 0.5, 1.0, 2.0])
def test_powers_of_psd_matrices(power):
    _, _, m = data()
    values, vectors = np.linalg.eigh(m)
    np.testing.assert_allclose(
        psd_power(m, power), vectors @ np.diag(values**power) @ vectors.T, rtol=1e-10, atol=1e-12
    )
    assert np.isfinite(psd_power(jnp.diag(jnp.array([1.0, -1e-18])), power)).all()


def test_cosine_of_zero_is_zero():
    assert cosine(jnp.zeros((2, 2)), jnp.ones((2, 2))) == 0


# ---------------------------------------------------------------- kernels


@pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)
def test_slopes_are_derivatives_away_from_zero(kernel):
    q = jnp.array([[0.0, 0.5], [2.0, 9.0]])
    step = 1e-6
    expected = (kernel(q + step) - kernel(q - step)) / (2 * step)
    np.testing.assert_allclose(np.asarray(slopes(kernel, q))[q > 0], expected[q > 0], rtol=1e-7)
    assert slopes(kernel, q)[0, 0] == 0


@pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)
def test_kernel_fact_is_its_definition_and_its_dual_form(kernel):
    """-1/(n lam) sum_i (grad_x l_i) x_i^T = sum_i J_f(x_i)^T alpha_i x_i^T; for Laplace, without the pair i, i."""
    x, y, m = data()
    ridge = 0.1
    alpha = fitted(x, y, m, kernel, ridge)
    residual = np.asarray(kernel(metric_distances(x, x, m)) @ alpha - y)
    definition, dual = np.zeros((4, 4)), np.zeros((4, 4))
    for i in range(12):
        others = jnp.asarray([j for j in range(12) if j != i])
        jacobian = np.asarray(jax.jacfwd(function(x[others], alpha[others], m, kernel))(x[i]))
        definition -= np.outer(jacobian.T @ residual[i], x[i]) / ridge
        dual += np.outer(jacobian.T @ np.asarray(alpha)[i], x[i])
    found = kernel_fact(x, alpha, m, slope(kernel, x, m))
    np.testing.assert_allclose(found, dual, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(found, definition, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)
def test_the_factor_is_the_gradient_of_the_ridge_value(kernel):
    x, y, m = data()
    ridge = 0.1
    alpha = fitted(x, y, m, kernel, ridge)

    def value(metric):
        off = x[:, None] - x[None]
        q = jnp.einsum("ijd,de,ije->ij", off, metric, off)
        gram = jnp.where(jnp.eye(12) == 1, kernel(jnp.zeros(())), kernel(q + jnp.eye(12)))
        return jnp.sum(y * jnp.linalg.solve(gram + ridge * jnp.eye(12), y)) / 2

    np.testing.assert_allclose(
        -2 * jax.grad(value)(m), fact_factor(x, alpha, slope(kernel, x, m)), rtol=1e-10, atol=1e-11
    )


@pytest.mark.parametrize("centre", [False, True])
@pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)
def test_kernel_agop_is_that_of_its_function(kernel, centre):
    x, y, m = data()
    alpha = fitted(x, y, m, kernel, 0.1)
    jacobians = []
    for i in range(12):
        others = jnp.asarray([j for j in range(12) if j != i])
        jacobians.append(jax.jacfwd(function(x[others], alpha[others], m, kernel))(x[i]))
    stacked = jnp.stack(jacobians)
    stacked = stacked - stacked.mean(axis=0, keepdims=True) if centre else stacked
    expected = jnp.einsum("ncd,nce->de", stacked, stacked) / 12
    np.testing.assert_allclose(kernel_agop(x, alpha, m, slope(kernel, x, m), centre), expected, rtol=1e-11, atol=1e-12)


def numpy_machine(x, y, update, iterations, ridge, bandwidth, kernel="gaussian"):
    """The published loop, with full Jacobians: ridge regression, update, trace to d."""
    n, d = x.shape
    m = np.eye(d)
    for _ in range(iterations):
        off = x[:, None] - x[None]
        k, derivative = numpy_kernel(kernel, np.einsum("ijd,de,ije->ij", off, m, off), bandwidth)
        alpha = np.linalg.solve(k + ridge * np.eye(n), y)
        jacobians = 2 * np.einsum("ij,jc,ijd,de->ice", derivative, alpha, off, m)
        found = np.einsum("icd,ic,ie->de", jacobians, alpha, x)
        if update in ("nfa", "centred root"):
            jacobians = jacobians - jacobians.mean(axis=0) if update == "centred root" else jacobians
            product = np.einsum("icd,ice->de", jacobians, jacobians) / n
        else:
            product = found @ found.T if update == "fact" else sqrtm(found @ m @ m.T @ found.T)
        m = product if update == "nfa" else np.real(sqrtm(product))
        m = m * d / np.trace(m)
    return m


def numpy_kernel(name, q, bandwidth):
    """k(q), and k'(q) away from 0."""
    if name == "gaussian":
        k = np.exp(-q / (2 * bandwidth**2))
        return k, -k / (2 * bandwidth**2)
    distance = np.sqrt(q)
    k = np.exp(-distance / bandwidth)
    return k, np.where(q > 0, -k / (2 * bandwidth * np.where(q > 0, distance, 1.0)), 0.0)


UPDATES = {
    "fact": fact_update,
    "mean": fact_mean_update,
    "nfa": partial(nfa_update, power=1.0),
    "centred root": partial(nfa_update, power=0.5, centre=True),
}


@pytest.mark.parametrize("kernel", ["gaussian", "laplace"])
@pytest.mark.parametrize("name", UPDATES)
def test_iterates_follow_the_published_update(name, kernel):
    x, y, _ = data(3, n=20)
    profile = partial({"gaussian": gaussian_kernel, "laplace": laplace_kernel}[kernel], bandwidth=2.0)
    m = jnp.eye(4)
    for _ in range(4):
        m = UPDATES[name](x, fitted(x, y, m, profile, 1e-2), m, slope(profile, x, m))
        m = m * 4 / jnp.trace(m)
    expected = numpy_machine(np.asarray(x), np.asarray(y), name, 4, 1e-2, 2.0, kernel)
    np.testing.assert_allclose(m, expected, rtol=1e-8, atol=1e-8)


def with_factor(values):
    """Points, coefficients and slopes whose factor S has these eigenvalues, with its eigenvectors.

    Pairs of points differ by an eigenvector each, and the slope is zero between others.
    """
    d = len(values)
    vectors = np.linalg.qr(np.random.default_rng(4).normal(size=(d, d)))[0]
    slope = np.zeros((2 * d, 2 * d))
    slope[np.arange(d), d + np.arange(d)] = slope[d + np.arange(d), np.arange(d)] = np.asarray(values) / 2
    points = np.concatenate([vectors.T, -vectors.T]) / 2
    return (jnp.asarray(points), jnp.ones((2 * d, 1)), jnp.asarray(slope)), vectors


def test_the_update_by_fact_keeps_small_directions():
    """(F F^T)^(1/2) has the singular values of F; by way of F F^T all below 1e-8 of the largest would be lost."""
    values = np.geomspace(1, 1e-12, 7)
    (x, alpha, slope), vectors = with_factor(values)
    found = np.asarray(fact_update(x, alpha, jnp.eye(7), slope))
    np.testing.assert_allclose(vectors.T @ found @ vectors, np.diag(values), atol=2e-15)
    metric = np.diag(np.geomspace(1e-6, 1, 7))
    left, singular, _ = np.linalg.svd(np.asarray(kernel_fact(x, alpha, jnp.asarray(metric), slope)))
    found = np.asarray(fact_update(x, alpha, jnp.asarray(metric), slope))
    np.testing.assert_allclose(left.T @ found @ left, np.diag(singular), atol=1e-15)


def test_the_geometric_mean_is_of_sizes_where_the_factor_is_indefinite():
    """(F M M^T F^T)^(1/4) = |M S M|^(1/2): a direction of S that is negative counts by its size."""
    values = np.array([2.0, -0.5, 0.25, -1.0])
    (x, alpha, slope), vectors = with_factor(values)
    found = fact_mean_update(x, alpha, jnp.eye(4), slope)
    np.testing.assert_allclose(found, vectors * np.sqrt(np.abs(values)) @ vectors.T, atol=1e-14)
    _, _, m = data()
    product = np.asarray(kernel_fact(x, alpha, m, slope) @ m)
    assert np.min(np.linalg.eigvalsh(product)) < 0
    expected = np.real(sqrtm(sqrtm(product @ product.T)))
    np.testing.assert_allclose(fact_mean_update(x, alpha, m, slope), expected, atol=1e-9)


def largest(f, *args):
    """The number of entries of the largest array that a function computes, in the functions that it calls too."""

    def sizes(jaxpr):
        for equation in jaxpr.eqns:
            yield from (variable.aval.size for variable in equation.outvars)
            for value in equation.params.values():
                for part in value if isinstance(value, (tuple, list)) else (value,):
                    inner = getattr(part, "jaxpr", part)
                    yield from sizes(inner) if hasattr(inner, "eqns") else ()

    return max(sizes(jax.make_jaxpr(f)(*args).jaxpr))


def test_updates_need_no_array_of_jacobians():
    """The largest array of an update is n x n, n x d or n x c: never n x c x d."""
    n, d, c = 40, 24, 16
    x, y, m = data(0, n, d, c)
    for kernel in KERNELS.values():
        for update in (fact_update, fact_mean_update, nfa_update, partial(nfa_update, centre=True)):
            step = lambda x, a, m, update=update, kernel=kernel: update(x, a, m, slope(kernel, x, m))
            assert largest(step, x, y, m) <= n * n
    jacobians = jax.jit(lambda x, y, m: jnp.einsum("ij,jc,jd->icd", x @ x.T, y, x @ m))
    assert largest(jacobians, x, y, m) >= n * c * d > n * n


def test_circulant_blocks():
    rng, p = np.random.default_rng(0), 7
    row = rng.normal(size=p)
    index = np.arange(p)
    for sign in (-1, 1):
        block = jnp.asarray(row[(index[:, None] + sign * index[None]) % p])
        np.testing.assert_allclose(block_circulance(block), 1.0, rtol=1e-12)
    assert block_circulance(jnp.ones((p, p))) == 0
    assert block_circulance(jnp.asarray(rng.normal(size=(p, p)))) < 0.6
