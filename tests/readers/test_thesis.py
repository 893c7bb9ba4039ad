import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.readers.archives import (
    npy,
    object_npy,
    ragged,
    thesis_archive,
    thesis_pictures,
    with_member,
    zip_with,
)
from tests.readers.test_npy import hostile
from vertebra_ml.errors import DatasetError
from vertebra_ml.readers import npz, thesis
from vertebra_ml.readers.thesis import (
    hounsfield,
    is_thesis,
    members_of,
    pick,
    read_entries,
    read_entry,
    read_ids,
)
from vertebra_ml.volume import AIR_HU

LEVELS = st.one_of(st.just(-1), st.integers(0, 59))
DTYPES = ("i2", ">i2", "i4", "f4", "f8")


def entries(path: Path) -> list[thesis.Entry]:
    return [read_entry(path, place) for place in range(len(read_ids(path, path.name)))]


def first_of(path: Path) -> thesis.Entry:
    """Read as the layout does: the ids, then an entry."""
    read_ids(path, path.name)
    return read_entry(path, 0)


@settings(max_examples=40, derandomize=True)
@given(
    shapes=st.lists(st.tuples(st.just(60), st.integers(1, 9)), min_size=1, max_size=5),
    levels=st.lists(st.tuples(LEVELS, LEVELS), min_size=5, max_size=5),
    thicks=st.lists(st.floats(0.5, 10), min_size=5, max_size=5),
    dtype=st.sampled_from(DTYPES),
    seed=st.integers(0, 2**20),
)
def test_what_numpy_writes_is_read(
    tmp_path_factory: pytest.TempPathFactory,
    shapes: list[tuple[int, int]],
    levels: list[tuple[int, int]],
    thicks: list[float],
    dtype: str,
    seed: int,
) -> None:
    path, count = tmp_path_factory.mktemp("npz") / "a.npz", len(shapes)
    rng = np.random.default_rng(seed)
    views = [
        [rng.choice([-1000, -100, 40, 900, 4000], size=shape).astype(dtype) for shape in shapes]
        for _ in "fs"
    ]
    for view in views:
        for picture in view:
            picture[0, 0] = -1000  # HU, whatever else was drawn
    thesis_archive(
        path, count, imgs_f=ragged(views[0]), imgs_s=ragged(views[1]),
        v_levels=np.array(levels[:count]), thicks=np.array(thicks[:count]),
    )  # fmt: skip
    known = {-1000: AIR_HU, 4000: 3071}
    for place, entry in enumerate(entries(path)):
        assert entry.sagittal is not None
        for found, written in (
            (entry.frontal, views[0][place]), (entry.sagittal, views[1][place])
        ):  # fmt: skip
            assert found.dtype == np.int16
            wanted = [[known.get(int(hu), int(hu)) for hu in row] for row in written]
            assert found.tolist() == wanted
        assert entry.thickness_mm == thicks[place]
        told = dict(zip(thesis.LEVELS, levels[place], strict=True))
        assert entry.rows == {level: row for level, row in told.items() if row != -1}
        assert entry.absent == tuple(level for level, row in told.items() if row == -1)


def test_pictures_of_one_shape_are_read(tmp_path: Path) -> None:
    """Three axes, four with a channel, or objects to the last number: all the same pictures."""
    pictures = [thesis_pictures(seed, 90)[0] for seed in range(3)]
    cube = np.array(pictures)
    for name, array in {
        "cube": cube, "with a channel": cube[..., None], "of objects": cube.astype(object),
        "a channel each": ragged([p[..., None] for p in pictures[:2]] + [pictures[2][1:, :, None]]),
    }.items():  # fmt: skip
        thesis_archive(tmp_path / f"{name}.npz", imgs_f=array, imgs_s=None)
        for place, entry in enumerate(entries(tmp_path / f"{name}.npz")[:2]):
            assert entry.frontal.tolist() == hounsfield(pictures[place]).tolist(), name
            assert entry.sagittal is None


def test_the_loaders_archive_is_read(tmp_path: Path) -> None:
    frontal = thesis_pictures(1, 120)[0]
    seen = ((frontal.clip(100, 1500) - 100) / 1400 * 255).astype(np.float32)
    loaded: dict[str, Any] = dict.fromkeys(("imgs_f", "imgs_s", "v_levels", "n_mips"))
    for name, level in (("test_l3_frontal", "L3"), ("test_t12_frontal", "T12")):
        path = tmp_path / f"{name}.npz"
        thesis_archive(path, 2, **loaded, x=ragged([seen, seen[1:]]), y=np.array([80, 70]))
        first, second = entries(path)
        assert (first.rows, second.rows) == ({level: 80}, {level: 70})
        assert first.absent == ()
        assert first.sagittal is None
        bone = frontal > 100
        assert np.abs(first.frontal[bone] - frontal[bone]).max() <= 1
        assert set(first.frontal[~bone].tolist()) == {AIR_HU}
    # Pictures for inference are HU still; without y there are no labels.
    thesis_archive(tmp_path / "new.npz", 1, **loaded, x=ragged([frontal]))
    (entry,) = entries(tmp_path / "new.npz")
    assert not entry.labelled
    assert entry.frontal.max() == frontal.max()


