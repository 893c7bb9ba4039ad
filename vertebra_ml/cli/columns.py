"""Commands on columns of vertebrae: name the candidates that something else has found."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from vertebra_ml.cli.talk import bar, collected, finish, one_line_errors
from vertebra_ml.outputs.files import check_folder, replace_text

Keypoints = Annotated[
    list[Path],
    typer.Argument(help="Keypoints, one JSON file a spine.", metavar="KEYPOINTS.json..."),
]


@one_line_errors
def label(
    keypoints: Keypoints,
    out: Annotated[Path, typer.Option(help="Folder for the result.")] = Path("labelled"),
) -> None:
    """Name vertebrae that were found but not named: candidates of a spine to C1..L6.

    An example, for all spines of a folder:

      vertebra-ml label detections/*.json --out named

    A file is a list of keypoints in DICOM's LPS mm, in any order, some missing, some surplus:

      [{"coordinates": {"world_space": [x, y, z]}, "type": {"keypoint_type": "body",
      "spine_segment_probabilities": [cervical, thoracic, lumbar]}}, ...]

    keypoint_type is body, or left or right for a pedicle. Probabilities and pedicles may lack.

    OUT/labels.csv has a row a body: spine (the file's name), candidate (its number among the
    bodies, from 0), level, x_mm, y_mm, z_mm (RAS), probability. The level is empty where the
    candidate is judged to be no vertebra. A spine that does not show which vertebrae these are
    gets a note: its levels are then the likeliest of several, as the probability says.

    A file that cannot be read is one line here; the others are done, and the exit status is 1.
    """
    from vertebra_ml.chain import label as named
    from vertebra_ml.outputs.labels import label_rows, labels_text
    from vertebra_ml.readers.keypoints import read_keypoints

    check_folder(out)
    failures: list[str] = []
    rows, unsure = [], []
    spines = _spines(keypoints)
    with bar(len(spines), "label") as progress:
        for path, spine in spines.items():
            with collected(failures, path):
                candidates = read_keypoints(path).candidates
                labelling = named(candidates)
                rows += label_rows(spine, candidates, labelling)
                unsure += [] if labelling.can_tell else [f"{path}: {labelling.doubt()}"]
            progress.update()
    target = out / "labels.csv"
    replace_text(target, labels_text(rows))
    for line in unsure:
        typer.echo(f"note: {line}", err=True)
    typer.echo(f"{len(spines) - len(failures)} of {len(spines)} spines labelled: {target}")
    finish(failures)


def _spines(paths: list[Path]) -> dict[Path, str]:
    """Return path -> name of its spine: the file's, after its folder's where two are alike."""
    unique = list(dict.fromkeys(path.absolute() for path in paths))
    alike = Counter(path.stem for path in unique)
    return {
        path: path.stem if alike[path.stem] == 1 else f"{path.parent.name}-{path.stem}"
        for path in unique
    }
