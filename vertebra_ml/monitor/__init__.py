"""Do the scans that are asked for still look like those that the model was made for?

requests    the last lines of the log of requests, as a table
reference   the same table of scans like those trained on, with the model's answers
drift       how far each column of one has moved from the other
rules       what Great Expectations holds the log to
page        all of it on one page
"""

from vertebra_ml.monitor.judge import Judgement, judge, write
from vertebra_ml.monitor.reference import read_reference, reference_rows
from vertebra_ml.monitor.requests import Requests, read_requests

__all__ = [
    "Judgement",
    "Requests",
    "judge",
    "read_reference",
    "read_requests",
    "reference_rows",
    "write",
]
