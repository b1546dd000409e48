"""Networks of the user's own, of three libraries, against themselves called by hand."""

import json
import sys
import types
from dataclasses import replace

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from flax.traverse_util import flatten_dict

from dsl import *
from dsl.representations import layer_names
from runs.here import run
from runs.numerics import foreign
from runs.sourcehash import source_hash

LAW = Labelled(Hypercube(4), bits(4)[0] * bits(4)[1])
KEY = jax.random.key(3)
HERE = __name__


class OfEquinox(eqx.Module):
    first: eqx.nn.Linear
    act: eqx.nn.Lambda
    blocks: tuple[eqx.nn.Sequential, ...]
    readout: eqx.nn.Linear
    steps: jax.Array

    def __init__(self, d: int, width: int, outputs: int = 1, *, key: jax.Array) -> None:
        keys = jax.random.split(key, 3)
        self.first = eqx.nn.Linear(d, width, key=keys[0])
        self.act = eqx.nn.Lambda(jnp.tanh)
        self.blocks = (eqx.nn.Sequential([eqx.nn.Linear(width, width, key=keys[1]), eqx.nn.Lambda(jnp.sin)]),)
        self.readout = eqx.nn.Linear(width, outputs, key=keys[2])
        self.steps = jnp.arange(3)

    def __call__(self, x):
        x = self.act(self.first(x))
        for block in self.blocks:
            x = block(x)
        return self.readout(x) + jnp.sum(self.steps)


class OfNnx(nnx.Module):
    def __init__(self, d: int, width: int, outputs: int = 1, *, rngs: nnx.Rngs) -> None:
        self.wide = nnx.Linear(d, width, rngs=rngs)
        self.blocks = nnx.List([nnx.Linear(width, width, rngs=rngs)])
        self.a_readout = nnx.Linear(width, outputs, rngs=rngs)

    def __call__(self, x):
        x = jnp.tanh(self.wide(x))
        for block in self.blocks:
            x = jnp.sin(block(x))
        return self.a_readout(x)


class OfLinen(nn.Module):
    width: int
    outputs: int = 1

    @nn.compact
    def __call__(self, x):
        x = jnp.sin(nn.Dense(self.width, name="block")(jnp.tanh(nn.Dense(self.width)(x))))
        return nn.Dense(self.outputs)(x)


