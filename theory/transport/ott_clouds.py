"""What is used of OTT, and two point clouds for its solvers with a cost matrix that is made in parts.

OTT has this as `PointCloud(batch_size=...)`, but 0.6.0 asks `jax.interpreters.batching` for `is_vmappable`, which JAX
0.10 has no longer, so that every use of it fails. Here its one part that matters, sums over the kernel in the log
domain, is written with `Rows`, which can also share the rows among devices.
"""

import warnings
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from theory.arrays import Scalar
from theory.transport.distances import squared
from theory.transport.rows import Rows

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # OTT imports jaxopt, which says that it is not maintained
    from ott.geometry.geometry import Geometry as Geometry
    from ott.geometry.pointcloud import PointCloud
    from ott.problems.linear.barycenter_problem import FreeBarycenterProblem as FreeBarycenterProblem
    from ott.problems.linear.linear_problem import LinearProblem as LinearProblem
    from ott.solvers.linear.continuous_barycenter import FreeWassersteinBarycenter as FreeWassersteinBarycenter
    from ott.solvers.linear.sinkhorn import Sinkhorn as Sinkhorn
    from ott.solvers.linear.sinkhorn_lr import LRSinkhorn as LRSinkhorn
    from ott.tools.unreg import hungarian as hungarian


def number(known: Scalar) -> Any:
    """A number that may be traced, for OTT, whose hints say that it is a `float`."""
    return known


@jax.tree_util.register_pytree_node_class
class Clouds(PointCloud):
    """Squared distances between two clouds; for solvers in the log domain, which need no more than these sums.

    Args:
        x: one cloud, shape (n, d).
        y: the other, shape (m, d).
        rows: how the rows of the cost matrix are split.
        epsilon: of the entropic problem.
    """

    def __init__(self, x: Array, y: Array, rows: Rows, epsilon: Any) -> None:
        super().__init__(x, y, epsilon=epsilon)
        self.rows = rows

    def apply_lse_kernel(
        self, f: Array, g: Array, eps: Scalar, vec: Array | None = None, axis: int = 0
    ) -> tuple[Array, Array]:
        """The logarithms of sums of exp(-C / eps) times exp(g / eps) along rows, or exp(f / eps) along columns.

        Args:
            f: potentials of x.
            g: potentials of y.
            eps: epsilon.
            vec: not supported.
            axis: 1 along rows, 0 along columns.

        Returns:
            The logarithms times eps, with their signs.

        Raises:
            ValueError: if `vec` is given.
        """
        if vec is not None:
            raise ValueError("Clouds: sums with weights are not supported, got vec")
        if axis == 1:
            made = lambda x: jax.nn.logsumexp((g - squared(x, self.y)) / eps, axis=1)
            logs = self.rows.each(made, self.x)
        else:
            exponents = lambda live, x, f: jnp.where(
                live[:, None] > 0, (f[:, None] - squared(x, self.y)) / eps, -jnp.inf
            )
            logs = self.rows.log_summed(lambda *block: jax.nn.logsumexp(exponents(*block), axis=0), self.x, f)
        return eps * logs, jnp.ones_like(logs)

    def tree_flatten(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arrays, and how the rows are split."""
        return (self.x, self.y, self._epsilon_init), {"rows": self.rows}

    @classmethod
    def tree_unflatten(cls, aux_data: dict[str, Any], children: tuple[Any, ...]) -> "Clouds":
        """The inverse of `tree_flatten`."""
        x, y, epsilon = children
        return cls(x, y, aux_data["rows"], epsilon)
