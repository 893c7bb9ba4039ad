"""The page of a gate: one self-contained HTML file, every rule with its verdict and its rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Final

from vertebra_ml.limits.rules import Finding, Rule, is_empty

if TYPE_CHECKING:
    import pandas as pd

ROWS_SHOWN = 200
"""Rows of a table that the page shows in full; offending rows are always shown."""


@dataclass(frozen=True)
class Outcome:
    """A rule and the rows that break it."""

    rule: Rule
    findings: tuple[Finding, ...]

    @property
    def stops(self) -> bool:
        """Whether this outcome closes the gate."""
        return bool(self.findings) and self.rule.severity == "critical"

    @property
    def verdict(self) -> str:
        """``pass``, ``warn`` or ``fail``."""
        if not self.findings:
            return "pass"
        return "fail" if self.stops else "warn"


_STYLE: Final = """
:root { --ink: #1b2430; --soft: #5c6877; --line: #dfe4ea; --ground: #f6f7f9; --card: #fff;
  --pass: #1a7f4b; --fail: #c0262d; --warn: #9a6700; color-scheme: light dark; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaf0; --soft: #9aa7b6; --line: #303944;
  --ground: #14181d; --card: #1b2027; --pass: #4cc38a; --fail: #ff6b70; --warn: #e0a43a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 28px 20px 60px; }
header { display: flex; flex-wrap: wrap; align-items: baseline; gap: 6px 16px; }
h1 { font-size: 24px; margin: 0; } h2 { font-size: 17px; margin: 30px 0 8px; }
.count { color: var(--soft); font-variant-numeric: tabular-nums; }
.badge { display: inline-block; min-width: 46px; padding: 1px 9px; border-radius: 10px;
  font-size: 12px; font-weight: 650; text-align: center; color: var(--card); }
.badge.pass { background: var(--pass); } .badge.fail { background: var(--fail); }
.badge.warn { background: var(--warn); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: 7px 12px; border-top: 1px solid var(--line);
  vertical-align: top; }
thead th { border-top: 0; font-size: 12px; font-weight: 600; color: var(--soft);
  white-space: nowrap; }
td.allows, td.column { font-family: ui-monospace, Menlo, Consolas, monospace; font-size: 13px;
  white-space: nowrap; }
tr.fail td:first-child { box-shadow: inset 3px 0 var(--fail); }
tr.warn td:first-child { box-shadow: inset 3px 0 var(--warn); }
ul { margin: 4px 0 0; padding-left: 18px; } li b { font-weight: 600; }
.fix { color: var(--soft); }
details { margin-top: 10px; } summary { cursor: pointer; color: var(--soft); padding: 4px 0; }
.data td, .data th { font-size: 12.5px; padding: 4px 9px; white-space: nowrap; }
.data td.hit { color: var(--fail); font-weight: 650; }
"""


def render(
    name: str, outcomes: Mapping[str, list[Outcome]], frames: Mapping[str, "pd.DataFrame"]
) -> str:
    """Return the page of gate ``name`` as HTML text that needs no network."""
    every = [outcome for found in outcomes.values() for outcome in found]
    verdict = "fail" if any(o.stops for o in every) else "pass"
    met = sum(not o.findings for o in every)
    tables = "".join(_section(heading, outcomes[heading], frames[heading]) for heading in outcomes)
    title = f"Gate {escape(name)}"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}: {verdict}</title><style>{_STYLE}</style></head><body><main><header>"
        f'<h1>{title}</h1><span class="badge {verdict}">{verdict}</span>'
        f'<span class="count">{met} of {len(every)} rules met</span></header>'
        f"{tables}</main></body></html>"
    )


def _section(heading: str, outcomes: list[Outcome], frame: "pd.DataFrame") -> str:
    order = {"fail": 0, "warn": 1, "pass": 2}
    rows = "".join(_rule(o) for o in sorted(outcomes, key=lambda o: order[o.verdict]))
    return (
        f'<h2>{escape(heading)} <span class="count">{len(frame)} rows</span></h2>'
        f'<div class="card"><table><thead><tr><th></th><th>What must hold</th><th>Column</th>'
        f"<th>Allows</th></tr></thead><tbody>{rows}</tbody></table></div>"
        f"{_data(outcomes, frame)}"
    )


def _rule(outcome: Outcome) -> str:
    rule, verdict = outcome.rule, outcome.verdict
    broken = ""
    if outcome.findings:
        items = "".join(
            f"<li><b>{escape(f.case)}</b>: {escape(f.text)}</li>" for f in outcome.findings
        )
        broken = f'<ul>{items}</ul><span class="fix">To do: {escape(rule.fix)}.</span>'
    return (
        f'<tr class="{verdict}"><td><span class="badge {verdict}">{verdict}</span></td>'
        f'<td>{escape(rule.says)}{broken}</td><td class="column">{escape(rule.column)}</td>'
        f'<td class="allows">{escape(rule.allows)}</td></tr>'
    )


def _data(outcomes: list[Outcome], frame: "pd.DataFrame") -> str:
    """Return the table itself, folded away, with offending cells marked."""
    hits = {(f.case, f.rule.column) for o in outcomes for f in o.findings}
    bad = {case for case, _ in hits}
    mask = [i < ROWS_SHOWN or str(case) in bad for i, case in enumerate(_cases(frame))]
    shown = frame[mask]
    head = "".join(f"<th>{escape(str(column))}</th>" for column in shown.columns)
    body = "".join(
        "<tr>"
        + "".join(
            _cell(value, hit=(str(record.get("case")), column) in hits)
            for column, value in record.items()
        )
        + "</tr>"
        for record in shown.to_dict("records")
    )
    left = len(frame) - len(shown)
    note = f", {left} more in the stage's table" if left else ""
    return (
        f"<details><summary>The table ({len(shown)} rows{note})</summary>"
        f'<div class="card"><table class="data"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div></details>"
    )


def _cases(frame: "pd.DataFrame") -> list[object]:
    return list(frame["case"]) if "case" in frame else [None] * len(frame)


def _cell(value: object, *, hit: bool) -> str:
    text = "" if is_empty(value) else f"{value:.4g}" if isinstance(value, float) else str(value)
    mark = ' class="hit"' if hit else ""
    return f"<td{mark}>{escape(text)}</td>"
