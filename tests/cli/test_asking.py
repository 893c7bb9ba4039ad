"""`locate --levels` and `--beside`: some levels, two models, and their differences in all files."""

import csv
import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.answers import grid
from tests.bad_inputs import LINE
from tests.layouts import make_scan
from tests.test_asking import Told
from vertebra_ml import plots
from vertebra_ml.bounds import travelling
from vertebra_ml.cli import app, scans
from vertebra_ml.config import load
from vertebra_ml.outputs import FORMATS
from vertebra_ml.readers.writers import write_nifti

ROOT = Path(__file__).parents[2]
FIRST = Told({"T12": (1, 2, 9), "L3": (3, 4, -9)})
SECOND = Told({"T11": (0, 0, 15), "T12": (1, 2, 9), "L3": (3, 4, -20)}, ("L5",), kind="two")
DIFFERENCE = "L3: told 3 puts it 11.0 mm away, 11.0 mm lower"


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scan") / "fine.nii.gz"
    write_nifti(path, grid("LPS"))
    return path


@pytest.fixture
def _two(monkeypatch: pytest.MonkeyPatch) -> None:
    models = {"one": FIRST, "other": SECOND}
    monkeypatch.setattr(scans, "localiser_of", lambda name, outside: models[name])


def run(*words: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["locate", *map(str, words)], env={"COLUMNS": "200"})
    assert "Traceback" not in result.output
    return result.exit_code, result.stdout, result.stderr


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "slices.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.usefixtures("_two")
def test_what_two_models_differ_on_stands_in_every_file(
    tmp_path: Path, scan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    below: dict[str, list[str]] = {}
    drawn = plots.axial_slice

    def seen(image, spacing_mm, title, lines):
        below[title[0]] = list(lines)
        return drawn(image, spacing_mm, title, lines)

    monkeypatch.setattr(plots, "axial_slice", seen)
    out = tmp_path / "out"
    status, _, notes = run(
        scan, "--model", "one", "--beside", "other", "--out", out, "--format", ",".join(FORMATS)
    )
    assert status == 0
    assert notes.splitlines() == [f"note: fine: {DIFFERENCE}"]
    assert [row["level"] for row in table(out)] == ["T12", "L3"]  # the first one's, all of them
    assert [float(row["z_mm"]) for row in table(out)] == [9.0, -9.0]
    assert {row["warning"] for row in table(out)} == {DIFFERENCE}
    (case,) = json.loads((out / "slices.json").read_text())["cases"]
    assert case["warnings"] == [DIFFERENCE]
    assert json.loads((out / "fine_ctd.json").read_text())[0]["warnings"] == [DIFFERENCE]
    assert f"<li>{DIFFERENCE}</li>" in (out / "fine.html").read_text()
    (markup,) = json.loads((out / "fine.mrk.json").read_text())["markups"]
    assert [DIFFERENCE in point["description"] for point in markup["controlPoints"]] == [
        False, True,
    ]  # fmt: skip
    assert f"warning: {DIFFERENCE[4:]}" in below["L3"]
    assert len(below["T12"]) < len(below["L3"])


@pytest.mark.usefixtures("_two")
@pytest.mark.parametrize(
    ("words", "count"),
    [
        (("--levels", "L3"), 1),
        (("--levels", "T12"), 0),
        (("--beside-mm", "11.5"), 0),
        (("--levels", " l3 , t12 ", "--beside-mm", "0"), 1),
    ],
)
def test_levels_and_limit_decide_what_is_compared(
    tmp_path: Path, scan: Path, words: tuple[str, ...], count: int
) -> None:
    asked = ("--model", "one", "--beside", "other", "--out", tmp_path / "out")
    status, _, notes = run(scan, *asked, *words)
    assert status == 0
    assert notes.count("puts it") == count


@pytest.mark.usefixtures("_two")
def test_a_second_model_without_a_common_level_is_one_line(tmp_path: Path, scan: Path) -> None:
    asked = ("--model", "other", "--beside", "one", "--levels", "T11", "--out", tmp_path / "out")
    status, _, wrong = run(scan, *asked)
    assert status == 1
    assert wrong.startswith("error: told 3: found a second model for T12, L3 alone; expected one")
    assert LINE.fullmatch(wrong.strip())


def test_some_levels_of_a_real_model(tmp_path: Path, untrained: Path) -> None:
    path = tmp_path / "scan.nii.gz"
    write_nifti(path, make_scan())
    out = tmp_path / "out"
    assert run(path, "--model", untrained, "--levels", "l3", "--out", out)[0] == 0
    assert [row["level"] for row in table(out)] == ["L3"]
    status, _, wrong = run(path, "--model", untrained, "--levels", "L3,C1,T2", "--out", out)
    assert status == 1
    assert wrong == (
        "error: slice_spotter: found C1, T2 asked for; expected levels that this model answers: "
        "T12, L3; ask for these, or give another model\n"
    )


@pytest.mark.parametrize(
    "words",
    [("--levels", "X9"), ("--levels", "L3 T12"), ("--levels", ","), ("--levels", "L3,sacrum"),
     ("--beside-mm", "-1"), ("--beside-mm", "nan"), ("--beside-mm", "far")],
)  # fmt: skip
def test_wrong_words_are_wrong_usage(tmp_path: Path, scan: Path, words: tuple[str, str]) -> None:
    status, _, wrong = run(scan, *words, "--out", tmp_path / "out")
    assert status == 2
    assert words[0] in wrong
    assert not (tmp_path / "out").exists()


def test_a_scan_outside_the_models_limits(tmp_path: Path, untrained: Path) -> None:
    folder, path, out = tmp_path / "model", tmp_path / "scan.nii.gz", tmp_path / "out"
    shutil.copytree(untrained, folder)
    contract = json.loads((folder / "model.json").read_text())
    contract["limits"] = travelling(load(ROOT / "params.yaml").limits.model_dump())
    contract["limits"]["height_min_mm"] = 10_000.0
    (folder / "model.json").write_text(json.dumps(contract))
    write_nifti(path, make_scan())
    assert run(path, "--model", folder, "--out", out)[0] == 0
    assert "high enough to hold a vertebra" in (out / "slices.csv").read_text()
    status, _, wrong = run(path, "--model", folder, "--out", out, "--outside", "refuse")
    assert status == 1
    assert LINE.fullmatch(wrong.strip())
    assert run(path, "--model", folder, "--out", out, "--outside", "shout")[0] == 2
