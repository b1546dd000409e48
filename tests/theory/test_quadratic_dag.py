import jax
import jax.numpy as jnp
import numpy as np
import pytest

from theory.boolean import cube, inverse_walsh_transform
from theory.quadratic_dag import (
    neuron_values,
    population_gradient,
    random_edges,
    spectral_neuron,
    spectral_product,
)

Table = dict[int, float]


def functions(n: int, count: int, seed: int) -> list[Table]:
    rng = np.random.default_rng(seed)
    masks = lambda: rng.choice(2**n, size=min(2**n, 4), replace=False).tolist()
    return [{int(mask): float(rng.normal()) for mask in masks()} for _ in range(count)]


def values(f: Table, n: int) -> np.ndarray:
    dense = np.zeros(2**n)
    for mask, coefficient in f.items():
        dense[mask] = coefficient
    return inverse_walsh_transform(dense)


@pytest.mark.parametrize("n", [1, 3, 6])
def test_products_and_neurons_are_those_of_the_values_on_the_cube(n: int) -> None:
    f, g, h = functions(n, 3, n)
    np.testing.assert_allclose(values(spectral_product(f, g), n), values(f, n) * values(g, n), atol=1e-12)
    inside = 0.3 * values(f, n) - 2.0 * values(g, n) + values(h, n)
    np.testing.assert_allclose(values(spectral_neuron([f, g, h], [0.3, -2.0, 1.0], 0.7), n), inside**2 + 0.7)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 6])
def test_the_population_gradient_is_the_derivative_of_the_mean_over_the_cube(n: int) -> None:
    residual, *parents = functions(n, 4, 10 + n)
    weights, bias = [0.5, -1.2, 0.1], 0.4
    table, left = np.stack([values(p, n) for p in parents]), values(residual, n)
    loss = lambda a, b: jnp.mean((left - (a @ table) ** 2 - b) ** 2)
    with jax.enable_x64(True):
        expected = jax.grad(loss, argnums=(0, 1))(jnp.asarray(weights), jnp.asarray(bias))
    found = population_gradient(residual, parents, weights, bias)
    np.testing.assert_allclose(found[0], expected[0], atol=1e-10)
    assert found[1] == pytest.approx(float(expected[1]), abs=1e-10)


def test_a_blank_neuron_feels_the_coefficient_of_the_product_of_its_parents() -> None:
    # (a chi_u + a' chi_w)^2 + b = const + 2 a a' chi_(u xor w): at small a the slope of a is -4 a' residual^(u xor w)
    u, w, size = 0b0111 << 36, 0b1000 << 36, 1e-6
    slopes, of_bias = population_gradient({u ^ w: 0.5, u: 3.0}, [{u: 1.0}, {w: 1.0}], [size, size], 0.0)
    np.testing.assert_allclose(slopes, [-2 * size, -2 * size], rtol=1e-6)
    assert of_bias == pytest.approx(4 * size**2)


def test_one_weight_for_each_parent() -> None:
    with pytest.raises(ValueError, match="argument 2"):
        population_gradient({}, [{1: 1.0}], [1.0, 2.0], 0.0)


def test_edges_lead_from_inputs_and_former_layers_with_their_probabilities() -> None:
    edges = np.asarray(random_edges(jax.random.key(0), 6, 40, 9, 0.3, 0.7))
    assert edges.shape == (6, 40, 10 + 240)
    for layer in range(6):
        former = 10 + 40 * layer
        assert abs(edges[layer, :, :10].mean() - 0.7) < 0.1  # 400 flips: four standard deviations
        assert not edges[layer, :, former:].any()
        if layer:
            assert abs(edges[layer, :, 10:former].mean() - 0.3) < 0.05
    assert random_edges(jax.random.key(0), 2, 3, 4, 1.0, 1.0)[1, :, : 5 + 3].all()


def test_the_values_of_a_network_by_a_loop() -> None:
    layers, width, d = 3, 2, 4
    rng = np.random.default_rng(2)
    edges = np.asarray(random_edges(jax.random.key(1), layers, width, d, 0.8, 0.6))
    weight, bias = rng.normal(size=edges.shape) * edges, rng.normal(size=(layers, width))
    with jax.enable_x64(True):
        x = jnp.asarray(cube(d), float)
        found = neuron_values(x, jnp.asarray(weight), jnp.asarray(bias))
    for point, column in zip(np.asarray(x), np.asarray(found).T, strict=True):
        rows = [1.0, *point]
        for layer in range(layers):
            known = np.array(rows + [0.0] * (edges.shape[2] - len(rows)))
            rows += [(weight[layer, w] @ known) ** 2 + bias[layer, w] for w in range(width)]
        np.testing.assert_allclose(column, rows, rtol=1e-9)
