"""Pictures of every answer: one a scan and model, a contact sheet of all, and a page of them."""

import html
import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import matplotlib.image as images
from matplotlib.figure import Figure

from vertebra_ml.outputs import replace_bytes, replace_text
from vertebra_ml.plots import png

if TYPE_CHECKING:
    from vertebra_ml.batch import Evaluation

SHEET, PAGE = "all.png", "index.html"
ACROSS: Final = 2
"""Scans beside each other on the contact sheet."""
CELL_IN: Final = (7.0, 2.9)
SHEET_DPI: Final = 110
STYLE: Final = (
    "body{font:14px sans-serif;margin:1em}img{max-width:100%;max-height:90vh;object-fit:contain}"
    "section{display:grid;grid-template-columns:1fr 1fr;gap:1em}h2{grid-column:1/-1}"
)


def write(out: Path, answers: "Mapping[str, Evaluation]") -> None:
    """Write ``out/MODEL/CASE.png`` of every answer, ``out/all.png`` and ``out/index.html``."""
    drawn: dict[str, dict[str, Path]] = {}
    for name, found in answers.items():
        for picture in found.pictures:
            path = picture.save(out / name)
            drawn.setdefault(picture.prediction.case, {})[name] = path
    cases = dict(sorted(drawn.items()))
    replace_bytes(out / SHEET, sheet(cases, list(answers)))
    replace_text(out / PAGE, _page(cases, out))


def sheet(cases: Mapping[str, Mapping[str, Path]], names: list[str]) -> bytes:
    """Return one PNG of all pictures, small: the models of a scan side by side, ACROSS scans."""
    columns, rows = ACROSS * max(len(names), 1), max(-(-len(cases) // ACROSS), 1)
    figure = Figure(figsize=(CELL_IN[0] * columns, CELL_IN[1] * rows), facecolor="white")
    for place, pictures in enumerate(cases.values()):
        row, first = place // ACROSS, place % ACROSS * len(names)
        for column, name in enumerate(names, start=first):
            if name in pictures:
                corner = (column / columns, 1 - (row + 1) / rows)
                axes = figure.add_axes((*corner, 1 / columns, 1 / rows))
                axes.imshow(images.imread(io.BytesIO(pictures[name].read_bytes())))
                axes.set_axis_off()
    return png(figure, SHEET_DPI)


def _page(cases: Mapping[str, Mapping[str, Path]], out: Path) -> str:
    parts = []
    for case, pictures in cases.items():
        shown = "".join(
            f'<figure><img loading="lazy" src="{html.escape(str(path.relative_to(out)))}" '
            f'alt=""><figcaption>{html.escape(name)}</figcaption></figure>'
            for name, path in pictures.items()
        )
        parts.append(f"<section><h2>{html.escape(case)}</h2>{shown}</section>")
    head = f'<!doctype html><meta charset="utf-8"><title>Real scans</title><style>{STYLE}</style>'
    return f"{head}<h1>Answers on real scans</h1>{''.join(parts)}\n"
