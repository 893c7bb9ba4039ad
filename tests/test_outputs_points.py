"""VerSe and Slicer files: read back by the published conventions to the same mm, on any grid."""

import json
from pathlib import Path

import jsonschema
import nibabel as nib
import nibabel.orientations as nio
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.answers import ORIENTATIONS, POINTS_MM, answer, grid, height
from tests.slicer_markups import RULES
from vertebra_ml.anatomy import VERSE_ID
from vertebra_ml.outputs import slicer, verse
from vertebra_ml.outputs.answer import MIDDLE
from vertebra_ml.readers.verse import read_centroids
from vertebra_ml.readers.writers import write_nifti
from vertebra_ml.volume import Volume

TILTS = st.tuples(*[st.floats(-25, 25)] * 3)


def written(folder: Path, volume: Volume, **changes) -> tuple[Path, list]:
    """Write the scan and its VerSe file; return the scan and what the file holds."""
    scan = folder / "sub-x_ct.nii.gz"
    write_nifti(scan, volume)
    ((name, content),) = verse.files(answer(volume, **changes)).items()
    (folder / name).write_bytes(content)
    return scan, json.loads(content)


def slow_verse(entries: list, scan: Path) -> dict[int, np.ndarray]:
    """Read a VerSe file as its authors' utilities do, with nibabel's orientations alone.

    The image is turned from its own axes to those of ``direction``; points are voxels there.
    """
    image = nib.load(scan)
    change = nio.ornt_transform(
        nio.io_orientation(image.affine), nio.axcodes2ornt(tuple(entries[0]["direction"]))
    )
    affine = image.affine @ nio.inv_ornt_aff(change, image.shape)
    return {e["label"]: affine[:3, :3] @ [e[a] for a in "XYZ"] + affine[:3, 3] for e in entries[1:]}


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_verse_is_read_back_to_the_same_mm(tmp_path, orientation):
    scan, entries = written(tmp_path, grid(orientation))
    assert list(entries[0]) == ["direction"]
    assert tuple(entries[0]["direction"]) == nib.aff2axcodes(nib.load(scan).affine)
    slow = slow_verse(entries, scan)
    ours = read_centroids(tmp_path / "case-1_ctd.json", scan, voxels_max=10**6).landmarks
    assert set(ours.labels) == set(POINTS_MM)
    for level, point in POINTS_MM.items():
        np.testing.assert_allclose(slow[VERSE_ID[level]], point, atol=1e-3)
        np.testing.assert_allclose(ours[level], point, atol=1e-3)


@settings(max_examples=30)
@given(st.sampled_from(ORIENTATIONS), TILTS)
def test_verse_of_oblique_scans(tmp_path_factory, orientation, turned):
    scan, entries = written(tmp_path_factory.mktemp("v"), grid(orientation, turned))
    assert tuple(entries[0]["direction"]) == nib.aff2axcodes(nib.load(scan).affine)
    for label, point in slow_verse(entries, scan).items():
        (level,) = [level for level in POINTS_MM if VERSE_ID[level] == label]
        np.testing.assert_allclose(point, POINTS_MM[level], atol=1e-3)


def test_verse_ids_of_the_variants():
    entries = json.loads(verse.files(answer(grid()))["case-1_ctd.json"])
    assert [e["label"] for e in entries[1:]] == [1, 19, 28, 22, 25]  # C1 T12 T13 L3 L6
    assert all(set(e) == {"label", "X", "Y", "Z"} for e in entries[1:])


def test_verse_without_a_landmark_holds_the_axes_alone():
    assert json.loads(verse.files(answer(grid("PIR"), {}, ("L3",)))["case-1_ctd.json"]) == [
        {"direction": ["P", "I", "R"]}
    ]


def test_a_volume_that_was_turned_since_is_written_in_the_axes_of_its_file(tmp_path):
    volume = grid("PIR")
    _, entries = written(tmp_path, volume)
    turned = answer(volume.reorient("RAS"))
    assert json.loads(verse.files(turned)["case-1_ctd.json"]) == entries


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_slicer_points_lie_where_the_answer_is(orientation):
    (markup,) = _markups(answer(grid(orientation)))
    assert (markup["coordinateSystem"], markup["coordinateUnits"]) == ("RAS", "mm")
    found = {point["label"]: point["position"] for point in markup["controlPoints"]}
    assert list(found) == ["C1", "T12", "T13", "L3", "L6"]
    for level, point in POINTS_MM.items():
        np.testing.assert_allclose(found[level], point, atol=5e-4)


@pytest.mark.parametrize("points", [None, {}, {"L3": height(3.0)}], ids=["points", "none", "z"])
def test_slicer_files_keep_the_published_rules(points):
    document = _document(answer(grid(), points, ("L5",), ("look, \u201ctwice\u201d",)))
    jsonschema.validate(document, RULES)


