"""``CASE.mrk.json``: a point list that 3D Slicer opens, one control point a level.

The form is Slicer's markups schema 1.0.3. Positions are RAS+ mm, and the file says so.
"""

import json
import logging
from typing import Final

from vertebra_ml.agreement import subject
from vertebra_ml.landmarks import ROUND_DIGITS
from vertebra_ml.outputs.answer import MIDDLE, Answer
from vertebra_ml.outputs.formats import Files

log = logging.getLogger(__name__)
SCHEMA: Final = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/"
    "Schema/markups-schema-v1.0.3.json#"
)
"""The name of the form, by which Slicer knows the file; nothing is fetched."""
COLOUR: Final = (0.9, 0.62, 0.0)


def files(answer: Answer) -> Files:
    """Return the file of one case; of a case without landmarks it holds an empty list."""
    prediction = answer.prediction
    if any(answer.heights_only):
        log.warning("slicer: %s", MIDDLE)
    markup = {
        "type": "Fiducial",
        "name": answer.case,
        "description": _model_words(answer),
        "coordinateSystem": "RAS",
        "coordinateUnits": "mm",
        "locked": True,
        "fixedNumberOfControlPoints": False,
        "labelFormat": "%N-%d",
        "lastUsedControlPointNumber": len(prediction.landmarks),
        "controlPoints": [_point(answer, number) for number in range(len(prediction.landmarks))],
        "display": {"visibility": True, "pointLabelsVisibility": True, "selectedColor": COLOUR},
    }
    document = {"@schema": SCHEMA, "markups": [markup]}
    text = json.dumps(document, allow_nan=False, ensure_ascii=False, indent=1)
    return {f"{answer.case}.mrk.json": f"{text}\n".encode()}


def _point(answer: Answer, number: int) -> dict[str, object]:
    words = [answer.slice_words(number)]
    words += [MIDDLE] if answer.heights_only[number] else []
    label = answer.prediction.landmarks.labels[number]
    words += [
        f"warning: {line}" for line in answer.prediction.warnings if subject(line) in ("", label)
    ]
    return {
        "id": str(number + 1),
        "label": label,
        "description": "; ".join(words),
        "position": [round(float(v), ROUND_DIGITS) + 0.0 for v in answer.points_mm[number]],
        "selected": True,
        "locked": True,
        "visibility": True,
        "positionStatus": "defined",
    }


def _model_words(answer: Answer) -> str:
    prediction = answer.prediction
    words = [f"{prediction.model.kind} {prediction.model.version}".strip()]
    words += [f"{', '.join(prediction.missing)} not in this scan"] if prediction.missing else []
    words += [f"{', '.join(prediction.untold)} not told"] if prediction.untold else []
    words += [f"warning: {line}" for line in prediction.warnings]
    return "; ".join([*words, "for research use"])
