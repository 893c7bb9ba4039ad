"""The contract of every layout: what is written comes back, to 0.01 mm and the same HU.

A layout joins by its line in WRITERS and LAYOUTS; the tables below say where one holds less.
"""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.formats import FORMATS, hu_tolerance
from tests.layouts import GRIDS, POINTS_MM, TRUTH, VISIBLE, assert_same_scan, make_scan, write
from vertebra_ml import readers
from vertebra_ml.case import Case
from vertebra_ml.errors import DatasetError, LimitError
from vertebra_ml.prepare import project
from vertebra_ml.readers.writers import WRITERS, write_case
from vertebra_ml.volume import Volume

WRITTEN = {name: {"plain-dicom": "plain"}.get(name, name) for name in WRITERS}
"""How a case is written -> the layout that reads it."""
SCANS = {name: layout for name, layout in WRITTEN.items() if layout != "sarcopenia"}
"""Those that keep the CT itself; of a MIP archive see test_sarcopenia.py."""
REAL = Path(__file__).parents[3] / "shared" / "real" / "scans"


HU_TOLERANCE = {"plain-dicom": 0.5, "dicom": 0.5}
"""DICOM as written here holds whole HU."""
POINT_TOLERANCE_MM: dict[str, float] = {"masks": 0.5}
"""Where landmarks are not kept as numbers."""
READS_HEADERS = {"dicom"}
"""Layouts that must open headers to know which series there are."""


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("written", WRITTEN)
def test_a_case_comes_back_as_it_was_written(tmp_path: Path, written: str, grid: str) -> None:
    original = write(tmp_path, written, GRIDS[grid])
    (case,) = readers.find(tmp_path, WRITTEN[written])
    assert case.id.removeprefix("sub-") == "p1"
    assert_same_case(case, original, hu=HU_TOLERANCE.get(written, 0))
    truth = case.truth()
    assert truth is not None
    assert truth.landmarks.labels == ("T12", "L1", "L3")
    for label, point in POINTS_MM.items():
        near = pytest.approx(point, abs=POINT_TOLERANCE_MM.get(written, 0.01))
        assert truth.landmarks[label] == near


def assert_same_case(case: Case, original: Volume, *, hu: float = 0.0) -> None:
    """Assert that a case holds the scan, or its projection on the scan's own grid."""
    if case.open_volume:
        assert_same_scan(case.open_volume(), original, hu=hu)
        return
    assert case.open_mips
    pair, source = case.open_mips()
    wanted = project(original, spacing_mm=1.0, body_threshold_hu=-300, slab_mm=60.0)
    for found, mip in ((pair.frontal, wanted.frontal), (pair.sagittal, wanted.sagittal)):
        np.testing.assert_array_equal(found.image, mip.image)
        np.testing.assert_allclose(found.origin_mm, mip.origin_mm, atol=0.01)
    np.testing.assert_allclose(source.affine, original.affine, atol=1e-6)
    assert source.shape == original.shape


@pytest.mark.parametrize("grid", ["oblique", "oblique and odd", "float"])
@pytest.mark.parametrize("name", FORMATS)
def test_one_scan_in_every_format_is_the_same_scan(tmp_path: Path, name: str, grid: str) -> None:
    original = make_scan(GRIDS[grid]).crop((10, 8, 7), (24, 20, 15))
    original = Volume(original.array, original.affine)
    (case,) = readers.open_cases([FORMATS[name](tmp_path, original)])
    assert case.open_volume
    assert_same_scan(case.open_volume(), original, hu=hu_tolerance(name))


def largest(root: Path) -> Path:
    """Return the file that holds voxels, or one of the many slices."""
    return max((p for p in root.rglob("*") if p.is_file()), key=lambda path: path.stat().st_size)


def test_every_writer_has_a_reader() -> None:
    assert set(WRITTEN) == set(WRITERS)
    assert set(WRITTEN.values()) == set(readers.LAYOUTS)


@pytest.mark.parametrize("written", SCANS)
def test_cases_cross_processes_and_open_nothing_before_asked(tmp_path: Path, written: str) -> None:
    original = write(tmp_path, written, GRIDS["oblique"])
    (case,) = pickle.loads(pickle.dumps(readers.find(tmp_path, WRITTEN[written])))
    assert_same_case(case, original, hu=0.5)
    largest(tmp_path).write_bytes(b"broken")
    assert [c.id for c in readers.find(tmp_path, WRITTEN[written])] == [case.id]
    with pytest.raises(DatasetError):
        (case.open_volume or case.open_mips)()


