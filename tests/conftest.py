"""What many tests share: the shipped model, and real scans where they are at hand."""

import subprocess
import sys
from pathlib import Path

import hypothesis
import pytest

from vertebra_ml.models.architectures import architecture
from vertebra_ml.models.contract import Contract, Settings

# No test is a race: a busy machine takes seconds for what takes milliseconds on an idle one.
hypothesis.settings.register_profile(
    "untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("untimed")

pytest_plugins = ["tests.stores"]  # tracking stores on SQLite and PostgreSQL

ROOT = Path(__file__).parent.parent
REAL = ROOT.parent / "shared" / "real"

SETTINGS = {
    "levels": ("T12", "L3"), "auxiliary_levels": ("T11", "T12", "L1", "L2", "L3", "L4"),
    "architecture": "compact", "loss": "bce", "target": "gaussian", "target_sigma_mm": 4.0,
    "epochs": 1, "steps_per_epoch": 1, "batch": 1, "learning_rate": 0.001, "patience": 1,
    "minutes": 1.0, "validation_fields": 1, "presence_threshold": 0.0, "warning_score": 0.6,
    "start_from": "",
}  # fmt: skip
PREPARATION = {"spacing_mm": 1.0, "body_threshold_hu": -300, "sagittal_slab_mm": 60.0}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest: one that is begun last is waited for alone."""
    slow = {item.path for item in items if item.get_closest_marker("server")}
    items.sort(key=lambda item: (item.path not in slow, "pipelines" not in item.path.parts))


@pytest.fixture(scope="session")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the slice spotter's folder named by dvc.lock, from DVC's cache or the remote."""
    return _fetched("slice_spotter", tmp_path_factory.mktemp("shipped"))


@pytest.fixture(scope="session")
def shipped_two_stage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the two-stage model's folder named by dvc.lock."""
    return _fetched("two_stage", tmp_path_factory.mktemp("shipped"))


def _fetched(kind: str, place: Path) -> Path:
    program = Path(sys.executable).parent / "dvc"
    result = subprocess.run(
        [program, "get", "--quiet", ".", f"models/{kind}", "-o", place / kind],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return place / kind


@pytest.fixture(scope="session")
def real() -> Path:
    """Return the folder of real scans; skip where it is absent."""
    if not REAL.is_dir():
        pytest.skip("needs the real scans of ../shared/real, which are not in the repository")
    return REAL


@pytest.fixture(scope="session")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the model folder of a network with seeded, untrained weights."""
    import keras

    folder = tmp_path_factory.mktemp("untrained")
    settings = Settings.of(SETTINGS)
    keras.utils.set_random_seed(5)
    network = architecture(settings.architecture).network(len(settings.heads))
    network.save_weights(folder / "model.weights.h5")
    Contract(
        kind="slice_spotter", settings=settings, preparation=PREPARATION,
        thresholds={"presence": 0.0, "warning": 0.6}, seed=5, data_hash="0f1e2d", limits={},
    ).write(folder)  # fmt: skip
    (folder / "history.csv").write_text("epoch,loss\n1,0.7\n")
    return folder


@pytest.fixture(scope="session")
def untrained_two_stage(untrained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a two-stage model of seeded, untrained weights, set as params.yaml.

    It carries the untrained slice spotter.
    """
    from vertebra_ml import config
    from vertebra_ml.two_stage import fitting

    folder = tmp_path_factory.mktemp("untrained_two_stage")
    settings = config.load(ROOT / "params.yaml").models.two_stage.model_dump()
    fitting.untrained(settings, folder, 5, untrained)
    (folder / "history.csv").write_text("epoch,loss\n1,0.7\n")
    return folder
