"""Experiments: what DESIGN writes is accepted, what does not fit is refused."""

from dsl import *


def staircase(depth: int, lr: float, seed: int) -> Training:
    x = bits(40)
    return Training(
        task=Labelled(Hypercube(40), total(prod(x[:k]) for k in range(1, depth + 1))),
        model=TwoLayer(width=256, activation=Relu(), scaling=MeanField()),
        loss=SquaredLoss(),
        protocol=Descent(steps=20_000, draw=Fresh(64), by=Sgd(lr=lr)),
        measure=(TestLoss(Fresh(10_000)) @ every(100), Coefficients(prefixes(x, depth), Fresh(10_000)) @ log_spaced(60)),
        seed=seed)


study = Study("my-staircase", grid(staircase, depth=(2, 4), lr=(0.05, 0.1), seed=range(16)))

x = bits(3)
ON_CUBE = Labelled(Hypercube(3), x[0])
MLP = Mlp((4,), activation=Relu())
DESCENT = Descent(3, Fresh(2), by=Adam(lr=Cosine(1.0)))
WEIGHTS = (Weights() @ at_end(),)

first = Training(task=ON_CUBE, model=MLP, loss=SquaredLoss(), protocol=DESCENT, measure=WEIGHTS, seed=0)
Training(task=ON_CUBE, model=Mlp((4,), activation=Tanh()), loss=SquaredLoss() + L2(1e-3), protocol=DESCENT,
         measure=(), seed=0)
Training(task=Sample(ON_CUBE, n=5), model=Trained(first), loss=0.5 * LogisticLoss(), protocol=DESCENT,
         measure=(), seed=0)
Training(task=Seeded(Sample(ON_CUBE, n=5), seed=3), model=Trained(first, at=-1), loss=SquaredLoss(), protocol=DESCENT,
         measure=(TestLoss(Exact(), on=ON_CUBE) @ at(0, 1),), seed=0, precision="float64")
Analysis(of=(Hypercube(3), Result(first, "Weights")), measure=())


GAUSSIAN = Labelled(Gaussian(3), reals(3)[0])


def refused(on_bits: Model[Bits, Real], digits: Task[Reals, Classes], entropy: Loss[Classes]) -> None:
    squared, none = SquaredLoss(), ()
    # accepted
    Training(task=ON_CUBE, model=on_bits, loss=squared, protocol=DESCENT, measure=none, seed=0)
    Training(task=digits, model=MLP, loss=entropy, protocol=DESCENT, measure=none, seed=0)
    # refused
    Training(task=GAUSSIAN, model=on_bits, loss=squared, protocol=DESCENT, measure=none, seed=0)  # expect: "Reals" is not assignable to "Bits"
    Training(task=ON_CUBE, model=MLP, loss=entropy, protocol=DESCENT, measure=none, seed=0)  # expect: "Classes"
    Training(task=digits, model=MLP, loss=squared, protocol=DESCENT, measure=none, seed=0)  # expect: "Classes" is not assignable to "Reals"
    Training(task=ON_CUBE, model=MLP, loss=L2(1.0), protocol=DESCENT, measure=none, seed=0)  # expect: "L2" is not assignable to "Loss
    Training(task=Hypercube(3), model=MLP, loss=squared, protocol=DESCENT, measure=none, seed=0)  # expect: "Hypercube" is not assignable to "Task
    Training(task=ON_CUBE, model=MLP, loss=squared, protocol=DESCENT, measure=TestLoss(Exact()), seed=0)  # expect: "TestLoss" is not assignable to "tuple
    Training(task=ON_CUBE, model=MLP, loss=squared, protocol=DESCENT, measure=(), seed=0, precision="bfloat16")  # expect: is not assignable to type "Precision"
    Trained(ON_CUBE)  # expect: is not assignable to "Training
