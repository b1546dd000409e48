"""Distances between representations, and the measurements of an `Analysis` that compare all pairs of them."""

import abc
from collections.abc import Iterable
from typing import Annotated, Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key
from pydantic import Field

from dsl.difference import differences
from dsl.domains import inner
from dsl.faults import Fault, SpecError, folded
from dsl.fields import Static
from dsl.identity import digest
from dsl.measurements import Measurement
from dsl.realise import Seeded
from dsl.representations import Representation
from dsl.spec import Spec, kind
from theory import representation
from theory.representation import Spectrum
from theory.representation.spectra import SMALLEST_SINGLE

RidgeWeight = Annotated[float, Field(ge=0)]


class Distance(Spec, abstract=True):
    """A symmetric distance of two representations of the same inputs, 0 for equal ones, from their spectral factors."""

    @abc.abstractmethod
    def __call__(self, a: Spectrum, b: Spectrum) -> Float[Array, "*values"]:
        """The distance, or several."""

    def unfit(self, precision: str) -> Iterable[Fault]:
        """Why it cannot be computed in a precision."""
        return ()

    def doubt(self, inputs: int, units: int) -> str | None:
        """Why it says little of representations of this size; None by default."""
        return None


class Gulp(Distance):
    """The GULP distance at each ridge (2210.06545): how differently ridge regressions on the two predict.

    The distance itself, not its square, for covariances of trace 1; at 0 the rank decides.
    """

    lams: tuple[RidgeWeight, ...]

    def check(self) -> Iterable[Fault]:
        """At least one ridge."""
        return [Fault(("lams",), "expected at least one ridge, got none")] if not self.lams else ()

    def __call__(self, a: Spectrum, b: Spectrum) -> Float[Array, "lams"]:
        """A distance for each ridge."""
        return representation.gulp_between(a, b, jnp.asarray(self.lams))

    def unfit(self, precision: str) -> Iterable[Fault]:
        """Ridges that float32 cannot resolve."""
        for i, lam in enumerate(self.lams):
            if precision == "float32" and lam < SMALLEST_SINGLE:
                problem = f"{lam!r} needs an Analysis with precision='float64'; float32 resolves {SMALLEST_SINGLE} on"
                yield Fault(("lams", i), problem)

    def doubt(self, inputs: int, units: int) -> str | None:
        """No more inputs than units at a ridge of 0, where the rank decides."""
        if 0.0 not in self.lams or inputs > units:
            return None
        rank = f"{inputs} inputs of {units} units have rank {inputs - 1} at most"
        return (
            f"Gulp at lam = 0: {rank}, and every representation of full rank looks alike: use a ridge, or more inputs"
        )


class Cca(Distance):
    """1 - mean(rho^2) over the canonical correlations: of full ranks a linear function of `Gulp` squared at 0."""

    def __call__(self, a: Spectrum, b: Spectrum) -> Float[Array, ""]:
        """In [0, 1]; 0 for representations that are linear functions of each other."""
        return representation.mean_squared_cca_between(a, b)


class Cka(Distance):
    """1 - the linear centred kernel alignment, to which `Gulp` tends for large ridges (1905.00414)."""

    def __call__(self, a: Spectrum, b: Spectrum) -> Float[Array, ""]:
        """In [0, 1]; 0 for representations that are rotations of each other."""
        return 1.0 - representation.linear_cka_between(a, b)


class Procrustes(Distance):
    """min_Q |A - B Q|_F over orthogonal Q, both scaled to norm 1; the distance itself, not its square."""

    def __call__(self, a: Spectrum, b: Spectrum) -> Float[Array, ""]:
        """In [0, sqrt(2)]; 0 for representations that are rotations of each other."""
        return representation.procrustes_between(a, b)


class Svcca(Distance):
    """1 - mean(rho) over the canonical correlations of the principal components that hold a share of the variance.

    From memory, unverified (1706.05806).
    """

    keep: Static[Annotated[float, Field(gt=0, le=1)]] = 0.99

    def __call__(self, a: Spectrum, b: Spectrum) -> Float[Array, ""]:
        """In [0, 1]; 0 for representations that are linear functions of each other and keep the same components."""
        return representation.svcca_between(a, b, self.keep)


class Pwcca(Distance):
    """1 - sum_i w_i rho_i, with w_i the share of the units on the i-th canonical variate; the mean of both directions.

    From memory, unverified (1806.05759), where the weights are of one of the two: a distance that is not symmetric.
    """

    def __call__(self, a: Spectrum, b: Spectrum) -> Float[Array, ""]:
        """In [0, 1]; 0 for representations that are linear functions of each other."""
        return (representation.pwcca_between(a, b) + representation.pwcca_between(b, a)) / 2


