"""Ridge regressions on representations, and how far their predictions lie apart."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import jax.scipy.linalg as linalg
from jaxtyping import Array, Float

from theory.arrays import Scalar
from theory.representation.inputs import Features, checked, least_ridge
from theory.representation.spectra import standard


def ridge_predictions(train: Features, labels: Float[Array, "n"], test: Features, lam: Scalar) -> Float[Array, "m"]:
    """Predictions of the ridge regression on a representation, at other inputs.

    beta = (Sigma + lam)^-1 (1/n) Phi^T y, where Phi is centred and scaled to tr Sigma = 1; the representation of the
    other inputs is centred and scaled by itself.

    Args:
        train: units of n inputs, shape (n, d).
        labels: y, one for each.
        test: the same units at m inputs, shape (m, d).
        lam: a positive ridge.

    Raises:
        ValueError: if the labels are not one for each input or the units not as many in both, the ridge is not
            positive, or the units of one of the two are not finite or all constant; where that is known inside a
            program only, the predictions are NaN.

    Source: arXiv 2210.06545, probes of random tasks (authors' code normalises the two sets separately as well).
    """
    if least_ridge(lam) == 0:
        raise ValueError(f"lam is {lam}; expected a positive ridge")
    phi, other = _standard(train, "train"), _standard(test, "test")
    n, d = phi.shape
    if labels.shape != (n,):
        raise ValueError(f"labels have shape {labels.shape}; expected ({n},), one for each input of train")
    if other.shape[1] != d:
        raise ValueError(f"test has {other.shape[1]} units and train {d}; expected the same ones")
    moments = phi.T @ phi / n + jnp.where(lam > 0, lam, jnp.nan) * jnp.eye(d, dtype=phi.dtype)
    return other @ _solved(moments, phi.T @ labels / n)


def prediction_gaps(predictions: Sequence[Float[Array, "m"]]) -> Float[Array, "k k"]:
    """The mean squared difference of the predictions of k probes at the same m inputs, for all pairs; shape (k, k)."""
    stacked = jnp.stack(list(predictions))
    return jnp.mean(jnp.square(stacked[:, None, :] - stacked[None, :, :]), axis=2)


@jax.custom_batching.sequential_vmap
def _solved(matrix: Float[Array, "d d"], vector: Float[Array, "d"]) -> Float[Array, "d"]:
    # One after another: jaxlib's batched factorisations wait for threads of the pool in which the devices run, and many
    # of them wait for ever, even where that pool has more threads than devices.
    return linalg.cho_solve(linalg.cho_factor(matrix, lower=True), vector)


def _standard(features: Features, name: str) -> Float[Array, "n d"]:
    return standard(checked(features, name)) * jnp.sqrt(features.shape[0])
