"""Regular networks: random layered graphs of quadratic neurons, on points and in Fourier space.

A neuron is (sum_e a_e parent_e)^2 + b, and the output is the sum of all neurons. The possible parents of a neuron are
rows of one table: row 0 is the constant 1, rows 1, ..., d are the inputs, and row 1 + d + l W + w is neuron w of layer
l, for W neurons in a layer; an edge leads only from former layers.

Source: regular networks of arXiv 2108.10573 (from memory, unverified).
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from theory.arrays import Scalar

Spectrum = Mapping[int, float]
"""The nonzero Fourier coefficients of a function on the cube, by the bitmask of their coordinates."""


def random_edges(
    key: PRNGKeyArray, layers: int, width: int, inputs: int, from_hidden: Scalar, from_input: Scalar
) -> Bool[Array, "layers width rows"]:
    """Which parents each neuron has: independent coin flips, one for each possible edge.

    Args:
        key: random key.
        layers: number of layers.
        width: neurons in a layer, W.
        inputs: number of inputs, d.
        from_hidden: probability of an edge from a neuron of a former layer.
        from_input: probability of an edge from an input, or from the constant.

    Returns:
        True at [l, w, r] where row r is a parent of neuron w of layer l, shape (layers, W, 1 + d + layers * W).
    """
    rows = 1 + inputs + layers * width
    layer_of_row = jnp.repeat(jnp.arange(layers), width)
    former = layer_of_row[None, :] < jnp.arange(layers)[:, None]
    chance = jnp.where(former, jnp.asarray(from_hidden, jnp.float32), 0.0)
    of_input = jnp.full((layers, 1 + inputs), from_input, jnp.float32)
    draws = jax.random.uniform(key, (layers, width, rows), jnp.float32)
    return draws < jnp.concatenate((of_input, chance), axis=1)[:, None, :]


def neuron_values(
    x: Float[Array, "m d"],
    weight: Float[Array, "layers width rows"],
    bias: Float[Array, "layers width"],
    upto: int | Int[Array, ""] | None = None,
) -> Float[Array, "rows m"]:
    """The table of all parents at each point: the constant, the inputs, and every neuron.

    Args:
        x: points, shape (m, d).
        weight: a at [l, w, r] for the edge from row r to neuron w of layer l, 0 where there is none.
        bias: b of each neuron.
        upto: the number of layers that are computed, the others being 0; all of them if None.

    Returns:
        Shape (1 + d + layers * W, m), of the dtype of x.
    """
    layers, width, _ = weight.shape
    blank = jnp.zeros((layers * width, len(x)), x.dtype)
    start = jnp.concatenate((jnp.ones((1, len(x)), x.dtype), x.T, blank))

    def with_layer(layer: Int[Array, ""], table: Float[Array, "rows m"]) -> Float[Array, "rows m"]:
        neurons = jnp.square(weight[layer] @ table) + bias[layer][:, None]
        return jax.lax.dynamic_update_slice_in_dim(table, neurons, 1 + x.shape[1] + layer * width, axis=0)

    return jax.lax.fori_loop(0, layers if upto is None else upto, with_layer, start)


def spectral_product(f: Spectrum, g: Spectrum) -> dict[int, float]:
    """The product of two functions on the cube: chi_S chi_T = chi_(S xor T).

    Args:
        f: coefficients of one function.
        g: coefficients of the other.

    Returns:
        The coefficients of f g, in O(|f| |g|) whatever the dimension.
    """
    return _collected((s ^ t, a * b) for s, a in f.items() for t, b in g.items())


def spectral_neuron(parents: Sequence[Spectrum], weights: Sequence[float], bias: float) -> dict[int, float]:
    """The coefficients of the neuron (sum_e a_e parent_e)^2 + b.

    Args:
        parents: the coefficients of each parent.
        weights: a_e of each parent.
        bias: b.

    Raises:
        ValueError: if there is not one weight for each parent.
    """
    inside = _inside(parents, weights)
    return _collected([*spectral_product(inside, inside).items(), (0, bias)])


def population_gradient(
    residual: Spectrum, parents: Sequence[Spectrum], weights: Sequence[float], bias: float
) -> tuple[list[float], float]:
    """The gradient of E (residual - neuron)^2 in the weights and the bias of a neuron, exactly and without points.

    Args:
        residual: the coefficients of what is left to learn.
        parents: the coefficients of each parent.
        weights: a_e of each parent.
        bias: b.

    Returns:
        -4 E[error * inside * parent_e] for each parent, and -2 E[error], with inside = sum_e a_e parent_e and
        error = residual - inside^2 - b.

    Raises:
        ValueError: if there is not one weight for each parent.

    Source: derived; E[f g] is the sum of f^(S) g^(S).
    """
    neuron = spectral_neuron(parents, weights, bias)
    error = _collected([*residual.items(), *((s, -c) for s, c in neuron.items())])
    felt = spectral_product(error, _inside(parents, weights))
    slopes = [-4 * sum((c * felt.get(s, 0.0) for s, c in parent.items()), 0.0) for parent in parents]
    return slopes, -2 * error.get(0, 0.0)


def _inside(parents: Sequence[Spectrum], weights: Sequence[float]) -> dict[int, float]:
    pairs = zip(parents, weights, strict=True)
    return _collected((s, a * c) for parent, a in pairs for s, c in parent.items())


def _collected(terms: Iterable[tuple[int, float]]) -> dict[int, float]:
    found = defaultdict[int, float](float)
    for mask, coefficient in terms:
        found[mask] += coefficient
    return dict(found)
