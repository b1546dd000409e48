"""Images of two nested ellipses, as discrete measures on pixels: a test of how sharp a barycenter is."""

import numpy as np
from jaxtyping import Float64

from theory.transport.expected import expect_count

_ANGLES = 4096
_SEED = 0


def nested_ellipses(images: int, side: int) -> list[Float64[np.ndarray, "_ 2"]]:
    """The pixels on the outlines of two ellipses, one within the other, for each of some images.

    Centres, half-axes and rotations are uniform: the outer half-axes in [0.21, 0.29] of the side with a centre within
    0.1 of the middle, the inner ones in [0.07, 0.13] with a centre within 0.04 of the outer one. At a side of 60 an
    image has 139 to 192 pixels, as those of the released data of arXiv 2006.08012 have; the images are our own.

    Args:
        images: how many; the first ones are the same for any number.
        side: pixels along each side.

    Returns:
        The centres of the pixels in the unit square, distinct, shape (n_i, 2).

    Raises:
        ValueError: if there is no image or no pixel.
    """
    expect_count("nested_ellipses: images", images, 1, "image")
    expect_count("nested_ellipses: side", side, 1, "pixel")
    rng = np.random.RandomState(_SEED)  # its stream is frozen, that of default_rng is not
    return [_outlines(rng.uniform(-1, 1, size=(2, 5)), side) for _ in range(images)]


def _outlines(u: Float64[np.ndarray, "2 5"], side: int) -> Float64[np.ndarray, "n 2"]:
    """An image from numbers in [-1, 1]: for each ellipse its centre (2), half-axes (2) and rotation."""
    outer = 0.5 + 0.1 * u[0, :2]
    inner = outer + 0.04 * u[1, :2]
    curves = [_curve(outer, 0.25 + 0.04 * u[0, 2:4], u[0, 4]), _curve(inner, 0.10 + 0.03 * u[1, 2:4], u[1, 4])]
    pixels = np.clip(np.floor(side * np.concatenate(curves)), 0, side - 1)
    return (np.unique(pixels, axis=0) + 0.5) / side


def _curve(centre: Float64[np.ndarray, "2"], axes: Float64[np.ndarray, "2"], turn: float) -> Float64[np.ndarray, "m 2"]:
    angles, tilt = np.linspace(0, 2 * np.pi, _ANGLES, endpoint=False), np.pi / 2 * turn
    x, y = axes[0] * np.cos(angles), axes[1] * np.sin(angles)
    rotated = np.stack([x * np.cos(tilt) - y * np.sin(tilt), x * np.sin(tilt) + y * np.cos(tilt)], axis=1)
    return centre + rotated
