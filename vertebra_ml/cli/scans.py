"""Commands on scans: locate levels, project to MIPs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vertebra_ml.cli.talk import (
    PARAMS,
    Settings,
    bar,
    collected,
    finish,
    one_line_errors,
    quiet_start,
    settings,
)
from vertebra_ml.errors import DatasetError
from vertebra_ml.outputs import DEFAULT, FORMATS, check_folder, check_formats

if TYPE_CHECKING:
    from vertebra_ml.models import Localiser

PRODUCTION = "models:/vertebra-slice-spotter@production"

Scans = Annotated[
    list[Path],
    typer.Argument(
        help="NIfTI files, DICOM folders or zips, .raw files with a sidecar, MIP archives.",
        metavar="CT...",
    ),
]
Model = Annotated[
    str, typer.Option(help="models:/NAME@ALIAS or models:/NAME/VERSION in MLflow, or a folder.")
]


DEFAULT_FORMATS = ",".join(DEFAULT)


def _formats(names: str) -> str:
    try:
        return ",".join(check_formats([name.strip() for name in names.split(",") if name.strip()]))
    except DatasetError as error:
        raise typer.BadParameter(f"found {error.found}; expected {error.expected}") from None


Formats = Annotated[
    str,
    typer.Option(
        "--format",
        help=f"What to write, a list with commas: {', '.join(FORMATS)}.",
        callback=_formats,
        metavar="NAMES",
    ),
]


@one_line_errors
def locate(
    scans: Scans,
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("located"),
    model: Model = PRODUCTION,
    formats: Formats = DEFAULT_FORMATS,
    overlay: Annotated[
        bool, typer.Option("--overlay", help="Draw both views with the levels: OUT/CASE.png.")
    ] = False,
) -> None:
    """Find levels in scans: which slice is L3, which T12, in mm and by number.

    Two examples:

      vertebra-ml locate scan.nii.gz dicom_folder/ --out results

      vertebra-ml locate *.nii.gz --format csv,html --model models/slice_spotter

    One file for all scans: csv OUT/slices.csv, json OUT/slices.json.

    One file a scan: html OUT/CASE.html, a page with everything; png OUT/CASE-L3.png, the slice
    itself; slicer OUT/CASE.mrk.json for 3D Slicer; verse OUT/CASE_ctd.json.

    A level that is not in the scan is found = false with empty coordinates, never a guess. A scan
    that cannot be read is one line here; the others are finished, and the exit status is 1.
    """
    from vertebra_ml.batch import locate_all
    from vertebra_ml.intake import expand

    check_folder(out)
    names, cases = formats.split(","), expand(scans)
    localiser = localiser_of(model)
    with bar(len(cases), "locate") as progress:
        rows, failures = locate_all(
            localiser, cases, out=out, formats=names, overlay=overlay, on_progress=progress.update
        )
    located = len({row["case"] for row in rows})
    where = out / "slices.csv" if "csv" in names else out
    typer.echo(f"{located} of {len(cases)} scans located: {where}")
    finish(failures)


@one_line_errors
def mips(
    scans: Scans,
    out: Annotated[Path, typer.Option(help="Folder for the archives.")] = Path("mips"),
    params: Settings = PARAMS,
) -> None:
    """Project scans: one MIP archive (.npz) a scan, frontal and sagittal, in mm."""
    from vertebra_ml.archive import write_archive
    from vertebra_ml.intake import expand
    from vertebra_ml.projected import project_case

    check_folder(out)
    how, cases = settings(params).projection.arguments(), expand(scans)
    failures: list[str] = []
    with bar(len(cases), "project") as progress:
        for case in cases:
            with collected(failures, case.source):
                write_archive(out / f"{case.id}.npz", project_case(case, how))
            progress.update()
    typer.echo(f"{len(cases) - len(failures)} of {len(cases)} scans projected: {out}")
    finish(failures)


def localiser_of(model: str) -> "Localiser":
    """Load a model from the registry or from a folder. Raises ModelError."""
    with quiet_start():
        from vertebra_ml.models import load_model

        if not model.startswith("models:/"):
            return load_model(Path(model))
        from vertebra_ml import tracking

        return load_model(*tracking.fetch(model))
