"""The mathematics of the theories under test: pure functions on arrays."""

from theory import arrays as arrays
from theory import boolean as boolean
from theory import hermite as hermite
from theory import layers as layers
from theory import leap as leap
from theory import permutation as permutation
from theory import polynomials as polynomials
