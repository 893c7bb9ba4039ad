"""Rules as data: which column, what it may hold, why, and how grave a breach is.

A threshold given as text is the name of a setting (``spacing_min_mm``) that ``bind`` puts in. Only
``present`` minds an empty value: a fact that does not apply (gaps where nothing is labelled) is
empty and breaks no other rule.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isnan
from typing import Any, Final, Literal

from vertebra_ml.errors import DatasetError, LimitError

Kind = Literal["range", "one_of", "unique", "present", "empty", "rows"]
Severity = Literal["critical", "warning"]


@dataclass(frozen=True)
class Rule:
    """What one column of a table may hold.

    Parameters
    ----------
    column : the column; ``case`` for ``rows``.
    kind : ``range`` (low..high, both inclusive), ``one_of`` (values), ``unique`` within the table,
        ``present`` (not empty), ``empty``, ``rows`` (number of rows of the table, low..high).
    says : what must hold, for people.
    fix : what to do about a row that breaks it.
    low, high : bounds; None for open, text for the name of a setting.
    values : what ``one_of`` allows.
    severity : ``critical`` stops a stage and refuses a scan; ``warning`` is told.
    show : a column whose text explains a breach better than the value does.
    """

    column: str
    kind: Kind
    says: str
    fix: str
    low: float | str | None = None
    high: float | str | None = None
    values: tuple[object, ...] = ()
    severity: Severity = "critical"
    show: str = ""

    @property
    def allows(self) -> str:
        """The bounds in words: ``0.2 to 10``, ``at most 10``, ``True``, ``unique``."""
        if self.kind in ("range", "rows"):
            return _bounds(self.low, self.high)
        return " | ".join(map(str, self.values)) if self.kind == "one_of" else self.kind


@dataclass(frozen=True)
class Finding:
    """A row that breaks a rule, and the value that breaks it."""

    rule: Rule
    case: str
    value: object

    @property
    def text(self) -> str:
        """The value, short."""
        if isinstance(self.value, float):
            return f"{self.value:.4g}"
        return str(self.value)

    @property
    def line(self) -> str:
        """One line for people: what must hold, what was found, what to do."""
        return f"{self.rule.says}: found {self.text}; {self.rule.fix}"


_DROP = "correct the file or drop the scan"
_LABEL = "correct the label file"

RAW_RULES: Final = (
    Rule("fault", "empty", "The scan can be read", _DROP),
    Rule("case", "unique", "No two scans share an id", "rename one of them", show="source"),
    Rule("patient", "present", "Each scan has a patient", "name the patient in the layout"),
    Rule(
        "fingerprint", "unique", "No scan is there twice", "drop one: copies leak between parts",
        show="source",
    ),
    Rule("voxels", "range", "The scan fits in memory", "crop it", high="voxels_max"),
    Rule(
        "spacing_least_mm", "range", "Voxels are not smaller than CT makes them (mm)", _DROP,
        low="spacing_min_mm", show="spacing",
    ),
    Rule(
        "spacing_largest_mm", "range", "Slices are thin enough (mm)", _DROP,
        high="spacing_max_mm", show="spacing",
    ),
    Rule(
        "height_mm", "range", "The scan is high enough to hold a vertebra (mm)", _DROP,
        low="height_min_mm",
    ),
    Rule(
        "width_mm", "range", "The scan is wide enough to hold a spine (mm)", _DROP,
        low="width_min_mm",
    ),
    Rule(
        "hu_least", "range", "There is air or fat: the values are Hounsfield units",
        "check slope and intercept", high="hu_low_max",
    ),
    Rule(
        "hu_largest", "range", "There is bone: the values are Hounsfield units",
        "check slope and intercept", low="hu_high_min",
    ),
    Rule(
        "out_of_order", "range", "Labelled levels follow each other from head to foot", _LABEL,
        high=0, show="out_of_order_levels",
    ),
    Rule(
        "gap_sigmas", "range", "Neighbouring levels lie as far apart as in people (SD)", _LABEL,
        high="gap_sigmas", show="gap_worst",
    ),
    Rule(
        "outside", "range", "Labelled levels lie inside the scan",
        "correct the label file or its frame", high=0, show="outside_levels",
    ),
    Rule(
        "in_air", "range", "Labelled levels do not lie in air",
        "correct the label file or its frame", high=0, show="in_air_levels",
    ),
    Rule(
        "skipped", "range", "No level is left out between those seen", _LABEL,
        high=0, severity="warning", show="skipped_levels",
    ),
)  # fmt: skip
"""A raw scan. Settings: the section ``limits`` of the parameters."""

BONE_SHARE_MIN, BONE_SHARE_MAX = 0.002, 0.9
"""Share of body pixels of a MIP beyond ``facts.BONE_HU``: none is no spine, nearly all is no HU."""

MIP_RULES: Final = (
    Rule("fault", "empty", "The archive can be read", "project the scan again"),
    Rule("case", "unique", "No two archives share an id", "rename one of the cases"),
    Rule(
        "spacing_off_mm", "range", "Pixels have the spacing of the parameters (mm off)",
        "project the scan again", high=1e-6,
    ),
    Rule("hu_least", "range", "Nothing lies below air (HU)", "project again", low=-1024),
    Rule("hu_largest", "range", "There is bone (HU)", "check the body mask", low=200, high=32767),
    Rule("body_share", "range", "A body was crossed", "check the body mask", low=0.02),
    Rule(
        "bone_share", "range", "Bone covers a plausible share of the body", "check the body mask",
        low=BONE_SHARE_MIN, high=BONE_SHARE_MAX,
    ),
    Rule(
        "outside", "range", "Labelled levels lie on rows of the MIP", "check the mm mapping",
        high=0, show="outside_levels",
    ),
    Rule(
        "out_of_order", "range", "Labelled levels follow each other from head to foot", _LABEL,
        high=0, show="out_of_order_levels",
    ),
    Rule(
        "gap_sigmas", "range", "Neighbouring levels lie as far apart as in people (SD)", _LABEL,
        high="gap_sigmas", show="gap_worst",
    ),
)  # fmt: skip
"""A MIP archive. Settings: the section ``limits`` of the parameters."""

PHANTOM_RULES: Final = (
    *MIP_RULES,
    Rule("labelled", "range", "The phantom holds a trunk of levels", "check the phantom", low=17),
)
"""A phantom's MIP archive; phantoms differ from scans in that every level is known."""