class WithState(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(1)(nn.BatchNorm(use_running_average=False)(x))


class WithDropout(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        self.dropout, self.linear = nnx.Dropout(0.5, rngs=rngs), nnx.Linear(4, 1, rngs=rngs)

    def __call__(self, x):
        return self.linear(self.dropout(x))


def function(x):
    return x


NETS = {
    "equinox": Imported(f"{HERE}:OfEquinox", d=4, width=5),
    "nnx": Imported(f"{HERE}:OfNnx", d=4, width=5),
    "linen": Imported(f"{HERE}:OfLinen", width=5),
}
LAYERS = {
    "equinox": ["first", "act", "blocks[0].layers[0]", "blocks[0].layers[1]", "blocks[0]", "readout"],
    "nnx": ["wide", "blocks.0", "a_readout"],
    "linen": ["Dense_0", "block", "Dense_1"],
}
every_library = pytest.mark.parametrize("library", NETS)


def filled(library):
    """The network with weights that are drawn here."""
    rng, outline = np.random.default_rng(0), eqx.filter_eval_shape(NETS[library].init, KEY, LAW)
    weights = {name: jnp.asarray(rng.normal(size=w.shape), jnp.float32) for name, w in outline.weights.items()}
    fixed = {name: jnp.arange(3) for name in outline.fixed.arrays}
    return eqx.tree_at(lambda m: (m.weights, m.fixed.arrays), outline, (weights, fixed))


def by_hand(library, weights, x):
    """The modules of the network in the order of calls, and its output."""
    w = {name: np.asarray(weight) for name, weight in weights.items()}
    if library == "equinox":
        dense = lambda name, h: h @ w[f"{name}.weight"].T + w[f"{name}.bias"]
        first = dense("first", x)
        inside = dense("blocks[0].layers[0]", np.tanh(first))
        out = dense("readout", np.sin(inside))
        return [first, np.tanh(first), inside, np.sin(inside), np.sin(inside), out], out + 3
    dense = lambda name, h: h @ w[f"{name}.kernel"] + w[f"{name}.bias"]
    first = dense(LAYERS[library][0], x)
    inside = dense(LAYERS[library][1], np.tanh(first))
    out = dense(LAYERS[library][2], np.sin(inside))
    return [first, inside, out], out


@every_library
def test_it_is_the_network_and_its_layers_are_the_modules_in_it(library):
    x, module = np.random.default_rng(1).normal(size=(2, 3, 4)).astype(np.float32), filled(library)
    layers, out = by_hand(library, module.weights, x.reshape(6, 4))
    found, outputs = jax.jit(lambda x: (module(x), module.outputs(x.reshape(6, 4))))(x)
    np.testing.assert_allclose(found, out.reshape(2, 3), rtol=1e-5, atol=1e-5)
    assert module.names == LAYERS[library]
    for layer, expected in zip(outputs, layers, strict=True):
        np.testing.assert_allclose(layer, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_it_is_initialised_as_its_library_does():
    params = OfLinen(5).init(KEY, jnp.zeros((1, 4)))["params"]
    jax.tree.map(np.testing.assert_array_equal, NETS["linen"].init(KEY, LAW).weights, flatten_dict(params, sep="."))
    state = nnx.to_flat_state(nnx.state(OfNnx(4, 5, rngs=nnx.Rngs(KEY))))
    found = NETS["nnx"].init(KEY, LAW).weights
    assert len(found) == len(state)
    for path, variable in state:
        np.testing.assert_array_equal(found[".".join(map(str, path))], variable.get_value())
    module = NETS["equinox"].init(KEY, LAW)
    np.testing.assert_array_equal(module.weights["readout.weight"], OfEquinox(4, 5, key=KEY).readout.weight)


def test_arrays_of_numbers_are_weights_and_others_are_kept():
    module = eqx.filter_eval_shape(NETS["equinox"].init, KEY, LAW)
    assert sorted(module.weights) == sorted(
        f"{name}.{part}" for name in ("first", "blocks[0].layers[0]", "readout") for part in ("weight", "bias")
    )
    assert list(module.fixed.arrays) == ["steps"]
    with jax.enable_x64(True):
        double = eqx.filter_eval_shape(NETS["linen"].init, KEY, LAW).weights
    assert {weight.dtype for weight in double.values()} == {jnp.dtype("float64")}


def test_fields_are_plain_values_in_any_order():
    net = Imported(f"{HERE}:OfEquinox", width=np.int64(5), d=4)
    assert net == NETS["equinox"]
    assert repr(net) == f"Imported('{HERE}:OfEquinox', d=4, width=5)"
    assert eval(repr(net)) == net
    assert load(json.loads(json.dumps(dump(net)))) == net
    one, whole = (Imported("equinox.nn:MLP", in_size=4, out_size=1, width_size=2, depth=d) for d in (1, 2))
    assert digest(one) != digest(whole)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Imported("my_netz:Net"), "net: the module 'my_netz' is not imported, and a spec imports nothing"),
        (lambda: Imported("antigravity:Net"), "'antigravity' is not imported"),
        (lambda: Imported(f"{HERE}:OfEqinox"), r"has no 'OfEqinox' \(did you mean 'OfEquinox'\?\)"),
        (lambda: Imported(f"{HERE}:function"), "expected a class of Equinox, Flax NNX or Flax Linen modules"),
        (lambda: Imported("os:system", command="echo"), "expected a class of Equinox"),
        (lambda: Imported("subprocess:Popen", args="echo"), "expected a class of Equinox"),
        (lambda: Imported("os.path:Net:a"), "net: expected 'module:Class', got"),
        (lambda: Imported(f"{HERE}:OfLinen", widht=3), r"widht: OfLinen has no such field \(did you mean 'width'\?\)"),
        (lambda: Imported(f"{HERE}:OfNnx", d=4), "width: missing: OfNnx needs it"),
        (lambda: Imported(f"{HERE}:OfNnx", d=4, width=2, rngs=1), "rngs: OfNnx has no such field"),
        (lambda: Imported(f"{HERE}:OfEquinox", d="4", width=2), "d: expected int, got '4'"),
        (lambda: Imported(f"{HERE}:OfEquinox", d=4, width=True), "width: expected int, got True"),
        (lambda: Imported(f"{HERE}:OfEquinox", d=4, width=jnp.tanh), "width: expected a finite number, text"),
        (lambda: Imported(f"{HERE}:OfEquinox", d=4, width=float("nan")), "width: expected a finite number"),
        (lambda: Imported(), "net: missing"),
        (lambda: loaded('{"width": 3'), "arguments: expected the text of a JSON object"),
        (lambda: loaded("[" * 9999), "arguments: expected the text of a JSON object"),
        (lambda: loaded('{"width": {"a": 1}}'), "arguments: expected the text of a JSON object"),
        (lambda: loaded('{"width":3}'), "arguments: expected it in canonical form"),
        (lambda: loaded('{"width": NaN}'), "width: expected a finite number"),
    ],
)
def test_what_is_no_network_with_such_fields_is_refused(make, message):
    before = set(sys.modules)
    with pytest.raises(SpecError, match=message):
        make()
    assert set(sys.modules) == before


