"""The vertebrae: names, VerSe ids, order, variants, regions, and distances in mm.

Names are the clinic's: C1..C7, T1..T12, L1..L5, and the variants T13 and L6. Ids are those of the
VerSe challenge (Sekuboyina et al. 2021, doi 10.1016/j.media.2021.102166): 1..24 for C1..L5, 25 for
L6, 26 for the sacrum, 28 for T13.
"""

from typing import Final

CERVICAL: Final = tuple(f"C{n}" for n in range(1, 8))
THORACIC: Final = tuple(f"T{n}" for n in range(1, 14))
LUMBAR: Final = tuple(f"L{n}" for n in range(1, 7))

LEVELS: Final[tuple[str, ...]] = CERVICAL + THORACIC + LUMBAR
"""Every name a vertebra can have, head to foot."""

VARIANTS: Final = frozenset({"T13", "L6"})
"""Levels that most people do not have."""

USUAL: Final[tuple[str, ...]] = tuple(level for level in LEVELS if level not in VARIANTS)
"""The 24 levels of most people, head to foot."""

RANK: Final[dict[str, int]] = {level: rank for rank, level in enumerate(LEVELS)}
"""Place of a level in ``LEVELS``, from 0 at the head."""

VERSE_ID: Final[dict[str, int]] = {
    **{level: number for number, level in enumerate(USUAL, start=1)},
    "L6": 25,
    "T13": 28,
}
LEVEL_OF_VERSE_ID: Final[dict[int, str]] = {number: level for level, number in VERSE_ID.items()}
SACRUM_VERSE_ID: Final = 26

GAP_MM: Final[dict[tuple[str, str], tuple[float, float]]] = {
    ("C3", "C4"): (17.8, 1.7),
    ("C4", "C5"): (17.2, 1.6),
    ("C5", "C6"): (16.9, 1.9),
    ("C6", "C7"): (17.9, 2.5),
    ("C7", "T1"): (20.0, 2.2),
    ("T1", "T2"): (20.9, 2.2),
    ("T2", "T3"): (21.1, 2.1),
    ("T3", "T4"): (21.0, 1.5),
    ("T4", "T5"): (21.6, 1.5),
    ("T5", "T6"): (22.1, 1.6),
    ("T6", "T7"): (22.6, 1.8),
    ("T7", "T8"): (23.3, 1.8),
    ("T8", "T9"): (24.0, 2.0),
    ("T9", "T10"): (25.4, 2.1),
    ("T10", "T11"): (27.3, 2.3),
    ("T11", "T12"): (29.6, 2.3),
    ("T12", "L1"): (32.3, 2.5),
    ("L1", "L2"): (34.5, 2.5),
    ("L2", "L3"): (35.8, 2.7),
    ("L3", "L4"): (36.5, 2.7),
    ("L4", "L5"): (36.3, 3.1),
    ("L5", "L6"): (36.6, 2.9),
}
"""Distance between neighbouring body centres, mm: mean and standard deviation.

Source: 1,947 spine CTs of ImFusion VID (ImFusionGmbH/VID-vertebra-identification-dataset,
f19fd3c6, CC BY-SA 4.0), semi-automatic body centres checked by their authors.
"""


def region(level: str) -> str:
    """Return ``cervical``, ``thoracic`` or ``lumbar``.

    Raises KeyError for a name that is no vertebra.
    """
    return {"C": "cervical", "T": "thoracic", "L": "lumbar"}[LEVELS[RANK[level]][0]]


def successors(level: str) -> tuple[str, ...]:
    """Return the levels that can lie directly below ``level``; empty below L6.

    T11 can be followed by L1 (T12 absent), T12 by T13 or L1, L5 by L6 or nothing.
    """
    special = {"T11": ("T12", "L1"), "T12": ("T13", "L1"), "L6": ()}
    return special.get(level, LEVELS[RANK[level] + 1 : RANK[level] + 2])
