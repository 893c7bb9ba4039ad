"""The limits that travel with a model: a scan outside them is told of, or refused."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.models import toys
from tests.models.tiny import TINY
from vertebra_ml import models
from vertebra_ml.bounds import KEPT, check_mips, check_volume, travelling
from vertebra_ml.config import load
from vertebra_ml.errors import LimitError, ModelError
from vertebra_ml.prepare import project
from vertebra_ml.tracking.example import made_up_scan
from vertebra_ml.volume import Volume

ROOT = Path(__file__).parents[1]
LIMITS = travelling(load(ROOT / "params.yaml").limits.model_dump())

SCAN = made_up_scan()  # 360 mm wide, 400 mm high, voxels of 4 mm, -1000 to 400 HU


def stretched(factors: tuple[float, float, float]) -> Volume:
    """Return the scan with voxels as much larger along each axis."""
    return Volume(SCAN.array, SCAN.affine @ np.diag([*factors, 1.0]))


BAD: dict[str, tuple[Volume, str]] = {
    "tiny voxels": (stretched((1, 0.04, 1)), "not smaller than CT makes them"),
    "thick slices": (stretched((1, 1, 3)), r"thin enough \(mm\): found 12"),
    "low": (Volume(SCAN.array[:, :, :5], SCAN.affine), "high enough"),
    "narrow": (Volume(SCAN.array[40:50], SCAN.affine), "wide enough"),
    "counted from nought": (Volume(SCAN.array + np.int16(1000), SCAN.affine), "air or fat"),
    "no bone": (Volume(np.minimum(SCAN.array, 150), SCAN.affine), "There is bone"),
    "no tissue": (Volume(np.where(SCAN.array == 40, 400, SCAN.array), SCAN.affine), "soft tissue"),
}


def test_a_scan_inside_the_limits_is_not_spoken_of() -> None:
    assert check_volume(SCAN, "a", LIMITS) == ()
    assert set(LIMITS) == set(KEPT)


@pytest.mark.parametrize("name", BAD)
def test_a_scan_outside_is_warned_of_or_refused(name: str) -> None:
    scan, line = BAD[name]
    with pytest.raises(LimitError):
        check_volume(scan, "a", {**LIMITS, "outside": "refuse"})
    (warning,) = check_volume(scan, "a", LIMITS)
    assert re.search(line, warning)
    assert "look at the overlay" in warning
    assert check_volume(scan, "a", {}) == ()  # a model made before its limits travelled


def test_mips_are_held_against_what_they_still_show() -> None:
    pair = project(SCAN, spacing_mm=1.0, body_threshold_hu=-300, slab_mm=60.0)
    assert check_mips(pair, SCAN.origin, "a", LIMITS) == ()
    strict = {**LIMITS, "hu_high_min": 500, "height_min_mm": 450.0, "spacing_max_mm": 3.0}
    lines = check_mips(pair, SCAN.origin, "a", strict)
    assert [line.split(":")[0] for line in lines] == [
        "Slices are thin enough (mm)",
        "The scan is high enough to hold a vertebra (mm)",
        "There is bone",
    ]
    with pytest.raises(LimitError, match="at most 3"):
        check_mips(pair, SCAN.origin, "a", {**strict, "outside": "refuse"})


def test_a_trained_model_takes_them_along_and_keeps_to_them(tmp_path: Path) -> None:
    from vertebra_ml.models.architectures import ARCHITECTURES

    ARCHITECTURES["tiny"] = TINY
    paths, settings = toys.archives(tmp_path, 2), _settings()
    limits = {**LIMITS, "height_min_mm": 1000.0}
    models.train(
        settings, toys.PROJECTION, {"train": paths[:1], "validation": paths[1:]}, tmp_path / "m",
        seed=1, data_hash="d", on_epoch=lambda epoch, figures: None, limits=limits,
    )  # fmt: skip
    told = models.load_model(tmp_path / "m").locate(SCAN, "a")
    assert told.warnings[0].startswith("The scan is high enough to hold a vertebra")
    with pytest.raises(LimitError, match="at least 1000"):
        models.load_model(tmp_path / "m", outside="refuse").locate(SCAN, "a")
    with pytest.raises(ModelError, match="warn or refuse"):
        models.load_model(tmp_path / "m", outside="shout")


def _settings() -> dict[str, Any]:
    return toys.settings(architecture="tiny", epochs=1, steps_per_epoch=1, batch=1)
