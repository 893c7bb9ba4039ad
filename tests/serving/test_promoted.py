"""A worse challenger refused, a better one promoted, served by its alias, rolled back, served."""

import json
import shutil
import urllib.request
from pathlib import Path

import h5py
import pytest

from benchmarks.served import ROOT, Package, started
from tests.serving.conftest import NAME
from tests.stores import Store
from tests.tracking.made_up import NO_SCANS, RULE, Errors, Registry, errors, table
from vertebra_ml import tracking
from vertebra_ml.errors import GateError
from vertebra_ml.tracking.example import example_row

pytestmark = pytest.mark.server


def publish(model: Path, made: Errors, uri: str, place: Path) -> str:
    """Publish a model folder with a made-up evaluation."""
    place.mkdir()
    (place / "metrics.json").write_text(json.dumps({"overall": {"median_mm": 2.0}}))
    (place / "verdict.json").write_text(json.dumps({"passed": True}))
    (place / "table.csv").write_text(table(made))
    (place / "scans.csv").write_text(NO_SCANS)
    return tracking.publish(
        model, place, uri=uri, experiment="serving", registered=NAME,
        code=ROOT / "serving" / "pyfunc_model.py",
    ).version  # fmt: skip


def other_weights(model: Path, place: Path) -> Path:
    """Return a copy of a model folder, a little changed."""
    shutil.copytree(model, place)
    with h5py.File(place / "model.weights.h5", "r+") as file:
        found: list[h5py.Dataset] = []
        file.visititems(lambda _, each: found.append(each) if hasattr(each, "shape") else None)
        found[0][...] = found[0][...] * 1.01
    return place


def answered(url: str) -> tuple[str, str]:
    """Return which version and run answer for the made-up scan."""
    body = json.dumps({"dataframe_records": [example_row()]}).encode()
    request = urllib.request.Request(
        f"{url}/invocations", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=300) as answer:
        rows = json.loads(answer.read())["predictions"]
    ((version, run),) = {(row["model_version"], row["run"]) for row in rows}
    return str(version), run


def test_from_challenger_to_served_and_back(
    untrained: Path, server_store: Store, tmp_path: Path
) -> None:
    uri = server_store.uri
    registry = Registry(uri, NAME)
    assert publish(untrained, errors(), uri, tmp_path / "first") == "1"
    registry.promote("1", "first of this registry")
    worse = registry.register(errors(gross=8))
    better = publish(
        other_weights(untrained, tmp_path / "better"), errors(moved_mm=-0.5), uri,
        tmp_path / "third",
    )  # fmt: skip
    with pytest.raises(GateError, match=r"version 2: found gross rate 10\.0 % instead of 0\.0 %"):
        registry.promote(worse, "newer")
    assert registry.aliases() == {"production": "1"}
    assert tracking.promote(
        NAME, reason="half a mm nearer", uri=uri, weighing=tracking.Weighing(RULE)
    ) == better == "3"  # fmt: skip
    runs = {each: registry.client.get_model_version(NAME, each).run_id for each in ("1", "3")}
    for version, place in (("3", "promoted"), ("1", "back")):
        if place == "back":
            assert registry.rollback("wrong in T12") == version
        (tmp_path / place / "scans").mkdir(parents=True)
        packed = tracking.fetch(f"models:/{NAME}@production", uri)
        with started(Package(NAME, uri, tmp_path / place, *packed)) as server:
            assert answered(server.url) == (version, runs[version])
    assert registry.rows() == [
        ("promoted", "1", "", "no"), ("promoted", "3", "1", "no"), ("rolled back", "1", "3", "no"),
    ]  # fmt: skip