def test_a_level_that_nobody_looked_for_is_not_absent(tmp_path: Path) -> None:
    levels = np.array([[-1, 90]] * thesis.UNASKED_ENTRIES)
    thesis_archive(tmp_path / "Kanavati.npz", len(levels), v_levels=levels)
    assert {entry.absent for entry in entries(tmp_path / "Kanavati.npz")} == {()}
    levels[3] = 40, -1
    thesis_archive(tmp_path / "RAW.npz", len(levels), v_levels=levels)
    found = entries(tmp_path / "RAW.npz")
    assert [entry.absent for entry in found[2:5]] == [("T12",), ("L3",), ("T12",)]


def test_an_archive_without_levels_has_no_labels(tmp_path: Path) -> None:
    thesis_archive(tmp_path / "HNSCC.npz", v_levels=None, n_mips=None)
    assert not any(entry.labelled for entry in entries(tmp_path / "HNSCC.npz"))


def test_an_archive_is_read_once_for_all_its_entries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    real = npz.read_member

    def counted(file: zipfile.ZipFile, infos: npz.Members, key: str) -> Any:
        read.append(key)
        return real(file, infos, key)

    monkeypatch.setattr(thesis, "read_member", counted)
    path = tmp_path / "a.npz"
    thesis_archive(path, 4)
    for _ in range(2):
        assert len([read_entry(path, place) for place in range(4)]) == 4
    assert read.count("imgs_f") == read.count("imgs_s") == 1
    thesis_archive(path, 3)  # another file under that name is another archive
    assert read_entry(path, 2).rows
    assert read.count("imgs_f") == 2
    path.write_bytes(b"PK broken")
    for _ in range(2):
        with pytest.raises(DatasetError, match="zip"):
            read_entry(path, 0)


@pytest.mark.parametrize("key", ["imgs_f", "imgs_s", "v_levels", "ids", "thicks"])
@pytest.mark.parametrize("kind", sorted(hostile(Path("m"))))
def test_a_malicious_member_does_not_run(tmp_path: Path, key: str, kind: str) -> None:
    marker, path = tmp_path / "marker", tmp_path / "a.npz"
    with_member(path, key, object_npy(hostile(marker)[kind]))
    with pytest.raises(DatasetError, match=rf"a\.npz: found {key}: ") as caught:
        first_of(path)
    assert not marker.exists()
    assert "\n" not in str(caught.value)


