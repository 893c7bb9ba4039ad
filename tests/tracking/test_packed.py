"""A packed model asked in a process of its own answers by the library packed with it."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.tracking.made_up import open_store
from vertebra_ml import tracking
from vertebra_ml.errors import ModelError
from vertebra_ml.mip import Mip, MipPair
from vertebra_ml.tracking.packed import Packed
from vertebra_ml.volume import Source, Volume

CODE = """
import os
from pathlib import Path
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel
import vertebra_ml

COLUMNS = ("level", "found", "x_mm", "y_mm", "z_mm", "score", "error")


class Answers(PythonModel):
    def predict(self, context, model_input: pd.DataFrame, params=None):
        print("chatter")
        row = model_input.to_dict(orient="records")[0]
        root = Path(os.environ.get("VERTEBRA_ML_ROOT", "."))
        size = (root / str(row.get("path") or "")).stat().st_size  # published: a row of content
        if row["case"] == "fails":
            raise ValueError("one line\\nand another")
        if row["case"] == "dies":
            os._exit(1)
        if row["case"] == "which":
            return [dict(zip(COLUMNS, (None,) * 6 + (vertebra_ml.__file__,)))]
        absent = None if row["case"] == "guess" else False
        values = [
            ("T12", True, None, None, size, 0.9, None), ("L3", absent, None, None, None, 0.2, None)
        ]
        return [dict(zip(COLUMNS, each)) for each in values]


set_model(Answers())
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: bytes) -> Path:
    """Publish a model that answers without a network; return its folder in the registry."""
    place = tmp_path_factory.mktemp("packed")
    (place / "mlflow.db").write_bytes(migrated_sqlite)
    uri = f"sqlite:///{place}/mlflow.db"
    open_store(uri)
    for name in ("model", "reports"):
        (place / name).mkdir()
    contract = {"kind": "fake", "settings": {"levels": ["T12", "L3"]}, "data_hash": "d41d8"}
    (place / "model" / "model.json").write_text(json.dumps(contract))
    (place / "model" / "model.weights.h5").write_bytes(b"none")
    (place / "reports" / "metrics.json").write_text("{}")
    (place / "reports" / "verdict.json").write_text('{"passed": true}')
    (place / "served.py").write_text(CODE)
    tracking.publish(
        place / "model", place / "reports", uri=uri, experiment="packed", registered="fake",
        code=place / "served.py",
    )  # fmt: skip
    return tracking.fetch("models:/fake/1", uri)[0]


@pytest.fixture
def packed(folder: Path) -> Iterator[Packed]:
    with Packed(folder) as model:
        yield model


VOLUME = Volume(np.zeros((4, 5, 6), np.int16), np.diag([1.0, 1.0, 2.0, 1.0]))


def test_it_answers(packed: Packed, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    answer = packed.locate(VOLUME, "a")
    assert (answer.case, answer.landmarks.labels, answer.missing) == ("a", ("T12",), ("L3",))
    assert np.isnan(answer.landmarks["T12"][:2]).all()
    assert answer.landmarks["T12"][2] >= 2 * VOLUME.array.size  # the file was there
    assert (answer.model.kind, answer.model.version) == ("fake", "1")
    image = np.zeros((6, 4), np.int16)
    views = (Mip(image, (1.0, 1.0), (0.0, 0.0), view) for view in ("frontal", "sagittal"))
    pair = MipPair(*views, spine_mm=(0.0, 0.0))
    source = Source(VOLUME.affine, VOLUME.array.shape)
    assert packed.locate_mips(pair, source, "b").landmarks.labels == ("T12",)
    guess = packed.locate(VOLUME, "guess")
    assert (guess.landmarks.labels, guess.missing, guess.untold) == (("T12",), (), {"L3": 0.2})
    for case, told in (("fails", "one line and another"), ("which", str(folder.parents[1]))):
        lost = packed.locate(VOLUME, case)
        assert (lost.landmarks.labels, lost.missing) == ((), ("T12", "L3"))
        assert f"{case}: not answered, counted as nothing found" in caplog.messages[-1]
        assert told in caplog.messages[-1]
    with pytest.raises(ModelError, match=r"expected the packages of its requirements\.txt"):
        packed.locate(VOLUME, "dies")
