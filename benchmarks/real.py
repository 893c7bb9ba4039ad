"""``make real``: what the models answer on labelled real scans, in figures and pictures.

Both models are asked for every level that they have learnt. Figures go to the terminal, a picture a
scan and model, a contact sheet and ``figures.csv`` into a folder, and, with a note of what was
changed and predicted, a row into docs/real-scans.md. The scans are for measuring: nothing of them
enters the repository, and no weight or constant is fitted on them.
"""

import argparse
import logging
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks import real_figures, real_models, real_pages, real_table
from benchmarks.real_figures import Figures
from vertebra_ml.batch import Evaluation, compare_all
from vertebra_ml.config import load
from vertebra_ml.errors import VertebraError
from vertebra_ml.id_rates import name_columns
from vertebra_ml.readers import LAYOUTS, find

if TYPE_CHECKING:
    from benchmarks.real_models import Asked

ROOT: Final = Path(__file__).parents[1]
SCANS: Final = ROOT.parent / "shared" / "real" / "scans"
ALL: Final = "all scans"

Views = dict[str, dict[str, Figures]]
"""Figures by view (a model and which levels of it) and by scan, the last of which is ALL."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, draw, note; return the exit status: 1 where anything failed."""
    given = _options(arguments)
    try:
        failures = run(given)
    except VertebraError as error:
        failures = [str(error)]
    for line in dict.fromkeys(failures):
        print(f"error: {line}", file=sys.stderr)
    return 1 if failures else 0


def run(given: argparse.Namespace) -> list[str]:
    """Do all of it; return a line for each scan that a model failed on."""
    if not given.scans.is_dir():
        return [
            f"{given.scans}: found no folder of scans; expected labelled CTs of layout "
            f"{given.layout}; name one with `make real SCANS=FOLDER`"
        ]
    measures = load(ROOT / "params.yaml").evaluate
    cases = find(given.scans, given.layout)
    with tempfile.TemporaryDirectory() as scratch:
        asked = [
            real_models.two_stage(given.two_stage),
            real_models.slice_spotter(given.slice_spotter, Path(scratch)),
        ]
        folders = {given.out / each.name: each.localiser for each in asked}
        answers = list(compare_all(folders, cases, worst=len(cases)).values())
    views = measured(asked, answers, measures.gross_mm)
    print("\n".join(lines(views)))
    real_pages.write(given.out, dict(zip([each.name for each in asked], answers, strict=True)))
    real_table.write_figures(given.out / "figures.csv", views)
    print(f"pictures: {given.out / real_pages.SHEET}, {given.out / real_pages.PAGE}")
    failures = [line for found in answers for line in found.failures]
    if given.note and not failures:
        real_table.append(given.table, given.note, *views.values(), root=ROOT)
        print(f"a row in {given.table}")
    return failures


def measured(asked: "Sequence[Asked]", answers: Sequence[Evaluation], gross_mm: float) -> Views:
    """Return the figures of each view, a scan at a time and over all.

    Views: the two-stage model; the slice spotter on the levels that it is shipped for; and on
    every level.
    """
    views: Views = {}
    for model, found in zip(asked, answers, strict=True):
        every = model.localiser.levels
        for levels in dict.fromkeys((model.shown, every)):
            words = "all levels" if levels == every else " and ".join(levels)
            views[f"{model.name}, {words}"] = _of_scans(model, found, levels, gross_mm)
    return views


def _of_scans(
    model: "Asked", found: Evaluation, levels: Sequence[str], gross_mm: float
) -> dict[str, Figures]:
    rows = real_figures.table(found, levels)
    columns = found.scans if name_columns(found.scans) and not _heights(found) else []

    def of(case: str | None) -> Figures:
        part = rows if case is None else rows[rows["case"] == case]
        scans = [scan for scan in columns if case in (None, scan.case)]
        return real_figures.figures(part, scans, gross_mm=gross_mm, warning=model.warning)

    return {scan.case: of(scan.case) for scan in found.scans} | {ALL: of(None)}


def _heights(found: Evaluation) -> bool:
    """Return whether the model tells heights alone."""
    points = [scan.prediction.landmarks.points_mm for scan in found.scans]
    return any(bool((each[:, 0] != each[:, 0]).any()) for each in points if len(each))


def lines(views: Views) -> list[str]:
    """Return a table a view for a terminal: a column a scan, and one of all."""
    said: list[str] = []
    for name, scans in views.items():
        whole = scans[ALL]
        said += ["", f"{name} ({whole.scans} scans, {whole.within.of} labelled levels)"]
        texts = [real_figures.cells(each) for each in scans.values()]
        rows = [["", *scans]]
        rows += [[head, *(text[head] for text in texts)] for head in texts[0]]
        rows = [row for row in rows if set(row[1:]) != {real_figures.NONE}]
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        said += ["  ".join(c.rjust(w) for c, w in zip(row, widths, strict=True)) for row in rows]
    return said


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.real", description=__doc__)
    parser.add_argument("--scans", type=Path, default=SCANS, help="folder of the labelled scans")
    parser.add_argument("--layout", choices=sorted(LAYOUTS), default="plain")
    parser.add_argument("--two-stage", type=Path, default=ROOT / "models" / "two_stage")
    parser.add_argument("--slice-spotter", type=Path, default=ROOT / "models" / "slice_spotter")
    parser.add_argument("--out", type=Path, default=ROOT / "real-measured")
    parser.add_argument("--note", default="", help="what was changed; what was predicted")
    parser.add_argument("--table", type=Path, default=ROOT / "docs" / "real-scans.md",
                        help="where a note puts its row")  # fmt: skip
    return parser.parse_args(arguments)


if __name__ == "__main__":
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # it counts pictures of new sizes
    sys.exit(main())
