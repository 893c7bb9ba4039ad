"""The folder that an image is built from, and the description for KServe."""

import shutil
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from benchmarks.served import Served
from serving.container import PORT, USER, faults
from vertebra_ml.served.settings import DEFAULTS

ROOT = Path(__file__).parents[2]

TEXTS = {"type": "string"}
POD_CONTAINER = {
    "type": "object",
    "required": ["name", "image"],
    "properties": {
        "name": {"const": "kserve-container"},
        "ports": {"type": "array", "items": {"required": ["containerPort"]}},
        "env": {"type": "array", "items": {"required": ["name", "value"],
                "properties": {"name": TEXTS, "value": TEXTS}, "additionalProperties": False}},
    },
}  # fmt: skip
SHAPE = {
    "type": "object",
    "additionalProperties": False,
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "properties": {
        "apiVersion": {"const": "serving.kserve.io/v1beta1"},
        "kind": {"const": "InferenceService"},
        "metadata": {"required": ["name"], "properties": {"name": {"pattern": "^[a-z0-9-]+$"}}},
        "spec": {"required": ["predictor"], "properties": {"predictor": {
            "required": ["containers"], "properties": {
                "minReplicas": {"type": "integer"}, "timeout": {"type": "integer"},
                "containers": {"type": "array", "minItems": 1, "items": POD_CONTAINER},
                "volumes": {"type": "array", "items": {"required": ["name"]}},
            }}}},
    },
}  # fmt: skip


def test_kserve_is_told_what_the_image_is() -> None:
    service = yaml.safe_load((ROOT / "serving" / "kserve.yaml").read_text())
    jsonschema.validate(service, SHAPE)
    predictor = service["spec"]["predictor"]
    (container,) = predictor["containers"]
    assert predictor["securityContext"]["runAsUser"] == USER
    assert container["ports"][0]["containerPort"] == PORT
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"] == {"path": "/ping", "port": PORT}
    known = {*DEFAULTS, "MLFLOW_MODELS_WORKERS", "VERTEBRA_ML_LOG"}
    assert {entry["name"] for entry in container["env"]} <= known
    mounts = {mount["name"] for mount in container["volumeMounts"]}
    assert mounts == {volume["name"] for volume in predictor["volumes"]}


@pytest.mark.server
def test_an_image_can_be_built_from_a_published_model(served: Served, tmp_path: Path) -> None:
    package = next(p for p in served.folder.parents if (p / "MLmodel").is_file())
    folder = tmp_path / "image"
    words = [sys.executable, "-m", "serving.container", str(folder), "--model", str(package)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"docker build -t vertebra-ml {folder}\n"
    text = (folder / "Dockerfile").read_text()
    assert text.index("USER 10001:10001") < text.index("ENTRYPOINT")
    assert list(folder.rglob("pyfunc_model.py"))
    assert list(folder.rglob("model.json"))
    _spoilt(folder)


def _spoilt(folder: Path) -> None:
    """Assert that each thing that should not be there is found."""
    (packed,) = folder.rglob("requirements.txt")
    spoils = {
        "requirements.txt: found 'numpy'": (packed, "numpy\n"),
        "looks like a secret": (folder / "model_dir" / "a.yaml", "password: hunter2hunter2\n"),
        "a file that no image is to hold": (folder / "model_dir" / ".env", ""),
        "found beside the model": (folder / "notes.txt", ""),
        "expected USER": (folder / "Dockerfile", _without_user(folder)),
    }
    for words, (path, text) in spoils.items():
        kept = path.read_bytes() if path.exists() else None
        path.write_text(text)
        assert any(words in line for line in faults(folder)), words
        path.unlink()
        if kept is not None:
            path.write_bytes(kept)
    assert list(faults(folder)) == []
    shutil.rmtree(folder)


def _without_user(folder: Path) -> str:
    lines = (folder / "Dockerfile").read_text().splitlines()
    return "\n".join(line for line in lines if not line.startswith("USER"))
