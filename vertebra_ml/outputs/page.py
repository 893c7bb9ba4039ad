"""``CASE.html``: one self-contained page a case, to look at, to keep, to print.

Nothing is fetched: pictures and style lie in the page. It tells of the patient what the pictures
show and no more: no UID, no path, no header's value.
"""

import base64
from collections.abc import Mapping
from html import escape
from importlib.metadata import version
from typing import Final

import numpy as np

from vertebra_ml.affines import spacing_of
from vertebra_ml.outputs.answer import Answer
from vertebra_ml.outputs.formats import Files
from vertebra_ml.outputs.page_style import STYLE
from vertebra_ml.plots.said import spans

NOT_FOR_PATIENTS: Final = "For research use. This is no medical device; check every answer by eye."
NONE: Final = "–"
UNTOLD: Final = "perhaps; where would be a guess"
PICTURE_DPI: Final = 150
ABSENT: Final = ' class="absent"'

HEAD: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; \
style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>{style}</style></head>
<body>
"""

COLUMNS: Final = (
    # key of Prediction.rows, heading, what stands below it, decimals, shown where all are empty
    ("level", "level", "", 0, True),
    ("found", "in this scan", "", 0, True),
    ("slice_number", "slice", "from 1", 0, True),
    ("instance_number", "image number", "DICOM", 0, False),
    ("z_mm", "z", "mm, to the head", 1, True),
    ("x_mm", "x", "mm, to the right", 1, False),
    ("y_mm", "y", "mm, to the front", 1, False),
    ("score", "score", "0 to 1", 2, True),
    ("spread_mm", "90 % within", "mm", 1, True),
)

MEANING: Final = (
    "Slices are counted in the order of the file; millimetres are those of its own coordinates "
    "(RAS). The score says how sure the model is of the whole answer, the last column within what "
    "distance the truth lies nine times in ten."
)
PROJECTIONS: Final = (
    "Greatest values along the beam: from behind and from the side. Each line is a level with its "
    "score, each ring a vertebra's centre where the model tells it."
)
FEW: Final = 6
"""Levels up to which each is named one by one, and has a line and a large slice of its own."""
WINDOW: Final = "Soft tissue window (width 400, level 50), the patient's right at the left."


def files(answer: Answer) -> Files:
    """Return the page of one case."""
    return {f"{answer.case}.html": page(answer).encode(errors="backslashreplace")}


def page(answer: Answer) -> str:
    """Return the page as text."""
    parts = [
        HEAD.format(title=escape(answer.case), style=STYLE),
        f'<header><h1>{escape(answer.case)}</h1><p class="lead">{escape(_lead(answer))}</p>',
        f'<p class="notice">{escape(NOT_FOR_PATIENTS)}</p></header>',
        _warnings(answer),
        "<main><section><h2>Levels</h2>",
        _table(answer),
        f'<p class="small">{escape(MEANING)}</p></section>',
        "<section><h2>Both views</h2>",
        _figure(answer.overlay_png, "Frontal and sagittal projection with the levels", PROJECTIONS),
        "</section>",
        _slices(answer),
        "</main>",
        f"<footer><h2>What made this answer</h2>{_facts(answer)}</footer></body></html>\n",
    ]
    return "\n".join(filter(None, parts))


def _lead(answer: Answer) -> str:
    marks, missing = answer.prediction.landmarks, answer.prediction.missing
    said = []
    if len(marks):
        said.append(f"{_listed(marks.labels)} found")
    if missing:
        said.append(f"{_listed(missing)} not in this scan")
    if answer.prediction.untold:
        said.append(f"{_listed(tuple(answer.prediction.untold))} not told")
    return "; ".join(said) + "." if said else "No level was asked for."


def _listed(words: tuple[str, ...]) -> str:
    """Return the words as one reads them aloud; of many levels the spans of neighbours."""
    if len(words) > FEW:
        words = tuple(spans(words))
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _warnings(answer: Answer) -> str:
    lines = "".join(f"<li>{escape(line)}</li>" for line in answer.prediction.warnings)
    if not lines:
        return ""
    return f'<aside class="warning"><h2>Please note</h2><ul>{lines}</ul></aside>'


def _table(answer: Answer) -> str:
    rows = answer.prediction.rows()
    shown = [column for column in COLUMNS if column[4] or any(row[column[0]] for row in rows)]
    heads = "".join(
        f"<th>{escape(name)}<small>{escape(unit)}</small></th>" for _, name, unit, *_ in shown
    )
    many = len(answer.prediction.missing) > FEW
    lines = [
        f"<tr{'' if row['found'] else ABSENT}>"
        + "".join(f"<td>{escape(_cell(row, key, digits))}</td>" for key, _, _, digits, _ in shown)
        + "</tr>"
        for row in rows
        if row["found"] is not False or not many
    ]
    if many:  # named above, one by one in the tables of the batch
        rest = f"<td>{len(answer.prediction.missing)} others</td><td>not in this scan</td>"
        lines.append(f"<tr{ABSENT}>{rest}{'<td></td>' * (len(shown) - 2)}</tr>")
    return f'<div class="wide"><table><tr>{heads}</tr>{"".join(lines)}</table></div>'


def _cell(row: Mapping[str, object], key: str, digits: int) -> str:
    value = row[key]
    if key == "found":
        return UNTOLD if value is None else "found" if value else "not in this scan"
    if value is None:
        return NONE
    return f"{value:.{digits}f}".replace("-", "−") if isinstance(value, float) else str(value)


def _slices(answer: Answer) -> str:
    if not len(answer.prediction.landmarks):
        return ""
    if answer.volume is None:
        words = "The scan came as projections alone, which hold no axial slices."
        return f"<section><h2>Axial slices</h2><p>{escape(words)}</p></section>"
    pictures = "".join(
        _figure(png, f"Axial slice of {level}", "") for level, png in answer.slice_pngs.items()
    )
    size = "slices many" if len(answer.slice_pngs) > FEW else "slices"
    return (
        f'<section><h2>Axial slices</h2><div class="{size}">{pictures}</div>'
        f'<p class="small">{escape(WINDOW)}</p></section>'
    )


def _figure(png: bytes, words: str, caption: str) -> str:
    width = int.from_bytes(png[16:20], "big")  # of the PNG's header chunk
    size = round(width / PICTURE_DPI * 96)
    data = base64.b64encode(png).decode("ascii")
    below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    image = f'<img alt="{escape(words)}" width="{size}" src="data:image/png;base64,{data}">'
    return f"<figure>{image}{below}</figure>"


def _facts(answer: Answer) -> str:
    model, source = answer.prediction.model, answer.source
    spacing = " × ".join(f"{v:.4g}" for v in spacing_of(source.affine))
    facts = {
        "Model": model.kind,
        "Version": model.version or "not registered",
        "Run": model.run or "not recorded",
        "Training data (hash)": model.data_hash or "not recorded",
        "Seconds": f"{answer.prediction.seconds:.2f}",
        "Scan": f"{' × '.join(map(str, source.shape))} voxels of {spacing} mm",
        "Program": f"vertebra-ml {version('vertebra-ml')}",
    }
    if any(np.isfinite(answer.prediction.landmarks.points_mm[:, :1])):
        facts["Points"] = "vertebral body centres"
    else:
        facts["Points"] = "heights alone: the model does not tell x and y"
    lines = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.items()
    )
    return f'<dl class="facts">{lines}</dl>'
