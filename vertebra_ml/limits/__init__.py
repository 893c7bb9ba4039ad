"""What data may be: facts of a scan, rules as data, run on one row or on a whole table.

``describe`` turns a scan into a row of facts, ``tables`` says what each fact may be.
``check_row`` runs a table of rules on one row in plain Python (a served request); ``gate`` runs the
same table over many rows through Great Expectations and leaves its pages behind.
"""

from vertebra_ml.limits.facts import (
    describe,
    describe_archive,
    describe_case,
    describe_pair,
    unreadable,
)
from vertebra_ml.limits.gate import gate
from vertebra_ml.limits.rules import Finding, Rule, bind, check_row, refuse, row_count
from vertebra_ml.limits.samples import describe_sample, read_sample
from vertebra_ml.limits.tables import (
    COLUMN_RULES,
    INPUT_PART_RULES,
    INPUT_RULES,
    METRIC_RULES,
    MIP_RULES,
    PART_RULES,
    PHANTOM_RULES,
    RAW_RULES,
    SAMPLE_RULES,
    SPLIT_RULES,
)

__all__ = [
    "COLUMN_RULES",
    "INPUT_PART_RULES",
    "INPUT_RULES",
    "METRIC_RULES",
    "MIP_RULES",
    "PART_RULES",
    "PHANTOM_RULES",
    "RAW_RULES",
    "SAMPLE_RULES",
    "SPLIT_RULES",
    "Finding",
    "Rule",
    "bind",
    "check_row",
    "describe",
    "describe_archive",
    "describe_case",
    "describe_pair",
    "describe_sample",
    "gate",
    "read_sample",
    "refuse",
    "row_count",
    "unreadable",
]
