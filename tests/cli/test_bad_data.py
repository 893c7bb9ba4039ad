"""Faults in data sets of every layout: a line each, the others done, the gate names them all."""

import gzip
import json
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from tests.bad.archives import MARK, hostile_objects, npy, thesis
from tests.bad_inputs import LINE
from tests.layouts import TRUTH
from tests.pipelines.conftest import scan_of
from vertebra_ml.cli import app
from vertebra_ml.readers.writers import write_case

ROOT = Path(__file__).parents[2]
GOOD = ("fine", "whole")
Spoil = Callable[[Path], object]


def the(pattern: str, change: Callable[[Path], object]) -> Spoil:
    """Return a change of the one file of a case that matches."""

    def act(folder: Path) -> None:
        (path,) = folder.rglob(pattern)
        change(path)

    return act


def text(pattern: str, content: str) -> Spoil:
    return the(pattern, lambda path: path.write_text(content))


def replaced(pattern: str, old: str, new: str) -> Spoil:
    def change(path: Path) -> None:
        content = path.read_text()
        assert old in content
        path.write_text(content.replace(old, new))

    return the(pattern, change)


def keys(pattern: str, **values: Any) -> Spoil:
    """Return a change of a JSON object; None removes a key."""

    def change(path: Path) -> None:
        content = json.loads(path.read_text()) | values
        path.write_text(json.dumps({k: v for k, v in content.items() if v is not None}))

    return the(pattern, change)


def entries(pattern: str, change: Callable[[list[Any]], object]) -> Spoil:
    """Return a change of a JSON list."""

    def act(path: Path) -> None:
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    return the(pattern, act)


def cut(pattern: str) -> Spoil:
    return the(pattern, lambda path: path.write_bytes(path.read_bytes()[:-300]))


def gone(pattern: str) -> Spoil:
    return the(pattern, lambda path: path.unlink())


def mask(change: Callable[[Any, Any], tuple[Any, Any]]) -> Spoil:
    """Return a change of a mask's array and affine."""

    def act(path: Path) -> None:
        image = nib.load(path)
        array, affine = change(np.asarray(image.dataobj), image.affine)
        path.write_bytes(gzip.compress(nib.Nifti1Image(array, affine).to_bytes()))

    return the("mask.nii.gz", act)


def second_mask(folder: Path) -> None:
    (path,) = folder.rglob("mask.nii.gz")
    path.with_name("mask.nii").write_bytes(gzip.decompress(path.read_bytes()))


def archive(content: bytes | Callable[[Path], Path]) -> Spoil:
    def act(path: Path) -> None:
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            folder = path.parent / "made"
            folder.mkdir()
            content(folder).replace(path)
            shutil.rmtree(folder)

    return the("*.npz", act)


