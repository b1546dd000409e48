"""Squared distances between the points of two clouds."""

from theory.arrays import AnyArray, library_of


def squared(x: AnyArray, y: AnyArray) -> AnyArray:
    """|x_i - y_j|^2, by differences: the usual expansion loses half of the digits of points that are near.

    Args:
        x: points, shape (n, d), of NumPy or JAX.
        y: points of the same dimension, shape (m, d).

    Returns:
        The matrix of all pairs, shape (n, m).
    """
    return library_of(x).sum((x[:, None] - y) ** 2, axis=2)
