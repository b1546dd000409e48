import numpy as np
import pytest

from dsl import *


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
