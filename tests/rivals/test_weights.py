"""Networks on disk: what is written is read, and what is not ours is one line."""

import io
from pathlib import Path

import numpy as np
import pytest

from tests.chain.columns import candidates
from vertebra_ml.anatomy import USUAL
from vertebra_ml.chain import Candidates
from vertebra_ml.errors import ModelError
from vertebra_ml.rivals import label, weights
from vertebra_ml.rivals.network import begin
from vertebra_ml.rivals.weights import SHIPPED, Networks, load, packed, rounded, shipped

NETWORKS = Networks(
    tuple(rounded(begin(np.random.default_rng(seed))) for seed in (0, 1)), 0.8, 1.5, "made up"
)


def written(path: Path, **other: np.ndarray) -> Path:
    """Write good weights with some arrays replaced."""
    good = path.with_name("good.npz")
    good.write_bytes(packed(NETWORKS))
    with np.load(good) as file:
        np.savez(path, **{**file, **other})
    return path


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "weights.npz"
    path.write_bytes(packed(NETWORKS))
    again = load(path)
    assert (again.sure, again.temperature, again.source) == (0.8, 1.5, "made up")
    assert len(again.seeds) == 2
    for one, other in zip(again.seeds, NETWORKS.seeds, strict=True):
        assert set(one) == set(other)
        for name, value in one.items():
            np.testing.assert_array_equal(value, other[name])
    assert packed(again) == packed(NETWORKS)


def test_the_shipped_ones_are_small_and_say_where_they_come_from() -> None:
    assert SHIPPED.stat().st_size < 1_000_000
    assert 4 <= len(shipped().seeds) <= 8
    assert "CC BY-SA 4.0" in shipped().source


FOREIGN = {
    "shape": {"join": np.zeros((2, 3), np.float16)},
    "kind": {"trust": np.zeros((2, 1), np.float64)},
    "not finite": {"build": np.full((2, 6), np.nan, np.float16)},
    "no probability": {"sure": np.array(7.0)},
    "words": {"sure": np.array("much")},
    "cold": {"temperature": np.array(0.0)},
    "hot": {"temperature": np.array(np.inf)},
    "names": {"more": np.zeros(3)},
    "objects": {"join": np.array([{}], dtype=object)},
}


@pytest.mark.parametrize("name", FOREIGN)
def test_foreign_arrays_are_one_line(tmp_path: Path, name: str) -> None:
    path = written(tmp_path / "weights.npz", **FOREIGN[name])
    with pytest.raises(ModelError, match=r"weights.npz.*rivals\.fit") as caught:
        load(path)
    assert "\n" not in str(caught.value)


def npy() -> bytes:
    """Return one array on its own, which numpy reads as well."""
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    return buffer.getvalue()


@pytest.mark.parametrize("content", [None, b"", b"no archive", b"PK\x03\x04 torn", npy()])
def test_no_archive_is_one_line(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "weights.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match="no readable weights"):
        load(path)


def test_the_chain_needs_no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "SHIPPED", tmp_path / "absent.npz")
    shipped.cache_clear()
    try:
        column, _ = candidates(USUAL[12:])
        with pytest.raises(ModelError, match=r"absent\.npz"):
            label(column)
        assert label(Candidates(column.points_mm)).levels
    finally:
        shipped.cache_clear()
