import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.layouts import GRIDS, POINTS_MM, VISIBLE, make_scan, write
from tests.models.toys import archives
from tests.readers.archives import ragged, thesis_archive, thesis_pictures, zip_with
from vertebra_ml import metrics, readers
from vertebra_ml.anatomy import LEVELS
from vertebra_ml.archive import read_archive, write_archive
from vertebra_ml.case import Case
from vertebra_ml.errors import DatasetError, VertebraError
from vertebra_ml.landmarks import Landmarks, ModelIdentity, Prediction, Truth
from vertebra_ml.mip import MipPair
from vertebra_ml.prepare import project
from vertebra_ml.readers.sarcopenia import PROJECTION, cases_in, find
from vertebra_ml.readers.writers import write_case
from vertebra_ml.volume import AIR_HU, Source


def opened(case: Case) -> tuple[MipPair, Source]:
    assert case.open_volume is None
    assert case.open_mips is not None
    return case.open_mips()


def truth_of(case: Case) -> Truth:
    truth = case.truth()
    assert truth is not None
    return truth


def found_in(root: Path) -> list[Case]:
    return find(root, voxels_max=1)


@pytest.mark.parametrize("grid", GRIDS)
def test_a_case_comes_back_as_it_was_projected(tmp_path: Path, grid: str) -> None:
    original = write(tmp_path, "sarcopenia", GRIDS[grid])
    (case,) = readers.find(tmp_path, "sarcopenia")
    assert (case.id, case.patient, case.layout) == ("p1", "p1", "sarcopenia")
    pair, source = opened(case)
    wanted = project(original, **PROJECTION)  # type: ignore[arg-type]
    for found, made in ((pair.frontal, wanted.frontal), (pair.sagittal, wanted.sagittal)):
        assert np.array_equal(found.image, made.image)
        assert found.origin_mm == made.origin_mm
    assert np.array_equal(source.affine, original.affine)
    truth = truth_of(case)
    assert truth.visible == VISIBLE
    for label, point in POINTS_MM.items():
        assert truth.landmarks[label] == pytest.approx(point, abs=0.01)
        # The bright ball around the point is where the picture says it is.
        row = round(float(pair.frontal.row_of_z(point[2])))
        column = round(float(pair.sagittal.column_of_across(point[1])))
        assert pair.sagittal.image[row, column] > 200


def test_patients_are_kept_and_labels_may_be_missing(tmp_path: Path) -> None:
    write_case(tmp_path, "a", make_scan(), None, "sarcopenia", patient="p7")
    (case,) = found_in(tmp_path)
    assert (case.patient, case.truth()) == ("p7", None)


@settings(max_examples=60, derandomize=True)
@given(row=st.integers(0, 199), thickness=st.floats(0.5, 8), rows=st.integers(200, 260))
def test_rows_of_the_thesis_are_millimetres_from_the_head(
    tmp_path_factory: pytest.TempPathFactory, row: int, thickness: float, rows: int
) -> None:
    path = tmp_path_factory.mktemp("npz") / "RAW.npz"
    frontal, sagittal = thesis_pictures(1, rows, 40, 30)
    thesis_archive(
        path, 1, imgs_f=ragged([frontal]), imgs_s=ragged([sagittal]),
        v_levels=np.array([[row, -1]]), thicks=np.array([thickness]),
    )  # fmt: skip
    (case,) = cases_in(path, path.name)
    pair, source = opened(case)
    truth = truth_of(case)
    x, y, z = truth.landmarks["T12"]
    assert np.isnan([x, y]).all()
    assert z == -(row + 0.5)
    assert pair.frontal.row_of_z(z) == row
    assert pair.frontal.z_of_row(-0.5) == 0
    assert pair.frontal.across_of_column(19.5) == 0
    # Slices are counted from the head, their faces where the rows' outer faces are.
    place = source.slice_position(np.array([0.0, 0.0, z]))
    assert place == pytest.approx((row + 0.5) / thickness - 0.5)
    assert source.slice_spacing_mm == pytest.approx(thickness)
    assert abs(source.shape[2] * thickness - rows) <= thickness / 2 + 1e-6
    reference = source.slice_at(np.array([0.0, 0.0, z]))
    assert reference is None or abs(reference.index - place) <= 0.5


def test_the_last_row_may_be_named_one_too_far(tmp_path: Path) -> None:
    frontal = ragged([thesis_pictures(1, 100)[0]])
    for row, z in ((99, -99.5), (100, -99.5)):
        thesis_archive(tmp_path / "a.npz", 1, imgs_f=frontal, imgs_s=None,
                       v_levels=np.array([[-1, row]]))  # fmt: skip
        (case,) = found_in(tmp_path)
        assert truth_of(case).landmarks["L3"][2] == z
    for row in (101, -2):
        thesis_archive(tmp_path / "a.npz", 1, imgs_f=frontal, imgs_s=None,
                       v_levels=np.array([[-1, row]]))  # fmt: skip
        (case,) = found_in(tmp_path)
        with pytest.raises(DatasetError, match=rf"L3 in row {row} of 100"):
            case.truth()


