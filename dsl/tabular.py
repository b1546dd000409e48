"""Tables that ship inside scikit-learn, as finite tasks: columns of numbers, and a class or a number to predict."""

import functools
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float64, Int

from dsl.domains import Real, Reals, Y_co
from dsl.listed import Listed


class Tabular(Listed[Reals, Y_co], abstract=True):
    """A table of scikit-learn: x its columns, each of mean 0 and variance 1 over the whole table.

    A finite sample, in the order of the package; a division into parts is `Sample(..., replace=False)` with `Rest()`.
    Needs the extra `data`. `table` is the package's name, `columns`, `rows` and `classes` its sizes; `classes` is None
    where y is a number, also of mean 0 and variance 1, else y is a one-hot vector of that length.
    """

    packages: ClassVar[tuple[str, ...]] = ("scikit-learn",)
    table: ClassVar[str]
    columns: ClassVar[int]
    rows: ClassVar[int]
    classes: ClassVar[int | None]

    @property
    def shape(self) -> tuple[int, ...]:
        """One number for each column."""
        return (self.columns,)

    @property
    def outputs(self) -> int | None:
        """One for each class; None where y is a number."""
        return self.classes

    @property
    def size(self) -> int:
        """The number of rows."""
        return self.rows

    def take(self, index: Int[Array, "n"]) -> tuple[Any, Any]:
        """The examples with these numbers."""
        x, y = _loaded(self.table)
        labels = _standard(y) if self.classes is None else np.eye(self.classes)[y.astype(int)]
        return jnp.asarray(_standard(x), float)[index], jnp.asarray(labels, float)[index]


class Iris(Tabular[Reals]):
    """150 irises of 3 species, by 4 lengths."""

    table: ClassVar[str] = "iris"
    columns: ClassVar[int] = 4
    rows: ClassVar[int] = 150
    classes: ClassVar[int | None] = 3


class Wine(Tabular[Reals]):
    """178 wines of 3 growers, by 13 chemical measurements."""

    table: ClassVar[str] = "wine"
    columns: ClassVar[int] = 13
    rows: ClassVar[int] = 178
    classes: ClassVar[int | None] = 3


class BreastCancer(Tabular[Reals]):
    """569 tumours, malignant or benign, by 30 features of cell nuclei."""

    table: ClassVar[str] = "breast_cancer"
    columns: ClassVar[int] = 30
    rows: ClassVar[int] = 569
    classes: ClassVar[int | None] = 2


class Diabetes(Tabular[Real]):
    """442 patients: the progress of the disease after a year, a number, by 10 measurements at the start."""

    table: ClassVar[str] = "diabetes"
    columns: ClassVar[int] = 10
    rows: ClassVar[int] = 442
    classes: ClassVar[int | None] = None


def _standard(values: Float64[np.ndarray, "n *columns"]) -> Float64[np.ndarray, "n *columns"]:
    return (values - values.mean(axis=0)) / values.std(axis=0)


@functools.cache
def _loaded(table: str) -> tuple[Float64[np.ndarray, "rows columns"], Float64[np.ndarray, "rows"]]:
    """The columns and the labels as the package has them."""
    try:
        from sklearn import datasets  # slow, and only for this
    except ImportError:
        raise ImportError(f"{table} is a table that scikit-learn ships: install stepwell[data]") from None
    found: Any = getattr(datasets, f"load_{table}")()
    return found.data.astype(float), found.target.astype(float)
