"""How many vertebrae were named right: identification rates as published, and harder ones.

A labelled vertebra is *identified* where the labelled centroid nearest to the answer of its name is
its own, at most 20 mm away (Glocker et al. 2013, doi 10.1007/978-3-642-40763-5_33; VerSe,
Sekuboyina et al. 2021, doi 10.1016/j.media.2021.102166, in the words of its page of tasks). A
vertebra without an answer is not. What others count is counted beside it, see ``Vertebra``.

Steps between vertebrae are counted by position among the levels of that patient, so that a T13, an
L6 or a T12 that is absent shifts nobody.
"""

from vertebra_ml.id_rates.numbers import MISSED_MM, numbers, summarise
from vertebra_ml.id_rates.scans import SCAN_COLUMNS, name_columns, scan_row, shift
from vertebra_ml.id_rates.steps import distances, levels_off
from vertebra_ml.id_rates.vertebrae import IDENTIFIED_MM, Scan, Vertebra, judge

__all__ = [
    "IDENTIFIED_MM",
    "MISSED_MM",
    "SCAN_COLUMNS",
    "Scan",
    "Vertebra",
    "distances",
    "judge",
    "levels_off",
    "name_columns",
    "numbers",
    "scan_row",
    "shift",
    "summarise",
]
