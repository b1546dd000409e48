"""What happens to programs: plan, execute, records, claims, report.

The functions of a study's table, for claims and figures, are re-exported here, and `run`, which runs experiments in the
calling process, for notebooks and tests. `stepwell run` does the same in workers and keeps records.
"""

from runs.here import run as run
from runs.saddles import Plateau as Plateau
from runs.saddles import Plateaus as Plateaus
from runs.saddles import plateaus as plateaus
from runs.statistics import FirstPassage as FirstPassage
from runs.statistics import Interval as Interval
from runs.statistics import PerSeed as PerSeed
from runs.statistics import binomial_interval as binomial_interval
from runs.statistics import bootstrap_interval as bootstrap_interval
from runs.statistics import certain as certain
from runs.statistics import first_passage as first_passage
from runs.statistics import median as median
from runs.statistics import per_seed as per_seed
from runs.statistics import power_law as power_law
from runs.statistics import scaling_exponent as scaling_exponent
from runs.table import Table as Table
