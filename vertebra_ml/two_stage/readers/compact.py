"""A CT in, its named vertebrae out: detection, views along the spine, identification, the chain."""

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from scipy.special import softmax

from vertebra_ml.anatomy import LEVELS
from vertebra_ml.models.program import Singles, program
from vertebra_ml.two_stage import anchor, weights
from vertebra_ml.two_stage.anchor import Anchor
from vertebra_ml.two_stage.architectures import Reading
from vertebra_ml.two_stage.compact import ribs
from vertebra_ml.two_stage.compact.column import FAR, NEAR, NEAR_MM
from vertebra_ml.two_stage.compact.cutting import ABOVE_MM, BELOW_MM
from vertebra_ml.two_stage.compact.detection import Spine, padded, spine_of
from vertebra_ml.two_stage.compact.grey import tensor
from vertebra_ml.two_stage.compact.identification import Sightings, sightings
from vertebra_ml.two_stage.compact.networks import NETWORKS
from vertebra_ml.two_stage.compact.scene import Scene, Views, as_planes
from vertebra_ml.two_stage.edges import drawn_in
from vertebra_ml.two_stage.fusion import WORTHLESS, Fused, fused
from vertebra_ml.two_stage.scores import recognition, scores
from vertebra_ml.two_stage.settings import Settings
from vertebra_ml.volume import Volume

WARM_ROWS: Final = 8
"""Height of the empty pictures shown at loading, as the slice spotter does."""
UNCALIBRATED: Final = {"spread_scale": 2.0, "name_weight": 1.0}
"""Thresholds of networks that nothing was measured on."""

WRONG: Final = ("names_wrong", "second_wrong")
"""Thresholds: how often each network, read alone, names a vertebra wrongly or more than 20 mm off,
on validation phantoms, which are drawn from other ranges than those learnt from. Taken for the
chance that its word on a whole column is worth nothing."""
LEAST_WRONG, MOST_WRONG = 0.02, 0.5
"""A network that erred nowhere in validation may err; one that mostly does still says something."""

NOTHING: Final = Reading((), np.empty((0, 3)), np.empty(0), np.empty(0), ("no spine found",))


class CompactReader:
    """Both trained networks, and the slice spotter that they carry, if any.

    ``read`` may be called from many threads.
    """

    def __init__(
        self,
        networks: Mapping[str, Any],
        thresholds: Mapping[str, float],
        second: Anchor | None = None,
    ) -> None:
        self._programs = {stage: program(network) for stage, network in networks.items()}
        self._thresholds = thresholds
        self._second = second
        self._lock = threading.Lock()
        self._asked("detection", [np.zeros((1, *(WARM_ROWS,) * 3, 2), dtype=np.float32)])
        near = np.zeros((1, 2 * WARM_ROWS, *NEAR.shape, 2), dtype=np.float32)
        far = np.zeros((1, WARM_ROWS, *FAR.shape, 2), dtype=np.float32)
        chest = np.zeros((1, 2 * WARM_ROWS, 1, 2 * ribs.HALF, 3), dtype=np.float32)
        self._asked("identification", [near, far, chest])

    def read(self, volume: Volume) -> Reading:
        """Name the vertebrae of a CT. Raises GeometryError where it cannot be straightened."""
        scene = Scene.of(volume)
        spine = self.spine(scene)
        if spine is None:
            return NOTHING
        ends = ends_of(spine)
        views = scene.along(spine.path, *ends)
        inputs = [
            tensor(views.near, views.near_inside)[None],
            tensor(views.far, views.far_inside)[None],
            ribs.ribs(scene, spine.path, *ends)[None],
        ]
        seen = sightings(self._asked("identification", inputs))
        points_mm = scene.world_of(places_of(seen, views))
        points_mm = drawn_in(volume.origin, points_mm, seen.heat, NEAR_MM[2])
        second = None
        if self._second and len(points_mm):
            second = self._second.chances(volume, points_mm)
        return named(seen, points_mm, self._thresholds, second)

    def spine(self, scene: Scene) -> Spine | None:
        """Return where detection finds the spine, None where it finds none."""
        far = as_planes(scene.far)
        picture = padded(tensor(far, np.ones(far.shape, dtype=bool)))
        logits = self._asked("detection", [picture[None]])[..., 0]
        rows, depth, width = far.shape
        chances = 1 / (1 + np.exp(-logits[:rows, :depth, :width].astype(np.float64)))
        return spine_of(chances.astype(np.float32))

    def _asked(self, stage: str, inputs: Sequence[Singles]) -> Singles:
        with self._lock:
            answer: Singles = self._programs[stage](inputs)[0]
        return answer


def ends_of(spine: Spine) -> tuple[float, float]:
    """Return the heights, mm, between which a column is shown: as in training, on average."""
    # Detection marks discs half a gap beyond the outermost body centres.
    above, below = float(np.mean(ABOVE_MM)) - 10, float(np.mean(BELOW_MM)) - 16
    return spine.top_mm + above, spine.foot_mm - below


def places_of(seen: Sightings, views: Views) -> Any:
    """Return (n, 3) places on the scene's grids."""
    every = np.arange(len(views.z_mm))
    middle = [np.interp(seen.rows, every, views.xy_mm[:, i]) for i in (0, 1)]
    aside = np.stack(middle, axis=1) + seen.aside_mm
    return np.column_stack([aside, views.heights_of(seen.rows)])


def named(
    seen: Sightings, points_mm: Any, thresholds: Mapping[str, float], second: Any = None
) -> Reading:
    """Name sightings at (n, 3) RAS mm by the network's names, and the slice spotter's word (n, 26)
    where there is one."""
    if not len(points_mm):
        return NOTHING
    words = [softmax(thresholds["name_weight"] * seen.names, axis=1)]
    if second is not None:
        words.append(second)
    wrong = [thresholds.get(name, WORTHLESS) for name in WRONG[: len(words)]]
    answer = fused(points_mm, words, np.clip(wrong, LEAST_WRONG, MOST_WRONG))
    return as_reading(answer, words, seen, points_mm, thresholds)


def as_reading(
    answer: Fused,
    words: Sequence[Any],
    seen: Sightings,
    points_mm: Any,
    thresholds: Mapping[str, float],
) -> Reading:
    """Return what is answered of sightings with these names, which networks had these words for."""
    together = answer.together
    kept = [i for i, level in enumerate(together.levels) if level]
    levels = [together.levels[i] for i in kept]
    spread_mm = seen.spread_mm[kept] * thresholds["spread_scale"]
    recognised = recognition(levels, [one[kept] for one in words])
    seen_somewhere = np.minimum(together.chances.sum(axis=0), 1.0)  # each level is one at most
    return Reading(
        tuple(levels),
        points_mm[kept],
        scores(recognised, spread_mm),
        spread_mm,
        answer.warnings(),
        {
            level: float(1 - chance)
            for level, chance in zip(LEVELS, seen_somewhere, strict=True)
            if level not in levels
        },
    )


def load(folder: Path, settings: Settings, thresholds: Mapping[str, float]) -> CompactReader:
    """Load both networks from ``folder``. Raises ModelError where weights are missing or others."""
    networks = weights.load(NETWORKS, folder, settings.architecture)
    return CompactReader(networks, thresholds, anchor.beside(folder))


def untrained(folder: Path, seed: int) -> dict[str, float]:
    """Write weights at random into ``folder``; return thresholds to go with them."""
    import keras

    keras.utils.set_random_seed(seed)
    networks = {stage: build() for stage, build in NETWORKS.items()}
    weights.save(networks, NETWORKS, folder)
    return dict(UNCALIBRATED)
