"""A real server of a real network (untrained), published and promoted like any other."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.served import Served
from benchmarks.served import serving as started

NAME = "vertebra-slice-spotter"
SETTINGS = {
    "VERTEBRA_ML_CONTENT_MAX_MB": "8",
    "VERTEBRA_ML_VOXELS_MAX": "200000000",
    "VERTEBRA_ML_BODY_MAX_MB": "48",
}


@pytest.fixture(scope="session")
def served(untrained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serve the untrained slice spotter."""
    with serving(untrained, NAME, tmp_path_factory.mktemp("served")) as server:
        yield server


@contextmanager
def serving(model: Path, name: str, place: Path) -> Iterator[Served]:
    """Publish, promote and serve a model folder, with small limits."""
    with started(model, name, place, **SETTINGS) as server:
        yield server
