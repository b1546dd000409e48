"""What features a network, or a kernel machine, must have learned."""

from theory.features.convergence import agop as agop
from theory.features.convergence import cosine as cosine
from theory.features.convergence import fact as fact
from theory.features.convergence import fact_of_layer as fact_of_layer
from theory.features.convergence import psd_power as psd_power
from theory.features.machines import block_circulance as block_circulance
from theory.features.machines import clean_distances as clean_distances
from theory.features.machines import fact_factor as fact_factor
from theory.features.machines import fact_mean_update as fact_mean_update
from theory.features.machines import fact_update as fact_update
from theory.features.machines import kernel_agop as kernel_agop
from theory.features.machines import kernel_fact as kernel_fact
from theory.features.machines import metric_distances as metric_distances
from theory.features.machines import nfa_update as nfa_update
from theory.features.machines import slopes as slopes