SEEN = {  # v_levels -> labelled, and the ends of what may be in the scan
    (40, 150): (("T12", "L3"), ("C1", "L6"), ()),
    (40, -1): (("T12",), ("C1", "L2"), ("L3", "L4", "L5", "L6")),
    (-1, 150): (("L3",), ("T13", "L6"), ("C1", "T11", "T12")),
    (-1, -1): ((), ("C1", "L6"), ("T12", "L3")),
}


@pytest.mark.parametrize("levels", SEEN)
def test_what_is_known_of_each_level(tmp_path: Path, levels: tuple[int, int]) -> None:
    labels, ends, absent = SEEN[levels]
    thesis_archive(tmp_path / "a.npz", 1, v_levels=np.array([levels]))
    (case,) = found_in(tmp_path)
    truth = truth_of(case)
    assert truth.landmarks.labels == labels
    assert (truth.visible[0], truth.visible[-1]) == ends
    assert not set(absent) & set(truth.visible)
    # Every other level is unknown: an answer there is neither right nor wrong.
    pair, source = opened(case)
    answer = Prediction(
        "a", Landmarks.of(dict.fromkeys(("T10", "T12", "L3"), (np.nan, np.nan, -40.5))),
        (), (None, None, None), ModelIdentity("test"), 0.0,
    )  # fmt: skip
    rows = {row["level"]: row for row in metrics.score("a", "sarcopenia", truth, answer, source)}
    for place, level in enumerate(("T12", "L3")):
        assert rows[level]["present"] == (levels[place] != -1)
        error = None if levels[place] == -1 else pytest.approx(abs(levels[place] - 40))
        assert rows[level]["error_mm"] == error
    assert rows["T10"]["present"] == (False if levels == (-1, 150) else None)
    assert pair.rows == 200


def test_levels_that_were_not_looked_for_are_unknown(tmp_path: Path) -> None:
    thesis_archive(tmp_path / "Kanavati.npz", 9, v_levels=np.array([[-1, 90]] * 9))
    for case in found_in(tmp_path):
        assert truth_of(case).visible == LEVELS


def test_an_archive_without_levels_has_no_truth(tmp_path: Path) -> None:
    thesis_archive(tmp_path / "HNSCC.npz", v_levels=None)
    assert [case.truth() for case in found_in(tmp_path)] == [None] * 3


def test_ids_are_made_safe_and_told_apart(tmp_path: Path) -> None:
    ids = np.array(["a 1", "a_1", "A_1", "a_1-2", "../x"])
    thesis_archive(tmp_path / "my set.npz", 5, ids=ids)
    cases = found_in(tmp_path)
    assert [case.id for case in cases] == [
        "my_set_a_1", "my_set_a_1-2", "my_set_A_1-3", "my_set_a_1-2-2", "my_set_.._x",
    ]  # fmt: skip
    assert len({case.id.casefold() for case in cases}) == 5
    # One name in the data set is one patient, whose scans never part company.
    assert cases[0].patient == cases[1].patient == "my_set_a_1"
    thesis_archive(tmp_path / "my set.npz", 3, ids=np.array([7, 8, 9]))
    assert [case.id for case in found_in(tmp_path)] == ["my_set_7", "my_set_8", "my_set_9"]


def test_the_loaders_scans_belong_to_the_patients_of_the_data_set(tmp_path: Path) -> None:
    thesis_archive(tmp_path / "RAW.npz", 2)
    x: dict[str, Any] = {"imgs_f": None, "imgs_s": None, "v_levels": None}
    thesis_archive(tmp_path / "test_l3_frontal.npz", 2, **x, ids=np.array(["RAW_exam0", "TH_4"]),
                   x=ragged([thesis_pictures(1, 90)[0]] * 2), y=np.array([5, 6]))  # fmt: skip
    cases = {case.id: case.patient for case in found_in(tmp_path)}
    assert cases == {
        "RAW_exam0": "RAW_exam0", "RAW_exam1": "RAW_exam1",
        "test_l3_frontal_RAW_exam0": "RAW_exam0", "test_l3_frontal_TH_4": "TH_4",
    }  # fmt: skip


def test_a_missing_sagittal_view_is_air(tmp_path: Path) -> None:
    thesis_archive(tmp_path / "a.npz", 1, imgs_s=None)
    pair, _ = opened(found_in(tmp_path)[0])
    assert set(pair.sagittal.image.ravel().tolist()) == {AIR_HU}
    assert pair.sagittal.rows == pair.frontal.rows
    assert not pair.is_air


@pytest.mark.parametrize("shift", [-40, 0, 25])
def test_the_spine_is_looked_for(tmp_path: Path, shift: int) -> None:
    frontal, sagittal = thesis_pictures(3, 300, columns=300)
    frontal[:, 235:260] = 600  # an arm is no spine
    frontal, sagittal = (np.roll(view, shift, axis=1) for view in (frontal, sagittal))
    thesis_archive(tmp_path / "a.npz", 1, imgs_f=ragged([frontal]), imgs_s=ragged([sagittal]))
    pair, _ = opened(found_in(tmp_path)[0])
    x, y = pair.spine_mm
    assert x == pytest.approx(-shift, abs=6)
    assert y == pytest.approx(-shift + 20, abs=4)


