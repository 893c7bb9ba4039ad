"""By what a scan is known: its place, its files, their sizes and times; and the code."""

import os
from pathlib import Path

import pytest

from tests.many.fake import Fake
from vertebra_ml.case import Case
from vertebra_ml.errors import ModelError
from vertebra_ml.landmarks import ModelIdentity
from vertebra_ml.many.asked import Asked, Model, Packed
from vertebra_ml.many.marks import code_mark, scan_mark


def case(path: Path, name: str = "a") -> Case:
    return Case(name, name, path, "scan")


def test_a_file_that_changes_or_moves_is_another(tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    path.write_bytes(b"1234")
    state = path.stat()
    marks = [scan_mark(case(path))]
    assert scan_mark(case(path)) == marks[0]
    assert scan_mark(case(Path(os.path.relpath(path)))) == marks[0]
    path.write_bytes(b"12345")
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    marks.append(scan_mark(case(path)))
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    marks.append(scan_mark(case(path)))
    marks.append(scan_mark(case(path, "b")))
    moved = path.rename(tmp_path / "b.nii.gz")
    marks += [scan_mark(case(moved)), scan_mark(case(path))]
    assert len(set(marks)) == len(marks)


def test_a_folder_is_all_its_files(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "one.dcm").write_bytes(b"1")
    marks = [scan_mark(case(tmp_path))]
    (tmp_path / "deep" / "two.dcm").write_bytes(b"2")
    marks.append(scan_mark(case(tmp_path)))
    (tmp_path / "deep" / "two.dcm").rename(tmp_path / "deep" / "three.dcm")
    marks.append(scan_mark(case(tmp_path)))
    assert len(set(marks)) == 3


def test_a_raw_file_is_its_sidecar_too(tmp_path: Path) -> None:
    (tmp_path / "a.raw").write_bytes(b"1")
    (tmp_path / "a.json").write_bytes(b"{}")
    before = scan_mark(case(tmp_path / "a.raw"))
    (tmp_path / "b.json").write_bytes(b"{ }")
    assert scan_mark(case(tmp_path / "a.raw")) == before
    (tmp_path / "a.json").write_bytes(b"{ }")
    assert scan_mark(case(tmp_path / "a.raw")) != before


def test_a_model_is_its_files_who_it_is_and_what_it_is_asked(tmp_path: Path) -> None:
    folder, twin = tmp_path / "model", tmp_path / "twin"
    for each in (folder, twin):
        each.mkdir()
        (each / "model.json").write_text("{}")
    model, other = Model(folder, ModelIdentity("k", "1")), Model(folder, ModelIdentity("k", "2"))
    asked = [
        Asked(model), Asked(other), Asked(model, ("L3",)), Asked(model, (), other),
        Asked(model, (), other, 5.0), Asked(Model(folder)), Asked(Model(twin)),
    ]  # fmt: skip
    marks = [each.mark for each in asked]
    assert len(set(marks)) == len(marks)
    assert Asked(model, (), None, 5.0).mark == marks[0]
    assert Asked(Model(twin, ModelIdentity("k", "1"))).mark == marks[0]
    (folder / "model.json").write_text("{ }")
    assert Asked(model).mark != marks[0]
    (twin / "anchor").mkdir()
    (twin / "anchor" / "model.json").write_text("{}")  # a model that is carried along
    assert Asked(Model(twin, ModelIdentity("k", "1"))).mark != marks[0]


def test_a_worker_of_other_code_refuses(tmp_path: Path) -> None:
    (tmp_path / "anchor").mkdir()
    for name in ("model.json", "anchor/model.json"):
        (tmp_path / name).write_text("{}")
    asked = Asked(Model(tmp_path))
    packed = Packed.of(asked)
    assert packed.files == ({"anchor/model.json": b"{}", "model.json": b"{}"},)
    assert packed.mark == asked.mark == Packed.of(asked).mark
    assert packed.code == code_mark()
    with pytest.raises(ModelError, match="expected the same as here"):
        Packed(asked, packed.mark, "0" * 32, packed.files).build()


def test_no_model_is_told_before_anybody_is_asked(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"model\.json"):
        Packed.of(Asked(Model(tmp_path / "none")))


def test_the_fake_is_a_recipe(tmp_path: Path) -> None:
    assert Fake(tmp_path).build().levels == ("T12", "L3")