class DistanceMatrix(Measurement, version=2):
    """The distances between all pairs of the representations of an analysis, from one decomposition for each.

    Of shape (m, m), or (lams, m, m) for `Gulp`, in the order of its ridges; since these are knobs, which no name tells,
    its column is called `DistanceMatrix` beside others too. Representations are centred and scaled to tr Sigma = 1.
    Where one is constant over the inputs, or not finite, the point fails.
    """

    reads: ClassVar[tuple[str, ...]] = ("of",)
    distance: Distance

    def __call__(self, experiment: Any, state: Any, constants: Any, key: Key[Array, ""]) -> Float[Array, "*values m m"]:
        """Symmetric; NaN in the row and the column of a representation that has no distances."""
        return representation.distance_matrix([features.values for features in experiment.of], self.distance)

    def unfit(self, experiment: Any) -> Iterable[Fault]:
        """Nouns that are no representations of the same inputs, one input alone, and a precision that is too low."""
        yield from _unfit(experiment, least=2)
        yield from (fault.under("distance") for fault in self.distance.unfit(experiment.precision))

    def doubts(self, experiment: Any) -> Iterable[str]:
        """No more inputs than units, where the rank alone decides."""
        sizes = {inner(noun).outline() for noun in experiment.of}
        return sorted({text for text in (self.distance.doubt(*size) for size in sizes) if text})

    def failure(self, value: Any) -> str | None:
        """Representations without distances."""
        return _unusable(value)


class Labels(Spec, abstract=True):
    """A law of labels that does not look at the inputs."""

    @abc.abstractmethod
    def draw(self, key: Key[Array, ""], n: int) -> Float[Array, "n"]:
        """Labels of n inputs."""


class RandomLabels(Labels):
    """Independent standard normal labels; a mean would change nothing, because representations are centred."""

    def draw(self, key: Key[Array, ""], n: int) -> Float[Array, "n"]:
        """N(0, 1), shape (n,)."""
        return jax.random.normal(key, (n,), jnp.float32).astype(float)  # the same draw at every precision


class PredictionGap(Measurement, version=2):
    """How far the predictions of ridge regressions on the representations lie apart: mean squared, for all pairs.

    The regressions are fitted to labels of the even inputs and predict at the odd ones; each half is centred and scaled
    by itself, as in the random tasks of 2210.06545 (authors' code). Of shape (m, m); the labels are of the seed.
    """

    reads: ClassVar[tuple[str, ...]] = ("of",)
    labels: Labels
    lam: Annotated[float, Field(gt=0)]

    def constants(self, experiment: Any, key: Key[Array, ""]) -> Float[Array, "n"]:
        """The labels."""
        return self.labels.draw(key, len(experiment.of[0].values[::2]))

    def __call__(self, experiment: Any, state: Any, constants: Any, key: Key[Array, ""]) -> Float[Array, "m m"]:
        """mean_x (f_i(x) - f_j(x))^2, symmetric."""
        lam, units = jnp.asarray(self.lam), [features.values for features in experiment.of]
        probe = lambda phi: representation.ridge_predictions(phi[::2], constants, phi[1::2], lam)
        return representation.prediction_gaps([probe(phi) for phi in units])

    def unfit(self, experiment: Any) -> Iterable[Fault]:
        """Nouns that are no representations of the same inputs, and halves of one input, which has no scale."""
        yield from _unfit(experiment, least=4)

    def failure(self, value: Any) -> str | None:
        """Representations without predictions."""
        return _unusable(value)


def _unusable(matrix: Float[np.ndarray, "*values m m"]) -> str | None:
    """Which representations have no finite distance, or else which pair of them; None where all have."""
    broken = ~np.isfinite(matrix.reshape(-1, *matrix.shape[-2:])).all(axis=0)
    if not broken.any():
        return None
    alone = np.flatnonzero(np.diagonal(broken))
    if not alone.size:
        i, j = np.argwhere(broken)[0]
        return f"of[{i}] and of[{j}] have no finite value"
    which = ", ".join(f"of[{i}]" for i in alone)
    return f"{which}: units that are constant over the inputs, or not finite, cannot be compared"


def _unfit(experiment: Any, least: int) -> Iterable[Fault]:
    nouns = [inner(noun) for noun in experiment.of] if isinstance(experiment.of, tuple) else [experiment.of]
    others = [noun for noun in nouns if not isinstance(noun, Representation)]
    if others or len(nouns) < 2:
        got = f"got {folded(others[0])}" if others else f"got {len(nouns)}"
        yield Fault((), f"expected an Analysis of two or more Representations, {got}")
        return
    seen = [_inputs(noun) for noun in experiment.of]
    if other := next((i for i, on in enumerate(seen) if digest(on) != digest(seen[0])), None):
        got = f"of[{other}] is on {folded(seen[other])} and of[0] on {folded(seen[0])}"
        where = differences(seen[other], seen[0])[0].where
        yield Fault((), f"expected the same inputs, but {got}; they differ first in {where}")
    elif seen[0].size < least:
        yield Fault((), f"expected at least {least} inputs, got {seen[0].size} of {folded(seen[0])}")


def _inputs(noun: Any) -> Any:
    """What a representation is on, with the seed by which it is drawn where that is not the experiment's."""
    on, seed = inner(noun).on, None
    while kind(noun) == "Seeded":
        noun, seed = noun.noun, noun.seed  # the innermost one counts
    if seed is None or kind(on) == "Seeded":
        return on
    try:
        return Seeded(on, seed)
    except SpecError:  # nothing in it is drawn
        return on
