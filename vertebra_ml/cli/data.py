"""Commands on data sets: make synthetic scans, run the gate of raw scans."""

from pathlib import Path
from typing import Annotated

import typer

from vertebra_ml.cli.talk import PARAMS, Layout, Settings, bar, one_line_errors, settings
from vertebra_ml.readers.writers import WRITERS


def _known(layout: str) -> str:
    """Refuse an unknown layout as wrong usage, before any scan is made."""
    if layout not in WRITERS:
        raise typer.BadParameter(f"{layout!r} is none of {', '.join(WRITERS)}")
    return layout


Writable = Annotated[
    str,
    typer.Option(
        help=f"How they are laid out: {', '.join(WRITERS)}; see docs/data.md.", callback=_known
    ),
]


@one_line_errors
def phantom(
    folder: Annotated[Path, typer.Argument(help="Where the scans are written.")],
    count: Annotated[int, typer.Option(min=1, help="How many.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="The same seed makes the same scans.")] = 0,
    layout: Writable = "plain",
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
) -> None:
    """Make synthetic CT scans with known landmarks: any part, spacing, orientation and field.

    They make a data set, with their truth, that check, evaluate and the pipeline read.

    To see what a layout looks like:

    vertebra-ml phantom example --count 2 --layout raw

    vertebra-ml check example --layout raw
    """
    from vertebra_ml.phantom import cohort
    from vertebra_ml.readers.writers import write_case

    with bar(count, "phantom") as progress:
        people = cohort(count, seed, kind="draw", workers=workers)
        for number, person in enumerate(people):
            case = f"phantom-{seed}-{number:04d}"
            write_case(folder, case, person.volume, person.truth, layout)
            progress.update()
    typer.echo(f"{count} scans of layout {layout}: {folder}")


@one_line_errors
def check(
    data: Annotated[Path, typer.Argument(help="Folder of the data set.")],
    layout: Layout = "plain",
    out: Annotated[Path, typer.Option(help="Folder for the pages.")] = Path("checked"),
    params: Settings = PARAMS,
) -> None:
    """Run the gate of raw scans on a data set, without the pipeline; exit status 1 if it fails."""
    import pandas as pd

    from vertebra_ml.limits import RAW_RULES, bind, describe_case, gate, row_count
    from vertebra_ml.readers import find

    limits = settings(params).limits
    cases = find(data, layout, voxels_max=limits.voxels_max)
    rows = []
    with bar(len(cases), "check") as progress:
        for case in cases:
            rows.append(describe_case(case))
            progress.update()
    rules = (*bind(RAW_RULES, limits.model_dump()), row_count(1))
    gate({"Raw scans": (pd.DataFrame(rows), rules)}, name="raw", folder=out)
    typer.echo(f"{len(cases)} scans pass: {out / 'raw.html'}")
