"""A .raw and its sidecar: every key at work, and every refusal by its message."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.layouts import GRIDS, TRUTH, assert_same_scan, make_scan
from vertebra_ml import readers
from vertebra_ml.errors import DatasetError, LimitError, VertebraError
from vertebra_ml.readers.sidecar import BYTES_MAX, DTYPES
from vertebra_ml.readers.writers import write_case
from vertebra_ml.volume import AIR_HU, Volume

SHAPE = (4, 3, 2)
NUMBERS = np.arange(24).reshape(SHAPE, order="F") * 10
SAID = {
    "shape": "[4, 3, 2]",
    "dtype": "int16",
    "byte_order": "little",
    "spacing_mm": "[0.7, 0.8, 2.5]",
    "orientation": "LPS",
    "slope": "1",
    "intercept": "-1024",
}


def make(
    folder: Path,
    *,
    numbers: Any = NUMBERS,
    text: str | None = None,
    before: bytes = b"",
    **said: str,
) -> Path:
    """Write scan.raw and scan.yaml; keys of ``said`` replace, "" leaves one out."""
    lines = {key: value for key, value in {**SAID, **said}.items() if value}
    kind = np.dtype(lines.get("dtype", "int16") if lines.get("dtype") in DTYPES else "int16")
    order = ">" if lines.get("byte_order") == "big" else "<"
    path = folder / "scan.raw"
    path.write_bytes(before + numbers.astype(kind.newbyteorder(order)).tobytes(order="F"))
    written = "\n".join(f"{key}: {value}" for key, value in lines.items())
    (folder / "scan.yaml").write_text(written if text is None else text)
    return path


def read(path: Path) -> Volume:
    return readers.open_volume(path, voxels_max=10**6)


def test_the_description_of_the_docs_is_read(tmp_path: Path) -> None:
    volume = read(make(tmp_path))
    np.testing.assert_array_equal(volume.array, NUMBERS - 1024)
    assert volume.array.dtype == np.int16
    assert (volume.orientation, volume.spacing_mm) == ("LPS", (0.7, 0.8, 2.5))
    # The centre of the first voxel is the origin where none is said.
    np.testing.assert_allclose(volume.voxel_to_world(np.array([0, 0, 0])), [0, 0, 0])
    np.testing.assert_allclose(volume.voxel_to_world(np.array([1, 1, 1])), [-0.7, -0.8, 2.5])


@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_type_in_either_order(tmp_path: Path, dtype: str, order: str) -> None:
    numbers = np.arange(24).reshape(SHAPE) * 4
    volume = read(make(tmp_path, numbers=numbers, dtype=dtype, byte_order=order, slope="2"))
    np.testing.assert_array_equal(volume.array, numbers * 2 - 1024)
    assert volume.array.dtype == (np.float32 if dtype.startswith("float") else np.int16)


def test_a_broken_slope_gives_float_hu_and_infinity_is_air(tmp_path: Path) -> None:
    volume = read(make(tmp_path, slope="0.5", intercept="1.25"))
    np.testing.assert_array_equal(volume.array, (NUMBERS * 0.5 + 1.25).astype(np.float32))
    numbers = NUMBERS.astype(np.float32)
    numbers[0, 0, :] = np.inf, np.nan
    volume = read(make(tmp_path, numbers=numbers, dtype="float32"))
    assert volume.array[0, 0].tolist() == [AIR_HU, AIR_HU]
    assert volume.array[1, 0, 0] == NUMBERS[1, 0, 0] - 1024


def test_values_beyond_int16_are_held_at_its_ends(tmp_path: Path) -> None:
    numbers = NUMBERS.astype(np.uint32)
    numbers[3, 2, 1] = 2**32 - 1
    for slope in ("1", "1e300"):
        volume = read(make(tmp_path, numbers=numbers, dtype="uint32", slope=slope))
        assert volume.array[3, 2, 1] == 32767


def test_bytes_before_the_voxels_are_passed_over(tmp_path: Path) -> None:
    volume = read(make(tmp_path, before=b"vendor header", offset="13"))
    np.testing.assert_array_equal(volume.array, NUMBERS - 1024)


def test_origin_and_affine_in_either_frame_name_the_same_place(tmp_path: Path) -> None:
    said = {
        "RAS origin": {"origin_mm": "[10, -20.5, 3e1]", "frame": "RAS"},
        "LPS origin": {"origin_mm": "[-10, 20.5, 30]", "frame": "LPS"},
        "RAS affine": {
            "spacing_mm": "", "orientation": "", "frame": "RAS",
            "affine": "[[-0.7, 0, 0, 10], [0, -0.8, 0, -20.5], [0, 0, 2.5, 30], [0, 0, 0, 1]]",
        },
        "LPS affine": {
            "spacing_mm": "", "orientation": "", "frame": "LPS",
            "affine": "[[0.7, 0, 0, -10], [0, 0.8, 0, 20.5], [0, 0, 2.5, 30], [0, 0, 0, 1]]",
        },
    }  # fmt: skip
    for changes in said.values():
        volume = read(make(tmp_path, **changes))
        np.testing.assert_allclose(
            volume.affine,
            [[-0.7, 0, 0, 10], [0, -0.8, 0, -20.5], [0, 0, 2.5, 30], [0, 0, 0, 1]],
        )


def test_axes_in_another_order(tmp_path: Path) -> None:
    volume = read(make(tmp_path, orientation="SLA", spacing_mm="[3, 2, 1]"))
    assert volume.orientation == "SLA"
    np.testing.assert_allclose(volume.voxel_to_world(np.array([1, 0, 0])), [0, 0, 3])


def test_comments_a_second_ending_and_a_byte_order_mark_are_fine(tmp_path: Path) -> None:
    path = make(tmp_path)
    text = "\ufeff# from the old archive\n" + (tmp_path / "scan.yaml").read_text()
    (tmp_path / "scan.yaml").unlink()
    (tmp_path / "scan.yml").write_text(text, encoding="utf-8")
    np.testing.assert_array_equal(read(path).array, NUMBERS - 1024)


AFFINE = "[[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]"
GRIDLESS = {"spacing_mm": "", "orientation": ""}
DEEP = "[" * 4000 + "]" * 4000
BOMB = "a: &a [x, x]\n" + "\n".join(f"{n}: &{n} [*a, *a]" for n in "bcdefgh")
BAD: dict[str, tuple[dict[str, Any], str]] = {
    **{f"no {key}": ({key: ""}, f"found no {key}; expected each stated") for key in SAID},
    "unknown keys": ({"voxel_size": "1", "Shape": "1"}, "unknown Shape, voxel_size; exp"),
    "a key twice": ({"text": "shape: [4, 3, 2]\nshape: [4, 3, 2]"}, "shape given twice"),
    "a merge key": ({"text": "<<: {shape: 1}"}, "unknown <<"),
    "two axes": ({"shape": "[4, 6]"}, "shape of another form; expected a list of 3"),
    "a shape in words": ({"shape": "4x3x2"}, "shape 4x3x2; expected a list of 3"),
    "an octal shape is decimal": ({"shape": "[4, 3, 0o2]"}, "shape 0o2"),
    "a sexagesimal shape": ({"shape": "[4, 3, 1:20]"}, "shape 1:20"),
    "a negative shape": ({"shape": "[4, -3, 2]"}, "shape -3"),
    "a shape of zero": ({"shape": "[4, 0, 2]"}, r"shape \[4, 0, 2\]; expected at least 2"),
    "a slice": ({"shape": "[4, 6, 1]"}, "at least 2 voxels along each axis"),
    "a broken shape": ({"shape": "[4, 3, 2.0]"}, "shape 2.0; expected whole numbers"),
    "an axis beyond all": ({"shape": "[4, 3, 9999999999]"}, "shape 9999999999"),
    "terabytes": ({"shape": "[30000, 30000, 30000]"}, "27,000,000,000,000 voxels; expected"),
    "a longer shape": ({"shape": "[4, 3, 3]"}, "found 48 bytes; expected exactly 72"),
    "a shorter shape": ({"shape": "[4, 2, 2]"}, "found 48 bytes; expected exactly 32"),
    "bytes before, unsaid": ({"before": b"x"}, "found 49 bytes; expected exactly 48"),
    "an offset without bytes": ({"offset": "16"}, "found 48 bytes; expected exactly 64"),
    "a negative offset": ({"offset": "-1"}, "offset -1; expected whole numbers"),
    "an unknown type": ({"dtype": "short"}, "dtype short; expected one of int8, uint8"),
    "a type with an order": ({"dtype": "'>i2'"}, "dtype >i2"),
    "a type of objects": ({"dtype": "object"}, "dtype object"),
    "an unknown order": ({"byte_order": "native"}, "byte_order native; expected one of"),
    "a spacing of zero": ({"spacing_mm": "[0, 1, 1]"}, "spacing_mm .*; expected distances above 0"),
    "a negative spacing": ({"spacing_mm": "[1, -1, 1]"}, "expected distances above 0"),
    "a spacing in metres": ({"spacing_mm": "[7e-4, 7e-4, 1e-3]"}, "a spacing of .* mm; expected"),
    "one spacing": ({"spacing_mm": "0.7"}, "spacing_mm 0.7; expected a list of 3"),
    "a spacing of NaN": ({"spacing_mm": "[.nan, 1, 1]"}, "spacing_mm .nan; expected finite"),
    "a spacing of infinity": ({"spacing_mm": "[1e999, 1, 1]"}, "spacing_mm 1e999"),
    "orientation left out": ({"orientation": "''"}, "orientation '';"),
    "two left-right axes": ({"orientation": "LRS"}, "orientation LRS; expected one letter each"),
    "orientation as a list": ({"orientation": "[L, P, S]"}, "orientation of another form"),
    "a slope of zero": ({"slope": "0"}, "found slope 0"),
    "a slope of NaN": ({"slope": "nan"}, "slope nan"),
    "a slope in words": ({"slope": "one"}, "slope one; expected finite decimal numbers"),
    "an empty intercept": ({"intercept": "''"}, "intercept ''"),
    "an intercept that is a mapping": ({"intercept": "{a: 1}"}, "intercept of another form"),
    "an origin without frame": ({"origin_mm": "[0, 0, 0]"}, "found no frame"),
    "a frame of nothing": ({"frame": "RAS"}, "frame without origin_mm or affine"),
    "an unknown frame": ({"origin_mm": "[0, 0, 0]", "frame": "RPS"}, "frame RPS; expected one of"),
    "an affine without frame": ({**GRIDLESS, "affine": AFFINE}, "found no frame"),
    "an affine and a spacing": ({"affine": AFFINE, "frame": "RAS"}, "affine and spacing_mm"),
    "an affine of three rows": (
        {**GRIDLESS, "frame": "RAS", "affine": "[[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]"},
        "affine of another form; expected a list of 4",
    ),
    "an affine of zeros": (
        {**GRIDLESS, "frame": "RAS", "affine": AFFINE.replace("1", "0")}, "affine whose last row is"
    ),
    "an affine beyond floats": (
        {**GRIDLESS, "frame": "RAS", "affine": AFFINE.replace("[1,", "[1e300,")}, "a spacing of"
    ),
    "no YAML": ({"text": "shape: [4, 3"}, "no readable YAML at line 1; expected a YAML file"),
    "binary": ({"text": "\0\1\2"}, "no readable YAML"),
    "an empty description": ({"text": ""}, "YAML that is no mapping"),
    "a list": ({"text": "- shape"}, "YAML that is no mapping"),
    "a list as key": ({"text": "? [a, b]\n: 1"}, "a key that is no word"),
    "two documents": ({"text": "a: 1\n---\nb: 1"}, "more than one document"),
    "a python tag": ({"text": "shape: !!python/object/apply:os.system [id]"}, "a tag"),
    "a known tag": ({"text": "shape: !!str 4"}, "a tag"),
    "an anchor": ({"text": "shape: &a [4, 3, 2]"}, "an anchor or alias"),
    "a bomb of aliases": ({"text": BOMB}, "an anchor or alias"),
    "lists too deep": ({"text": f"shape: {DEEP}"}, "lists too deep"),
    "a huge description": ({"text": "# x\n" * BYTES_MAX}, f"more than {BYTES_MAX:,} bytes"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_bad_descriptions_are_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    changes, message = BAD[kind]
    path = make(tmp_path, **changes)
    with pytest.raises(VertebraError, match=message) as caught:
        read(path)
    line = str(caught.value)
    assert line.startswith((f"{path}: found ", f"{tmp_path / 'scan.yaml'}: found "))
    assert "; expected " in line
    assert "\n" not in line


def test_a_raw_needs_one_description(tmp_path: Path) -> None:
    path = make(tmp_path)
    (tmp_path / "scan.yml").write_text((tmp_path / "scan.yaml").read_text())
    with pytest.raises(DatasetError, match=r"found scan.yaml and scan.yml beside it"):
        read(path)
    (tmp_path / "scan.yaml").unlink()
    (tmp_path / "scan.yml").unlink()
    with pytest.raises(DatasetError, match=r"no description beside it; expected one scan.yaml or"):
        read(path)


def test_size_is_checked_before_memory_is_taken(tmp_path: Path) -> None:
    path = make(tmp_path, shape="[1000, 1000, 1000]")
    with pytest.raises(LimitError, match="1,000,000,000 voxels; expected at most 1,000,000"):
        read(path)
    with pytest.raises(DatasetError, match="expected exactly 2,000,000,000"):
        readers.open_volume(path)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "scan.raw").unlink()
    os.mkfifo(tmp_path / "scan.raw")
    with pytest.raises(DatasetError, match="neither a file nor a folder"):
        read(tmp_path / "scan.raw")
    (case,) = readers.find(tmp_path, "raw")
    assert case.open_volume
    with pytest.raises(DatasetError, match="found 0 bytes; expected exactly 48"):
        case.open_volume()


def test_cases_lie_in_any_depth_and_name_their_patient(tmp_path: Path) -> None:
    scan = make_scan(GRIDS["oblique"])
    write_case(tmp_path / "2019", "p1-a", scan, TRUTH, "raw", patient="p1")
    write_case(tmp_path / "2020", "p1-b", scan, None, "raw")
    (tmp_path / ".hidden.raw").write_bytes(b"")
    first, second = readers.find(tmp_path, "raw")
    assert [(c.id, c.patient) for c in (first, second)] == [("p1-a", "p1"), ("p1-b", "p1-b")]
    assert second.truth() is None
    truth = first.truth()
    assert truth is not None
    assert truth.visible == TRUTH.visible
    assert first.open_volume
    assert_same_scan(first.open_volume(), scan)


def test_faults_of_one_case_wait_until_it_is_opened(tmp_path: Path) -> None:
    write_case(tmp_path, "good", make_scan(), TRUTH, "raw")
    (tmp_path / "lone.raw").write_bytes(b"1234")
    (tmp_path / "labels.raw").write_bytes(b"1234")
    (tmp_path / "labels.json").write_text("{")
    cases = {case.id: case for case in readers.find(tmp_path, "raw")}
    assert sorted(cases) == ["good", "labels", "lone"]
    with pytest.raises(DatasetError, match="no description"):
        cases["lone"].open_volume()
    with pytest.raises(DatasetError, match="no readable JSON"):
        cases["labels"].truth()
    assert cases["good"].open_volume()
