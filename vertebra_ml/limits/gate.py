"""A gate: rules over a table, run by Great Expectations, that leaves its findings and stops."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vertebra_ml.errors import GateError
from vertebra_ml.limits.ephemeral import ephemeral
from vertebra_ml.limits.page import Outcome, render
from vertebra_ml.limits.rules import Finding, Rule

if TYPE_CHECKING:
    import pandas as pd

NAMED_ROWS = 8
"""Rows that the one-line error names a rule; the page names all."""


def gate(
    tables: Mapping[str, tuple["pd.DataFrame", Sequence[Rule]]], *, name: str, folder: Path
) -> None:
    """Check tables by their bound rules; write ``folder/name.html``, ``.json``, ``.verdict.json``.

    Each table needs a column ``case`` that names its rows. ``tables`` maps a heading to the table
    and its rules. The verdict file holds rule names only, so that a later stage can depend on it.

    Raises GateError, after writing, where a critical rule is broken: it names rules and rows.
    """
    outcomes = {heading: _check(frame, tuple(rules)) for heading, (frame, rules) in tables.items()}
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / f"{name}.json", json.dumps(_report(name, outcomes), indent=1))
    _write(folder / f"{name}.verdict.json", json.dumps(_verdict(name, outcomes), indent=1))
    frames = {heading: frame for heading, (frame, _) in tables.items()}
    page = folder / f"{name}.html"
    _write(page, render(name, outcomes, frames))
    broken = [o for found in outcomes.values() for o in found if o.stops]
    if broken:
        raise GateError(
            f"gate {name}",
            found=" | ".join(_broken_line(outcome) for outcome in broken),
            expected="every critical rule met",
            fix=f"do what is said of each; all rows are in {page}",
        )


def _check(frame: "pd.DataFrame", rules: tuple[Rule, ...]) -> list[Outcome]:
    """Run the rules and return what each found, in their order."""
    import pandas as pd

    columns = dict.fromkeys(["case", *(rule.column for rule in rules)])
    if frame.empty:  # without rows there may be no columns, and nothing but the count can be wrong
        frame = pd.DataFrame(columns=list(columns))
    frame = frame.reset_index(drop=True).assign(row_=range(len(frame)))
    for rule in rules:
        if rule.kind == "range" and rule.column in frame:
            frame[rule.column] = pd.to_numeric(frame[rule.column])
    results = _great_expectations(frame, rules)
    return [_outcome(frame, rule, results[i]) for i, rule in enumerate(rules)]


def _great_expectations(frame: "pd.DataFrame", rules: tuple[Rule, ...]) -> dict[int, Any]:
    """Return the results of an ephemeral Great Expectations run by position of the rule."""
    context, batch = ephemeral("table")
    import great_expectations as gx

    expectations = [_expectation(gx.expectations, rule, i) for i, rule in enumerate(rules)]
    suite = context.suites.add(gx.ExpectationSuite("rules", expectations=expectations))
    definition = context.validation_definitions.add(
        gx.ValidationDefinition(name="gate", data=batch, suite=suite)
    )
    result = definition.run(
        batch_parameters={"dataframe": frame},
        result_format={
            "result_format": "COMPLETE",
            "unexpected_index_column_names": ["case", "row_"],
        },
    )
    return {r.expectation_config.meta["rule"]: r for r in result.results}


def _expectation(library: Any, rule: Rule, position: int) -> Any:
    common: dict[str, Any] = {"meta": {"rule": position}, "severity": rule.severity}
    bounds = {"min_value": rule.low, "max_value": rule.high}
    if rule.kind == "rows":
        return library.ExpectTableRowCountToBeBetween(**bounds, **common)
    common["column"] = rule.column
    if rule.kind == "range":
        return library.ExpectColumnValuesToBeBetween(**bounds, **common)
    if rule.kind == "one_of":
        return library.ExpectColumnValuesToBeInSet(value_set=list(rule.values), **common)
    plain = {
        "unique": library.ExpectColumnValuesToBeUnique,
        "present": library.ExpectColumnValuesToNotBeNull,
        "empty": library.ExpectColumnValuesToBeNull,
    }
    return plain[rule.kind](**common)


def _outcome(frame: "pd.DataFrame", rule: Rule, result: Any) -> Outcome:
    if result.success:
        return Outcome(rule, ())
    places = result.result.get("unexpected_index_list")
    if places is None:  # a rule on the whole table, or a column that is not there
        seen = result.result.get("observed_value", f"no column {rule.column}")
        return Outcome(rule, (Finding(rule, "the table", seen),))
    shown = rule.show if rule.show in frame else rule.column
    rows = sorted(place["row_"] for place in places)
    cells = [(str(frame["case"].iloc[row]), frame[shown].iloc[row]) for row in rows]
    return Outcome(rule, tuple(Finding(rule, case, value) for case, value in cells))


def _broken_line(outcome: Outcome) -> str:
    named = [f"{f.case} ({f.text})" for f in outcome.findings[:NAMED_ROWS]]
    more = len(outcome.findings) - len(named)
    rows = ", ".join(named) + (f" and {more} more" if more else "")
    rule = outcome.rule
    return f"{rule.says} [{rule.column} {rule.allows}] broken by {rows}: {rule.fix}"


def _report(name: str, outcomes: Mapping[str, list[Outcome]]) -> dict[str, object]:
    return {
        "gate": name,
        "passed": not any(o.stops for found in outcomes.values() for o in found),
        "tables": {
            heading: [
                {
                    "column": o.rule.column,
                    "rule": o.rule.says,
                    "allows": o.rule.allows,
                    "severity": o.rule.severity,
                    "passed": not o.findings,
                    "rows": [{"case": f.case, "value": f.text} for f in o.findings],
                }
                for o in found
            ]
            for heading, found in outcomes.items()
        },
    }


def _verdict(name: str, outcomes: Mapping[str, list[Outcome]]) -> dict[str, object]:
    every = [o for found in outcomes.values() for o in found]
    return {
        "gate": name,
        "passed": not any(o.stops for o in every),
        "met": [o.rule.says for o in every if not o.findings],
        "broken": [o.rule.says for o in every if o.stops],
        "warnings": [o.rule.says for o in every if o.findings and not o.stops],
    }


def _write(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_text(text + "\n", encoding="utf-8")
    part.replace(path)
