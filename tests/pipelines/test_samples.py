"""The stage samples: each CT cut once for both networks, kept, and cut again only when it must."""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from pipelines import samples
from pipelines.closure import code_hash
from pipelines.learnable import Learnable, learnables, with_points
from pipelines.stage import PARAMS, read_table, write_text
from tests.layouts import TRUTH
from tests.pipelines.conftest import change_params, moved, scan_of
from vertebra_ml.config import load
from vertebra_ml.landmarks import Landmarks
from vertebra_ml.limits import read_sample
from vertebra_ml.readers.writers import write_case
from vertebra_ml.two_stage.architectures import ARCHITECTURES

ALONE = {
    "phantoms.workers": 1,
    "samples.phantoms.train": {"trunks": 0, "scans": 0},
    "samples.phantoms.validation": {"trunks": 0, "scans": 0},
}
DATA = Path("data/plain")
FOLDERS = tuple(Path("prepared", stage) for stage in samples.STAGES)
PARTS = {"a1": "train", "a2": "train", "b": "train", "c": "validation", "sub-d": "test"}


def _split(**parts: str) -> None:
    rows = [f"{case},{case[0]},{part},T12 L1 L3" for case, part in (PARTS | parts).items() if part]
    write_text(Path("prepared/split.csv"), "\n".join(["case,patient,part,labels", *rows]))


@pytest.fixture(autouse=True)
def _here(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Go to the project, without phantoms; what gates do is tested beside."""
    monkeypatch.chdir(project)
    monkeypatch.setattr("pipelines.products.code_hash", partial(code_hash, root=project))
    monkeypatch.setattr("pipelines.facts.code_hash", partial(code_hash, root=project))
    monkeypatch.setattr("pipelines.fingerprint.FRESH_S", 0.0)
    monkeypatch.setattr("pipelines.samples.gate", lambda *tables, **where: None)
    change_params(project, ALONE)
    _split()


@pytest.fixture
def go(monkeypatch: pytest.MonkeyPatch) -> Callable[[], set[str]]:
    """Return what runs the stage and tells which CTs were opened and cut."""
    cut = samples._cut
    opened: list[str] = []

    def noted(item: Learnable, address: str) -> object:
        opened.append(item.case)
        return cut(item, address)

    monkeypatch.setattr("pipelines.samples._cut", noted)

    def call() -> set[str]:
        opened.clear()
        samples.main(load(PARAMS))
        assert len(set(opened)) == len(opened)  # once for both networks
        return set(opened)

    return call


def test_one_more_scan_cuts_that_scan(go: Callable[[], set[str]]) -> None:
    assert go() == {"a1", "a2", "b", "c"}
    for folder in FOLDERS:
        assert {path.stem for path in folder.iterdir()} == {"a1", "a2", "b", "c"}
    table = read_table(Path("prepared/samples.csv"))
    assert dict(zip(table["case"], table["part"], strict=True)) == {
        case: part for case, part in PARTS.items() if part != "test"
    }
    assert set(table["levels"]) == {"T12 L1 L3"}
    assert go() == set()

    write_case(DATA, "e", scan_of(21), TRUTH, "plain")
    _split(e="train")
    assert go() == {"e"}
    write_case(DATA, "c", scan_of(4), moved(L3=(-8.25, 26.0, -31.5)), "plain")
    assert go() == {"c"}
    assert read_sample(FOLDERS[0] / "c.npz")["points_mm"][-1][2] == -31.5
    _split(e="train", b="")
    assert go() == set()
    assert not any((folder / "b.npz").exists() for folder in FOLDERS)


def test_what_lies_there_is_taken_up_and_the_same(go: Callable[[], set[str]]) -> None:
    go()
    bytes_of = {path: path.read_bytes() for folder in FOLDERS for path in folder.iterdir()}
    shutil.rmtree(".cache")  # as in a fresh clone after `dvc pull`
    assert go() == set()
    shutil.rmtree(".cache")
    (FOLDERS[1] / "b.npz").unlink()  # of one network alone
    assert go() == {"b"}
    shutil.rmtree(".cache")
    shutil.rmtree("prepared/detection")
    shutil.rmtree("prepared/identification")
    assert go() == {"a1", "a2", "b", "c"}
    assert {path: path.read_bytes() for path in bytes_of} == bytes_of


def test_a_kill_loses_the_scan_in_hand(
    go: Callable[[], set[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    written = samples._write
    count = iter(range(100))

    def killed(path: Path, arrays: samples.Row) -> None:
        written(path, arrays)
        if next(count) == 4:  # the third scan: its first file is there, but not yet in its place
            raise KeyboardInterrupt

    monkeypatch.setattr("pipelines.samples._write", killed)
    with pytest.raises(KeyboardInterrupt):
        go()
    assert not any(folder.exists() for folder in FOLDERS)
    monkeypatch.setattr("pipelines.samples._write", written)
    assert go() == {"b", "c"}
    for folder in FOLDERS:
        assert len(list(folder.iterdir())) == 4
        assert len(list(Path(".cache", folder.name).iterdir())) == 4  # nothing half made is left


def test_heights_alone_are_not_cut() -> None:
    mixed = Landmarks(("L1", "L3"), np.array([[np.nan, np.nan, 3.0], [1.0, 2.0, -30.0]]))
    assert with_points(mixed).labels == ("L3",)


def test_what_learns_does_not_change_the_key() -> None:
    split = read_table(Path("prepared/split.csv"))
    cutter = ARCHITECTURES["compact"].cut.partition(":")[0]

    def key() -> str:
        return next(i.key for i in learnables(load(PARAMS), split, cutter) if i.case == "b")

    first = key()
    learner = Path(*ARCHITECTURES["compact"].learn.partition(":")[0].split(".")).with_suffix(".py")
    with learner.open("a") as code:
        code.write("# another way to learn\n")
    assert key() == first
    with Path(*cutter.split(".")).with_suffix(".py").open("a") as code:
        code.write("# another cut\n")
    assert key() != first
