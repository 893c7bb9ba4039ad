"""Pictures of a case: its axial slices, and both views with the levels drawn."""

import logging

from vertebra_ml.outputs.answer import Answer
from vertebra_ml.outputs.formats import Files

log = logging.getLogger(__name__)


def slices(answer: Answer) -> Files:
    """Return ``CASE-LEVEL.png`` of each level found; a picture of before goes where none is."""
    if answer.volume is None:
        log.warning("%s: MIPs hold no axial slices, so there is no png of it", answer.case)
        return {}
    without = (*answer.prediction.missing, *answer.prediction.untold)
    gone = {_name(answer.case, level): None for level in without}
    return gone | {_name(answer.case, level): png for level, png in answer.slice_pngs.items()}


def overlay(answer: Answer) -> Files:
    """Return ``CASE.png``: frontal and sagittal projection with a line at every level."""
    return {f"{answer.case}.png": answer.overlay_png}


def _name(case: str, level: str) -> str:
    return f"{case}-{level}.png"
