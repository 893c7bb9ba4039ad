"""What Great Expectations holds the log to: means, medians and ranges of the reference, shares."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from vertebra_ml.limits.ephemeral import ephemeral
from vertebra_ml.monitor.columns import WORDED
from vertebra_ml.monitor.drift import Shift

if TYPE_CHECKING:
    import pandas as pd

WIDENED: Final = 0.1
"""Of its range, at both ends: the reference is a sample."""
MIDDLE: Final = (0.25, 0.75)
COUNTS: Final = ("levels_found", "warnings")
LEAST_COUNT, LEAST_SHARE = 0.25, 0.02
"""Least that a mean may be off: of counts, and as a share of others, where the reference has one
value only."""


@dataclass(frozen=True)
class Held:
    """An expectation, in words, what it allows, what was seen, and whether it was met."""

    says: str
    allows: str
    seen: str
    met: bool


def expectations(
    requests: "pd.DataFrame",
    shifts: list[Shift],
    *,
    outside_share_max: float,
    refused_share_max: float,
) -> list[Held]:
    """Hold the requests to the reference; ``shifts`` says which columns of which form to ask of.

    Of each column of numbers: the mean lies within one standard deviation of the reference's, the
    median among its middle half, and at most ``outside_share_max`` of the values beyond its range.
    """
    import great_expectations.expectations as gxe

    asked: dict[str, list[tuple[str, Any]]] = {"": []}
    rule = gxe.ExpectColumnMeanToBeBetween(column="refused", max_value=refused_share_max)
    asked[""].append(("share of requests refused", rule))
    for shift in shifts:
        if shift.before.dtype.kind == "f":
            asked.setdefault(shift.form, []).extend(_of(shift, outside_share_max))
    found = []
    for form, rules in asked.items():
        frame = requests[requests["form"] == form] if form else requests
        found += _run(frame, rules)
    return sorted(found, key=lambda held: held.met)


def _of(shift: Shift, outside_share_max: float) -> list[tuple[str, Any]]:
    import great_expectations.expectations as gxe
    import numpy as np

    name, values = shift.column, shift.before
    words = f"{WORDED[name]}{f' of {shift.form}' if shift.form else ''}"
    mean = float(values.mean())
    off = max(float(values.std()), LEAST_COUNT if name in COUNTS else LEAST_SHARE * abs(mean))
    near = {"min_value": mean - off, "max_value": mean + off}
    slack = max(WIDENED * float(np.ptp(values)), off)
    low, high = (float(each) for each in np.quantile(values, MIDDLE))
    middle = [min(low, mean - off), max(high, mean + off)] if low == high else [low, high]
    ranges = {"quantiles": [0.5], "value_ranges": [middle]}
    return [
        (
            f"{words}: mean",
            gxe.ExpectColumnMeanToBeBetween(column=name, **near),
        ),
        (
            f"{words}: median",
            gxe.ExpectColumnQuantileValuesToBeBetween(column=name, quantile_ranges=ranges),
        ),
        (
            f"{words}: range",
            gxe.ExpectColumnValuesToBeBetween(
                column=name,
                min_value=float(values.min()) - slack,
                max_value=float(values.max()) + slack,
                mostly=1 - outside_share_max,
            ),
        ),
    ]


def _run(frame: "pd.DataFrame", rules: list[tuple[str, Any]]) -> list[Held]:
    """Validate one table in an ephemeral context."""
    _, whole = ephemeral("requests")
    batch = whole.get_batch({"dataframe": frame.reset_index(drop=True)})
    return [_held(says, rule, batch.validate(rule)) for says, rule in rules]


def _held(says: str, rule: Any, result: Any) -> Held:
    found = result.result
    if "quantile_ranges" in rule.dict() and rule.dict()["quantile_ranges"]:
        low, high = rule.dict()["quantile_ranges"]["value_ranges"][0]
        seen = _text(found.get("observed_value", {}).get("values", [None])[0])
    else:
        low, high = rule.min_value, rule.max_value
        seen = _text(found.get("observed_value"))
    allows = f"{_text(low)} to {_text(high)}" if low is not None else f"at most {_text(high)}"
    if "unexpected_percent" in found:
        allows += f" for {rule.mostly:.0%}"
        seen = f"{100 - (found['unexpected_percent'] or 0):.0f}% of {found['element_count']}"
    return Held(says, allows, seen, bool(result.success))


def _text(value: Any) -> str:
    return "nothing" if value is None else f"{float(value):.4g}"
