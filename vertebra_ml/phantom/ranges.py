"""The limits of every random choice that makes a phantom: one table a population.

``TRAINING`` is wide, so that a model meets more than one hospital's patients. ``UNLIKE`` is
another population, partly outside it: a model that only learned training phantoms shows there.
A pair is (low, high) of a uniform draw, a rate is a probability, a spread multiplies a fitted
standard deviation.
"""

from dataclasses import dataclass
from typing import Final

Pair = tuple[float, float]


@dataclass(frozen=True)
class Ranges:
    """Limits of the random choices. Lengths in mm, angles in degrees, factors without unit."""

    # Column: the fitted statistics of real spines (statistics.json) times these.
    gap_spread: float = 1.1
    """Multiplies the fitted spread of gap lengths."""
    curve_spread: float = 1.1
    """Multiplies the fitted spread of front-to-back drifts: kyphosis and lordosis."""
    size: Pair = (0.93, 1.07)
    """Whole-body factor on top of the drawn column."""
    scoliosis_rate: float = 0.15
    cobb_deg: Pair = (8.0, 40.0)
    vertebra_width: Pair = (0.92, 1.10)
    vertebra_depth: Pair = (0.92, 1.10)
    disc_height: Pair = (0.80, 1.15)
    """Factor on the share of a gap that the disc fills."""

    # Variants: real rates are about 2 % (L6), 0.4 % (T12 absent), 1 % (T13); mildly oversampled.
    l6_rate: float = 0.05
    t13_rate: float = 0.025
    t12_absent_rate: float = 0.02
    lumbar_rib_rate: float = 0.05
    cervical_rib_rate: float = 0.01

    # Wear and harm.
    osteophyte_rate: float = 0.30
    osteophyte_mm: Pair = (2.0, 7.0)
    fracture_rate: float = 0.12
    fracture_loss: Pair = (0.2, 0.5)
    """Part of the front height that a wedge fracture takes."""

    # Chest.
    chest_width: Pair = (0.88, 1.12)
    chest_depth: Pair = (0.88, 1.25)
    rib_round_mm: Pair = (0.0, 30.0)
    """How much farther in front the sides of ribs lie than the atlas's: a round, deep chest."""
    rib_fall_deg: Pair = (-11.0, 11.0)
    """Added to each rib's own slope; positive falls more steeply."""
    rib_slope: Pair = (0.0, 1.25)
    """0: ribs slope as in the atlas, 1: as in a real deep chest (LIDC-IDRI-0001)."""
    rib_follow: Pair = (0.05, 0.65)
    """Part of its vertebra's own lean that a rib takes over: a kyphosis lifts the backs of ribs."""
    rib_back: Pair = (0.4, 0.9)
    """How far behind their heads ribs go, against the atlas's; in LIDC-IDRI-0001 about 0.6."""
    rib_perch_mm: Pair = (-1.5, 6.5)
    """Middle of a rib above the tip of its transverse process, along the vertebra's own axis."""
    rib11_length: Pair = (0.8, 1.4)
    rib12_length: Pair = (0.25, 2.1)
    rib_thickness: Pair = (0.85, 1.2)

    # Girdles and pelvis.
    crest_mm: Pair = (-22.0, 32.0)
    """Line over the iliac crests above (+) the centre of L4/L5's disc; with an L6, that of L5."""
    pelvis_width: Pair = (0.94, 1.18)
    pelvic_tilt_deg: Pair = (-9.0, 9.0)
    shoulder_lift_mm: Pair = (-36.0, 28.0)
    blade_size: Pair = (0.92, 1.18)
    """Factor on the shoulder blades, on top of the person's size."""
    blade_in_mm: Pair = (0.0, 36.0)
    """How much nearer to the spine than the atlas's they lie. The inner border lies 40 to 70 mm
    beside the spine in the texts and in LIDC-IDRI-0001 (45 and 51 mm, arms up)."""
    arms_up_rate: float = 0.6
    neck_deg: Pair = (-14.0, 14.0)

    # The body on the table.
    turn_deg: Pair = (-6.0, 6.0)
    """About the head-foot axis."""
    lean_deg: Pair = (-4.0, 4.0)
    """To the side, about the front-back axis."""
    nod_deg: Pair = (-5.0, 5.0)
    """About the left-right axis."""


TRAINING: Final = Ranges()
"""What training phantoms are drawn from."""

UNLIKE: Final = Ranges(
    gap_spread=1.4,
    curve_spread=1.4,
    size=(0.86, 1.13),
    scoliosis_rate=0.4,
    cobb_deg=(20.0, 55.0),
    vertebra_width=(0.86, 1.16),
    vertebra_depth=(0.86, 1.16),
    disc_height=(0.6, 1.25),
    l6_rate=0.10,
    t13_rate=0.05,
    t12_absent_rate=0.05,
    lumbar_rib_rate=0.10,
    osteophyte_rate=0.6,
    osteophyte_mm=(4.0, 10.0),
    fracture_rate=0.35,
    fracture_loss=(0.3, 0.65),
    chest_width=(0.82, 1.18),
    chest_depth=(0.80, 1.35),
    rib_round_mm=(-6.0, 42.0),
    rib_fall_deg=(-14.0, 14.0),
    rib_slope=(-0.4, 1.5),
    rib_follow=(-0.1, 0.8),
    rib_back=(0.3, 1.0),
    rib_perch_mm=(-3.0, 9.0),
    rib11_length=(0.6, 1.6),
    rib12_length=(0.1, 2.5),
    crest_mm=(-30.0, 40.0),
    pelvis_width=(0.88, 1.26),
    pelvic_tilt_deg=(-14.0, 14.0),
    shoulder_lift_mm=(-46.0, 40.0),
    blade_size=(0.85, 1.25),
    blade_in_mm=(-8.0, 44.0),
    arms_up_rate=0.4,
    turn_deg=(-10.0, 10.0),
    lean_deg=(-7.0, 7.0),
    nod_deg=(-8.0, 8.0),
)
"""Another population, for validation: wider, sicker, more variants than ``TRAINING``."""

RANGES: Final[dict[str, Ranges]] = {"training": TRAINING, "unlike": UNLIKE}
"""By name, as callers give it."""
