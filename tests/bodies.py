"""A person of ellipses and cylinders, in mm, with the things that lie about in a scanner.

World RAS+ mm: the trunk's axis is x = 0, y = 0; its back faces -y; the spine runs at y = -45.
"""

import itertools

import numpy as np
from numpy.typing import NDArray

from vertebra_ml.volume import Volume

HALF_WIDTH_MM, HALF_DEPTH_MM = 150.0, 100.0
SPINE_Y_MM = -45.0
AXES = {"x": "RL", "y": "AP", "z": "SI"}

ORIENTATIONS = tuple(
    "".join(AXES[axis][flip] for axis, flip in zip(axes, flips, strict=True))
    for axes in itertools.permutations("xyz")
    for flips in itertools.product((0, 1), repeat=3)
)
"""All 48 ways to lay a grid along the axes of the world."""


def grid(
    spacing: tuple[float, float, float],
    low: tuple[float, float, float] = (-230.0, -150.0, -80.0),
    high: tuple[float, float, float] = (230.0, 150.0, 80.0),
) -> NDArray[np.float64]:
    """Return an affine and leave the shape to ``person``: see there."""
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = np.array(low) + np.array(spacing) / 2
    shape = np.maximum(1, np.round((np.array(high) - low) / spacing))
    return np.concatenate([affine, [[*shape, 0]]])


def person(
    where: NDArray[np.float64], *things: str, lean: float = 0.0, shift: float = 0.0
) -> Volume:
    """Draw a trunk with spine and lungs, and ``things`` around it, on ``where`` (see ``grid``).

    ``shift`` moves the person to the right, ``lean`` shifts the spine by that much x a mm of z.
    """
    affine, shape = where[:4], tuple(int(n) for n in where[4, :3])
    x, y, z = np.meshgrid(
        *(affine[a, 3] + affine[a, a] * np.arange(shape[a]) for a in range(3)),
        indexing="ij",
        sparse=True,
    )
    x = x - shift
    hu = np.full(shape, -1000, dtype=np.int16)
    for thing in things:
        THINGS[thing](hu, x, y, z)
    _put(hu, inside_trunk(x, y), 40, z)
    for side in (-70, 70):
        _put(hu, ((x - side) / 50) ** 2 + (y / 65) ** 2 < 1, -850, z)
    across = x - lean * z
    _put(hu, np.hypot(across, y - SPINE_Y_MM) < 20, 300, z)
    _put(hu, (np.abs(across) < 5) & (np.abs(y + 75) < 12), 400, z)
    return Volume(np.asfortranarray(hu), affine)


def inside_trunk(
    x: NDArray[np.float64], y: NDArray[np.float64], grow: float = 0
) -> NDArray[np.bool_]:
    """Tell which points lie in the trunk grown by so many mm."""
    return (x / (HALF_WIDTH_MM + grow)) ** 2 + (y / (HALF_DEPTH_MM + grow)) ** 2 < 1


def _put(hu, where, value, z) -> None:  # type: ignore[no-untyped-def]
    hu[np.broadcast_to(where & (z == z), hu.shape)] = value


def _table(hu, x, y, z) -> None:  # type: ignore[no-untyped-def]
    top = -HALF_DEPTH_MM - 2 + x**2 / 2000  # touches the back, curves up beside it
    _put(hu, (y > -140) & (y < top), -920, z)
    for sheet in (top, -138 + 0 * top):
        _put(hu, np.abs(y - sheet) < 2, 250, z)


def _table_in_front(hu, x, y, z) -> None:  # type: ignore[no-untyped-def]
    _table(hu, x, -y, z)


def _arms(hu, x, y, z) -> None:  # type: ignore[no-untyped-def]
    for side in (-190, 190):
        away = np.hypot(x - side, y + 20)
        _put(hu, away < 28, 40, z)
        _put(hu, away < 9, 900, z)


def _touching_arms(hu, x, y, z) -> None:  # type: ignore[no-untyped-def]
    for side in (-175, 175):
        away = np.hypot(x - side, y + 20)
        _put(hu, away < 28, 40, z)
        _put(hu, away < 9, 900, z)


def _blanket(hu, x, y, z) -> None:  # type: ignore[no-untyped-def]
    _put(hu, inside_trunk(x, y, 16) & ~inside_trunk(x, y, 12) & (y > 0), 0, z)


def _cable(hu, x, y, z) -> None:  # type: ignore[no-untyped-def]
    _put(hu, np.hypot(x - 40, y + 120) < 3, 3000, z)


def _circle(hu, x, y, z) -> None:  # type: ignore[no-untyped-def]
    _put(hu, np.hypot(x, y) > 215, -3024, z)


THINGS = {
    "table": _table,
    "table_in_front": _table_in_front,
    "arms": _arms,
    "touching_arms": _touching_arms,
    "blanket": _blanket,
    "cable": _cable,
    "circle": _circle,
}
