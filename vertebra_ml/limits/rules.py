"""Rules as data: which column, what it may hold, why, and how grave a breach is.

A threshold given as text is the name of a setting (``spacing_min_mm``) that ``bind`` puts in. Only
``present`` minds an empty value: a fact that does not apply (gaps where nothing is labelled) is
empty and breaks no other rule.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isnan
from typing import Any, Literal

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
