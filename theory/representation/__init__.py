"""Representations of the same inputs: how differently they predict, and how they lie to each other."""

from theory.representation.distances import Estimate as Estimate
from theory.representation.distances import canonical_correlations as canonical_correlations
from theory.representation.distances import cca as cca
from theory.representation.distances import cca_between as cca_between
from theory.representation.distances import estimate_gulp as estimate_gulp
from theory.representation.distances import gulp as gulp
from theory.representation.distances import gulp_between as gulp_between
from theory.representation.distances import gulp_operator as gulp_operator
from theory.representation.distances import linear_cka as linear_cka
from theory.representation.distances import linear_cka_between as linear_cka_between
from theory.representation.distances import mean_squared_cca as mean_squared_cca
from theory.representation.distances import mean_squared_cca_between as mean_squared_cca_between
from theory.representation.distances import procrustes as procrustes
from theory.representation.distances import procrustes_between as procrustes_between
from theory.representation.distances import pwcca as pwcca
from theory.representation.distances import pwcca_between as pwcca_between
from theory.representation.distances import ridge_cca as ridge_cca
from theory.representation.distances import svcca as svcca
from theory.representation.distances import svcca_between as svcca_between
from theory.representation.matrices import classical_mds as classical_mds
from theory.representation.matrices import distance_matrix as distance_matrix
from theory.representation.matrices import stacked_spectra as stacked_spectra
from theory.representation.probes import prediction_gaps as prediction_gaps
from theory.representation.probes import ridge_predictions as ridge_predictions
from theory.representation.spectra import Spectrum as Spectrum
from theory.representation.spectra import spectrum as spectrum
