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
from vertebra_ml.limits.tables import (
    INPUT_PART_RULES,
    INPUT_RULES,
    METRIC_RULES,
    MIP_RULES,
    PART_RULES,
    PHANTOM_RULES,
    RAW_RULES,
    SPLIT_RULES,
)

__all__ = [
    "INPUT_PART_RULES",
    "INPUT_RULES",
    "METRIC_RULES",
    "MIP_RULES",
    "PART_RULES",
    "PHANTOM_RULES",
    "RAW_RULES",
    "SPLIT_RULES",
    "Finding",
    "Rule",
    "bind",
    "check_row",
    "describe",
    "describe_archive",
    "describe_case",
    "describe_pair",
    "gate",
    "refuse",
    "row_count",
    "unreadable",
]
