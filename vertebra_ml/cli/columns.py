"""Commands on columns of vertebrae: name the candidates that something else has found."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from vertebra_ml.cli.talk import bar, collected, finish, note, one_line_errors
from vertebra_ml.errors import DatasetError
from vertebra_ml.outputs.files import check_folder, replace_bytes

Keypoints = Annotated[
    list[Path],
    typer.Argument(help="Keypoints, one JSON file a spine.", metavar="KEYPOINTS.json..."),
]


@one_line_errors
def label(
    keypoints: Keypoints,
    out: Annotated[Path, typer.Option(help="Folder for the result.")] = Path("labelled"),
) -> None:
    r"""Name vertebrae that were found but not named: candidates of a spine to C1..L6.

    An example, for all spines of a folder:

      vertebra-ml label detections/*.json --out named

    A file is a list of keypoints in DICOM's LPS mm, in any order, some missing, some surplus:

      [{"coordinates": {"world_space": \[x, y, z]}, "type": {"keypoint_type": "body",
      "spine_segment_probabilities": \[cervical, thoracic, lumbar]}}, ...]

    keypoint_type is body, or left or right for a pedicle. Probabilities and pedicles may lack.

    OUT/labels.csv has a row a body: spine (the file's name), candidate (its number among the
    bodies, from 0), level, x_mm, y_mm, z_mm (RAS), probability. The level is empty where the
    candidate is judged to be no vertebra. A spine that does not show which vertebrae these are
    gets a note: its levels are then the likeliest of several, as the probability says.

    OUT/labels.json says the same a spine at a time, with that doubt in words (can_tell, doubt)
    and the likeliest levels of each candidate.

    A file that cannot be read is one line here; the others are done, and the exit status is 1.
    """
    from vertebra_ml.outputs.labels import label_rows, labels_text, spine_entry, spines_text
    from vertebra_ml.readers.keypoints import read_keypoints
    from vertebra_ml.rivals import label as named

    check_folder(out)
    failures: list[str] = []
    rows, told, unsure = [], [], []
    spines = _spines(keypoints)
    with bar(len(spines), "label") as progress:
        for path, spine in spines.items():
            with collected(failures, path):
                _check_file(path)
                candidates = read_keypoints(path).candidates
                labelling = named(candidates)
                rows += label_rows(spine, candidates, labelling)
                told.append(spine_entry(spine, candidates, labelling))
                unsure += [] if labelling.can_tell else [f"{path}: {labelling.doubt()}"]
            progress.update()
    target = out / "labels.csv"
    for place, text in {
        target: labels_text(rows), out / "labels.json": spines_text(told, failures),
    }.items():  # fmt: skip
        replace_bytes(place, text.encode(errors="backslashreplace"))  # names may be no UTF-8
    for line in unsure:
        note(line)
    typer.echo(f"{len(spines) - len(failures)} of {len(spines)} spines labelled: {target}")
    finish(failures)


def _check_file(path: Path) -> None:
    """Raise DatasetError for what is no file: a pipe or a device would be read for ever."""
    if not path.is_file():
        raise DatasetError(
            path,
            found="something else than a file" if path.exists() else "nothing at that path",
            expected="a JSON file of keypoints",
            fix="correct the path; for a folder give its files",
        )


def _spines(paths: list[Path]) -> dict[Path, str]:
    """Return path -> name of its spine: the file's, after its folder's where two are alike."""
    unique = list(dict.fromkeys(path.absolute() for path in paths))
    alike = Counter(path.stem for path in unique)
    return {
        path: path.stem if alike[path.stem] == 1 else f"{path.parent.name}-{path.stem}"
        for path in unique
    }
