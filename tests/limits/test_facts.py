"""Facts of a scan against arithmetic done by hand."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from vertebra_ml.case import Case
from vertebra_ml.config import load
from vertebra_ml.errors import DatasetError
from vertebra_ml.landmarks import Landmarks, Truth
from vertebra_ml.limits import RAW_RULES, bind, check_row, describe, describe_case, describe_pair
from vertebra_ml.limits.facts import RAW_COLUMNS
from vertebra_ml.mip import Mip, MipPair
from vertebra_ml.volume import Source, Volume

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


def test_a_gap_is_held_against_those_beside_it() -> None:
    row = describe("a", _volume(), _truth())
    # in usual gaps T12-L1 is 32/32.3, L1-L2 34/34.5, L2-L3 36/35.8: the last against the one above
    assert (row["gap_ratio"], row["gap_jump"]) == (1.02, "L2-L3 36.0 mm, 1.0 times its neighbours")
    points = {"C5": (60, 60, 150), "C6": (60, 60, 133), "C7": (60, 60, 97), "T1": (60, 60, 77)}
    row = describe("a", _volume(), Truth(Landmarks.of(points), ()))
    # C6-C7 is 36/17.9 = 2.01, its neighbours 17/16.9 and 20/20
    assert (row["gap_ratio"], row["gap_jump"]) == (2.01, "C6-C7 36.0 mm, 2.0 times its neighbours")
    alone = describe("a", _volume(), Truth(Landmarks.of({"L1": POINTS["L1"]}), ()))
    assert (alone["gap_ratio"], alone["gap_jump"]) == (None, None)


def test_a_gap_without_a_neighbour_is_held_against_none() -> None:
    points = {"T8": (60, 60, 180), "T9": (60, 60, 130), "L2": (60, 60, 84), "L3": (60, 60, 48)}
    assert describe("a", _volume(), Truth(Landmarks.of(points), ()))["gap_ratio"] is None


def test_content_knows_a_copy_however_it_lies() -> None:
    rng = np.random.default_rng(3)
    array = rng.integers(-1000, 1000, (61, 50, 47)).astype(np.int16)
    first = Volume(array, np.diag([*SPACING, 1.0]))
    others = [first.reorient(axes) for axes in ("LPS", "PIR", "SLA")]
    others.append(Volume(array.astype(np.float32), first.affine))
    known = describe("a", first)["content"]
    assert {describe("a", other)["content"] for other in others} == {known}
    array = array.copy()
    array[0, 0, 0] += 1
    assert describe("a", Volume(array, first.affine))["content"] != known


def test_a_number_no_ct_holds_takes_no_memory() -> None:
    array = np.full((8, 8, 8), 40, dtype=np.float32)
    array[4, 4, 4] = 1e9
    tracemalloc.start()
    row = describe("a", Volume(array, np.diag([*SPACING, 1.0])))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert row["hu_largest"] == 1_000_000_000
    assert most < 10e6  # a bin for every number up to the largest would be 8 GB


def test_a_case_of_mips_has_the_facts_of_a_picture() -> None:
    source = Source(np.diag([2.0, 2.0, 4.0, 1.0]), (60, 60, 50))
    case = Case(
        "a", "p", Path("mips.npz"), "sarcopenia", open_mips=lambda: (_pair(), source),
        open_truth=_truth,
    )  # fmt: skip
    row = describe_case(case)
    assert tuple(row) == RAW_COLUMNS
    assert (row["shape"], row["voxels"], row["fault"]) == ("200x(100+100)", 40000, None)
    assert (row["spacing_least_mm"], row["spacing_largest_mm"]) == (1, 4)
    assert (row["height_mm"], row["width_mm"], row["hu_largest"]) == (200, 100, 800)
    assert [row[c] for c in ("hu_least", "tissue_share", "in_air", "frame")] == [None] * 4
    assert (row["patient"], row["labels"], row["gap_sigmas"]) == ("p", "T12 L1 L2 L3", 0.2)
    limits = load(Path(__file__).parents[2] / "params.yaml").limits
    assert check_row(row, bind(RAW_RULES, limits.model_dump())) == ()


def test_an_unreadable_case_has_every_column() -> None:
    def torn() -> Volume:
        raise DatasetError("ct.nii", found="half a file", expected="a file", fix="mend it")

    row = describe_case(Case("a", "p", Path("ct.nii"), "plain", torn))
    assert tuple(row) == RAW_COLUMNS
    assert row["fault"] == "found half a file; expected a file"
    nothing = describe_case(Case("a", "p", Path("ct.nii"), "plain"))
    assert str(nothing["fault"]).startswith("found a case without an image")
