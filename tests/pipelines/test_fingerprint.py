"""The digest of a case: the content of its own files in every layout, and of nothing else."""

import os
from functools import partial
from pathlib import Path

import pytest

from pipelines.fingerprint import Digests
from tests.layouts import TRUTH, make_scan
from vertebra_ml import readers
from vertebra_ml.case import Case
from vertebra_ml.readers.writers import WRITERS, write_case

LAYOUT_OF = {"plain-dicom": "plain"}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pipelines.fingerprint.FRESH_S", 0.0)


def digests_of(root: Path, layout: str) -> dict[str, str]:
    """Return case -> digest, as a stage of its own would find them."""
    with Digests() as digests:
        return {case.id: digests.of_case(case) for case in readers.find(root, layout)}


def _change(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


@pytest.mark.parametrize("written", WRITERS)
def test_a_case_is_its_own_files(written: str) -> None:
    root, layout = Path("data"), LAYOUT_OF.get(written, written)
    write_case(root, "one", make_scan(), TRUTH, written)
    own = [path for path in sorted(root.rglob("*")) if path.is_file()]
    first = digests_of(root, layout)
    assert digests_of(root, layout) == first
    write_case(root, "one-more", make_scan(), TRUTH, written)
    both = digests_of(root, layout)
    (name,) = first
    assert len(both) == 2
    assert both[name] == first[name]  # a neighbour, even of a like name, changes nothing
    for path in own:
        if layout == "sarcopenia" or (layout == "masks" and path.parent == root):
            continue  # one byte more or less makes another list of cases, or a table of them all
        before = digests_of(root, layout)
        _change(path)
        after = digests_of(root, layout)
        assert before[name] != after[name], path
        assert {k: v for k, v in before.items() if k != name} == {
            k: v for k, v in after.items() if k != name
        }, path


def _read(path: Path, size: int, *, voxels_max: int) -> None:
    """Stand for a reader."""


def _case(path: Path, size: int = 3, voxels_max: int = 9, **changes: str) -> Case:
    opener = partial(_read, path, size, voxels_max=voxels_max)
    about = {"id": "a", "patient": "p", "layout": "plain"} | changes
    return Case(source=path, open_volume=opener, **about)


def test_what_else_counts() -> None:
    path = Path("scan.raw")
    path.write_bytes(b"12345")
    with Digests() as digests:
        same = digests.of_case(_case(path))
        assert digests.of_case(_case(path, voxels_max=1)) == same  # says what is refused
        for other in (
            _case(path, size=4), _case(path, patient="q"), _case(path, id="b"),
            _case(path, layout="raw"),
        ):  # fmt: skip
            assert digests.of_case(other) != same


def test_content_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def counted(path: Path) -> str:
        read.append(path.name)
        return path.read_text()

    monkeypatch.setattr("pipelines.fingerprint.file_digest", counted)
    for name in ("scan.raw", "scan.raw.yaml", "scan2.raw"):
        Path(name).write_text(name)

    def again() -> list[str]:
        read.clear()
        with Digests() as digests:
            for _ in range(2):
                digests.of_path(Path("scan.raw"))
        return list(read)

    assert again() == ["scan.raw", "scan.raw.yaml"]  # with what belongs to it
    assert again() == []
    os.utime("scan.raw")
    assert again() == ["scan.raw", "scan.raw.yaml"]
    Path(".cache/digests.json").write_text("{")  # a file that a kill cut short
    assert again() == ["scan.raw", "scan.raw.yaml"]


def test_a_fresh_file_is_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.fingerprint.FRESH_S", 60.0)
    path = Path("scan.raw")
    path.write_bytes(b"1")
    for _ in range(2):
        with Digests() as digests:
            digests.of_path(path)
    assert Digests()._known[str(path.absolute())][0] == ""