def test_other_members_are_not_opened(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    path = with_member(tmp_path / "a.npz", "notes", object_npy(hostile(marker)["os.system"]))
    assert read_entry(path, 0).rows == {"T12": 40, "L3": 80}
    assert not marker.exists()


PICTURES = {
    "bytes of grey": (np.full((9, 9), 200, np.uint8), "type uint8"),
    "grey values": (np.arange(81).reshape(9, 9), "grey values 0 to 255"),
    "grey floats": (np.linspace(0, 255, 81, dtype=np.float32).reshape(9, 9), "grey values"),
    "a hole": (np.full((9, 9), np.nan), "NaN"),
    "a line": (np.full(9, -500), "shape"),
    "colour": (np.full((9, 9, 3), -500), "shape"),
    "nothing in it": (np.zeros((0, 9), np.int16), "shape|bytes"),
    "texts": (np.full((9, 9), "a"), "type"),
    "truth values": (np.ones((9, 9), bool), "type bool"),
}


@pytest.mark.parametrize("kind", PICTURES)
def test_a_bad_picture_spoils_its_entry_alone(tmp_path: Path, kind: str) -> None:
    picture, found = PICTURES[kind]
    path = tmp_path / "a.npz"
    good = thesis_pictures(0, 60)[0]
    thesis_archive(path, 2, imgs_f=ragged([good, picture]), imgs_s=None)
    if kind == "nothing in it":
        with pytest.raises(DatasetError, match=found):
            read_entry(path, 1)
        return
    assert read_entry(path, 0).frontal.shape == good.shape
    with pytest.raises(DatasetError, match=found):
        read_entry(path, 1)


CHANGES: dict[str, tuple[dict[str, Any], str]] = {
    "no ids": ({"ids": None}, r"the arrays imgs_f"),
    "no thicknesses": ({"thicks": None}, r"the arrays ids"),
    "no frontal view": ({"imgs_f": None}, r"the arrays ids"),
    "fewer thicknesses": ({"thicks": np.ones(2)}, r"thicks of shape \(2,\) for 3 ids"),
    "fewer pictures": ({"imgs_s": np.ones((2, 9, 9))}, r"imgs_s of shape .* for 3 ids"),
    "one picture": ({"imgs_f": np.ones((9, 9))}, r"imgs_f of shape"),
    "levels of three": ({"v_levels": np.ones((3, 3))}, r"v_levels of shape \(3, 3\)"),
    "levels in words": ({"v_levels": np.full((3, 2), "a")}, r"v_levels of type"),
    "one level, unnamed": ({"v_levels": np.ones(3)}, r"tells no one level"),
    "thickness of nothing": ({"thicks": np.zeros(3)}, "no length"),
    "thickness of NaN": ({"thicks": np.full(3, np.nan)}, "no length"),
    "thickness in words": ({"thicks": np.full(3, "thin")}, "no length"),
    "views of other heights": ({"imgs_s": np.full((3, 9, 9), -900)}, "views of 200 and 9 rows"),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_what_does_not_fit_is_refused(tmp_path: Path, kind: str) -> None:
    changes, found = CHANGES[kind]
    thesis_archive(tmp_path / "a.npz", **changes)
    with pytest.raises(DatasetError, match=found) as caught:
        first_of(tmp_path / "a.npz")
    assert "a.npz" in str(caught.value)


def test_zips_are_checked_before_they_are_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bomb = npy(np.zeros((1, 9000, 9000), np.int16))  # 160 MB in 160 kB
    path = with_member(tmp_path / "a.npz", "imgs_f", bomb)
    with pytest.raises(DatasetError, match=r"imgs_f that expands [\d,]+-fold"):
        read_entry(path, 0)
    monkeypatch.setattr(npz, "MEMBER_BYTES_MAX", 20_000)
    with pytest.raises(DatasetError, match=r"imgs_f of [\d,]+ bytes"):
        read_entry(with_member(tmp_path / "b.npz", "notes", b""), 0)


def test_broken_zips_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    thesis_archive(path)
    whole = path.read_bytes()
    for cut in (b"", whole[:100], whole[:-30], whole[: len(whole) // 2]):
        path.write_bytes(cut)
        with pytest.raises(DatasetError, match="zip"):
            members_of(path, path.name)
    start = whole.index(b"imgs_f.npy") + 60
    path.write_bytes(whole[:start] + bytes(200) + whole[start + 200 :])
    with pytest.raises(DatasetError, match=r"a\.npz"):
        read_entry(path, 0)
    encrypted = bytearray(whole)
    for at in (whole.index(b"PK\1\2") + 8, whole.index(b"PK\3\4") + 6):
        encrypted[at] |= 1
    path.write_bytes(encrypted)
    with pytest.raises(DatasetError, match="that is encrypted"):
        read_entry(path, 0)
    path.unlink()
    with pytest.raises(DatasetError, match="No such file"):
        read_entry(path, 0)


def test_a_member_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    path = with_member(tmp_path / "a.npz", "notes", b"")
    with zipfile.ZipFile(path, "a") as file, pytest.warns(UserWarning, match="Duplicate"):
        file.writestr("ids.npy", npy(["b"]))
    with pytest.raises(DatasetError, match="twice"):
        read_ids(path, path.name)


def test_names_in_a_zip_do_not_reach_the_terminal_as_they_are(tmp_path: Path) -> None:
    zip_with(tmp_path / "a.npz", {"ids": npy(["a"]), "\x1b[31mx": b""})
    with pytest.raises(DatasetError, match=r"the arrays \?\[31mx, ids"):
        read_ids(tmp_path / "a.npz", "a.npz")


def test_lzma_may_not_ask_for_a_huge_dictionary(tmp_path: Path) -> None:
    members = {"imgs_f": npy(np.full((1, 9, 9), -900)), "ids": npy(["a"]), "thicks": npy([1.0])}
    path = zip_with(tmp_path / "a.npz", members, zipfile.ZIP_LZMA)
    assert read_entry(path, 0).frontal.shape == (9, 9)
    content = bytearray(path.read_bytes())
    at = content.index(b"ids.npy") + len("ids.npy") + 5
    content[at : at + 4] = (2**32 - 1).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(DatasetError, match="ids that wants a dictionary"):
        read_ids(path, path.name)


def test_bytes_are_read_as_the_file_is(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    thesis_archive(path)
    content = read_entries(path.read_bytes(), "a.npz")
    for place in range(3):
        one, other = pick(content, place), read_entry(path, place)
        assert np.array_equal(one.frontal, other.frontal)
        assert one.rows == other.rows
    with pytest.raises(DatasetError, match=r"b\.npz"):
        pick(read_entries(b"PK", "b.npz"), 0)


def test_archives_are_told_by_their_members() -> None:
    assert is_thesis(frozenset({"imgs_f", "imgs_s", "ids", "thicks"}))
    assert is_thesis(frozenset({"x", "ids"}))
    assert not is_thesis(frozenset({"frontal", "sagittal", "about"}))
