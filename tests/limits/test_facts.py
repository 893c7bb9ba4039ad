"""Facts of a scan against arithmetic done by hand."""

import numpy as np
import pytest

from vertebra_ml.landmarks import Landmarks, Truth
from vertebra_ml.limits import describe, describe_pair
from vertebra_ml.mip import Mip, MipPair
from vertebra_ml.volume import Volume

SPACING = (2.0, 2.0, 4.0)
POINTS = {"T12": (60, 60, 150), "L1": (60, 60, 118), "L2": (60, 60, 84), "L3": (60, 60, 48)}


def _volume(fill: int = 100) -> Volume:
    array = np.full((60, 60, 50), -1000, dtype=np.int16)  # 120 x 120 x 200 mm
    array[15:45, 15:45] = fill
    array[28:33, 28:33] = 900
    return Volume(array, np.diag([*SPACING, 1.0]))


def _truth(**changes: tuple[float, float, float]) -> Truth:
    return Truth(Landmarks.of(POINTS | changes), ())


def test_geometry_and_values() -> None:
    row = describe("a", _volume())
    assert row["shape"] == "60x60x50"
    assert (row["width_mm"], row["depth_mm"], row["height_mm"]) == (120, 120, 200)
    assert (row["spacing_least_mm"], row["spacing_largest_mm"]) == (2, 4)
    assert (row["orientation"], row["obliquity_deg"]) == ("RAS", 0)
    assert (row["hu_least"], row["hu_largest"]) == (-1000, 900)
    assert "labels" not in row  # nothing is said of labels where there are none


def test_sizes_follow_the_world_and_not_the_axes() -> None:
    turned = describe("a", _volume().reorient("SPL"))
    assert (turned["width_mm"], turned["height_mm"], turned["orientation"]) == (120, 200, "SPL")


def test_good_labels() -> None:
    row = describe("a", _volume(), _truth())
    assert row["levels"] == row["labels"] == "T12 L1 L2 L3"
    assert row["gaps_mm"] == "T12-L1 32.0 L1-L2 34.0 L2-L3 36.0"
    # the worst is L1-L2: (34.0 - 34.5) / 2.5 = -0.2
    assert (row["gap_sigmas"], row["gap_worst"]) == (0.2, "L1-L2 34.0 mm")
    assert [row[c] for c in ("out_of_order", "outside", "in_air", "skipped")] == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("changes", "column", "named"),
    [
        ({"L1": (60, 60, 84), "L2": (60, 60, 118)}, "out_of_order", "L1-L2"),
        ({"L3": (60, 60, -3)}, "outside", "L3"),  # the lowest face lies at z = -2
        ({"L3": (-60, -60, 48)}, "outside", "L3"),  # LPS taken for RAS
        ({"L3": (10, 60, 48)}, "in_air", "L3"),
    ],
)
def test_bad_labels_are_named(
    changes: dict[str, tuple[float, float, float]], column: str, named: str
) -> None:
    row = describe("a", _volume(), _truth(**changes))
    assert (row[column], row[f"{column}_levels"]) == (1, named)


def test_the_lowest_face_is_still_inside() -> None:
    assert describe("a", _volume(), _truth(L3=(60, 60, -2)))["outside"] == 0


def test_height_alone_is_judged_by_height() -> None:
    marks = Landmarks(("T12", "L3"), np.array([[np.nan, np.nan, 150], [np.nan, np.nan, -50]]))
    row = describe("a", _volume(), Truth(marks, ()))
    assert (row["outside_levels"], row["gap_sigmas"], row["in_air"]) == ("L3", None, 0)


@pytest.mark.parametrize(
    ("visible", "skipped"),
    [
        (("T11", "T12", "L1"), None),
        (("T11", "L1"), None),  # T12 absent
        (("T12", "T13", "L1"), None),
        (("L4", "L5", "L6"), None),
        (("T12", "L2"), "T12-L2"),
        (("C7", "T2", "T3"), "C7-T2"),
    ],
)
def test_skipped_levels(visible: tuple[str, ...], skipped: str | None) -> None:
    row = describe("a", _volume(), Truth(Landmarks.empty(), visible))
    assert row["skipped_levels"] == skipped


def test_a_level_between_ends_the_gap() -> None:
    points = {"T12": (60, 60, 150), "T13": (60, 60, 124), "L1": (60, 60, 96)}
    row = describe("a", _volume(), Truth(Landmarks.of(points), ()))
    assert (row["gap_sigmas"], row["gaps_mm"], row["skipped"]) == (None, "", 0)


def test_fingerprint_knows_a_copy() -> None:
    first, copy, other = (describe("a", _volume(fill)) for fill in (100, 100, 101))
    assert first["fingerprint"] == copy["fingerprint"] != other["fingerprint"]


def _pair(spacing: float = 1.0) -> MipPair:
    image = np.full((200, 100), -1024, dtype=np.int16)
    image[:, 25:75] = 40
    image[:, 45:50] = 800  # a tenth of the body
    views = [
        Mip(image, (spacing, spacing), (200.0, 100.0), view) for view in ("frontal", "sagittal")
    ]
    return MipPair(views[0], views[1], (50.0, 50.0))


def test_mips() -> None:
    row = describe_pair("a", _pair(), _truth(L3=(60, 60, -5)), spacing_mm=1.0)
    assert (row["body_share"], row["bone_share"], row["spacing_off_mm"]) == (0.5, 0.1, 0)
    assert row["outside_levels"] == "L3"  # row 205 of 200
    assert describe_pair("a", _pair(1.25), None, spacing_mm=1.0)["spacing_off_mm"] == 0.25
