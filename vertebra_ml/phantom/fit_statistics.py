"""Fit the statistics of real spines: ``python -m vertebra_ml.phantom.fit_statistics KEYPOINTS``.

KEYPOINTS is the folder of one JSON file a spine of ImFusion VID ("truth"). The result is
``statistics.json`` beside this file: a factor model of the steps from body centre to body centre,
and where the pedicles lie. Only these numbers enter the project.

A spine is a row with holes (most scans show a part), so the factor model is fitted by expectation
maximisation over what each scan shows (Rubin & Thayer 1982, doi 10.1007/BF02293851).
"""

import json
import sys
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from vertebra_ml.anatomy import USUAL
from vertebra_ml.errors import DatasetError

Array = NDArray[np.float64]

SOURCE: Final = (
    "1,947 spine CTs of ImFusion VID (ImFusionGmbH/VID-vertebra-identification-dataset, f19fd3c6, "
    "CC BY-SA 4.0), semi-automatic keypoints checked by their authors; fitted by "
    "vertebra_ml.phantom.fit_statistics"
)
PAIRS: Final = (*pairwise(USUAL), ("L5", "L6"))
OUTLIER_SIGMAS: Final = 5.0
"""Robust distance beyond which a step is taken for a slip of annotation."""
LPS_TO_RAS: Final = np.array([-1.0, -1.0, 1.0])
RIDGE: Final = 6.0
"""Spines' worth of belief that a loading is zero: shrinks levels that few scans show."""
SAGITTAL_FACTORS, LATERAL_FACTORS, ROUNDS = 6, 3, 80


def read_spine(path: Path) -> dict[str, dict[str, Array]]:
    """Return ``{"body": {"L3": (3,)}, "left": ..., "right": ...}``, RAS mm.

    Pedicles carry no level in the files: each goes to the nearest body.
    """
    bodies: dict[str, Array] = {}
    sides: dict[str, list[Array]] = {"left": [], "right": []}
    for entry in json.loads(path.read_text()):
        point = np.asarray(entry["coordinates"]["world_space"]) * LPS_TO_RAS
        kind = entry["type"]["keypoint_type"]
        if kind == "body":
            bodies[entry["type"]["spine_level"]] = point
        else:
            sides[kind].append(point)
    nearest: dict[str, dict[str, Array]] = {"body": bodies, "left": {}, "right": {}}
    for side, points in sides.items():
        for point in points:
            level = min(bodies, key=lambda name: float(np.linalg.norm(bodies[name] - point)))
            nearest[side][level] = point
    return nearest


def step_table(spines: Iterable[dict[str, dict[str, Array]]]) -> Array:
    """Return (spines, pairs, 3): length, forward drift (y), rightward drift (x), mm; NaN unseen.

    A step goes from a level to the next below it.
    """
    rows = []
    for spine in spines:
        body = spine["body"]
        row = np.full((len(PAIRS), 3), np.nan)
        for i, (upper, lower) in enumerate(PAIRS):
            if upper in body and lower in body:
                step = body[lower] - body[upper]
                row[i] = np.linalg.norm(step), step[1], step[0]
        rows.append(row)
    table = np.array(rows)
    seen = np.isfinite(table).any(axis=(0, 2))
    part = table[:, seen]
    middle = np.nanmedian(part, axis=0)
    spread = 1.4826 * np.nanmedian(np.abs(part - middle), axis=0)
    part[(np.abs(part - middle) > OUTLIER_SIGMAS * spread).any(axis=2)] = np.nan
    table[:, seen] = part
    return table


