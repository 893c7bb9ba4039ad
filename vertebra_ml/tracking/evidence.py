"""What a version was measured on and how each case went: the tables kept with its run."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from vertebra_ml.errors import ModelError
from vertebra_ml.tracking.inputs import INPUTS_TAG
from vertebra_ml.tracking.kept import read_kept

if TYPE_CHECKING:
    from pandas import DataFrame

TABLE, SCANS = "table.csv", "scans.csv"
KEY: Final = ["group", "case", "level"]
FACTS: Final = ["present", "truth_z_mm", "slice_spacing_mm"]
"""What a table says of a case that no model can change."""
SAME_MM: Final = 0.001
"""Truths this near are the same: rows are written to a thousandth of a mm."""
COLUMNS: Final = (*KEY, *FACTS, "found", "error_mm")
SCAN_COLUMNS: Final = (*KEY[:2], "labelled", "identified")
NO_SCANS: Final = ",".join(SCAN_COLUMNS)
TEXT: Final = dict.fromkeys(KEY, "str") | dict.fromkeys(("present", "found"), "boolean")
HOW: Final = (
    "run it with --rescore in the project where the challenger was evaluated, which scores the "
    "one in production on these cases too; or say with --force why it need not be compared"
)


@dataclass(frozen=True, eq=False)
class Scored:
    """How a version did, case by case.

    Parameters
    ----------
    version : the registered version, for messages.
    table : a row a case and level, see ``metrics.COLUMN_TYPES``.
    scans : a row a labelled scan (``case, group, labelled, identified``); empty of a model that
        names no whole columns.
    inputs : hash of the images that it was measured on, see ``inputs``; "" where not known.
    """

    version: str
    table: "DataFrame"
    scans: "DataFrame"
    inputs: str = ""


def scored(client: MlflowClient, version: ModelVersion) -> Scored:
    """Read the tables of a version's last evaluation from its run.

    Raises ModelError where they are not there or cannot be read.
    """
    name = f"{version.name} version {version.version}"
    try:
        run = str(version.run_id)
        tags = client.get_run(run).data.tags
        table, scans = (read_kept(client, run, f"reports/{file}") for file in (TABLE, SCANS))
    except (MlflowException, OSError) as error:
        raise _missing(name) from error
    if table is None:
        raise _missing(name)
    return read_scored(name, str(version.version), table, scans, tags.get(INPUTS_TAG, ""))


def read_scored(name: str, version: str, table: bytes, scans: bytes | None, inputs: str) -> Scored:
    """Read the two tables of an evaluation; one without ``scans.csv`` names no columns.

    Raises ModelError naming ``name`` where they cannot be read.
    """
    return Scored(
        version,
        read_table(table, name, COLUMNS),
        read_table(NO_SCANS.encode() if scans is None else scans, name, SCAN_COLUMNS),
        inputs,
    )


def _missing(name: str) -> ModelError:
    return ModelError(
        name,
        found=f"no reports/{TABLE} with its run",
        expected="the table of its evaluation, case by case",
        fix="evaluate and publish it with `dvc repro`, or promote with --force and say why",
    )


def read_table(data: bytes, name: str, columns: Sequence[str]) -> "DataFrame":
    """Read a table of ours; ids stay text.

    Raises ModelError for anything else: columns missing, a case or level twice.
    """
    import pandas as pd

    try:
        header = next(csv.reader(io.StringIO(data.decode())), [])
        kinds = {column: kind for column, kind in TEXT.items() if column in header}
        table = pd.read_csv(
            io.BytesIO(data), dtype=kinds, keep_default_na=False, na_values=[""], low_memory=False
        )
    except ValueError as error:  # the base of pandas' own, and of text that is not UTF-8
        raise _unreadable(name, type(error).__name__) from error
    lacking = [column for column in columns if column not in table]
    if lacking:
        raise _unreadable(name, f"no column {', '.join(lacking)}")
    if table.duplicated([column for column in KEY if column in table]).any():
        raise _unreadable(name, "a case twice")
    return table


def _unreadable(name: str, found: str) -> ModelError:
    return ModelError(
        name,
        found=f"a table of its evaluation with {found}",
        expected="the table as `dvc repro` published it",
        fix="publish it again, or promote with --force and say why",
    )


def check_same_cases(production: Scored, challenger: Scored) -> None:
    """Raise ModelError unless both were measured on the same cases, by what their tables say.

    The same cases: equal ids, groups, levels in the scan, heights of the labels and spacings;
    equal counts of labels where both name columns; and the same images where both runs say which.
    A challenger must answer at least the levels that production answers.
    """
    unlike = partial(_unlike, challenger, production)
    lost = set(production.table["level"]) - set(challenger.table["level"])
    if lost:
        raise unlike(f"no answers for {', '.join(sorted(lost))}", "levels answered as by")
    if len(production.scans) and not len(challenger.scans):
        raise unlike("heights of single levels", "whole columns named as by")
    ours, theirs = _facts(challenger), _facts(production)
    cases = [{key[:2] for key in each.index} for each in (ours, theirs)]
    if cases[0] != cases[1]:
        only = len(cases[0] - cases[1]), len(cases[1] - cases[0])
        raise unlike(f"{only[0]} test cases that the other lacks, and {only[1]} lacking")
    known = theirs.index.isin(ours.index)
    first, second = ours.reindex(theirs.index), theirs
    wrong = (first.isna() != second.isna()) | ((first - second).abs() > SAME_MM)
    rows = wrong.any(axis=1).to_numpy() | ~known
    if rows.any():
        named = "; ".join(" ".join(key) for key in theirs.index[rows][:3])
        raise unlike(f"other truths of {rows.sum()} levels of the same cases ({named})")
    if len(production.scans) and _labels(production) != _labels(challenger):
        raise unlike("other counts of labels in the same cases")
    if production.inputs != challenger.inputs and production.inputs and challenger.inputs:
        raise unlike("images or data that have changed under the same case ids")


def shared_levels(production: Scored, challenger: Scored) -> tuple[Scored, Scored]:
    """Return both with the levels that production answers alone, their rows in one order."""
    levels = set(production.table["level"])

    def ordered(each: Scored) -> Scored:
        table = each.table[each.table["level"].isin(levels)]
        scans = each.scans.sort_values(KEY[:2]).reset_index(drop=True)
        return replace(each, table=table.sort_values(KEY).reset_index(drop=True), scans=scans)

    return ordered(production), ordered(challenger)


def _facts(each: Scored) -> "DataFrame":
    """Return (present, height of the label, spacing) by group, case and level, sorted."""
    return each.table.set_index(KEY)[FACTS].astype("float64").sort_index()


def _labels(each: Scored) -> dict[object, object]:
    return dict(each.scans.set_index(KEY[:2])["labelled"])


def _unlike(
    challenger: Scored, production: Scored, found: str, expected: str = "the test cases of"
) -> ModelError:
    return ModelError(
        f"version {challenger.version}",
        found=found,
        expected=f"{expected} version {production.version}, which is in production",
        fix=HOW,
    )
