"""Domains: laws give inputs, targets and models take them, outputs meet the loss."""

from typing import assert_type, reveal_type

from jaxtyping import Array, Float

from dsl import *


class Digit(Target[Reals, Classes]):
    """A class."""

    def __call__(self, x: Float[Array, "*batch d"]) -> Float[Array, "*batch"]:
        return x[..., 0]


x, z = bits(3), reals(3)

# accepted
Labelled(Hypercube(3), x[0])
Labelled(Hypercube(3), Majority(3))
Labelled(Hypercube(3), z[0] * z[1])
Labelled(Hypercube(3), he(2, z[0]) * z[1])
Labelled(Gaussian(3), he(2, z[0]) * z[1])
Labelled(Hypercube(3), Majority(3) * x[0] + 0.5 * Majority(3) - 1.0)
Sample(Labelled(Hypercube(3), x[0]), n=10)
Labelled(Sample(Hypercube(3), n=10), Seeded(Majority(3), seed=1))
Labelled(Moved(Hypercube(3), SignFlip((0,))), Moved(Majority(3), by=Permutation((1, 0, 2))))
NoisyGd(0.1, radius=1.0, noise=Moved(Isotropic(0.1), SignFlip((0,))))
assert_type(x[0] + 0.5 * prod(x[:3]), Target[Bits, Real])
assert_type(total(prod(x[:k]) for k in range(1, 3)), Target[Bits, Real])
assert_type(1.0 - x[0] / 2, Target[Bits, Real])
assert_type(z[0] * z[1], Target[Reals, Real])
reveal_type(x[0] + 0.5 * prod(x[:3]))  # expect: "Target[Bits, Real]"

# refused
Labelled(Gaussian(3), x[0])  # expect: "Reals" is not assignable to "Bits"
Labelled(Gaussian(3), Majority(3))  # expect: "Reals" is not assignable to "Bits"
Labelled(Gaussian(3), Seeded(Majority(3), seed=1))  # expect: "Reals" is not assignable to "Bits"
Labelled(Moved(Gaussian(3), SignFlip((0,))), x[0])  # expect: "Reals" is not assignable to "Bits"
Labelled(Sample(Gaussian(3), n=5), Majority(3))  # expect: "Reals" is not assignable to "Bits"
Labelled(Gaussian(3), 0.5 * prod(x[:2]) + 1.0)  # expect: "Reals" is not assignable to "Bits"
Labelled(Hypercube(3), Hypercube(3))  # expect: "Hypercube" is not assignable to "Target
_ = Digit() + x[0]  # expect: not supported for types "Digit"
TwoLayer(width=3, activation=Relu(), scaling=Relu())  # expect: "Relu" is not assignable to "Scaling"
Hypercube("3")  # expect: is not assignable to "int"
Hypercube(3).d = 4  # expect: read-only
Hypercube(3, dim=4)  # expect: No parameter named "dim"
Sgd(lr="0.1")  # expect: is not assignable to "float
_ = SquaredLoss() @ every(3)  # expect: Operator "@"
