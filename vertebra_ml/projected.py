"""Cases as MIP archives: what the stage ``project`` and the command ``mips`` both make."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vertebra_ml.archive import Archive
from vertebra_ml.case import Case
from vertebra_ml.errors import DatasetError
from vertebra_ml.mip import Mip, MipPair
from vertebra_ml.prepare import project
from vertebra_ml.volume import AIR_HU

SAME = 1e-6
"""Spacings, mm, that differ by less are one spacing: the rule of the gate ``mips``."""


def project_case(case: Case, projection: Mapping[str, Any]) -> Archive:
    """Read one case and project it; ``projection`` holds the keyword arguments of ``project``.

    A case that holds MIPs already keeps them, brought to the spacing asked for; how thick a slab
    they were made from cannot be changed any more. Raises what its reader raises.
    """
    if case.open_mips is not None:
        pair, source = case.open_mips()
        pair = respaced(pair, spacing_mm=projection["spacing_mm"])
        return Archive(case.id, case.patient, case.layout, pair, source, case.truth())
    if case.open_volume is None:
        raise DatasetError(
            case.source, found="a case without image", expected="a CT or MIPs",
            fix="report its reader",
        )  # fmt: skip
    volume = case.open_volume()
    pair = project(volume, **projection)
    return Archive(case.id, case.patient, case.layout, pair, volume.origin, case.truth())


def respaced(pair: MipPair, *, spacing_mm: float) -> MipPair:
    """Return the pair on square pixels of ``spacing_mm``, its upper and first faces kept.

    The same pair where it has them already. Values are means over the area of a pixel, and stay
    ``AIR_HU`` where all of that area is.
    """
    return MipPair(
        _respaced(pair.frontal, spacing_mm), _respaced(pair.sagittal, spacing_mm), pair.spine_mm
    )


def _respaced(mip: Mip, spacing_mm: float) -> Mip:
    if max(abs(step - spacing_mm) for step in mip.spacing_mm) <= SAME:
        return mip
    image = mip.image.astype(np.float64)
    for step in mip.spacing_mm:  # rows, then columns: each turn leaves the other axis in front
        image = _means(image, spacing_mm / step).T
    top, first = (
        place + (step - spacing_mm) / 2
        for place, step in zip(mip.origin_mm, mip.spacing_mm, strict=True)
    )
    pixels = np.rint(image).astype(np.int16, order="C")
    return replace(mip, image=pixels, spacing_mm=(spacing_mm, spacing_mm), origin_mm=(top, first))


def _means(image: NDArray[np.float64], scale: float) -> NDArray[np.float64]:
    """Return means over ``scale`` rows each, axis 0; beyond the last row is air.

    Their number is rounded, at least one.
    """
    count = max(1, round(len(image) / scale))
    edges = np.arange(count + 1) * scale
    sums = np.zeros((len(image) + 1, image.shape[1]))
    np.cumsum(image - AIR_HU, axis=0, out=sums[1:])
    place = edges.clip(0, len(image))
    low = np.minimum(place.astype(np.intp), len(image) - 1)
    at_edges = sums[low] + (sums[low + 1] - sums[low]) * (place - low)[:, None]
    means: NDArray[np.float64] = np.diff(at_edges, axis=0) / scale + AIR_HU
    return means
