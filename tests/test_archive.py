import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vertebra_ml.anatomy import LEVELS
from vertebra_ml.archive import PIXELS_MAX, Archive, read_archive, write_archive
from vertebra_ml.errors import DatasetError
from vertebra_ml.landmarks import Landmarks, Truth
from vertebra_ml.mip import Mip, MipPair
from vertebra_ml.volume import Source

MM = st.floats(-2000, 2000)


def entry(**changes: Any) -> Archive:
    rng = np.random.default_rng(1)
    frontal, sagittal = (rng.integers(-1024, 3072, (40, n)).astype(np.int16) for n in (30, 25))
    pair = MipPair(
        Mip(frontal, (1.0, 1.0), (100.5, 55.25), "frontal"),
        Mip(sagittal, (1.0, 1.0), (100.5, -3.0), "sagittal"),
        (1.5, -40.25),
    )
    marks = Landmarks(
        ("L3", "T12"), np.array([[np.nan, np.nan, 70.0], [1.0, 2.0, 95.0]]), np.array([0.5, np.nan])
    )
    whole: dict[str, Any] = {
        "case": "case-01",
        "patient": "p.1",
        "group": "plain",
        "pair": pair,
        "source": Source(np.diag([0.7, 0.7, 5.0, 1.0]), (30, 25, 8), tuple(range(1, 9))),
        "truth": Truth(marks, ("T11", "L4")),
    }
    return Archive(**(whole | changes))


def assert_same(one: Archive, other: Archive) -> None:
    assert (one.case, one.patient, one.group) == (other.case, other.patient, other.group)
    assert one.pair.spine_mm == other.pair.spine_mm
    for a, b in ((one.pair.frontal, other.pair.frontal), (one.pair.sagittal, other.pair.sagittal)):
        assert np.array_equal(a.image, b.image)
        assert a.image.dtype == b.image.dtype == np.int16
        assert (a.spacing_mm, a.origin_mm, a.view) == (b.spacing_mm, b.origin_mm, b.view)
    assert np.array_equal(one.source.affine, other.source.affine)
    assert one.source.shape == other.source.shape
    assert one.source.instance_numbers == other.source.instance_numbers
    assert (one.truth is None) == (other.truth is None)
    if one.truth and other.truth:
        assert one.truth.visible == other.truth.visible
        a_marks, b_marks = one.truth.landmarks, other.truth.landmarks
        assert a_marks.labels == b_marks.labels
        for name in ("points_mm", "scores", "spread_mm"):
            assert np.array_equal(getattr(a_marks, name), getattr(b_marks, name), equal_nan=True)


@st.composite
def archives(draw: st.DrawFn) -> Archive:
    rows = draw(st.integers(1, 12))
    images = [
        draw(hnp.arrays(np.int16, (rows, draw(st.integers(1, 12)))))
        for _ in ("frontal", "sagittal")
    ]
    top, x, y = draw(MM), draw(MM), draw(MM)
    row_mm, column_mm = draw(st.floats(0.1, 5)), draw(st.floats(0.1, 5))
    pair = MipPair(
        Mip(images[0], (row_mm, column_mm), (top, x), "frontal"),
        Mip(images[1], (row_mm, column_mm), (top, y), "sagittal"),
        (draw(MM), draw(MM)),
    )
    labels = draw(st.lists(st.sampled_from(LEVELS), unique=True, max_size=6))
    marks = Landmarks.of({label: draw(st.tuples(MM, MM, MM)) for label in labels})
    truth = Truth(marks, tuple(draw(st.lists(st.sampled_from(LEVELS), unique=True, max_size=4))))
    slices = draw(st.integers(1, 20))
    affine = np.diag([draw(st.floats(0.1, 9)) for _ in range(3)] + [1.0])
    affine[:3, 3] = draw(st.tuples(MM, MM, MM))
    numbers = draw(st.none() | st.lists(st.integers(), min_size=slices, max_size=slices))
    source = Source(affine, (5, 6, slices), None if numbers is None else tuple(numbers))
    name = st.from_regex(r"[A-Za-z0-9._-]{1,20}", fullmatch=True)
    return Archive(
        draw(name), draw(name), draw(name), pair, source, draw(st.sampled_from([None, truth]))
    )


