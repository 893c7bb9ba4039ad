"""Commands on scans: locate levels, project to MIPs."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vertebra_ml.agreement import LIMIT_MM
from vertebra_ml.anatomy import LEVELS
from vertebra_ml.bounds import OUTSIDE
from vertebra_ml.cli.progress import Progress
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
    from vertebra_ml.landmarks import ModelIdentity
    from vertebra_ml.many.asked import Asked
    from vertebra_ml.many.scans import Engine
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


def _levels(names: str) -> str:
    """Return the names as the project writes them, with commas; empty for all."""
    asked = [name.strip().upper() for name in names.split(",") if name.strip()]
    unknown = [name for name in asked if name not in LEVELS]
    if unknown or (names and not asked):
        found = ", ".join(map(repr, unknown)) or repr(names)
        expected = "names C1..C7, T1..T13, L1..L6 with commas, such as L3,T12"
        raise typer.BadParameter(f"found {found}; expected {expected}")
    return ",".join(asked)


Levels = Annotated[
    str,
    typer.Option(
        help="Only these levels, such as L3,T12; else all that the model answers.",
        callback=_levels,
        metavar="NAMES",
    ),
]


def _limit(limit_mm: float) -> float:
    if not limit_mm >= 0:  # nor a NaN, which is neither
        raise typer.BadParameter(f"found {limit_mm}; expected millimetres, 0 or more")
    return limit_mm


Second = Annotated[
    str,
    typer.Option(
        "--beside",
        help="A second model, asked too; a warning names each level on which it differs.",
        metavar="MODEL",
    ),
]


Workers = Annotated[
    int,
    typer.Option(
        min=0,
        help="Processes; 0: as many as there are cores, memory and scans for.",
    ),
]
Scheduler = Annotated[
    str,
    typer.Option(
        help="A Dask scheduler, such as tcp://127.0.0.1:8786: its workers do the scans.",
        metavar="ADDRESS",
    ),
]


def _outside(way: str) -> str:
    if way not in OUTSIDE:
        raise typer.BadParameter(f"found {way!r}; expected {' or '.join(OUTSIDE)}")
    return way


Outside = Annotated[
    str,
    typer.Option(
        help="A scan outside the limits (spacing, field, intensities) that the model brings along: "
        "warn or refuse.",
        envvar="VERTEBRA_ML_OUTSIDE",
        callback=_outside,
        metavar="HOW",
    ),
]
Again = Annotated[bool, typer.Option("--again", help="Do again what is done already.")]


@one_line_errors
def locate(
    scans: Scans,
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("located"),
    model: Model = PRODUCTION,
    levels: Levels = "",
    beside: Second = "",
    beside_mm: Annotated[
        float,
        typer.Option(
            help="How far apart the two may put a level without a word, mm.", callback=_limit
        ),
    ] = LIMIT_MM,
    formats: Formats = DEFAULT_FORMATS,
    overlay: Annotated[
        bool, typer.Option("--overlay", help="Draw both views with the levels: OUT/CASE.png.")
    ] = False,
    workers: Workers = 0,
    scheduler: Scheduler = "",
    outside: Outside = OUTSIDE[0],
    again: Again = False,
) -> None:
    """Find levels in scans: which slice is L3, which T12, in mm and by number; or every vertebra.

    Three examples:

      vertebra-ml locate scan.nii.gz dicom_folder/ --out results

      vertebra-ml locate *.nii.gz --format csv,html --model models:/vertebra-two-stage@production

      vertebra-ml locate ct.nii.gz --levels L3 --beside models:/vertebra-two-stage@production

    The model vertebra-slice-spotter (default) answers T12 and L3 and tells heights alone;
    vertebra-two-stage names every vertebra and tells its centre.

    One file for all scans: csv OUT/slices.csv, json OUT/slices.json.

    One file a scan: html OUT/CASE.html, a page with everything; png OUT/CASE-L3.png, the slice
    itself; slicer OUT/CASE.mrk.json for 3D Slicer; verse OUT/CASE_ctd.json.

    A level that is not in the scan is found = false with empty coordinates, never a guess. A scan
    that cannot be read is one line here; the others are finished, and the exit status is 1.

    The same command repeated goes on after a kill: a scan that is missing, failed or has changed is
    done, and one that is done is not, unless --again.
    """
    from vertebra_ml.intake import expand
    from vertebra_ml.many.scans import Wanted, locate_many

    if workers and scheduler:
        raise typer.BadParameter("found --workers and --scheduler; expected one of the two")
    check_folder(out)
    names = formats.split(",")
    cases = expand([scan.absolute() for scan in scans] if scheduler else scans)
    asked = replace(_asked(model, levels, beside, beside_mm), outside=outside)
    wanted = Wanted(out, names, overlay, asked.mark, again)
    with Progress(len(cases), "locate") as progress:
        located, failures = locate_many(
            cases,
            wanted,
            _engine(asked, (model, beside), workers, scheduler),
            on_progress=progress.update,
            on_resume=progress.resume,
        )
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


def localiser_of(model: str, outside: str = OUTSIDE[0]) -> "Localiser":
    """Load a model from the registry or from a folder. Raises ModelError.

    ``outside`` says what it does with a scan outside its limits.
    """
    with quiet_start():
        from vertebra_ml.models import load_model

        return load_model(*_folder_of(model), outside=outside)


def _folder_of(model: str) -> "tuple[Path, ModelIdentity | None]":
    """Return a model's folder and who it is, fetched where it is a name in the registry."""
    if not model.startswith("models:/"):
        return Path(model), None
    with quiet_start():
        from vertebra_ml import tracking

        return tracking.fetch(model)


def _asked(model: str, levels: str, beside: str, limit_mm: float) -> "Asked":
    """Return the model as it is asked: of some levels, beside another one, or as it is."""
    from vertebra_ml.many.asked import Asked, Model

    second = Model(*_folder_of(beside)) if beside else None
    few = tuple(levels.split(",")) if levels else ()
    return Asked(Model(*_folder_of(model)), few, second, limit_mm)


def _engine(asked: "Asked", names: tuple[str, str], workers: int, scheduler: str) -> "Engine":
    """Return who does the scans: a cluster, processes of this machine, or this process."""
    from vertebra_ml.many import engines

    if scheduler:
        return engines.elsewhere(asked, scheduler)
    by_model = dict(zip((asked.model, asked.beside), names, strict=True))
    return engines.here(
        asked, lambda: asked.ask(lambda m: localiser_of(by_model[m], asked.outside)), workers
    )
