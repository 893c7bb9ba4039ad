"""The layout of CSI 2014: its frame by plain arithmetic, its numbering, and every bad row."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.bodies import ORIENTATIONS
from tests.layouts import GRIDS, POINTS_MM, TRUTH, Grid, make_scan, nifti_bytes, write_bytes
from vertebra_ml import readers
from vertebra_ml.errors import DatasetError, LimitError
from vertebra_ml.landmarks import Landmarks, Truth
from vertebra_ml.readers.glocker import read_lml
from vertebra_ml.readers.writers import write_case
from vertebra_ml.volume import Volume

AFFINE = np.array([[-0.5, 0, 0, 120.0], [0, -0.5, 0, 90.0], [0, 0, 2.5, -700.0], [0, 0, 0, 1.0]])
ROWS = ("190\tT12_center\t100.0\t110.5\t200.0", "200\tL1_center\t101.5\t108.0\t170.0")


def scan(root: Path, name: str = "4511471", patient: str = "patient0013") -> Path:
    """Write a scan whose first voxel lies at the left, the front and the feet."""
    volume = Volume(np.zeros((500, 480, 100), np.int16), AFFINE)
    return write_bytes(root / "spine-1" / patient / name / f"{name}.nii", nifti_bytes(volume))


def label(path: Path, rows: Sequence[str], header: str = "# 0") -> Path:
    lml = path.with_suffix(".lml")
    lml.write_text("\n".join((header, *rows)) + "\n")
    return lml


def test_points_are_mm_along_the_stored_axes_from_the_first_voxel(tmp_path: Path) -> None:
    label(scan(tmp_path), ROWS)
    (case,) = readers.find(tmp_path, "glocker")
    assert (case.id, case.patient, case.layout) == ("4511471", "patient0013", "glocker")
    truth = case.truth()
    assert truth is not None
    assert truth.landmarks["T12"] == pytest.approx([120 - 100.0, 90 - 110.5, -700 + 200.0])
    assert truth.landmarks["L1"] == pytest.approx([120 - 101.5, 90 - 108.0, -700 + 170.0])
    assert truth.visible == ("T11", "T12", "L1", "L2")


@given(
    orientation=st.sampled_from(ORIENTATIONS),
    spacing=st.tuples(*[st.floats(0.7, 5.0) for _ in range(3)]),
    turned=st.tuples(*[st.floats(-15.0, 15.0) for _ in range(3)]),
)
@hypothesis_settings(max_examples=25)
def test_written_and_read_back_on_any_grid(
    tmp_path_factory: pytest.TempPathFactory,
    orientation: str,
    spacing: tuple[float, float, float],
    turned: tuple[float, float, float],
) -> None:
    root = tmp_path_factory.mktemp("glocker")
    volume = make_scan(Grid(orientation, spacing, turned))
    thin = Volume(np.broadcast_to(np.int16(0), volume.shape).copy(), volume.affine)
    write_case(root, "p1", thin, TRUTH, "glocker")
    (case,) = readers.find(root, "glocker")
    found = case.truth()
    assert found is not None
    for level, point in POINTS_MM.items():
        assert found.landmarks[level] == pytest.approx(point, abs=0.01)
    lines = next(root.rglob("*.lml")).read_text().splitlines()[1:]
    for line, point in zip(lines, (POINTS_MM[level] for level in ("T12", "L1", "L3")), strict=True):
        # A second opinion: index times spacing along the file's own axes.
        index = np.array(line.split()[2:], float) / np.array(volume.spacing_mm)
        assert (volume.affine @ [*index, 1])[:3] == pytest.approx(point, abs=0.01)


def test_sacral_rows_and_blank_lines_are_passed_over_and_gaps_are_unlabelled(
    tmp_path: Path,
) -> None:
    rows = (
        ROWS[0],
        "",
        "240\tL5_center\t90\t90\t40.0",
        "260\tS1_center\t9\t9\t9",
        "270 S2_c 1 1 1",
    )
    label(scan(tmp_path), rows)
    truth = readers.find(tmp_path, "glocker")[0].truth()
    assert truth is not None
    assert truth.landmarks.labels == ("T12", "L5")
    assert truth.visible == ("T11", "T12", "L1", "L2", "L3", "L4", "L5", "L6")


def test_the_order_of_rows_does_not_matter_and_a_file_without_rows_is_a_truth_of_none(
    tmp_path: Path,
) -> None:
    path = scan(tmp_path)
    forth = read_lml(label(path, ROWS), path, voxels_max=10**9)
    back = read_lml(label(path, ROWS[::-1]), path, voxels_max=10**9)
    assert np.array_equal(forth.landmarks.points_mm, back.landmarks.points_mm)
    assert forth.visible == back.visible
    empty = read_lml(label(path, ()), path, voxels_max=10**9)
    assert (len(empty.landmarks), empty.visible) == (0, ())


def test_variants_are_written_where_the_numbering_has_them(tmp_path: Path) -> None:
    marks = Landmarks.of({"T13": (0, 0, 40), "L5": (0, 0, 8), "L6": (0, 0, -20)})
    write_case(tmp_path, "p1", make_scan(), Truth(marks, ()), "glocker", patient="q7")
    (case,) = readers.find(tmp_path, "glocker")
    truth = case.truth()
    assert truth is not None
    assert truth.landmarks.labels == ("L5", "L6")  # no number is known for T13
    assert case.patient == "patient-q7"


BAD: dict[str, tuple[str, tuple[str, ...], str]] = {
    "no header": (ROWS[0], ROWS[1:], "a row of coordinates in line 1; expected a header line"),
    "four fields": ("# 0", ("190\tT12_center\t1\t2",), "4 fields in line 2"),
    "no such level": ("# 0", ("200\tL7_center\t1\t2\t3",), "the name 'L7_center' in line 2"),
    "lower case": ("# 0", ("200\tl1_center\t1\t2\t3",), "the name 'l1_center'"),
    "number of another level": (
        "# 0", (ROWS[0], "210\tL1_center\t1\t2\t3"), "the number '210' for L1 in line 3; exp.* 200",
    ),
    "VerSe's numbers": ("# 0", ("20\tL1_center\t1\t2\t3",), "the number '20' for L1"),
    "a number in words": ("# 0", ("x\tL1_center\t1\t2\t3",), "the number 'x' for L1"),
    "a huge number": ("# 0", (f"{'9' * 5000}\tL1\t1\t2\t3",), "the number '9{20}' for L1"),
    "twice": ("# 0", (ROWS[0], ROWS[0]), "T12 for the second time in line 3"),
    "no number as x": ("# 0", ("200\tL1_center\tx\t2\t3",), "L1 at x 2 3 in line 2"),
    "NaN": ("# 0", ("200\tL1_center\tnan\t2\t3",), "L1 at nan 2 3"),
    "infinite": ("# 0", ("200\tL1_center\tinf\t2\t3",), "L1 at inf 2 3"),
    "Python's underscores": ("# 0", ("200\tL1_center\t1_5\t2\t3",), "L1 at 1_5 2 3"),
    "a comma": ("# 0", ("200\tL1_center\t1,5\t2\t3",), "L1 at 1,5 2 3"),
    "outside": ("# 0", (ROWS[0], "200\tL1_center\t300\t2\t3"), "L1 outside of the scan; expected"),
    "voxels instead of mm": ("# 0", ("200\tL1_center\t200\t250\t80",), "L1 outside of the scan"),
    "world RAS": ("# 0", ("200\tL1_center\t10\t-20\t-600",), "inside when .* world mm, RAS or LPS"),
    "world LPS": ("# 0", ("200\tL1_center\t125\t50\t-600",), "they lie inside .* world mm, LPS"),
    "upside down": (
        "# 0", (ROWS[0].replace("200.0", "50.0"), ROWS[1]), "T12 below L1; expected labels that",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_bad_rows_are_refused_by_line(tmp_path: Path, kind: str) -> None:
    header, rows, message = BAD[kind]
    path = label(scan(tmp_path), rows, header)
    (case,) = readers.find(tmp_path, "glocker")
    with pytest.raises(DatasetError, match=message) as caught:
        case.truth()
    assert str(caught.value).startswith(f"{path}: found ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "an empty file"), (b"\xff\xfe\x00", "not text"), (b"#" * 200_000, "200,000 bytes")],
    ids=["empty", "binary", "large"],
)
def test_files_that_are_no_label_files_are_refused(
    tmp_path: Path, content: bytes, message: str
) -> None:
    scan(tmp_path).with_suffix(".lml").write_bytes(content)
    with pytest.raises(DatasetError, match=message):
        readers.find(tmp_path, "glocker")[0].truth()


def test_labels_without_a_scan_and_scans_without_labels_are_cases(tmp_path: Path) -> None:
    scan(tmp_path, "11")
    label(tmp_path / "22.nii", ROWS)
    first, second = readers.find(tmp_path, "glocker")
    assert (first.id, first.truth()) == ("11", None)
    assert (second.id, second.patient) == ("22", "22")
    for ask in (second.open_volume, second.truth):
        assert ask is not None
        with pytest.raises(DatasetError, match=r"22\.nii\.gz: found a file that cannot be read"):
            ask()


def test_a_link_out_of_the_data_set_fails_its_case_alone(tmp_path: Path) -> None:
    outside = label(scan(tmp_path / "elsewhere"), ROWS)
    inside = scan(tmp_path / "data")
    inside.with_suffix(".lml").symlink_to(outside)
    (case,) = readers.find(tmp_path / "data", "glocker")
    assert case.open_volume is not None
    assert case.open_volume().shape == (500, 480, 100)
    with pytest.raises(LimitError, match="leads out"):
        case.truth()


def test_every_grid_of_the_layouts_reads_back(tmp_path: Path) -> None:
    for number, grid in enumerate(GRIDS.values()):
        write_case(tmp_path, f"p{number}", make_scan(grid), TRUTH, "glocker")
    for case in readers.find(tmp_path, "glocker"):
        truth = case.truth()
        assert truth is not None
        assert np.allclose(truth.landmarks.points_mm, TRUTH.landmarks.points_mm, atol=0.01)
