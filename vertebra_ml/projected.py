"""Raw cases as MIP archives: what the stage ``project`` and the command ``mips`` both make."""

from collections.abc import Mapping
from typing import Any

from vertebra_ml.archive import Archive
from vertebra_ml.case import Case
from vertebra_ml.errors import DatasetError
from vertebra_ml.prepare import project


def project_case(case: Case, projection: Mapping[str, Any]) -> Archive:
    """Read and project one raw case; ``projection`` holds the keyword arguments of ``project``.

    Raises DatasetError for a case that holds MIPs already, and what its reader raises.
    """
    if case.open_volume is None:
        raise DatasetError(
            case.source, found="a MIP archive", expected="a CT", fix="leave it out, it is projected"
        )
    volume = case.open_volume()
    pair = project(volume, **projection)
    return Archive(case.id, case.patient, case.layout, pair, volume.origin, case.truth())
