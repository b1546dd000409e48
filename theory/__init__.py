"""The mathematics of the theories under test: pure functions on arrays."""

from theory import arrays as arrays
from theory import boolean as boolean
from theory import dimension_free as dimension_free
from theory import features as features
from theory import hermite as hermite
from theory import integrators as integrators
from theory import isoleap as isoleap
from theory import latents as latents
from theory import layers as layers
from theory import leap as leap
from theory import levels as levels
from theory import meanfield as meanfield
from theory import permutation as permutation
from theory import polynomials as polynomials
from theory import readout as readout
from theory import representation as representation
from theory import sphere as sphere
from theory import symmetry as symmetry
