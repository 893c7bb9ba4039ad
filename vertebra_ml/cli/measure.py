"""The command that measures models on a labelled data set, one alone or several side by side."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vertebra_ml.case import safe_id
from vertebra_ml.cli.scans import PRODUCTION, localiser_of
from vertebra_ml.cli.talk import PARAMS, Layout, Settings, bar, finish, one_line_errors, settings
from vertebra_ml.outputs import check_folder

if TYPE_CHECKING:
    from vertebra_ml.batch import Evaluation
    from vertebra_ml.evaluation import Measures

Models = Annotated[
    list[str],
    typer.Option(
        "--model",
        help="models:/NAME@ALIAS or models:/NAME/VERSION in MLflow, or a folder. Given more than "
        "once: every model is measured on the same scans and one report compares them.",
    ),
]
Pictures = Annotated[int, typer.Option(min=0, help="How many of the worst scans to draw.")]


@one_line_errors
def evaluate(
    data: Annotated[Path, typer.Option(help="Folder of the labelled data set.")],
    layout: Layout = "plain",
    model: Models = [PRODUCTION],  # noqa: B006 - typer's way to give a list a default
    out: Annotated[Path, typer.Option(help="Folder for the report.")] = Path("evaluated"),
    pictures: Pictures = 12,
    params: Settings = PARAMS,
) -> None:
    """Measure models on a labelled data set: tables, numbers with intervals, one HTML report.

    Every scan is answered just as `locate` and the server answer it. OUT/table.csv has a row a scan
    and level; for a model that names whole columns OUT/scans.csv has a row a scan.

    Two models side by side, the files of each in a folder of its own:

      vertebra-ml evaluate --data scans --model models/two_stage --model old/spinefinder

    A scan that one model fails on is one line; the others answer it. The exit status is 1 then.
    """
    from vertebra_ml.batch import compare_all
    from vertebra_ml.evaluation import Measures
    from vertebra_ml.readers import find

    check_folder(out)
    cases = find(data, layout)
    chosen = settings(params)
    names = list(dict.fromkeys(model))
    folders = dict(zip(names, _folders(out, names), strict=True))
    localisers = {folders[name]: localiser_of(name) for name in names}
    with bar(len(cases), "evaluate") as progress:
        found = compare_all(localisers, cases, worst=pictures, on_progress=progress.update)
    measures = Measures(chosen.evaluate.gross_mm, chosen.evaluate.bootstrap, chosen.seed)
    facts = {"data": data, "layout": layout}
    if len(names) == 1:
        _one(out, names[0], found[out], measures, facts)
    else:
        shown = {name: (folders[name], found[folders[name]]) for name in names}
        _several(out, shown, measures, facts)
    typer.echo(f"Report: {out / 'report.html'}")
    finish([line for each in found.values() for line in each.failures])


def _one(
    out: Path, name: str, found: "Evaluation", measures: "Measures", facts: dict[str, object]
) -> None:
    from vertebra_ml.evaluation import in_words, write_evaluation

    about = {**facts, "asked for as": name}
    title = f"{name} on {facts['data']}"
    summary = write_evaluation(out, found, measures, title=title, facts=about)
    typer.echo(in_words(found, summary))


def _several(
    out: Path,
    models: dict[str, tuple[Path, "Evaluation"]],
    measures: "Measures",
    facts: dict[str, object],
) -> None:
    from vertebra_ml.evaluation import in_words, write_comparison

    title = f"{len(models)} models on {facts['data']}"
    summaries = write_comparison(out, models, measures, title=title, facts=facts)
    for name, (folder, found) in models.items():
        typer.echo(f"{name}: {folder}")
        typer.echo(in_words(found, summaries[name]))


def _folders(out: Path, names: list[str]) -> list[Path]:
    """Return where the files of each model go: ``out`` of one alone, else folders of unlike names.

    Named after the model's own folder or registered name; a number tells equal names apart.
    """
    if len(names) == 1:
        return [out]
    wanted = [
        safe_id(name.removeprefix("models:/") if name.startswith("models:/") else _last(name))
        for name in names
    ]
    taken: list[str] = []
    for name in wanted:
        number, unlike = 1, name
        while unlike.casefold() in (each.casefold() for each in taken):  # some disks ignore case
            number += 1
            unlike = f"{name}-{number}"
        taken.append(unlike)
    return [out / name for name in taken]


def _last(folder: str) -> str:
    return Path(folder).absolute().name
