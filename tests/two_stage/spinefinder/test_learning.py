"""The published networks: what they are told, and that a training survives a kill."""

import csv
import dataclasses
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tests.two_stage.spinefinder.toys import column, scan
from vertebra_ml.errors import ModelError
from vertebra_ml.two_stage.architectures import Lesson
from vertebra_ml.two_stage.readers.spinefinder import load, untrained
from vertebra_ml.two_stage.settings import Settings
from vertebra_ml.two_stage.spinefinder import batches, cutting, learning, networks
from vertebra_ml.two_stage.spinefinder.cutting import UNKNOWN, cut

RNG = np.random.default_rng(11)
MASK = RNG.choice(np.array([0, 1, UNKNOWN], np.uint8), (2, 4, 3, 5), p=[0.6, 0.3, 0.1])
LOGITS = RNG.normal(0, 2, (2, 4, 3, 5, 2)).astype(np.float32)
LEVELS = RNG.choice(np.array([0, 5, 20], np.uint8), (3, 6, 7))
VALUES = (LEVELS + RNG.normal(0, 0.6, LEVELS.shape)).astype(np.float32)
TRAINING = {
    "epochs": 2, "steps_per_epoch": 1, "batch": 2, "learning_rate": 0.01, "patience": 9,
    "minutes": 600.0,
}  # fmt: skip
SETTINGS = Settings.of({
    "levels": ["T12", "L1"], "architecture": "spinefinder", "precision": "float32",
    "detection": TRAINING, "identification": TRAINING,
    "mix": {"phantom": 1.0, "scans": 1.0}, "warning_score": 0.5,
})  # fmt: skip


def test_the_loss_of_detection_weighs_spine_nine_times_and_skips_the_unknown() -> None:
    total, known = 0.0, 0
    for place in np.ndindex(*MASK.shape):
        if MASK[place] == UNKNOWN:
            continue
        a, b = (float(v) for v in LOGITS[place])
        p_spine = np.exp(b) / (np.exp(a) + np.exp(b))
        total -= 0.9 * np.log(p_spine) if MASK[place] == 1 else 0.1 * np.log(1 - p_spine)
        known += 1
    ours = float(networks.weighted_cross_entropy(MASK, LOGITS))
    assert ours == pytest.approx(total / known, rel=1e-4)


def test_dice_and_recalls_are_those_of_the_sets() -> None:
    found, known = LOGITS[..., 1] > LOGITS[..., 0], MASK != UNKNOWN
    truth = MASK == 1
    figures = learning.measure_detection([(MASK[:1], LOGITS[:1]), (MASK[1:], LOGITS[1:])])
    both = (found & truth).sum()
    assert figures["dice"] == pytest.approx(2 * both / ((found & known).sum() + truth.sum()))
    assert figures["recall"] == pytest.approx(both / truth.sum())
    quiet = (~found & (MASK == 0)).sum()
    assert figures["background_recall"] == pytest.approx(quiet / (MASK == 0).sum())
    assert figures["error"] == pytest.approx(1 - figures["dice"])


def test_the_loss_of_identification_ignores_the_background() -> None:
    told = LEVELS > 0
    off = np.abs(VALUES - LEVELS)[told].mean()
    assert float(networks.level_error(LEVELS, VALUES)) == pytest.approx(off, rel=1e-5)
    rate = (np.rint(VALUES) == LEVELS)[told].mean()
    assert float(networks.level_rate(LEVELS, VALUES)) == pytest.approx(rate, rel=1e-5)
    wild = np.where(told, VALUES, 1e6).astype(np.float32)
    assert float(networks.level_error(LEVELS, wild)) == pytest.approx(off, rel=1e-5)
    assert float(networks.level_error(0 * LEVELS, VALUES)) == 0


def test_figures_of_batches_of_unequal_content_are_those_of_all_together() -> None:
    one = learning.measure_identification([(LEVELS, VALUES)])
    parts = learning.measure_identification([(LEVELS[:1], VALUES[:1]), (LEVELS[1:], VALUES[1:])])
    assert parts == pytest.approx(one, rel=1e-5)


def test_the_published_sizes() -> None:
    detection, identification = networks.detection(), networks.identification()
    assert detection.output_shape == (None, None, None, None, 2)
    assert identification.output_shape == (None, None, None)
    kernels = [tuple(w.shape) for w in identification.weights if w.name == "kernel"]
    assert (5, 20, 256, 512) in kernels
    assert max(w.shape[-1] for w in detection.weights if w.name == "kernel") == 256
    assert identification.count_params() == pytest.approx(43.8e6, rel=0.02)


