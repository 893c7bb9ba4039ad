"""How far the organs of one person lie above or below the vertebrae that they usually lie at.

A network that learns "the carina is at T5" is a level off in everybody whose carina is not. Where
soft organs lie varies by about a vertebra between people, with breath and with posture; here it
varies by more, so that only bones tell the level.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from vertebra_ml.phantom.canvas import Array
from vertebra_ml.phantom.guide import Guide

FIXED_ABOVE: Final = "C4"
CHEST: Final = ("T3", "T9")
BELLY: Final = ("L1", "L5")


@dataclass(frozen=True)
class Slide:
    """Shifts towards the head, mm, of what lies in the chest and of what lies in the belly."""

    chest_mm: float = 0.0
    belly_mm: float = 0.0

    def point(self, guide: Guide, level: str) -> Array:
        """Return (3,) mm: where the spine's middle runs at the height that organs take for a level.

        Nothing moves in the neck; between neck, chest and belly the shift changes evenly.
        """
        knots = sorted(
            [(guide.level(FIXED_ABOVE)[2], 0.0)]
            + [(guide.level(name)[2], self.chest_mm) for name in CHEST]
            + [(guide.level(name)[2], self.belly_mm) for name in BELLY]
        )
        heights, shifts = np.array(knots).T
        z = float(guide.level(level)[2])
        z += float(np.interp(z, heights, shifts))
        x, y = guide.spine(np.array(z))
        return np.array([float(x), float(y), z])