FAULTS = {
    "no schema": lambda d: d.pop("@schema"),
    "no markups": lambda d: d.pop("markups"),
    "another frame": lambda d: d["markups"][0].update(coordinateSystem="XYZ"),
    "no type": lambda d: d["markups"][0].pop("type"),
    "a flat point": lambda d: d["markups"][0]["controlPoints"][0].update(position=[1, 2]),
    "a point of words": lambda d: d["markups"][0]["controlPoints"][0].update(position=["1"] * 3),
    "a number for a label": lambda d: d["markups"][0]["controlPoints"][0].update(label=3),
    "an odd status": lambda d: d["markups"][0]["controlPoints"][0].update(positionStatus="sure"),
    "a colour beyond": lambda d: d["markups"][0]["display"].update(selectedColor=[2, 0, 0]),
}


@pytest.mark.parametrize("name", FAULTS)
def test_the_rules_refuse_what_slicer_would(name):
    document = _document(answer(grid()))
    FAULTS[name](document)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, RULES)


def test_a_slicer_point_says_score_spread_and_warning():
    (markup,) = _markups(answer(grid(), {"L3": (1, 2, 3)}, ("L5",), ("look twice",)))
    (point,) = markup["controlPoints"]
    for words in ("score 0.90", "±3.0 mm", "warning: look twice", "slice "):
        assert words in point["description"]
    assert MIDDLE not in point["description"]
    assert "L5 not in this scan" in markup["description"]


def test_a_warning_about_one_level_stands_at_its_point_and_in_the_words_of_the_whole():
    lines = ("L3: two puts it 12.0 mm lower", "L5: two finds it, at z 3.0 mm", "a gap")
    (markup,) = _markups(answer(grid(), {"T12": (1, 2, 12), "L3": (1, 2, 3)}, ("L4", "L5"), lines))
    at = {point["label"]: point["description"] for point in markup["controlPoints"]}
    assert [line in at["L3"] for line in lines] == [True, False, True]
    assert [line in at["T12"] for line in lines] == [False, False, True]
    assert all(f"warning: {line}" in markup["description"] for line in lines)
    assert "L4, L5 not in this scan" in markup["description"]


def test_verse_keeps_warnings_where_readers_look_for_axes_alone(tmp_path):
    scan, entries = written(tmp_path, grid("PIR"), warnings=("L3: two puts it 12.0 mm lower",))
    assert entries[0] == {
        "direction": ["P", "I", "R"],
        "warnings": ["L3: two puts it 12.0 mm lower"],
    }
    ours = read_centroids(tmp_path / "case-1_ctd.json", scan, voxels_max=10**6).landmarks
    assert set(ours.labels) == set(POINTS_MM)
    np.testing.assert_allclose(slow_verse(entries, scan)[22], POINTS_MM["L3"], atol=1e-3)


def test_heights_alone_stand_on_the_middle_of_the_spine_and_say_so(caplog):
    made = answer(grid(), {"L3": height(3.0), "T12": (1, 2, 12)})
    entries = json.loads(verse.files(made)["case-1_ctd.json"])[1:]
    (markup,) = _markups(made)
    points = {point["label"]: point for point in markup["controlPoints"]}
    assert points["L3"]["position"] == pytest.approx([*made.pair.spine_mm, 3.0], abs=1e-3)
    assert points["T12"]["position"] == [1, 2, 12]
    assert [MIDDLE in points[level]["description"] for level in ("L3", "T12")] == [True, False]
    assert [e.get("height_only") for e in entries] == [None, True]
    assert caplog.text.count(MIDDLE) == 2  # a format


@pytest.mark.parametrize("turned", [(0, 0, 0), (9, -7, 5)])
def test_our_reader_takes_of_a_height_the_height_alone(tmp_path, turned):
    points = {"L3": height(3.0), "T12": (1, 2, 12)}
    scan, entries = written(tmp_path, grid("PIR", turned), points_mm=points)
    marks = read_centroids(tmp_path / "case-1_ctd.json", scan, voxels_max=10**6).landmarks
    np.testing.assert_allclose(marks["L3"], [np.nan, np.nan, 3], atol=1e-3)
    np.testing.assert_allclose(marks["T12"], [1, 2, 12], atol=1e-3)
    assert slow_verse(entries, scan)[22][2] == pytest.approx(3, abs=1e-3)  # others see a point


def _document(made) -> dict:
    ((name, content),) = slicer.files(made).items()
    assert name == "case-1.mrk.json"
    return json.loads(content)


def _markups(made) -> list:
    return _document(made)["markups"]
