"""``evaluate``: one model as ever, several side by side, on scans and labels read once."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from vertebra_ml.cli import app
from vertebra_ml.errors import ModelError
from vertebra_ml.landmarks import Landmarks, ModelIdentity, Prediction
from vertebra_ml.volume import Volume

ROOT = Path(__file__).parents[2]
SPINE = {"T12": (100.0, 70.0, 80.0), "L1": (100.0, 70.0, 50.0), "L2": (100.0, 70.0, 20.0)}


class Named:
    """A model that names three vertebrae, moved by some mm, and fails on some cases."""

    kind = "named"
    levels = tuple(SPINE)
    identity = ModelIdentity("named", "1")

    def __init__(self, moved_mm: float, fails: str = "") -> None:
        self.moved_mm, self.fails = moved_mm, fails

    def locate(self, volume: Volume, case: str) -> Prediction:
        if case == self.fails:
            raise RuntimeError("no")
        marks = Landmarks.of({k: (x + self.moved_mm, y, z) for k, (x, y, z) in SPINE.items()})
        return Prediction(case, marks, (), (None,) * 3, self.identity, 0.1)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write two small labelled scans."""
    root = tmp_path_factory.mktemp("data") / "set"
    array = np.full((40, 30, 20), -1000, np.int16)
    array[4:36, 4:26] = 40
    for case in ("a", "b"):
        (root / case).mkdir(parents=True)
        nib.save(nib.Nifti1Image(array, np.diag([5.0, 5.0, 5.0, 1.0])), root / case / "ct.nii.gz")
        points = ",".join(f'"{name}": {list(point)}' for name, point in SPINE.items())
        names = ",".join(f'"{name}"' for name in SPINE)
        text = f'{{"frame": "RAS", "unit": "mm", "landmarks": {{{points}}}, "visible": [{names}]}}'
        (root / case / "landmarks.json").write_text(text)
    return root


def evaluate(
    data: Path, out: Path, models: dict[str, Named], monkeypatch: pytest.MonkeyPatch, *more: str
) -> tuple[int, str, list[str]]:
    def load(name: str) -> Named:
        if name not in models:
            raise ModelError(name, found="nothing", expected="a model", fix="name one")
        return models[name]

    monkeypatch.setattr("vertebra_ml.cli.measure.localiser_of", load)
    words = ["evaluate", "--data", data, "--out", out, "--params", ROOT / "params.yaml", *more]
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    return result.exit_code, result.stdout, errors


def test_one_model_leaves_its_files_in_the_folder(data, tmp_path, monkeypatch):
    models = {"m/x": Named(3.0)}
    status, said, _ = evaluate(data, tmp_path, models, monkeypatch, "--model", "m/x")
    assert status == 0
    assert "all: 6 of 6 named right (100.0 %), mean 3.0 mm" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "metrics.json", "report.html", "scans.csv", "slices.csv", "slices.json", "table.csv",
        "worst",
    ]  # fmt: skip
    assert sorted(path.name for path in (tmp_path / "worst").iterdir()) == ["a.png", "b.png"]


def test_several_models_stand_in_one_report(data, tmp_path, monkeypatch):
    models = {"one/net": Named(3.0), "two/net": Named(25.0), "models:/v@p": Named(0.0, fails="b")}
    words = [word for name in models for word in ("--model", name)]
    status, said, errors = evaluate(
        data, tmp_path, models, monkeypatch, *words, "--model", "one/net", "--pictures", "1"
    )
    assert status == 1
    assert len(errors) == 1
    assert "RuntimeError" in errors[0]
    table = pd.read_csv(tmp_path / "models.csv")
    assert list(table["model"]) == list(models)
    assert list(table["id_rate"]) == [1.0, 0.0, 1.0]
    assert list(table["failed"]) == [0, 0, 1]
    folders = sorted(path.name for path in tmp_path.iterdir() if path.is_dir())
    assert folders == ["net", "net-2", "v_p"]
    assert len(list((tmp_path / "net" / "worst").iterdir())) == 1
    page = (tmp_path / "report.html").read_text()
    assert all(f'<h1 class="model">{name}</h1>' in page for name in models)
    assert "two/net: " in said


BAD = [
    # words after --data and --out, exit status, what is said
    (("--model", "m/x", "--model", "none"), 1, "found nothing"),
    (("--model", "m/x", "--layout", "dcm"), 1, "dcm"),
]


@pytest.mark.parametrize(("words", "status", "shown"), BAD)
def test_bad_words_are_one_line(data, tmp_path, monkeypatch, words, status, shown):
    found, _, errors = evaluate(data, tmp_path, {"m/x": Named(0.0)}, monkeypatch, *words)
    assert (found, len(errors)) == (status, 1)
    assert shown in errors[0]


def test_a_negative_count_of_pictures_is_refused(data, tmp_path, monkeypatch):
    assert evaluate(data, tmp_path, {}, monkeypatch, "--pictures", "-1")[0] == 2
