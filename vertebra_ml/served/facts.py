"""Facts of a scan that came over REST: few, cheap, safe for any values, naming nobody.

`limits.describe` tells more of a scan and trusts it more: it counts every value.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import numpy as np

from vertebra_ml.case import Case
from vertebra_ml.limits.facts import SAMPLED_VOXELS, intensities
from vertebra_ml.mip import MipPair
from vertebra_ml.volume import Source, Volume

NUMBERS: Final = (
    "spacing_least_mm", "spacing_largest_mm", "obliquity_deg", "width_mm", "depth_mm", "height_mm",
    "hu_least", "hu_p1", "hu_median", "hu_p99", "hu_largest", "tissue_share",
)  # fmt: skip
WORDS: Final = ("orientation",)
CT, MIPS = "ct", "mips"

Facts = dict[str, object]


def watched(case: Case) -> tuple[Case, Facts]:
    """Return ``case`` and its facts, which are filled in when its image is opened.

    Facts never keep an answer back: where they cannot be had they stay empty.
    """
    facts: Facts = {}
    read, read_mips = case.open_volume, case.open_mips
    changes: dict[str, Callable[[], Any]] = {}
    if read is not None:

        def volume() -> Volume:
            opened = read()
            _fill(facts, lambda: facts_of(opened))
            return opened

        changes["open_volume"] = volume
    if read_mips is not None:

        def mips() -> tuple[MipPair, Source]:
            pair, source = read_mips()
            _fill(facts, lambda: facts_of_mips(pair, source))
            return pair, source

        changes["open_mips"] = mips
    return replace(case, **changes), facts  # type: ignore[arg-type]


def facts_of(volume: Volume) -> Facts:
    """Return the facts of a CT: form, sizes in mm, values in HU (sampled)."""
    low, high = volume.bounds_mm()
    width, depth, height = (round(float(size), 1) for size in high - low)
    step = max(1, int(np.ceil((volume.array.size / SAMPLED_VOXELS) ** (1 / 3))))
    return {
        "form": CT,
        "spacing_least_mm": round(min(volume.spacing_mm), 4),
        "spacing_largest_mm": round(max(volume.spacing_mm), 4),
        "orientation": volume.orientation,
        "obliquity_deg": round(volume.obliquity_deg, 2),
        "width_mm": width,
        "depth_mm": depth,
        "height_mm": height,
        **intensities(volume.array[::step, ::step, ::step]),
    }


def facts_of_mips(pair: MipPair, source: Source) -> Facts:
    """Return the facts of a pair of MIPs; what only a CT can tell is left out."""
    views = (pair.frontal, pair.sagittal)
    steps = [step for mip in views for step in mip.spacing_mm]
    return {
        "form": MIPS,
        "spacing_least_mm": round(min(steps), 4),
        "spacing_largest_mm": round(max(*steps, source.slice_spacing_mm), 4),
        "width_mm": round(pair.frontal.columns * pair.frontal.spacing_mm[1], 1),
        "depth_mm": round(pair.sagittal.columns * pair.sagittal.spacing_mm[1], 1),
        "height_mm": round(pair.rows * pair.frontal.spacing_mm[0], 1),
        **intensities(np.concatenate([mip.image.ravel() for mip in views])),
    }


def _fill(facts: Facts, read: Callable[[], Facts]) -> None:
    try:
        facts |= read()
    except Exception:  # noqa: BLE001  an odd scan is the model's to refuse, not the journal's
        facts.clear()
