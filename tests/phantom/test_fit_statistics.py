"""The fit: known populations come back, slips are left out, the committed numbers fit the data."""

import json
from pathlib import Path

import numpy as np
import pytest

from vertebra_ml.anatomy import USUAL
from vertebra_ml.errors import DatasetError
from vertebra_ml.phantom.fit_statistics import (
    PAIRS,
    fit_factors,
    main,
    pedicle_table,
    read_spine,
    step_table,
)
from vertebra_ml.phantom.spine import statistics

REAL = Path(__file__).parents[3] / "shared" / "real" / "keypoints" / "truth"


def _entry(point_ras: np.ndarray, kind: str, level: str | None = None) -> dict[str, object]:
    lps = (point_ras * [-1, -1, 1]).tolist()
    named = {"keypoint_type": kind} | ({"spine_level": level} if level else {})
    return {"coordinates": {"world_space": lps}, "type": named}


def _write(folder: Path, name: str, gap: float, levels: tuple[str, ...]) -> Path:
    entries = []
    for i, level in enumerate(levels):
        centre = np.array([5.0, 2.0 * i, -gap * i])
        entries.append(_entry(centre, "body", level))
        entries += [
            _entry(centre + np.array([s * 15, -20, 3]), k) for s, k in ((1, "right"), (-1, "left"))
        ]
    path = folder / f"{name}.json"
    path.write_text(json.dumps(entries))
    return path


def test_reads_lps_as_ras_and_gives_pedicles_their_level(tmp_path: Path) -> None:
    spine = read_spine(_write(tmp_path, "a", 35.0, ("L1", "L2")))
    np.testing.assert_allclose(spine["body"]["L2"], [5, 2, -35])
    np.testing.assert_allclose(spine["right"]["L2"], [20, -18, -32])
    assert pedicle_table([spine]) == {"L1": [30.0, 0.0], "L2": [30.0, 0.0]}


def test_steps_hold_length_and_drifts_and_no_slips(tmp_path: Path) -> None:
    gaps = [34.0, 35.0, 36.0, 35.5, 34.5, 90.0]  # the last one is a slip
    spines = [read_spine(_write(tmp_path, str(k), gap, ("L1", "L2"))) for k, gap in enumerate(gaps)]
    table = step_table(spines)
    pair = PAIRS.index(("L1", "L2"))
    np.testing.assert_allclose(table[0, pair], [np.hypot(34, 2), 2.0, 0.0])
    assert np.isnan(table[-1, pair]).all()
    assert np.isfinite(table[:, :, 0]).sum() == 5


def test_factors_come_back_from_rows_with_holes() -> None:
    rng = np.random.default_rng(0)
    loadings = np.array([0.9, 0.8, 0.85, 0.7, -0.8])
    own = np.sqrt(1 - loadings**2)
    z = rng.standard_normal((500, 1)) * loadings + rng.standard_normal((500, 5)) * own
    values = 20 + 2 * z
    values[rng.random(values.shape) < 0.4] = np.nan
    model = fit_factors(values, 1)
    # 300 values a column: errors of 0.12 in the mean, 0.08 in the SD, 0.04 in a loading.
    np.testing.assert_allclose(model["mean"], 20, atol=0.4)
    np.testing.assert_allclose(model["sd"], 2, atol=0.3)
    found = model["loadings"][:, 0] * np.sign(model["loadings"][0, 0])
    np.testing.assert_allclose(found, loadings, atol=0.12)


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no \.json file"):
        main([str(tmp_path)])


def test_committed_numbers_are_whole() -> None:
    content = statistics()
    pairs = len(PAIRS)
    assert content["pairs"] == ["-".join(pair) for pair in PAIRS]
    assert "ImFusion" in content["source"]
    for name, size in (("sagittal", 2 * pairs), ("lateral", pairs)):
        model = {key: np.array(value) for key, value in content[name].items()}
        assert model["mean"].shape == model["sd"].shape == (size,)
        assert ((model["loadings"] ** 2).sum(axis=1) < 1).all()
        assert (model["sd"] > 0).all()
    assert set(content["pedicle_width_mm"]) == {*USUAL, "L6"}


def test_committed_means_are_those_of_the_real_spines() -> None:
    if not REAL.is_dir():
        pytest.skip("the real keypoints (../shared/real) are not here")
    paths = sorted(REAL.glob("*.json"))[::6]
    table = step_table(read_spine(path) for path in paths)
    content = statistics()
    for pair in ("T11-T12", "L2-L3", "L4-L5"):
        i = content["pairs"].index(pair)
        # Every sixth spine: about 300 lengths, whose mean has an error of 0.16 mm.
        assert np.nanmean(table[:, i, 0]) == pytest.approx(content["sagittal"]["mean"][i], abs=0.6)