def test_bending_moves_picture_and_levels_alike() -> None:
    levels = np.kron(np.arange(1, 9).reshape(2, 4), np.ones((40, 80))).astype(np.uint8)
    values = np.repeat(levels[None].astype(np.float32), 2, axis=0)
    moved, taught = batches.bent(values, levels, np.random.default_rng(2))
    assert (taught != levels).any()
    sure = moved[0] == np.rint(moved[0])
    assert (moved[0][sure & (taught > 0)] == taught[sure & (taught > 0)]).mean() > 0.98


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, list[Path]]]:
    """Cut two toys and crop them to a few voxels, so that a step takes no time."""
    folder = tmp_path_factory.mktemp("samples")
    paths: dict[str, dict[str, list[Path]]] = {}
    for seed, part in enumerate(("train", "validation")):
        marks = column("T12", "L1", top=30.0)
        arrays = cut(scan(marks), marks, seed)
        small = {
            "detection": {k: v[:, 24:40, 24:40, 32:48] for k, v in arrays.detection.items()},
            "identification": {k: v[..., 24:56, 16:48] for k, v in arrays.identification.items()},
        }
        for stage, content in small.items():
            path = folder / stage / f"case-{seed}.npz"
            path.parent.mkdir(exist_ok=True)
            np.savez_compressed(path, **content)
            paths.setdefault(stage, {})[part] = [path]
    return paths


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let both networks have two channels, and run without being traced: steps are few."""
    compiled = keras.Model.compile
    monkeypatch.setattr(
        keras.Model, "compile", lambda *args, **how: compiled(*args, **how, run_eagerly=True)
    )
    build = {name: getattr(networks, name) for name in ("detection", "identification")}
    for name, function in build.items():
        monkeypatch.setattr(networks, name, lambda function=function: function(2))


def lesson(samples: Any, folder: Path, on_epoch: Any) -> Lesson:
    """Return a lesson of the toys."""
    folder.mkdir(exist_ok=True, parents=True)
    groups = {"case-0.npz": "phantom", "case-1.npz": "phantom"}
    return Lesson(
        SETTINGS, samples["detection"], samples["identification"], groups, folder, 1, "x", on_epoch
    )


@pytest.mark.usefixtures("tiny")
def test_a_training_that_was_cut_off_ends_as_one_that_was_not(samples: Any, tmp_path: Path) -> None:
    seen: list[tuple[int, dict[str, float]]] = []

    def collect(number: int, figures: dict[str, float]) -> None:
        seen.append((number, figures))

    thresholds = learning.learn(lesson(samples, tmp_path / "whole", collect))
    assert [number for number, _ in seen] == [1, 2, 3, 4]
    assert {"detection_loss", "detection_dice", "detection_recall"} <= set(seen[0][1])
    assert {"identification_loss", "identification_rate"} <= set(seen[3][1])
    with (tmp_path / "whole" / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["epoch"]) for row in rows] == [1, 2, 3, 4]
    assert rows[0]["identification_loss"] == rows[3]["detection_loss"] == ""
    names = {path.name for path in (tmp_path / "whole").iterdir()}
    assert names == {"model.weights.h5", "history.csv"}
    assert {path.name for path in tmp_path.iterdir()} == {"whole"}  # no checkpoint stays

    def stop_after(last: int) -> Any:
        def on_epoch(number: int, figures: dict[str, float]) -> None:
            if number == last:
                raise KeyboardInterrupt

        return on_epoch

    again: list[int] = []
    for last in (1, 3):
        with pytest.raises(KeyboardInterrupt):
            learning.learn(lesson(samples, tmp_path / "torn", stop_after(last)))
    learning.learn(lesson(samples, tmp_path / "torn", lambda number, _: again.append(number)))
    assert again == [4]
    readers = [load(tmp_path / name, SETTINGS, thresholds) for name in ("whole", "torn")]
    for network in ("_detection", "_identification"):
        one, other = (getattr(reader, network).get_weights() for reader in readers)
        for a, b in zip(one, other, strict=True):
            np.testing.assert_allclose(a, b, atol=2e-4)


@pytest.mark.usefixtures("tiny")
def test_how_one_network_is_taught_does_not_matter_to_the_other(
    samples: Any, tmp_path: Path
) -> None:
    def stop(number: int, figures: dict[str, float]) -> None:
        if "identification_loss" in figures:
            raise KeyboardInterrupt

    again: list[dict[str, float]] = []
    first = lesson(samples, tmp_path / "a", stop)
    with pytest.raises(KeyboardInterrupt):
        learning.learn(first)
    slower = dataclasses.replace(SETTINGS.identification, learning_rate=1e-4)
    settings = dataclasses.replace(SETTINGS, identification=slower)
    learning.learn(
        dataclasses.replace(first, settings=settings, on_epoch=lambda _, row: again.append(row))
    )
    assert [("identification_loss" in row) for row in again] == [True] * len(again)
    assert len(again) == SETTINGS.identification.epochs


@pytest.mark.usefixtures("tiny")
def test_untrained_networks_answer_something_or_nothing_but_do_answer(tmp_path: Path) -> None:
    reader = load(tmp_path, SETTINGS, untrained(tmp_path, 3))
    marks = column("L1", top=0.0)
    reading = reader.read(scan(marks, half=(20.0, 30.0, 20.0)))
    assert len(set(reading.levels)) == len(reading.levels)
    assert reading.warnings or reading.levels


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="weights of the networks detection and identification"):
        load(tmp_path, SETTINGS, {})


def test_files_without_samples_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "empty.npz"
    empty = np.zeros((0, *cutting.PATCH), np.int16)
    np.savez_compressed(path, hu=empty, mask=empty.astype(np.uint8))
    with pytest.raises(ModelError, match="without a sample"):
        batches.Shelf.of([path], "mask", lambda _: 1.0)


def test_the_mix_says_how_often_a_group_is_drawn(samples: Any) -> None:
    paths = [samples["detection"]["train"][0], samples["detection"]["validation"][0]]
    settings = dataclasses.replace(SETTINGS, mix={"phantom": 1.0, "verse": 3.0})
    groups = {"case-0.npz": "phantom", "case-1.npz": "verse"}
    shelf = batches.Shelf.of(paths, "mask", batches.shares(groups, settings.share))
    np.testing.assert_allclose(shelf.chances, [0.25, 0.75])
