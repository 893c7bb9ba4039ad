"""Settings: complete, known, given once, in range; each fault named in one line."""

from pathlib import Path

import pytest

from vertebra_ml.config import load
from vertebra_ml.errors import ModelError

TEXT = (Path(__file__).parent.parent / "params.yaml").read_text(encoding="utf-8")

FAULTS = [
    # instead of, this, what the line says
    ("gross_mm: 20.0", "gross_mm: .inf", "evaluate.gross_mm"),
    ("gross_mm: 20.0", "gross_mm: .nan", "evaluate.gross_mm"),
    ("gross_mm: 20.0", "gross_mm: -1", "evaluate.gross_mm"),
    ("gross_mm: 20.0", "gross: 20.0", "evaluate.gross: Extra inputs"),
    ("gross_mm: 20.0", "gross: 20.0", "evaluate.gross_mm: Field required"),
    ("gross_mm: 20.0", "gross_mm: 20.0\n  gross_mm: 30.0", "'gross_mm' is given twice"),
    ("architecture: pair", "architecture: huge", "models.slice_spotter.architecture"),
    ("    levels: [T12, L3]", "    levels: []", "models.slice_spotter.levels"),
    ("    levels: [T12, L3]", "    levels: [L3, L3]", "given twice"),
    ("    levels: [T12, L3]", "    levels: [L9]", "'L9' is no vertebra"),
    ("seed:", "seed: [", "while parsing"),
]


@pytest.mark.parametrize(("old", "new", "said"), FAULTS)
def test_faults_are_named_in_one_line(tmp_path, old, new, said):
    assert old in TEXT
    path = tmp_path / "params.yaml"
    path.write_text(TEXT.replace(old, new), encoding="utf-8")
    with pytest.raises(ModelError) as caught:
        load(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"- 1", b"\xe9", b"a: b: c"])
def test_what_is_no_settings_file_is_one_line(tmp_path, content):
    path = tmp_path / "params.yaml"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="expected the keys"):
        load(path)


def test_a_file_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(ModelError, match="No such file"):
        load(tmp_path / "none.yaml")


def test_numbers_with_exponents_are_numbers(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(TEXT.replace("learning_rate: 0.001", "learning_rate: 1e-3"), encoding="utf-8")
    assert load(path).models.slice_spotter.learning_rate == 0.001