@settings(max_examples=60, derandomize=True)
@given(archives())
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, one: Archive) -> None:
    path = tmp_path_factory.mktemp("archive") / "case.npz"
    write_archive(path, one)
    assert_same(read_archive(path), one)


def test_equal_content_gives_equal_bytes(tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        write_archive(tmp_path / name, entry())
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_no_uid_of_the_source_is_kept(tmp_path: Path) -> None:
    uids = tuple(f"1.2.840.99.{n}" for n in range(8))
    source = Source(np.eye(4), (30, 25, 8), tuple(range(8)), uids)
    write_archive(tmp_path / "a.npz", entry(source=source))
    with zipfile.ZipFile(tmp_path / "a.npz") as file:
        assert b"1.2.840" not in b"".join(file.read(name) for name in file.namelist())
    assert read_archive(tmp_path / "a.npz").source.sop_instance_uids is None


def test_numpy_opens_it_without_pickle(tmp_path: Path) -> None:
    write_archive(tmp_path / "a.npz", entry())
    with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
        assert np.array_equal(arrays["frontal"], entry().pair.frontal.image)
        assert json.loads(arrays["about"].tobytes())["frame"] == "RAS"


def test_a_failed_write_leaves_what_was_there(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    write_archive(tmp_path / "a.npz", entry())
    before = (tmp_path / "a.npz").read_bytes()

    def full_disk(*_args: object, **_arrays: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(np, "savez_compressed", full_disk)
    with pytest.raises(OSError, match="no space left"):
        write_archive(tmp_path / "a.npz", entry(case="other"))
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]
    assert (tmp_path / "a.npz").read_bytes() == before


@pytest.mark.parametrize("name", ["", "a/b", "../x", "Müller", "a b", "x" * 129])
@pytest.mark.parametrize("field", ["case", "patient", "group"])
def test_names_are_plain(field: str, name: str) -> None:
    with pytest.raises(DatasetError, match="letters, digits"):
        entry(**{field: name})


def npy(array: np.ndarray, **header: object) -> bytes:
    """The bytes of a .npy file, with what its header says replaced."""
    buffer = io.BytesIO()
    described = np.lib.format.header_data_from_array_1_0(array) | header
    np.lib.format.write_array_header_1_0(buffer, described)
    return buffer.getvalue() + array.tobytes()


def parts(tmp_path: Path) -> dict[str, bytes]:
    write_archive(tmp_path / "whole.npz", entry())
    with zipfile.ZipFile(tmp_path / "whole.npz") as file:
        return {name: file.read(name) for name in file.namelist()}


def about(**changes: object) -> Callable[[dict[str, bytes]], None]:
    """Change entries of the description."""

    def change(files: dict[str, bytes]) -> None:
        text = files["about.npy"]
        described = json.loads(text[text.index(b'{"version"') :]) | changes
        files["about.npy"] = npy(np.frombuffer(json.dumps(described).encode(), dtype=np.uint8))

    return change


def member(name: str, content: bytes) -> Callable[[dict[str, bytes]], None]:
    return lambda files: files.update({name: content})


IMAGE = np.zeros((40, 30), dtype=np.int16)
HOSTILE = {
    "a member more": member("evil.npy", npy(IMAGE)),
    "a member less": lambda files: files.pop("sagittal.npy"),
    "no numpy": member("frontal.npy", b"hello"),
    "floats": member("frontal.npy", npy(IMAGE.astype(np.float64))),
    "objects": member("frontal.npy", npy(IMAGE, descr="|O")),
    "three axes": member("frontal.npy", npy(IMAGE[..., None])),
    "other rows": member("frontal.npy", npy(IMAGE[:-1])),
    "nothing": member("frontal.npy", npy(IMAGE[:0])),
    "a bomb by its header": member("frontal.npy", npy(IMAGE, shape=(1 << 20, 1 << 20))),
    "negative": member("frontal.npy", npy(IMAGE, shape=(-40, -30))),
    "too short": member("frontal.npy", npy(IMAGE)[:-2]),
    "too long": member("frontal.npy", npy(IMAGE) + b"xx"),
    "text that is no JSON": member("about.npy", npy(np.frombuffer(b"{nonsense", dtype=np.uint8))),
    "a list": member("about.npy", npy(np.frombuffer(b"[1]", dtype=np.uint8))),
    "another version": about(version=99),
    "a path for a name": about(case="../../etc/passwd"),
    "a number for a name": about(case=7),
    "no spacing": about(frontal={"origin": [0, 0]}),
    "a spacing of nothing": about(frontal={"spacing": [0, 1], "origin": [100.5, 0]}),
    "a flat grid": about(
        scan={"affine": [[0] * 4] * 4, "shape": [1] * 3, "instance_numbers": None}
    ),
    "too few numbers": about(
        scan={"affine": np.eye(4).tolist(), "shape": [3, 3, 3], "instance_numbers": [1]}
    ),
    "an unknown level": about(
        truth={"labels": [], "points": [], "scores": [], "spread": [], "visible": ["Q9"]}
    ),
    "no points": about(
        truth={"labels": ["L3"], "points": [], "scores": [], "spread": [], "visible": []}
    ),
}


@pytest.mark.parametrize("fault", HOSTILE)
def test_hostile_files_are_refused_by_name(tmp_path: Path, fault: str) -> None:
    files = parts(tmp_path)
    HOSTILE[fault](files)
    path = tmp_path / "bad.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in files.items():
            file.writestr(name, content)
    with pytest.raises(DatasetError, match=r"bad\.npz: found .+; expected a MIP archive"):
        read_archive(path)


@pytest.mark.parametrize("keep", [0, 10, 200, 0.5, 0.99])
def test_truncated_files_are_refused(tmp_path: Path, keep: float) -> None:
    write_archive(tmp_path / "a.npz", entry())
    whole = (tmp_path / "a.npz").read_bytes()
    path = tmp_path / "bad.npz"
    path.write_bytes(whole[: int(keep if keep >= 1 else keep * len(whole))])
    with pytest.raises(DatasetError, match=r"bad\.npz"):
        read_archive(path)


def test_damaged_bytes_are_refused(tmp_path: Path) -> None:
    write_archive(tmp_path / "a.npz", entry())
    whole = bytearray((tmp_path / "a.npz").read_bytes())
    whole[500] ^= 0xFF
    (tmp_path / "a.npz").write_bytes(whole)
    with pytest.raises(DatasetError, match=r"a\.npz"):
        read_archive(tmp_path / "a.npz")


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("not a zip")
    for name, found in (
        ("text.npz", "cannot be read"),
        ("none.npz", "no such file"),
        (".", "found"),
    ):
        with pytest.raises(DatasetError, match=found):
            read_archive(tmp_path / name)


def test_no_memory_is_taken_for_a_bomb(tmp_path: Path) -> None:
    """Deflate makes a gigabyte of zeros a megabyte; the header says what is too much."""
    import tracemalloc

    files = parts(tmp_path)
    side = int(PIXELS_MAX**0.5) + 1
    path = tmp_path / "bad.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in files.items():
            if name != "frontal.npy":
                file.writestr(name, content)
        with file.open("frontal.npy", "w") as stream:
            stream.write(npy(IMAGE[:0], shape=(side, side)))
            for _ in range(33):
                stream.write(bytes(1 << 20))
    tracemalloc.start()
    with pytest.raises(DatasetError, match="shape"):
        read_archive(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20
