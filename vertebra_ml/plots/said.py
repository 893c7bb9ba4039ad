"""What is said beside the picture of an answer: names, scores, errors, and what is not there."""

from collections.abc import Iterable
from typing import Final

import numpy as np

from vertebra_ml.anatomy import LEVELS, RANK, VARIANTS
from vertebra_ml.id_rates import IDENTIFIED_MM, distances
from vertebra_ml.landmarks import Prediction, Truth
from vertebra_ml.plots import style

FEW: Final = 6
"""Up to as many levels have a line each across the picture; more would cover it."""

Words = tuple[str, str]  # text and colour


def is_column(prediction: Prediction) -> bool:
    """Return whether so many levels were asked for that they are drawn as points."""
    return len(prediction.landmarks) + len(prediction.missing) + len(prediction.untold) > FEW


def level_words(prediction: Prediction, truth: Truth | None, label: str) -> Words:
    """Return what is said of one of few answers: name and score, then the error along z."""
    marks = prediction.landmarks
    score = float(marks.scores[marks.labels.index(label)])
    text = label if np.isnan(score) else f"{label}  {score:.2f}"
    if truth is None:
        return text, style.INK
    if label in truth.landmarks:
        step = float(marks[label][2] - truth.landmarks[label][2])
        return f"{text}\n{step:+.1f} mm".replace("-", "−"), style.INK
    if label in truth.visible:
        return f"{text}\nnot labelled", style.INK
    return f"{text}\nnot in scan", style.WRONG


def column_words(prediction: Prediction, truth: Truth | None, label: str) -> Words:
    """Return what is said of an answer in one line: name, score, distance to its label."""
    marks = prediction.landmarks
    score = float(marks.scores[marks.labels.index(label)])
    text = label if np.isnan(score) else f"{label}  {score:.2f}"
    if truth is None:
        return text, style.INK
    if label in truth.landmarks:
        far = float(distances(marks[label][None], truth.landmarks[label][None])[0, 0])
        return f"{text}  {far:.1f} mm", style.INK if far <= IDENTIFIED_MM else style.WRONG
    if label in truth.visible:
        return f"{text}  not labelled", style.INK
    return f"{text}  not in scan", style.WRONG


def level_notes(prediction: Prediction, truth: Truth | None) -> list[Words]:
    """Return the lines below the picture of few levels: a line for each that is not there."""
    scores = dict(zip(prediction.missing, prediction.absent_scores, strict=False))
    lines: list[Words] = []
    for label in prediction.missing:
        score = f" (score {scores[label]:.2f})" if label in scores else ""
        missed = truth is not None and label in truth.landmarks
        end = ", but it is labelled there" if missed else ""
        lines.append(
            (
                f"{label} said not to be in this scan{score}{end}",
                style.WRONG if missed else style.INK,
            )
        )
    if not prediction.missing and not len(prediction.landmarks) and not prediction.untold:
        lines.append(("No level was asked for.", style.INK))
    lines += [(f"Warning: {warning}", style.INK) for warning in prediction.warnings]
    return lines


def column_notes(prediction: Prediction, truth: Truth | None) -> list[Words]:
    """Return the lines below the picture of a column: what is not there, warnings, a key."""
    marks, missing, lines = prediction.landmarks, set(prediction.missing), list[Words]()
    labelled = set(truth.landmarks.labels) if truth else set[str]()
    if missing - labelled:
        said = f"Said not to be in this scan: {', '.join(spans(missing - labelled))}."
        lines.append((said, style.INK))
    untold = labelled & set(prediction.untold)
    lost = labelled - untold - set(marks.labels)
    for levels, what in ((lost, "found"), (untold, "told")):
        if levels:
            lines.append((f"Labelled, but not {what}: {', '.join(spans(levels))}.", style.WRONG))
    if not len(marks):
        seen = "No vertebra is told." if prediction.untold else "No vertebra was found."
        lines.append((seen, style.WRONG))
    lines += [(f"Warning: {warning}", style.INK) for warning in prediction.warnings]
    if truth:
        said = "Filled, names in the middle: the answer. Rings, names outside: the labels."
        lines.append((said, style.FAINT))
    return lines


def spans(levels: Iterable[str]) -> list[str]:
    """Return levels with neighbours of a region drawn together: C1–C7, T2, L5–L6."""
    given = set(levels)
    column = [level for level in LEVELS if level in given or level not in VARIANTS]
    runs: list[list[str]] = []
    for level in sorted(given, key=RANK.__getitem__):
        beside = runs and column.index(level) == column.index(runs[-1][-1]) + 1
        if beside and level[0] == runs[-1][-1][0]:
            runs[-1].append(level)
        else:
            runs.append([level])
    return [run[0] if len(run) == 1 else f"{run[0]}–{run[-1]}" for run in runs]