def fit_factors(values: Array, factors: int) -> dict[str, Array]:
    """Fit ``value = mean + sd * (loadings @ z + noise)`` to (n, d) rows with NaN where unseen.

    Returns mean (d,), sd (d,), loadings (d, factors) in units of the SD, shrunk towards zero.
    """
    mean, sd = np.nanmean(values, axis=0), np.nanstd(values, axis=0)
    scaled = (values - mean) / sd
    seen = np.isfinite(scaled)
    kinds, kind = np.unique(seen, axis=0, return_inverse=True)
    # Spines that show the same levels share the same inverse.
    rows = [
        (scaled[kind.ravel() == k][:, mask], mask) for k, mask in enumerate(kinds) if mask.sum() > 1
    ]
    loadings = 0.3 * np.random.default_rng(0).standard_normal((values.shape[1], factors))
    noise = np.full(values.shape[1], 0.5)
    for _ in range(ROUNDS):
        loadings, noise = _round(rows, loadings, noise)
    length = np.sqrt((loadings**2).sum(axis=1))
    # No level may be explained whole: a little of it stays its own.
    return {"mean": mean, "sd": sd, "loadings": loadings * np.minimum(1, 0.97 / length)[:, None]}


def _round(
    rows: list[tuple[Array, NDArray[np.bool_]]], loadings: Array, noise: Array
) -> tuple[Array, Array]:
    size, factors = loadings.shape
    squares = np.tile(RIDGE * np.eye(factors), (size, 1, 1))
    crossed, total, count = np.zeros((size, factors)), np.zeros(size), np.zeros(size)
    for values, mask in rows:
        part = loadings[mask] / noise[mask, None]
        cov = np.linalg.inv(np.eye(factors) + loadings[mask].T @ part)
        z = values @ part @ cov
        squares[mask] += len(values) * cov + z.T @ z
        crossed[mask] += values.T @ z
        total[mask] += (values**2).sum(axis=0)
        count[mask] += len(values)
    new = np.linalg.solve(squares, crossed[..., None])[..., 0].astype(np.float64)
    noise = np.maximum((total - (new * crossed).sum(axis=1)) / count, 0.05)
    return new, noise


def pedicle_table(spines: Iterable[dict[str, dict[str, Array]]]) -> dict[str, list[float]]:
    """Return per level: width between the pedicle points and its SD, mm, and how many spines."""
    widths: dict[str, list[float]] = {}
    for spine in spines:
        for level in spine["left"].keys() & spine["right"].keys():
            gap = float(np.linalg.norm(spine["left"][level] - spine["right"][level]))
            widths.setdefault(level, []).append(gap)
    order = [level for level in (*USUAL, "L6") if level in widths]
    return {
        level: [round(float(np.median(widths[level])), 1), round(_robust_sd(widths[level]), 1)]
        for level in order
    }


def _robust_sd(values: list[float]) -> float:
    array = np.asarray(values)
    return float(1.4826 * np.median(np.abs(array - np.median(array))))


def fit(folder: Path) -> dict[str, Any]:
    """Return the content of ``statistics.json`` from a folder of keypoint files.

    Raises DatasetError where the folder holds none.
    """
    paths = sorted(folder.glob("*.json"))
    if not paths:
        raise DatasetError(
            folder, found="no .json file", expected="a file a spine", fix="name the truth folder"
        )
    spines = [read_spine(path) for path in paths]
    table = step_table(spines)
    sagittal = np.concatenate([table[:, :, 0], table[:, :, 1]], axis=1)
    # Right and left are alike: each spine counts once as it is and once mirrored.
    lateral = np.concatenate([table[:, :, 2], -table[:, :, 2]])
    models = {
        "sagittal": fit_factors(sagittal, SAGITTAL_FACTORS),
        "lateral": fit_factors(lateral, LATERAL_FACTORS),
    }
    rounded = {
        name: {key: np.round(array, 3).tolist() for key, array in model.items()}
        for name, model in models.items()
    }
    counts = np.isfinite(table[:, :, 0]).sum(axis=0).tolist()
    pairs = ["-".join(pair) for pair in PAIRS]
    return {"source": SOURCE, "pairs": pairs, "count": counts, **rounded} | {
        "pedicle_width_mm": pedicle_table(spines)
    }


def main(arguments: list[str]) -> None:
    """Write ``statistics.json`` beside this file from the folder named first in ``arguments``."""
    target = Path(__file__).with_name("statistics.json")
    text = json.dumps(fit(Path(arguments[0])))
    part = target.with_suffix(".part")
    part.write_text(text.replace("], ", "],\n").replace(', "', ',\n"') + "\n")
    part.replace(target)


if __name__ == "__main__":
    main(sys.argv[1:])
