"""A file that is being read below the root stays that file, whatever comes in its place."""

import os
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from vertebra_ml.errors import DatasetError, LimitError
from vertebra_ml.served.given import below_root, cases_of
from vertebra_ml.served.held import held
from vertebra_ml.served.settings import Settings

INSIDE, OUTSIDE = b"inside", b"outside, not to be read"
ROUNDS = 300


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root" / "deep" / "ct").mkdir(parents=True)
    for name in ("scan.nii", "scan.raw", "scan.yaml", "ct/1.dcm"):
        (tmp_path / "root" / "deep" / name).write_bytes(INSIDE)
    (tmp_path / "scan.nii").write_bytes(OUTSIDE)
    return tmp_path / "root"


def test_what_is_held_has_its_own_name_and_content(root: Path) -> None:
    with held(root, root / "deep" / "scan.nii") as file:
        assert (file.read_bytes(), file.name, file.parent.name) == (INSIDE, "scan.nii", "deep")
        (root / "deep" / "scan.nii").unlink()
        assert file.read_bytes() == INSIDE
    assert not file.exists()
    with held(root, root / "deep" / "scan.raw") as file:
        assert file.with_suffix(".yaml").read_bytes() == INSIDE
    with held(root, root / "deep" / "ct") as folder:
        assert [path.name for path in folder.iterdir()] == ["1.dcm"]
    with held(root, root) as folder:
        assert (folder / "deep").is_dir()
    for nowhere in (
        Path("lost", "scan.nii"),
        Path("a" * 300, "b", "scan.nii"),
        Path("a" * 300, "~"),
    ):
        with held(root, root / nowhere) as file:
            assert not file.exists()


def test_one_dicom_file_is_read_by_its_path(root: Path) -> None:
    from tests.layouts import dicom_folder

    one = sorted(dicom_folder(root / "series").iterdir())[0]
    limits = Settings(root, 1 << 20, 10**6, 1, 1, 1, 1, 1)
    row: dict[str, object] = {"content": None, "path": f"series/{one.name}", "case": None}
    with cases_of("a", row, limits) as (cases, _):
        assert cases[0].open_volume is not None
        with pytest.raises(DatasetError, match="found a single slice"):
            cases[0].open_volume()
    with cases_of("a", {**row, "path": "series"}, limits) as (cases, _):
        assert cases[0].open_volume is not None
        assert cases[0].open_volume().shape[2] == 12


def test_a_link_in_the_way_leads_nowhere(root: Path) -> None:
    (root / "out").symlink_to(root.parent)
    (root / "deep" / "scan.nii").unlink()
    (root / "deep" / "scan.nii").symlink_to(root.parent / "scan.nii")
    for path in ("out/scan.nii", "deep/scan.nii", "deep/scan.raw/x"):
        with held(root, root / path) as file:
            assert not file.exists()


def test_a_pipe_is_not_waited_for(root: Path) -> None:
    os.mkfifo(root / "pipe.nii")
    limits = Settings(root, 1 << 20, 10**6, 1, 1, 1, 1, 1)
    row: dict[str, object] = {"content": None, "path": "pipe.nii", "case": None}
    with cases_of("a", row, limits) as (cases, _):
        assert cases[0].open_volume is not None
        with pytest.raises(DatasetError, match="neither a file nor a folder"):
            cases[0].open_volume()


def test_a_race_between_a_file_and_a_link_is_never_won(root: Path) -> None:
    """Somebody turns the file into a link that leads out, and back, all the time."""
    place, done = root / "deep" / "scan.nii", threading.Event()

    def swap() -> None:
        while not done.is_set():
            for content in (None, INSIDE):
                new = root / "new"
                if content is None:
                    new.symlink_to(root.parent / "scan.nii")
                else:
                    new.write_bytes(content)
                new.replace(place)

    swapper = threading.Thread(target=swap)
    swapper.start()
    read = set()
    try:
        for _ in range(ROUNDS):
            with (
                suppress(LimitError, FileNotFoundError),
                held(*below_root("a", "deep/scan.nii", root)) as file,
            ):
                read.add(file.read_bytes())
    finally:
        done.set()
        swapper.join()
    assert read == {INSIDE}
