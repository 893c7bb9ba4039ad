"""Limits of the random choices of tissue, organs, contrast, metal and scanner, beside ``ranges``.

A pair is (low, high) of a uniform draw, a rate is a probability. HU of tissues are those of any CT
text (fat -110 to -80, muscle 45 to 65, unenhanced blood 40, lung -870 to -700, compact bone above
1,000, spongy bone 50 to 350 falling with age); the rest was set by looking at real scans.
"""

from dataclasses import dataclass
from typing import Final

Pair = tuple[float, float]


@dataclass(frozen=True)
class Habits:
    """Limits of the random choices. Lengths in mm, intensities in HU, factors without unit."""

    # Bone.
    spongy_hu: Pair = (70.0, 260.0)
    """Interior of vertebral bodies; osteoporosis at the low end."""
    cortex_hu: Pair = (850.0, 1550.0)
    cortex_factor: Pair = (0.45, 0.9)
    """Multiplies every bone's thickness of cortex."""
    texture_hu: Pair = (20.0, 70.0)
    patchiness: Pair = (0.12, 0.42)
    """How unevenly thick the cortex is: standard deviation of the logarithm of its thickness."""
    cartilage_calcified_rate: float = 0.5
    sclerosis_rate: float = 0.3

    # Outline.
    fat_mm: Pair = (4.0, 42.0)
    belly_mm: Pair = (70.0, 190.0)
    """From the front of the lumbar bodies to the front of the belly's muscle."""
    waist: Pair = (0.88, 1.2)
    visceral_hu: Pair = (-105.0, -40.0)
    muscle_hu: Pair = (40.0, 66.0)
    wasting: Pair = (0.0, 0.45)
    """Part of the muscle replaced by fat."""
    breast_rate: float = 0.45
    breast_mm: Pair = (12.0, 55.0)

    # Contrast agent.
    contrast_rate: float = 0.65
    blood_hu: Pair = (130.0, 450.0)
    inflow_rate: float = 0.15
    """Undiluted agent in one arm vein."""
    oral_rate: float = 0.3
    oral_hu: Pair = (120.0, 480.0)
    excretion_rate: float = 0.25
    plaque_rate: float = 0.5

    # Organs.
    slide_mm: Pair = (-32.0, 32.0)
    """Shift of all organs of the chest, and of all of the belly, along the spine (``slide``)."""
    lung_hu: Pair = (-890.0, -720.0)
    expiration_rate: float = 0.15
    inspired_mm: Pair = (-32.0, 8.0)
    """Shift of the diaphragm when a breath is held, as usual in CT."""
    expired_mm: Pair = (0.0, 38.0)
    dome_mm: Pair = (-28.0, 28.0)
    """Top of the right diaphragm above the centre of T10, on top of slide and breath."""
    recess_mm: Pair = (60.0, 112.0)
    """How steeply each dome falls: depth of the recess beside and behind it."""
    effusion_rate: float = 0.1
    kidney_mm: Pair = (-22.0, 22.0)
    """Shift of each kidney along the spine."""
    gas_rate: Pair = (0.05, 0.5)

    # Foreign bodies.
    screws_rate: float = 0.06
    hip_rate: float = 0.06
    stent_rate: float = 0.08
    clips_rate: float = 0.12
    wires_rate: float = 0.2
    cement_rate: float = 0.03
    sternum_wire_rate: float = 0.06

    # Scanner.
    blur_mm: Pair = (0.6, 1.3)
    """Standard deviation of the point spread in the slice."""
    sharp_rate: float = 0.25
    noise_hu: Pair = (6.0, 60.0)
    """Standard deviation in the abdomen, at the spacing drawn."""
    drift_hu: Pair = (-14.0, 14.0)
    """Offset of the whole scale: calibration, beam hardening, tube voltage."""
    gain: Pair = (0.93, 1.1)
    """Factor on HU above water: a lower tube voltage makes bone and agent brighter."""
    circle_rate: float = 0.55
    saturated_rate: float = 0.04
    table_rate: float = 0.92
    prone_rate: float = 0.06


TRAINING_HABITS: Final = Habits()
"""What training phantoms are drawn from."""

UNLIKE_HABITS: Final = Habits(
    spongy_hu=(30.0, 340.0),
    cortex_hu=(700.0, 1900.0),
    cortex_factor=(0.4, 1.2),
    texture_hu=(10.0, 100.0),
    patchiness=(0.1, 0.9),
    cartilage_calcified_rate=0.8,
    sclerosis_rate=0.5,
    fat_mm=(2.0, 65.0),
    belly_mm=(55.0, 230.0),
    wasting=(0.1, 0.7),
    breast_rate=0.6,
    breast_mm=(30.0, 80.0),
    contrast_rate=0.5,
    blood_hu=(100.0, 600.0),
    inflow_rate=0.4,
    oral_rate=0.5,
    oral_hu=(100.0, 900.0),
    excretion_rate=0.5,
    plaque_rate=0.8,
    slide_mm=(-48.0, 48.0),
    expiration_rate=0.4,
    inspired_mm=(-44.0, 10.0),
    expired_mm=(0.0, 55.0),
    dome_mm=(-40.0, 40.0),
    recess_mm=(45.0, 130.0),
    effusion_rate=0.25,
    kidney_mm=(-40.0, 40.0),
    gas_rate=(0.2, 0.7),
    screws_rate=0.12,
    hip_rate=0.15,
    stent_rate=0.12,
    clips_rate=0.3,
    wires_rate=0.4,
    cement_rate=0.08,
    sternum_wire_rate=0.15,
    blur_mm=(0.4, 1.6),
    noise_hu=(20.0, 90.0),
    drift_hu=(-30.0, 30.0),
    gain=(0.85, 1.2),
    prone_rate=0.2,
)
"""Another population, for validation."""

HABITS: Final[dict[str, Habits]] = {"training": TRAINING_HABITS, "unlike": UNLIKE_HABITS}
"""By the same names as ``ranges.RANGES``."""