def loaded(arguments):
    return load({"kind": "Imported", "net": f"{HERE}:OfLinen", "arguments": arguments})


def test_names_that_a_module_would_import_when_asked_are_not_asked_for(monkeypatch):
    lazy = types.ModuleType("lazy_nets")
    vars(lazy)["__getattr__"] = lambda name: pytest.fail(f"asked for {name}")
    monkeypatch.setitem(sys.modules, "lazy_nets", lazy)
    with pytest.raises(SpecError, match="the module 'lazy_nets' has no 'Net'"):
        Imported("lazy_nets:Net")


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Imported(f"{HERE}:OfEquinox", d=5, width=2), r"model: .*:OfEquinox cannot read x of shape \(4,\): TypeError"),
        (Imported(f"{HERE}:OfLinen", width=2, outputs=3), r"puts out \(3,\) for one x; the task asks for one number"),
        (Imported(f"{HERE}:WithState"), "it keeps batch_stats; a model is a function of its weights alone"),
        (Imported(f"{HERE}:WithDropout"), "it keeps RngCount, RngKey; a model is"),
    ],
)
def test_a_network_that_does_not_fit_its_task_is_refused(model, message):
    with pytest.raises(SpecError, match=message):
        trained(model)


def test_a_layer_that_it_does_not_have_names_the_nearest():
    inputs = Sample(LAW, n=6)
    with pytest.raises(SpecError, match=r"no layer 'blok' \(did you mean 'block'\?\)"):
        Representation(NETS["linen"], inputs, "blok")
    with pytest.raises(SpecError, match=r"model: .* cannot read x of shape \(4,\)"):
        Representation(Imported(f"{HERE}:OfEquinox", d=5, width=2), inputs, 0)
    assert Representation(NETS["nnx"], inputs, "blocks.0").outline() == (6, 5)
    assert layer_names(NETS["nnx"], LAW) == LAYERS["nnx"]


