import inspect
import types

import numpy as np
import pytest

import dsl
from dsl import *
from dsl import keys


def test_a_seeded_model_starts_alike_in_every_run():
    def start(model, seed):
        run = Training(
            task=Labelled(Hypercube(3), bits(3)[0]), model=model, loss=SquaredLoss(),
            protocol=Descent(1, Fresh(2), by=Sgd(0.1)), measure=(Weights() @ at_end(),), seed=seed)  # fmt: skip
        program, knobs = compile(run), compile(run).knobs(run)
        return program.init(knobs, {}, program.constants(knobs, {}))["model"].readout.weight

    model = TwoLayer(4, Relu(), Standard())
    assert not np.array_equal(start(model, 0), start(model, 1))
    assert np.array_equal(start(Seeded(model, 5), 0), start(Seeded(model, 5), 1))
    assert np.array_equal(start(Seeded(model, 5), 0), start(model, 5))


def test_weights_belong_to_the_shapes_they_were_trained_on():
    def run(d, model):
        return Training(
            task=Labelled(Hypercube(d), bits(d)[0]), model=model, loss=SquaredLoss(),
            protocol=Descent(1, Fresh(2), by=Sgd(0.1)), measure=(Weights() @ at_end(),), seed=0)  # fmt: skip

    with pytest.raises(SpecError, match=r"model: its weights were trained to read x of shape \(3,\)"):
        run(4, Trained(run(3, TwoLayer(4, Relu(), Standard()))))


class Stray(Target[Bits, Real]):
    def __call__(self, x):
        return x[..., :1]


def test_a_label_that_would_only_broadcast_is_refused():
    with pytest.raises(TypeError, match=r"Stray returned shape \(4, 1\) for 4 inputs, expected \(4,\)"):
        Labelled(Hypercube(3), Stray()).sample(keys.root(0), 4)


def test_prefixes_beyond_the_coordinates_are_refused():
    with pytest.raises(ValueError, match="depth 5 of 3 coordinates; expected 1 to 3"):
        prefixes(bits(3), 5)


def test_the_star_gives_the_language_and_no_modules():
    names = {name: getattr(dsl, name) for name in dsl.__all__}
    assert not [name for name, value in names.items() if isinstance(value, types.ModuleType)]
    public = {name for name, value in vars(dsl).items() if not name.startswith("_")}
    modules = {name for name in public if isinstance(getattr(dsl, name), types.ModuleType)}
    assert public - modules == set(dsl.__all__)


def test_a_signature_shows_what_is_declared():
    assert str(inspect.signature(Cosine)) == "(peak: 'float', warmup: 'float' = 0.0)"
