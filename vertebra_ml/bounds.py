"""What a scan may be to be answered: the limits that travel with a model, held against one scan."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any, Final

import numpy as np

from vertebra_ml.limits.facts import SAMPLED_VOXELS, TISSUE_HU
from vertebra_ml.limits.rules import Rule, bind, check_row, refuse
from vertebra_ml.limits.tables import RAW_RULES
from vertebra_ml.mip import MipPair
from vertebra_ml.volume import Source, Volume

KEPT: Final = (
    "spacing_min_mm", "spacing_max_mm", "height_min_mm", "width_min_mm", "hu_low_max",
    "hu_high_min",
)  # fmt: skip
"""What of the section ``limits`` of the params a model takes along."""

JUDGED: Final = (
    "spacing_least_mm", "spacing_largest_mm", "height_mm", "width_mm", "hu_least", "hu_largest",
    "tissue_share",
)  # fmt: skip
"""Facts of a scan itself, which its labels have no part in."""

FIX: Final = "the model learnt from no such scan: look at the overlay"
OUTSIDE: Final = ("warn", "refuse")
"""What is done with a scan outside the limits; whoever lets a model answer says which."""


def travelling(limits: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a model keeps in ``model.json`` of the section ``limits`` of the params."""
    return {name: limits[name] for name in KEPT}


def check_volume(volume: Volume, case: str, limits: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a warning for each of the model's ``limits`` that a CT lies outside.

    Empty limits, of a model made before they travelled, hold anything.
    Raises LimitError for the first one where ``limits["outside"]`` is ``refuse``, which
    ``models.load_model`` writes there.
    """
    if not limits:
        return ()
    low, high = volume.bounds_mm()
    width, _, height = (float(size) for size in high - low)
    step = max(1, int(np.ceil((volume.array.size / SAMPLED_VOXELS) ** (1 / 3))))
    sample = volume.array[::step, ::step, ::step]
    tissue = (sample > TISSUE_HU[0]) & (sample < TISSUE_HU[1])
    facts = {
        "spacing_least_mm": min(volume.spacing_mm),
        "spacing_largest_mm": max(volume.spacing_mm),
        "height_mm": height,
        "width_mm": width,
        "hu_least": float(sample.min()),
        "hu_largest": float(sample.max()),
        "tissue_share": float(tissue.mean()),
    }
    return _judged(facts, case, limits)


def check_mips(
    pair: MipPair, source: Source, case: str, limits: Mapping[str, Any]
) -> tuple[str, ...]:
    """Return what ``check_volume`` would, of the facts that a pair of MIPs still shows.

    Its pictures are cut to the body: they hold no air, and no width of the field of view.
    """
    if not limits:
        return ()
    frontal = pair.frontal
    facts = {
        "spacing_largest_mm": max(source.slice_spacing_mm, 0.0) or None,
        "height_mm": pair.rows * frontal.spacing_mm[0],
        "hu_largest": float(frontal.image.max()),
    }
    return _judged(facts, case, limits)


def _judged(facts: Mapping[str, object], case: str, limits: Mapping[str, Any]) -> tuple[str, ...]:
    numbers = tuple((name, limits[name]) for name in KEPT)
    rules = _rules(numbers, str(limits.get("outside", OUTSIDE[0])))
    return refuse(check_row({"case": case, **facts}, rules), case)


@cache
def _rules(numbers: tuple[tuple[str, float], ...], outside: str) -> tuple[Rule, ...]:
    severity: Any = "warning" if outside == OUTSIDE[0] else "critical"
    asked = bind([rule for rule in RAW_RULES if rule.column in JUDGED], dict(numbers))
    return tuple(replace(rule, fix=FIX, severity=severity, show="") for rule in asked)