@pytest.mark.parametrize(
    "library", ["equinox", *(pytest.param(net, marks=pytest.mark.slow) for net in ("linen", "nnx"))]
)
def test_fact_of_a_layer_is_that_of_its_matrix(library):
    """Of the inner layer, whose input is tanh of the first: -1/(n lam) sum_i (W^T d_i) h_i^T, with d_i at W h_i."""
    place = {"equinox": 2, "linen": 1, "nnx": 1}[library]
    first, inner, readout = {
        "equinox": ("first", "blocks[0].layers[0]", "readout"), "linen": LAYERS["linen"], "nnx": LAYERS["nnx"],
    }[library]  # fmt: skip
    module, ((x, y), _) = filled(library), LAW.nodes()
    layers, out = by_hand(library, module.weights, np.asarray(x))
    part, turned = ("weight", lambda w: w) if library == "equinox" else ("kernel", np.transpose)
    w, read = (turned(np.asarray(module.weights[f"{name}.{part}"])) for name in (inner, readout))
    delta = 2 * (out[:, 0] - np.asarray(y))[:, None] * read * np.cos(layers[place])
    h = np.tanh(layers[0])
    expected = -np.einsum("id,ie->de", delta @ w, h) / (len(h) * 0.05)
    gram = w.T @ w
    cosine = np.sum(gram * expected) / np.linalg.norm(gram) / np.linalg.norm(expected)
    of, state = types.SimpleNamespace(task=LAW, loss=SquaredLoss() + L2(0.05)), types.SimpleNamespace(model=module)
    for layer in (inner, place):
        assert FactAlignment(layer)(of, state, None, KEY) == pytest.approx(cosine, abs=1e-5)
    assert FactAlignment(first)(of, state, None, KEY) != pytest.approx(cosine, abs=1e-3)


def test_alignments_are_of_layers_with_a_matrix_and_known_inputs():
    def measured(*measure):
        noun = (GradientNorm(), *measure)
        return replace(
            trained(NETS["equinox"]), loss=SquaredLoss() + L2(0.05), measure=tuple(one @ at_end() for one in noun)
        )

    measured(FactAlignment("readout"), FactAlignment("blocks[0].layers[0]"), FactAlignment(0))
    for layer in (1, "act", "blocks[0]"):
        with pytest.raises(
            SpecError, match=r"'(act|blocks\[0\])' is no layer W h: it has no matrix of the name weight"
        ):
            measured(FactAlignment(layer))
    with pytest.raises(SpecError, match=r"no layer 'frist' \(did you mean 'first'\?\)"):
        measured(FactAlignment("frist"))
    with pytest.raises(
        SpecError, match=r"has no output as a function of the input of a layer.*FactAlignment needs none"
    ):
        measured(NfaAlignment("readout", power=0.5))
    for noun in (FactAlignment("first"), NfaAlignment(0, power=0.5)):
        with pytest.raises(SpecError, match=r"Training: model: .* cannot read x of shape \(4,\)"):
            replace(measured(), model=Imported(f"{HERE}:OfEquinox", d=5, width=2), measure=(noun @ at_end(),))


@pytest.mark.slow
def test_fact_holds_where_an_imported_network_has_converged():
    names = ("Dense_0", "block", "Dense_1")
    measure = tuple(noun @ at_end() for noun in (GradientNorm(), *map(FactAlignment, names)))
    by = Descent(4_000, Exact(), by=Adam(Cosine(2e-2, warmup=0.0)))
    of = replace(trained(NETS["linen"]), loss=SquaredLoss() + L2(0.01), protocol=by, measure=measure)
    table = run(of)
    assert table["GradientNorm"][-1] < 1e-3
    assert min(table[f"FactAlignment(layer={name!r})"][-1] for name in names) > 0.98


def test_the_code_of_the_network_counts_as_that_of_a_noun():
    assert foreign(trained(NETS["linen"])) == {f"{HERE}:OfLinen": source_hash(OfLinen)}


def trained(model):
    return Training(
        task=LAW, model=model, loss=SquaredLoss(), protocol=Descent(40, Exact(), by=Adam(0.05)),
        measure=(TestLoss(Exact()) @ at(0, 40), Weights() @ at_end()), seed=1)  # fmt: skip


@pytest.mark.slow
@every_library
def test_it_trains_and_what_it_learned_is_represented(library):
    of = trained(NETS[library])
    found = run(of)["TestLoss"]
    assert found[1] < 0.3 * found[0]
    inputs = Sample(LAW, n=16)
    layers = tuple(Representation(Trained(of), inputs, layer) for layer in (0, LAYERS[library][0], -1))
    distances = run(Analysis(of=layers, measure=(DistanceMatrix(Cka()),)))["DistanceMatrix"][0]
    np.testing.assert_allclose(distances[0, 1], 0.0, atol=1e-5)
    assert distances[0, 2] > 0.01