LANDMARKS, CENTROIDS = "landmarks.json", "*_ctd.json"
PLAIN: dict[str, tuple[Spoil, str]] = {
    "no-json": (text(LANDMARKS, "{"), "no readable JSON"),
    "list": (text(LANDMARKS, "[]"), "a JSON list"),
    "no-frame": (keys(LANDMARKS, frame=None), "missing keys frame"),
    "surplus-key": (keys(LANDMARKS, sex="F"), "unknown keys sex"),
    "lps": (keys(LANDMARKS, frame="LPS"), "frame 'LPS'"),
    "voxels": (keys(LANDMARKS, unit="voxel"), "unit 'voxel'"),
    "unknown-level": (keys(LANDMARKS, landmarks={"L9": [0, 0, 0]}), "L9"),
    "two-numbers": (keys(LANDMARKS, landmarks={"L3": [0, 0]}), r"L3 at \[0, 0\]"),
    "words": (keys(LANDMARKS, landmarks={"L3": ["a", "b", "c"]}), "L3 at"),
    "a-kilometre": (keys(LANDMARKS, landmarks={"L3": [0, 0, 1e9]}), "L3 at"),
    "visible-twice": (keys(LANDMARKS, visible=["T12", "T12", "L1", "L3"]), "found"),
    "visible-number": (keys(LANDMARKS, visible=3), "visible that is no list"),
    "huge-json": (the(LANDMARKS, lambda p: p.write_bytes(b" " * 10_000_001)), "10,000,001 bytes"),
    "cut-scan": (cut("ct.nii.gz"), "ends too early"),
    "no-scan": (gone("ct.nii.gz"), "no CT"),
}
VERSE = {
    "no-json": (text(CENTROIDS, "[{"), "no readable JSON"),
    "object": (text(CENTROIDS, "{}"), "without a direction"),
    "label-31": (entries(CENTROIDS, lambda c: c[1].update(label=31)), "label 31"),
    "twice": (entries(CENTROIDS, lambda c: c.append(c[1])), "a label given twice"),
    "no-x": (entries(CENTROIDS, lambda c: c[1].pop("X")), "without label, X, Y and Z"),
    "direction": (entries(CENTROIDS, lambda c: c[0].update(direction="PPP")), "the direction"),
    "infinite": (entries(CENTROIDS, lambda c: c[1].update(X=float("inf"))), "found"),
    "cut-scan": (cut("*_ct.nii.gz"), "ends too early"),
}
GLOCKER = {
    "binary": (the("*.lml", lambda p: p.write_bytes(bytes(range(256)))), r"\.lml: found"),
    "unknown-level": (replaced("*.lml", "T12", "T14"), r"\.lml: found"),
    "words": (the("*.lml", lambda p: p.write_text(p.read_text() + "200 L1_center a b c\n")),
              r"\.lml: found"),
    "twice": (the("*.lml", lambda p: p.write_text(p.read_text() + p.read_text())), r"\.lml: found"),
    "outside": (the("*.lml", lambda p: p.write_text(
        re.sub(r"(_center\s+)\S+", r"\g<1>9999", p.read_text()))), r"\.lml: found"),
    "no-scan": (gone("*.nii.gz"), "found"),
}  # fmt: skip
MASKS = {
    "other-grid": (mask(lambda a, m: (a[::2, ::2, ::2], m @ np.diag([2, 2, 2, 1]))), "grid|found"),
    "moved": (mask(lambda a, m: (a, m + np.eye(4)[:, [3, 3, 3, 2]] * [0, 0, 0, 9])), "grid|found"),
    "unknown-number": (mask(lambda a, m: (np.where(a > 0, 9999, 0).astype(np.int16), m)), "9999"),
    "halves": (mask(lambda a, m: (a.astype(np.float32) + 0.5, m)), "found"),
    "two-masks": (second_mask, "mask.nii"),
    "cut-mask": (cut("mask.nii.gz"), "mask.nii.gz: found"),
}
RAW = {
    "unknown-key": (the("*.yaml", lambda p: p.write_text(p.read_text() + "voxel: 3\n")), "voxel"),
    "no-yaml": (gone("*.yaml"), "no description beside it"),
    "cut-scan": (cut("*.raw"), "expected exactly"),
    "wrong-json": (text("*.json", "[]"), "a JSON list"),
}
SARCOPENIA = {
    "cut": (cut("*.npz"), "found"),
    "empty": (archive(b""), "found"),
    "hostile": (archive(thesis({"imgs_f": npy(hostile_objects(2), pickled=True)})), "refused"),
}
DICOM = {
    "missing-slice": (the("*0005*", lambda p: p.unlink()), "1 missing slices"),
    "cut-slice": (cut("*0005*"), "cut short|broken"),
}
FAULTS: Mapping[str, Mapping[str, tuple[Spoil, str]]] = {
    "plain": PLAIN, "verse": VERSE, "glocker": GLOCKER, "masks": MASKS, "raw": RAW,
    "sarcopenia": SARCOPENIA, "dicom": DICOM,
}  # fmt: skip


def data_set(root: Path, layout: str) -> Path:
    """Write two good cases and one with each fault; each is made apart and then put together."""
    for number, case in enumerate((*GOOD, *FAULTS[layout])):
        apart = root.parent / f"apart-{case}"
        write_case(apart, case, scan_of(number), TRUTH, layout)
        if case in FAULTS[layout]:
            FAULTS[layout][case][0](apart)
        shutil.copytree(apart, root, dirs_exist_ok=True)
    return root


@pytest.fixture(scope="module", params=FAULTS)
def data(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return a layout and a data set of it with every fault."""
    return request.param, data_set(tmp_path_factory.mktemp("data") / "set", request.param)


def invoke(*words: object) -> tuple[int, list[str]]:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, [line for line in result.stderr.splitlines() if "error: " in line]


def test_evaluate_tells_each_and_does_the_rest(data: Any, untrained: Path, tmp_path: Path) -> None:
    layout, root = data
    status, lines = invoke(
        "evaluate", "--data", root, "--layout", layout, "--model", untrained,
        "--out", tmp_path / "out", "--params", ROOT / "params.yaml",
    )  # fmt: skip
    assert status == 1
    assert len(lines) == len(FAULTS[layout]), "\n".join(lines)
    for name, (_, words) in FAULTS[layout].items():
        (line,) = [line for line in lines if re.search(rf"\b{name}\b", line.split(": found")[0])]
        assert LINE.fullmatch(line)
        assert re.search(words, line), line
    cases = set(pd.read_csv(tmp_path / "out" / "slices.csv")["case"])
    assert {case for case in cases if case.removeprefix("sub-") in GOOD} == {
        f"sub-{case}" if layout == "verse" else case for case in GOOD
    }
    assert not list(tmp_path.rglob("*.part"))
    assert not list(root.rglob(MARK)) + list(Path().glob(MARK))


def test_check_names_the_rows(data: Any, tmp_path: Path) -> None:
    layout, root = data
    words = ["check", root, "--layout", layout, "--out", tmp_path, "--params", ROOT / "params.yaml"]
    status, lines = invoke(*words)
    assert status == 1
    (line,) = lines
    assert line.startswith("error: gate raw: found")
    page = (tmp_path / "raw.html").read_text()
    for name in FAULTS[layout]:
        assert re.search(rf"\b{name}\b", page), name