def test_archives_lie_at_any_depth_and_faults_stay_with_one(tmp_path: Path) -> None:
    archives(tmp_path / "deep" / "er", 2, rows=60)
    thesis_archive(tmp_path / "RAW.npz", 2, imgs_f=ragged(
        [thesis_pictures(0, 200)[0], np.full((207, 9), 3, np.uint8)]))  # fmt: skip
    thesis_archive(tmp_path / ".hidden" / "b.npz")
    (tmp_path / "broken.npz").write_bytes(b"PK")
    np.savez(tmp_path / "other.npz", a=np.ones(3))
    (tmp_path / "notes.txt").write_text("x")
    cases = {case.id: case for case in readers.find(tmp_path, "sarcopenia")}
    assert sorted(cases) == ["RAW_exam0", "RAW_exam1", "broken", "other", "toy-0", "toy-1"]
    for good in ("RAW_exam0", "toy-0", "toy-1"):
        assert opened(cases[good])
    faults = {
        "RAW_exam1": "type uint8", "broken": r"broken\.npz: found .*zip",
        "other": r"other\.npz: found the arrays a; expected a MIP archive",
    }  # fmt: skip
    for bad, fault in faults.items():
        with pytest.raises(DatasetError, match=fault):
            opened(cases[bad])


def test_links_out_of_the_root_are_refused(tmp_path: Path) -> None:
    thesis_archive(tmp_path / "outside.npz", 1)
    root = tmp_path / "root"
    archives(root, 1, rows=60)
    (root / "link.npz").symlink_to(tmp_path / "outside.npz")
    link, toy = readers.find(root, "sarcopenia")
    with pytest.raises(VertebraError, match="a symbolic link that leads out"):
        opened(link)
    assert opened(toy)


def test_one_id_in_two_archives_is_refused(tmp_path: Path) -> None:
    for part in ("a", "b"):
        archives(tmp_path / part, 1, rows=60)
    with pytest.raises(DatasetError, match="more than one case named toy-0"):
        readers.find(tmp_path, "sarcopenia")


def ours(path: Path) -> Path:
    return archives(path.parent, 1, rows=60)[0].rename(path)


def theirs(path: Path) -> Path:
    thesis_archive(path, 2)
    return path


@pytest.mark.parametrize("make", [ours, theirs])
def test_bytes_and_files_give_the_same_cases(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    path = make(tmp_path / "set.npz")
    content = path.read_bytes()
    from_file, from_bytes = cases_in(path, path.name), cases_in(content, "set.npz")
    path.unlink() if make is ours else None
    for one, other in zip(from_file, from_bytes, strict=True):
        assert (one.id, one.patient) == (other.id, other.patient)
        pair, _ = opened(pickle.loads(pickle.dumps(other)))
        assert pair.rows > 50
        if make is theirs:
            assert np.array_equal(opened(one)[0].frontal.image, pair.frontal.image)
        assert truth_of(other).landmarks.labels
    with pytest.raises(DatasetError, match=r"b\.npz: found "):
        cases_in(content[:-50], "b.npz")


def test_an_archive_of_ours_that_is_cut_says_so_when_it_is_opened(tmp_path: Path) -> None:
    path = ours(tmp_path / "a.npz")
    content = bytearray(path.read_bytes())
    at = content.index(b"frontal.npy") + 60
    content[at : at + 20] = bytes(20)
    for source in (path, bytes(content)):
        path.write_bytes(content)
        (case,) = cases_in(source, "a.npz")
        with pytest.raises(DatasetError, match=r"a\.npz: found"):
            opened(case)


def test_a_header_in_an_archive_of_ours_is_not_believed(tmp_path: Path) -> None:
    with zipfile.ZipFile(ours(tmp_path / "a.npz")) as file:
        arrays = {name.removesuffix(".npy"): file.read(name) for name in file.namelist()}
    whole = arrays["frontal"]
    for old, new in ((b"'shape': (", b"'shape'a'(("), (b"False, ", b"[[[[[[[")):
        zip_with(tmp_path / "a.npz", arrays | {"frontal": whole.replace(old, new, 1)})
        (case,) = found_in(tmp_path)
        with pytest.raises(DatasetError, match=r"a\.npz: found"):
            opened(case)
    zip_with(tmp_path / "a.npz", arrays, zipfile.ZIP_LZMA)
    content = bytearray((tmp_path / "a.npz").read_bytes())
    at = content.index(b"frontal.npy") + len("frontal.npy") + 5
    content[at : at + 4] = (2**32 - 1).to_bytes(4, "little")
    (case,) = cases_in(bytes(content), "a.npz")
    with pytest.raises(DatasetError, match=r"a\.npz: found frontal that wants a dictionary"):
        opened(case)


def test_names_of_an_archive_of_ours_become_ids(tmp_path: Path) -> None:
    entry = read_archive(ours(tmp_path / "a.npz"))
    object.__setattr__(entry, "case", "-odd")
    write_archive(tmp_path / "a.npz", entry)
    (case,) = found_in(tmp_path)
    assert case.id == "odd"