@pytest.mark.parametrize("written", SCANS)
def test_writing_twice_replaces_and_leaves_nothing_beside(tmp_path: Path, written: str) -> None:
    write(tmp_path, written, GRIDS["oblique"])
    first = {p.relative_to(tmp_path): p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    write(tmp_path, written, GRIDS["oblique"])
    assert first == {
        p.relative_to(tmp_path): p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()
    }
    write(tmp_path, written, GRIDS["plain RAS"])
    (case,) = readers.find(tmp_path, WRITTEN[written])
    assert_same_case(case, make_scan())
    assert not list(tmp_path.rglob(".*"))


def test_plain_keeps_every_visible_level_and_the_patient(tmp_path: Path) -> None:
    for case in ("p1-a", "p1-b"):
        write_case(tmp_path, case, make_scan(), TRUTH, "plain", patient="p1")
    first, second = readers.find(tmp_path, "plain")
    assert (first.patient, second.patient) == ("p1", "p1")
    truth = first.truth()
    assert truth is not None
    assert truth.visible == VISIBLE


def test_verse_names_the_patient_and_takes_the_edges_as_unlabelled(tmp_path: Path) -> None:
    write_case(tmp_path, "scan2", make_scan(), TRUTH, "verse", patient="v4")
    (case,) = readers.find(tmp_path, "verse")
    assert (case.id, case.patient) == ("sub-v4_split-scan2", "sub-v4")
    truth = case.truth()
    assert truth is not None
    assert truth.visible == ("T11", "T12", "L1", "L3", "L4")


def test_a_case_without_labels_has_no_truth(tmp_path: Path) -> None:
    for layout in ("plain", "verse"):
        write_case(tmp_path / layout, "p1", make_scan(), None, layout)
        assert readers.find(tmp_path / layout, layout)[0].truth() is None


BAD_ROOTS = {
    "unknown layout": ("glocker-2", lambda root: root, r"found the layout name .*plain, .*verse"),
    "missing root": ("plain", lambda root: root / "none", "found nothing at that path"),
    "a file as root": ("plain", lambda root: root / "note.txt", "found a file; expected a folder"),
    "empty root": ("verse", lambda root: root, "found no case; expected at least one .* verse"),
}


@pytest.mark.parametrize("kind", BAD_ROOTS)
def test_bad_roots_are_refused(tmp_path: Path, kind: str) -> None:
    (tmp_path / "note.txt").write_text("x")
    layout, place, message = BAD_ROOTS[kind]
    with pytest.raises(DatasetError, match=message):
        readers.find(place(tmp_path), layout)


def test_one_id_in_two_places_is_refused(tmp_path: Path) -> None:
    for part in ("training", "test"):
        write(tmp_path / part, "verse", GRIDS["plain RAS"])
    with pytest.raises(DatasetError, match="more than one case named sub-p1"):
        readers.find(tmp_path, "verse")


def test_looking_for_cases_imports_no_image_package(tmp_path: Path) -> None:
    for layout in set(readers.LAYOUTS) - READS_HEADERS:
        write(tmp_path / layout, layout, GRIDS["plain RAS"])
    code = (
        "import sys; from pathlib import Path; from vertebra_ml import readers\n"
        f"for layout in set(readers.LAYOUTS) - {READS_HEADERS}:\n"
        f"    assert readers.find(Path({str(tmp_path)!r}) / layout, layout)\n"
        "print(sorted({'pydicom', 'nibabel', 'scipy', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.cwd()
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.skipif(not REAL.is_dir(), reason="the real scans beside the repository are absent")
def test_every_real_scan_opens_with_its_landmarks_inside() -> None:
    cases = readers.find(REAL, "plain")
    assert len(cases) == 13
    for case in cases:
        volume, truth = case.open_volume(), case.truth()
        assert volume.array.dtype == np.int16
        if truth is not None:
            assert volume.contains(truth.landmarks.points_mm).all()


@pytest.mark.parametrize("written", SCANS)
def test_a_file_that_leads_out_of_the_data_set_is_refused_by_name(
    tmp_path: Path, written: str
) -> None:
    write(tmp_path / "root", written, GRIDS["plain RAS"])
    files = sorted(path for path in (tmp_path / "root").rglob("*") if path.is_file())
    for path in {path.suffix: path for path in files}.values():
        outside = tmp_path / path.name
        path.rename(outside)
        path.symlink_to(outside)
        with pytest.raises(LimitError, match=f"{path.name}: .*link that leads out") as caught:
            _open_all(tmp_path / "root", written)
        assert str(outside.parent / "root") in caught.value.where
        path.unlink()
        outside.rename(path)
    _open_all(tmp_path / "root", written)


@pytest.mark.parametrize("written", SCANS)
def test_a_folder_that_leads_out_of_the_data_set_is_refused_by_name(
    tmp_path: Path, written: str
) -> None:
    write(tmp_path / "elsewhere", written, GRIDS["plain RAS"])
    (tmp_path / "root").mkdir()
    for path in (tmp_path / "elsewhere").iterdir():
        (tmp_path / "root" / path.name).symlink_to(path)
    with pytest.raises(LimitError, match="link that leads out"):
        _open_all(tmp_path / "root", written)


def _open_all(root: Path, written: str) -> None:
    for case in readers.find(root, WRITTEN[written]):
        opened = (case.open_volume or case.open_mips)()
        assert opened
        case.truth()