SPLIT_RULES: Final = (
    Rule("case", "unique", "No scan is in the split twice", "drop one row"),
    Rule("patient", "present", "Each scan has a patient", "name the patient"),
    Rule(
        "part", "one_of", "Each scan is in a part", "split again",
        values=("train", "validation", "test"),
    ),
    Rule(
        "parts_of_patient", "range", "No patient is in two parts",
        "keep a patient's scans together", low=1, high=1, show="patient",
    ),
)  # fmt: skip
"""A split, a row a scan."""

SHARE_OFF_MAX = 0.2
"""How far a share of patients may be from the one asked for: a dozen patients split coarsely."""

PART_RULES: Final = (
    Rule("case", "rows", "There are three parts", "split again", low=3, high=3),
    Rule("patients", "range", "No part is empty", "add patients", low=1),
    Rule(
        "share_off", "range", "Parts have about the shares asked for", "change the split section",
        low=-SHARE_OFF_MAX, high=SHARE_OFF_MAX, show="share",
    ),
    Rule(
        "levels_missing", "range", "Each part shows each level asked for",
        "add scans of that level or ask for fewer", high=0, show="missing",
    ),
)  # fmt: skip
"""A split, a row a part."""

METRIC_RULES: Final = (
    Rule("failed", "range", "Every scan was answered", "see the stage's output", high=0),
    Rule("median_mm", "range", "Median error (mm)", "do not publish", high="median_mm_max"),
    Rule("gross_rate", "range", "Share of gross errors", "do not publish", high="gross_rate_max"),
    Rule(
        "presence_right", "range", "Share of presence told right", "do not publish",
        low="presence_min",
    ),
)  # fmt: skip
"""Measured quality, a row a level and one overall. Settings: the section ``gate``."""


def row_count(low: int, high: int | None = None) -> Rule:
    """Return the rule that a table has ``low`` to ``high`` rows (open above where None)."""
    return Rule(
        "case", "rows", "The table has as many rows as it should", "run it again", low, high
    )


def bind(rules: Iterable[Rule], settings: Mapping[str, Any]) -> tuple[Rule, ...]:
    """Return the rules with each named threshold replaced by its setting.

    Raises DatasetError naming a threshold that ``settings`` does not hold.
    """

    def number(bound: float | str | None) -> float | None:
        if isinstance(bound, str):
            if bound not in settings:
                raise DatasetError(
                    "rules", found=f"no setting {bound}", expected="one a named threshold",
                    fix="add it to the section given to bind",
                )  # fmt: skip
            return float(settings[bound])
        return bound

    return tuple(replace(rule, low=number(rule.low), high=number(rule.high)) for rule in rules)


def check_row(row: Mapping[str, object], rules: Sequence[Rule]) -> tuple[Finding, ...]:
    """Return what one row breaks; rules on a whole table (``unique``, ``rows``) do not apply.

    ``rules`` must be bound.
    """
    case = str(row.get("case", ""))
    return tuple(
        Finding(rule, case, row.get(rule.show) or row.get(rule.column))
        for rule in rules
        if _breaks(rule, row.get(rule.column))
    )


def refuse(findings: Iterable[Finding], where: object) -> tuple[str, ...]:
    """Return the warnings among ``findings`` as lines.

    Raises LimitError for the first critical one, naming ``where``.
    """
    lines = []
    for finding in findings:
        if finding.rule.severity == "critical":
            raise LimitError(
                where,
                found=f"{finding.rule.column} {finding.text}",
                expected=f"{finding.rule.allows} ({finding.rule.says})",
                fix=finding.rule.fix,
            )
        lines.append(finding.line)
    return tuple(lines)


def is_empty(value: object) -> bool:
    """Tell whether a cell holds nothing: None, NaN or an empty text."""
    return value is None or value == "" or (isinstance(value, float) and isnan(value))


def _breaks(rule: Rule, value: object) -> bool:
    if rule.kind == "empty":
        return not is_empty(value)
    if is_empty(value):
        return rule.kind == "present"
    if rule.kind == "one_of":
        return value not in rule.values
    return rule.kind == "range" and not _within(rule, float(str(value)))


def _within(rule: Rule, value: float) -> bool:
    low = -float("inf") if rule.low is None else float(rule.low)
    high = float("inf") if rule.high is None else float(rule.high)
    return low <= value <= high


def _bounds(low: float | str | None, high: float | str | None) -> str:
    least, most = (b if isinstance(b, str) or b is None else f"{b:g}" for b in (low, high))
    if least is None or most is None:
        return f"at least {least}" if most is None else f"at most {most}"
    return least if least == most else f"{least} to {most}"
