"""Sternum and costal cartilages, fitted to the front ends of the ribs."""

import functools
from itertools import pairwise
from typing import Final

import numpy as np

from vertebra_ml.phantom.bones import Bone, atlas
from vertebra_ml.phantom.meshes import Array, resample, tube
from vertebra_ml.phantom.ribs import SIDES, rib_lines


@functools.cache
def _breastbone() -> Array:
    """Return (n, 2) y and z of the atlas's sternum along its middle, top first."""
    v = atlas().bones["sternum"].vertices
    middle = v[np.abs(v[:, 0]) < 18]
    edges = np.linspace(middle[:, 2].max(), 208.0, 13)
    rows = [
        middle[(middle[:, 2] <= a) & (middle[:, 2] >= b)][:, 1:].mean(axis=0)
        for a, b in pairwise(edges)
    ]
    return np.array(rows)


WIDTHS_MM: Final = np.array([22, 29, 24, 15, 15, 16, 17, 18, 19, 17, 9, 6]) * 1.0
"""Half breadth of the sternum down its length: manubrium, body, xiphoid."""
NOTCHES: Final = np.array([0.07, 0.24, 0.36, 0.47, 0.57, 0.66, 0.74])
"""Where cartilages 1 to 7 reach the sternum, as parts of its length from the top."""


def shape_front(ribs: list[Bone]) -> list[Bone]:
    """Return sternum and costal cartilages fitted to the front ends of the ribs."""
    ends = {bone.name: bone.vertices[-1] for bone in ribs}
    sternum = _sternum_line(ends)
    t = np.linspace(0, 1, len(sternum))
    widths = np.interp(t, np.linspace(0, 1, len(WIDTHS_MM)), WIDTHS_MM)
    right = np.tile([1.0, 0.0, 0.0], (len(t), 1))
    mesh = tube(sternum, widths, np.where(t < 0.25, 7.5, 6.0), right, sides=12)
    bones = [Bone("sternum", "sternum", *mesh)]
    for side, sign in SIDES:
        bones += _cartilages(ends, sternum, side, sign)
    return bones


def _sternum_line(ends: dict[str, Array]) -> Array:
    atlas_ends = {n: rib_lines()[n][-1] + atlas().frames[f"T{n}"].centre for n in range(1, 8)}
    old = np.array([atlas_ends[n] for n in range(1, 8)])
    new = np.array([(ends[f"rib_{n}_right"] + ends[f"rib_{n}_left"]) / 2 for n in range(1, 8)])
    line = _breastbone()
    slope, base = np.polyfit(old[:, 2], new[:, 2], 1)
    z = slope * line[:, 1] + base
    shift = np.polyfit(old[:, 2], new[:, 1] - old[:, 1], 1)
    y = line[:, 0] + np.polyval(shift, line[:, 1])
    x = np.polyval(np.polyfit(new[:, 2], new[:, 0], 1), z)
    return resample(np.stack([x, y, z], axis=1), 24)


def _cartilages(ends: dict[str, Array], sternum: Array, side: str, sign: float) -> list[Bone]:
    bones = []
    t = np.linspace(0, 1, len(sternum))
    above: Array = sternum
    for n in range(1, 11):
        start = ends[f"rib_{n}_{side}"]
        if n <= 7:
            where = np.array([np.interp(NOTCHES[n - 1], t, sternum[:, k]) for k in range(3)])
            width = np.interp(NOTCHES[n - 1], np.linspace(0, 1, len(WIDTHS_MM)), WIDTHS_MM)
            end = where + np.array([sign * (width + 1.0), 0.0, 0.0])
        else:
            end = above[len(above) // 2]
        # It runs on with the rib a little, then turns up to its end.
        low = start + 0.35 * (end - start) + [0.0, 4.0, -0.18 * abs(end[2] - start[2]) - 3.0]
        line = resample(np.stack([start, low, end]), 14)
        size = np.full(14, 5.5 if n < 8 else 4.5)
        up = np.tile([0.0, 0.0, 1.0], (14, 1)) + 0.3 * np.array([sign, 0.0, 0.0])
        bones.append(Bone(f"cartilage_{n}_{side}", "cartilage", *tube(line, size, size * 0.7, up)))
        above = line
    return bones
