"""A served two-stage model: the same server, with as many levels as a spine has."""

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from serving.client import ServerError, locate
from tests.bad.kind import CONTENT, PATH
from tests.bad_inputs import BAD, LINE, make_all
from tests.layouts import Grid, dicom_folder, make_scan, nifti_bytes, write_bytes
from tests.serving.conftest import Served, serving
from tests.serving.test_bad_input import ask, content_of
from vertebra_ml.anatomy import LEVELS
from vertebra_ml.archive import Archive, write_archive
from vertebra_ml.errors import ModelError
from vertebra_ml.landmarks import ROW_COLUMNS
from vertebra_ml.models import load_model
from vertebra_ml.models import locate as locate_here
from vertebra_ml.prepare import project
from vertebra_ml.readers import open_case

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def served(untrained_two_stage: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serve the untrained two-stage model: published and promoted by the same code."""
    place = tmp_path_factory.mktemp("served_two_stage")
    with serving(untrained_two_stage, "vertebra-two-stage", place) as server:
        yield server


def test_every_way_equals_this_process(served: Served) -> None:
    here = load_model(served.folder, served.identity)
    scan = make_scan(Grid("LPS"))
    nifti = write_bytes(served.root / "scan.nii.gz", nifti_bytes(scan))
    for path in (nifti, dicom_folder(served.root / "dicom")):
        expected = locate_here(here, open_case(path)).rows()
        assert [row["level"] for row in expected] == list(LEVELS)
        assert {row["model"] for row in expected} == {"two_stage"}
        for send in ("parquet", "json", "path"):
            asked = path.relative_to(served.root) if send == "path" else path
            rows = locate(served.url, [asked], send=send)
            assert [{key: row[key] for key in ROW_COLUMNS} for row in rows] == expected
            assert {row["run"] for row in rows} == {served.identity.run}
            assert {row["model_version"] for row in rows} == {"1"}


def test_the_slice_spotter_that_it_carries_came_along(served: Served, untrained: Path) -> None:
    for name in ("model.json", "model.weights.h5"):
        packed = served.folder / "anchor" / name
        assert packed.read_bytes() == (untrained / name).read_bytes()
    carried = json.loads((served.folder / "model.json").read_text())["anchor"]
    assert carried["data_hash"] == "0f1e2d"
    (served.folder / "anchor").rename(served.folder / "elsewhere")
    with pytest.raises(ModelError, match=r"anchor: found no slice spotter; expected 0f1e2d"):
        load_model(served.folder, served.identity)
    (served.folder / "elsewhere").rename(served.folder / "anchor")


def test_projections_are_refused_in_one_line(served: Served) -> None:
    scan = make_scan()
    pair = project(scan, spacing_mm=1.0, body_threshold_hu=-300, slab_mm=60.0)
    archive = served.root / "mips.npz"
    write_archive(archive, Archive("mips", "mips", "plain", pair, scan.origin, None))
    with pytest.raises(ServerError, match=r"^mips: found a MIP archive; expected a CT") as refusal:
        locate(served.url, [archive])
    assert LINE.fullmatch(str(refusal.value))


def test_every_bad_input_is_a_line_beside_a_good_one(served: Served, tmp_path: Path) -> None:
    good: dict[str, Any] = {
        "case": "good", "path": None,
        "content": base64.b64encode(nifti_bytes(make_scan())).decode(),
    }  # fmt: skip
    below = make_all(served.root / "bad", PATH)
    sent = make_all(tmp_path / "bad", CONTENT)
    rows = [good]
    for path in below.values():
        name = path.relative_to(served.root).as_posix()
        rows.append({"case": None, "content": None, "path": name})
    rows += [
        {"case": path.parent.name, "content": content_of(path), "path": None}
        for path in sent.values()
    ]
    status, answer = ask(served, [*rows, {**good, "case": "last"}])
    assert status == 200
    found = answer["predictions"]
    answered = [row["case"] for row in found if row["error"] is None]
    assert answered == ["good"] * len(LEVELS) + ["last"] * len(LEVELS)
    refused = list(dict.fromkeys(row["error"] for row in found if row["error"] is not None))
    expected = [(name, PATH) for name in below] + [(name, CONTENT) for name in sent]
    for line, (name, face) in zip(refused, expected, strict=True):
        assert LINE.fullmatch(line), line
        assert re.search(BAD[name].words_of(face), line), (name, line)
    assert str(served.root) not in json.dumps(answer)
    log = served.log.read_text()
    assert "Traceback" not in log
    assert "malicious" not in log
