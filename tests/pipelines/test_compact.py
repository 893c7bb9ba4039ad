"""Compact phantom archives: little is lost, air stays air, the file stays a plain archive."""

from pathlib import Path

import numpy as np

from pipelines.compact import coarse, repack
from vertebra_ml.archive import Archive, read_archive, write_archive
from vertebra_ml.landmarks import Landmarks, Truth
from vertebra_ml.mip import Mip, MipPair
from vertebra_ml.volume import AIR_HU, Source


def _pair(image: np.ndarray) -> MipPair:
    views = [Mip(image, (1.0, 1.0), (5.0, 7.0), view) for view in ("frontal", "sagittal")]
    return MipPair(views[0], views[1], (1.0, 2.0))


def test_steps_grow_with_the_value() -> None:
    values = np.arange(-1024, 3072, dtype=np.int16).reshape(64, 64)
    rounded = coarse(_pair(values)).frontal.image
    assert rounded.dtype == np.int16
    assert (rounded == AIR_HU).sum() == 1  # air stays air, and nothing else becomes it
    # Half a step of 0.08 on a scale of (|HU| + 300), and half a unit of rounding.
    allowed = (np.abs(values.astype(float)) + 300) * (np.exp(0.04) - 1) + 1
    assert (np.abs(rounded.astype(float) - values) <= allowed).all()
    assert len(np.unique(rounded)) < 60


def test_rounding_twice_is_rounding_once() -> None:
    values = np.arange(-1024, 3072, dtype=np.int16).reshape(64, 64)
    once = coarse(_pair(values))
    assert (coarse(once).frontal.image == once.frontal.image).all()


def test_repacked_archive_reads_the_same_and_is_smaller(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    image = rng.normal(300, 30, (300, 200)).astype(np.int16)
    truth = Truth(Landmarks.of({"L3": (0, 0, -100)}), ("L3",))
    source = Source(np.eye(4), (5, 6, 7))
    paths = [tmp_path / name for name in ("a.npz", "b.npz")]
    for path in paths:
        write_archive(path, Archive("p", "p", "phantom", coarse(_pair(image)), source, truth))
    plain = paths[0].stat().st_size
    for path in paths:
        repack(path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert paths[0].stat().st_size < 0.8 * plain
    entry = read_archive(paths[0])
    assert (entry.pair.frontal.image == coarse(_pair(image)).frontal.image).all()
    assert entry.truth is not None
    assert entry.truth.landmarks.labels == ("L3",)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.npz", "b.npz"]
