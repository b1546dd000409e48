"""What `explain` says an activation cannot give, against the coefficients of random networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dsl import *

X, Z = bits(5), reals(2)
NAME = "beyond the activation"
RELU, CUBIC = Relu(), HermiteSeries((0.0, 0.5, 0.0, 1.0))


def told(model, law, target, by=None, only="all"):
    run = Training(
        task=Labelled(law, target), model=model, loss=SquaredLoss(),
        protocol=Descent(1, Fresh(1), by=by or Sgd(0.1), only=only), measure=(Weights() @ at_end(),),
        seed=0)  # fmt: skip
    return run, {p.name: p for p in explain(run)}[NAME]


def largest(model, law, basis):
    """The largest coefficient of a few random networks on each function of a basis."""
    (x, _), weights = Labelled(law, basis[0]).nodes()
    values = jnp.stack([b(x) for b in basis]) * weights

    def coefficients(key):
        module = model.init(key, Labelled(law, basis[0]))
        wide = jax.tree.map(lambda leaf: 2.0 * leaf if isinstance(leaf, jax.Array) else leaf, module)
        return values @ wide(x)

    return np.abs(jax.jit(jax.vmap(coefficients))(jax.random.split(jax.random.key(0), 8))).max(axis=0)


def plain(activation, bias=False):
    return TwoLayer(16, activation, Standard(), bias=bias)


CASES = [
    (plain(RELU), {3, 5}),
    (plain(RELU, bias=True), set()),
    (plain(Tanh()), {2, 4}),
    (plain(Tanh(), bias=True), set()),
    (plain(Sigmoid()), {2, 4}),
    (plain(Sigmoid(shift=-0.5, slope=3.0, gain=3.0)), set()),
    (plain(CUBIC), {2, 4, 5}),
    (plain(CUBIC, bias=True), {4, 5}),
    (Mlp((16, 16), Tanh(), bias=False), {2, 4}),
    pytest.param(Mlp((16, 16), RELU, bias=False), set(), marks=pytest.mark.slow),
    pytest.param(Mlp((16, 16), Sigmoid(slope=3.0), bias=False), set(), marks=pytest.mark.slow),
    pytest.param(Mlp((16, 16), HermiteSeries((0.3, 0.0, 1.0)), bias=False), {1, 3, 5}, marks=pytest.mark.slow),
    (Mlp((16, 16), HermiteSeries((0.0, 0.5, 1.0)), bias=False), {5}),
]


@pytest.mark.parametrize(("model", "lost"), CASES, ids=lambda case: repr(case))
def test_what_is_beyond_is_zero_in_every_network_and_the_rest_is_not(model, lost):
    basis = prefixes(X, 5)
    _, found = told(model, Hypercube(5), total(basis))
    assert {len(term) for term in found.value} == lost
    sizes = largest(model, Hypercube(5), basis)
    for degree, size in enumerate(sizes, start=1):
        assert (size < 1e-5) == (degree in lost), (degree, sizes)


def test_the_warning_names_the_terms_the_floor_and_the_remedy():
    _, found = told(plain(RELU), Hypercube(5), X[0] + 2.0 * prod(X[:3]))
    assert found.applies
    assert found.verified
    assert "this activation cannot learn this target: Relu without biases leaves x0*x1*x2 at 0" in found.why
    assert "E (f - y)^2 stays at 4 of 5 or above" in found.why
    assert "biases, or a shift" in found.why
    _, polynomial = told(plain(CUBIC, bias=True), Hypercube(5), prod(X[:4]))
    assert "would bring" not in polynomial.why
    _, fine = told(plain(RELU, bias=True), Hypercube(5), prod(X[:3]))
    assert fine.value == ()
    assert "Relu with biases can give every term" in fine.why


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_hermite_degrees_on_gaussian_inputs(degree):
    model = plain(CUBIC)
    _, found = told(model, Gaussian(2), he(degree, Z[0]))
    assert bool(found.value) == (degree == 2)
    size = largest(model, Gaussian(2), (he(degree, Z[0]),))[0]
    assert (size < 1e-5) == (degree == 2)


def test_on_the_sphere_each_degree_needs_its_own_coefficient():
    lacking, sphere = HermiteSeries((0.0, 0.0, 0.0, 1.0)), SphericalSgd(0.1)
    free = told(plain(lacking), Gaussian(2), Z[0])[1]
    assert free.value == ()  # a weight of another norm makes he_3 a mixture of degrees 3 and 1
    assert told(plain(lacking), Gaussian(2), Z[0], sphere, "hidden")[1].value == (((0, 1),),)
    assert told(plain(lacking, bias=True), Gaussian(2), Z[0], sphere, "hidden")[1].value == ()
    assert told(plain(lacking), Gaussian(2), Z[0], sphere, "readout")[1].value == ()
    on_bits = told(plain(lacking), Hypercube(5), X[0], sphere, "hidden")[1]
    assert on_bits.value == ()  # bits are not rotated: the degrees of he_3(<w, x>) mix


def test_phases_and_own_seeds_are_looked_through():
    first, _ = told(plain(RELU), Hypercube(5), prod(X[:3]))
    _, found = told(Trained(first), Hypercube(5), prod(X[:3]))
    assert found.value == ((0, 1, 2),)
    assert told(Seeded(plain(RELU), 1), Hypercube(5), prod(X[:3]))[1].value == ((0, 1, 2),)
    limit = MeanFieldLimit(4, 8, RELU)
    assert told(limit, Hypercube(5), prod(X[:3]))[1].value == ((0, 1, 2),)


def test_of_other_models_and_activations_nothing_is_said():
    class Cube(Activation):
        def __call__(self, z):
            return z**3

    assert told(plain(Cube()), Hypercube(5), prod(X[:4]))[1].value == ()  # a user's may be any function
    run, _ = told(plain(RELU), Hypercube(5), X[0])
    assert NAME not in {p.name for p in explain(run.task.x)}
    assert not told(plain(RELU), Hypercube(5), Unexpanded(5))[1].applies


class Unexpanded(Target[Bits, Real]):
    d: int

    def __call__(self, x):
        return jnp.sign(jnp.sum(x, axis=-1))


def test_no_shipped_activation_contradicts_its_degrees():
    z = np.linspace(-3, 3, 61, dtype=np.float32)
    for activation in (Relu(), Tanh(), Sigmoid(), HermiteSeries((0.0, 0.5, 1.0)), HermiteSeries((0.0, 0.0, 0.0, 1.0))):
        up, down = np.asarray(activation(jnp.asarray(z))), np.asarray(activation(jnp.asarray(-z)))
        for part, degree in zip(((up + down) / 2, (up - down) / 2), activation.degrees, strict=True):
            if degree < 8:
                fitted = np.polynomial.Polynomial.fit(z, part, max(int(degree), 0))
                np.testing.assert_allclose(fitted(z), part, atol=1e-4)
