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
from vertebra_ml.phantom.habits import Habits

FIXED_ABOVE: Final = "C4"
CHEST: Final = ("T3", "T9")
BELLY: Final = ("L1", "L5")
BREATH: Final = {"C4": 0.0, "T3": 0.1, "T7": 0.5, "T10": 1.0, "L1": 0.8, "L3": 0.4, "L5": 0.0}
"""Part of the diaphragm's way that organs at a level go with it: heart, liver, spleen, kidneys."""


@dataclass(frozen=True)
class Slide:
    """Shifts towards the head, mm, of what lies in the chest and of what lies in the belly."""

    chest_mm: float = 0.0
    belly_mm: float = 0.0
    breath_mm: float = 0.0
    """Shift of the diaphragm, by breath; what lies round it goes along in part (``BREATH``)."""

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
        breath = np.array(sorted((guide.level(name)[2], part) for name, part in BREATH.items())).T
        z += float(np.interp(z, heights, shifts)) + self.breath_mm * float(np.interp(z, *breath))
        x, y = guide.spine(np.array(z))
        return np.array([float(x), float(y), z])


def draw_slide(rng: np.random.Generator, habits: Habits) -> Slide:
    """Draw how the organs of one scan lie, and its breath: held in, or seldom breathed out."""
    chest, belly = rng.uniform(*habits.slide_mm, 2)
    out = rng.random() < habits.expiration_rate
    breath = rng.uniform(*(habits.expired_mm if out else habits.inspired_mm))
    return Slide(float(chest), float(belly), float(breath))
