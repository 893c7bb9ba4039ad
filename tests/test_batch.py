"""Batches: one bad scan is one line, nothing is overwritten, little is in memory."""

import csv
import gc
import json
import logging
import math
import weakref
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from vertebra_ml import batch, intake, metrics
from vertebra_ml.case import Case
from vertebra_ml.errors import DatasetError, ModelError
from vertebra_ml.landmarks import Landmarks, ModelIdentity, Prediction, Truth
from vertebra_ml.outputs import FORMATS
from vertebra_ml.prepare import project
from vertebra_ml.volume import Volume

SHAPE, SPACING = (40, 30, 20), 5.0


def volume() -> Volume:
    """A box of soft tissue with a bright column at its back."""
    array = np.full(SHAPE, -1000, np.int16)
    array[4:36, 4:26] = 40
    array[18:22, 8:12] = 700
    return Volume(array, np.diag([SPACING, SPACING, SPACING, 1.0]))


class Fixed:
    """A localiser that finds L3 at a height of its own choosing for each case."""

    kind = "fixed"
    levels = ("L3",)
    identity = ModelIdentity("fixed", "1")

    def __init__(self, **heights_mm: float | Exception | None) -> None:
        self.heights_mm = heights_mm
        self.asked: list[str] = []

    def locate(self, volume: Volume, case: str) -> Prediction:
        return self.answer(volume.origin, case)

    def locate_mips(self, pair, source, case: str) -> Prediction:
        return self.answer(source, case)

    def answer(self, source, case: str) -> Prediction:
        self.asked.append(case)
        height = self.heights_mm.get(case, 50.0)
        if isinstance(height, BaseException):
            raise height
        if height is None:
            return Prediction(case, Landmarks.empty(), ("L3",), (), self.identity, 0.1, (), (0.9,))
        marks = Landmarks.of({"L3": (math.nan, math.nan, height)})
        places = (source.slice_at(np.array([0.0, 0.0, height])),)
        return Prediction(case, marks, (), places, self.identity, 0.1)


def scan(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(volume().array, volume().affine), path)
    return path


def case_of(name: str, opener=volume, truth: Truth | None = None, layout: str = "plain") -> Case:
    return Case(name, name, Path(f"{name}.nii.gz"), layout, opener, partial(lambda t: t, truth))


def labelled(z_mm: float) -> Truth:
    return Truth(Landmarks.of({"L3": (100, 50, z_mm)}), ("L2", "L3"))


def ids_in(folder: Path) -> list[str]:
    with (folder / "slices.csv").open(newline="") as file:
        return [row["case"] for row in csv.DictReader(file)]


def test_bad_scans_are_one_line_each_and_the_others_are_done(tmp_path):
    good = [scan(tmp_path / f"{name}.nii.gz") for name in ("one", "two")]
    cut = tmp_path / "cut.nii.gz"
    cut.write_bytes(good[0].read_bytes()[:300])
    text, folder = tmp_path / "text.txt", tmp_path / "empty"
    text.write_text("no scan")
    folder.mkdir()
    absent = tmp_path / "absent.nii.gz"
    bad = [cut, text, folder, absent]
    progress: list[None] = []
    rows, failures = batch.locate_all(
        Fixed(), [cut, good[0], text, folder, absent, good[1]],
        out=tmp_path / "out", on_progress=lambda: progress.append(None),
    )  # fmt: skip
    assert [row["case"] for row in rows] == ["one", "two"] == ids_in(tmp_path / "out")
    assert len(failures) == 4
    assert len(progress) == 6
    for path in bad:
        (line,) = [line for line in failures if str(path) in line]
        assert "\n" not in line
        assert "found" in line
        assert "expected" in line
    assert json.loads((tmp_path / "out" / "slices.json").read_text())["failures"] == failures


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("a\nb"), MemoryError(), OSError(5, "Input/output error"), EOFError(),
        ModelError("here", found="x", expected="y", fix="z"), KeyError("k"),
    ],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_whatever_one_scan_does_the_next_is_done(tmp_path, error):
    cases = [case_of("bad"), case_of("good")]
    rows, (line,) = batch.locate_all(Fixed(bad=error), cases, out=tmp_path)
    assert [row["case"] for row in rows] == ["good"]
    assert "bad.nii.gz" in line
    assert "\n" not in line
    if isinstance(error, MemoryError):
        assert "memory" in line


def test_an_interrupt_stops_and_keeps_what_was_done(tmp_path):
    cases = [case_of("done"), case_of("hand"), case_of("never")]
    localiser = Fixed(hand=KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        batch.locate_all(localiser, cases, out=tmp_path)
    assert localiser.asked == ["done", "hand"]
    assert not (tmp_path / "slices.csv").exists()
    assert "done" in (tmp_path / ".slices.csv.part").read_text()


def test_a_result_folder_that_cannot_be_written_stops_the_batch(tmp_path):
    (tmp_path / "file").write_text("")
    localiser = Fixed()
    with pytest.raises(DatasetError, match="cannot be written"):
        batch.locate_all(localiser, [case_of("a")], out=tmp_path / "file")
    assert localiser.asked == []


NAMES = [
    # files, ids
    (("a/ct.nii.gz", "b/ct.nii.gz"), ["a", "b"]),
    (("x/scan.nii.gz", "y/scan.nii.gz"), ["x_scan", "y_scan"]),
    (("m/p/ct.nii.gz", "n/p/ct.nii.gz"), ["m_p", "n_p"]),
    (("m/p/scan.nii.gz", "n/p/scan.nii.gz", "q.nii.gz"), ["m_p_scan", "n_p_scan", "q"]),
    (("x/A.nii.gz", "y/a.nii.gz"), ["x_A", "y_a"]),
    (("q.nii.gz", "q.nii.gz"), ["q"]),
]


@pytest.mark.parametrize(("files", "expected"), NAMES)
def test_ids_are_made_unique_from_folders(tmp_path, files, expected):
    paths = [scan(tmp_path / name) for name in files]
    rows, failures = batch.locate_all(Fixed(), paths, out=tmp_path / "out")
    assert [row["case"] for row in rows] == expected
    assert failures == []


def test_a_clash_is_a_line_and_never_an_overwrite(tmp_path):
    paths = [scan(tmp_path / name) for name in ("x/a.nii", "x/a.nii.gz", "b.nii.gz")]
    rows, (line,) = batch.locate_all(Fixed(), paths, out=tmp_path / "out")
    assert len(rows) == 2
    assert len({row["case"] for row in rows}) == 2
    assert "the same id" in line
    assert "a.nii.gz" in line


def test_at_most_two_volumes_are_in_memory(tmp_path):
    alive: list[weakref.ref] = []
    most = []

    def opener() -> Volume:
        gc.collect()
        most.append(sum(ref() is not None for ref in alive))
        made = volume()
        alive.append(weakref.ref(made))
        return made

    cases = [case_of(f"c{i}", opener) for i in range(4)]
    batch.locate_all(Fixed(), cases, out=tmp_path, overlay=True)
    assert len(most) == 4
    assert max(most) <= 1  # beside the one that is being opened


def test_overlays_are_written_beside_the_table(tmp_path):
    batch.locate_all(Fixed(), [case_of("a"), case_of("b")], out=tmp_path, overlay=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "a.png", "b.png", "slices.csv", "slices.json",
    ]  # fmt: skip
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_an_overlay_that_fails_keeps_the_row(tmp_path):
    (tmp_path / "a.png" / "in the way").mkdir(parents=True)
    rows, (line,) = batch.locate_all(Fixed(), [case_of("a")], out=tmp_path, overlay=True)
    assert len(rows) == 1
    assert "a.nii.gz" in line
    assert "\n" not in line


def test_every_format_is_written_as_it_goes(tmp_path):
    batch.locate_all(Fixed(b=None), [case_of("a"), case_of("b")], out=tmp_path, formats=FORMATS)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "a-L3.png", "a.html", "a.mrk.json", "a_ctd.json",
        "b.html", "b.mrk.json", "b_ctd.json", "slices.csv", "slices.json",
    ]  # fmt: skip


def test_a_picture_that_cannot_be_written_is_one_line_and_the_rest_goes_on(tmp_path, monkeypatch):
    write = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if path.name.startswith(".a-L3.png"):
            write(path, content[:100])
            raise OSError(28, "No space left on device")
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    rows, (line,) = batch.locate_all(
        Fixed(), [case_of("a"), case_of("b")], out=tmp_path, formats=("csv", "png", "slicer")
    )
    assert [row["case"] for row in rows] == ["a", "b"]
    assert "No space left" in line
    assert "a-L3.png" in line
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "a.mrk.json", "b-L3.png", "b.mrk.json", "slices.csv",
    ]  # fmt: skip


def test_what_a_reader_says_is_a_warning_of_its_case_alone(tmp_path):
    def loud() -> Volume:
        log = logging.getLogger("vertebra_ml.readers.dicom")
        log.warning("loud.nii.gz: gantry tilt of 12\ndegrees, resampled")
        log.info("nobody asked")
        logging.getLogger("vertebra_ml.models").warning("of the model")
        return volume()

    cases = [case_of("first"), case_of("loud", loud), case_of("last")]
    batch.locate_all(Fixed(), cases, out=tmp_path)
    document = json.loads((tmp_path / "slices.json").read_text())
    assert [case["warnings"] for case in document["cases"]] == [
        [], ["gantry tilt of 12 degrees, resampled"], [],
    ]  # fmt: skip


def test_a_file_of_several_scans_is_several_cases(tmp_path, monkeypatch):
    def open_cases(paths) -> list[Case]:
        (path,) = paths
        return [Case(f"d-{n}", "d", path, "scan", volume) for n in ("s2", "s3")]

    monkeypatch.setattr(intake, "open_cases", open_cases)
    progress: list[None] = []
    rows, failures = batch.locate_all(
        Fixed(), [tmp_path / "d", tmp_path / "d"], out=tmp_path / "out",
        on_progress=lambda: progress.append(None),
    )  # fmt: skip
    assert [row["case"] for row in rows] == ["d-s2", "d-s3"]
    assert failures == []
    assert len(progress) == 2


def test_ready_mips_are_located_without_a_volume(tmp_path):
    made = volume()
    pair = project(made, spacing_mm=1.0, body_threshold_hu=-300, slab_mm=60.0)
    case = Case("m", "m", Path("m.npz"), "archive", open_mips=lambda: (pair, made.origin))
    rows, failures = batch.locate_all(Fixed(), [case], out=tmp_path, overlay=True)
    assert not failures
    assert rows[0]["slice_index"] == 10  # 50 mm in slices of 5
    assert (tmp_path / "m.png").exists()


def test_evaluate_scores_labels_and_keeps_the_worst(tmp_path):
    heights = {"near": 51.0, "far": 80.0, "missed": None, "free": 50.0, "broken": OSError("gone")}
    cases = [
        case_of("near", truth=labelled(50)),
        case_of("far", truth=labelled(50), layout="verse"),
        case_of("missed", truth=labelled(50)),
        case_of("free"),
        case_of("broken", truth=labelled(50)),
    ]
    found = batch.evaluate_all(Fixed(**heights), cases, out=tmp_path, worst=3)
    table = metrics.as_table(found.rows)
    assert list(table["case"]) == ["near", "far", "missed"]
    assert list(table["group"]) == ["plain", "verse", "plain"]
    assert list(table["error_mm"])[:2] == [1.0, 30.0]
    assert list(table["error_slices"])[:2] == [pytest.approx(0.2), pytest.approx(6)]
    assert found.unlabelled == ["free"]
    assert [each.prediction.case for each in found.pictures] == ["missed", "far", "near"]
    assert len(found.failures) == 1
    assert ids_in(tmp_path) == ["near", "far", "missed", "free"]
    assert found.pictures[1].save(tmp_path).name == "far.png"


def test_equal_cases_keep_their_order_among_the_worst(tmp_path):
    cases = [case_of(name, truth=labelled(50)) for name in "abc"]
    found = batch.evaluate_all(Fixed(), cases, out=tmp_path, worst=2)
    assert [each.prediction.case for each in found.pictures] == ["a", "b"]


def test_several_models_answer_each_scan_that_is_read_once(tmp_path):
    read: list[str] = []

    def opened(name: str) -> Volume:
        read.append(f"{name} scan")
        return volume()

    def truth(name: str) -> Truth:
        read.append(f"{name} labels")
        return labelled(50)

    cases = [
        Case(n, n, Path(f"{n}.nii.gz"), "plain", partial(opened, n), partial(truth, n))
        for n in ("a", "b")
    ]
    models = {tmp_path / "one": Fixed(a=OSError("gone")), tmp_path / "two": Fixed(b=80.0)}
    progress: list[None] = []
    found = batch.compare_all(models, cases, on_progress=lambda: progress.append(None))
    assert sorted(read) == ["a labels", "a scan", "b labels", "b scan"]
    assert len(progress) == 2
    one, two = found[tmp_path / "one"], found[tmp_path / "two"]
    assert ([row["case"] for row in one.rows], ids_in(tmp_path / "one")) == (["b"], ["b"])
    assert [row["error_mm"] for row in two.rows] == [0.0, 30.0]
    assert (len(one.failures), two.failures) == (1, [])
    assert [each.case for each in two.scans] == ["a", "b"]
    alone = batch.evaluate_all(Fixed(b=80.0), cases, out=tmp_path / "alone")
    assert repr(alone.rows) == repr(two.rows)  # a score that is NaN is no other score
    for name in ("slices.csv", "slices.json"):
        assert (tmp_path / "alone" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_what_cannot_be_read_is_a_line_of_every_model(tmp_path):
    asked: list[None] = []

    def refuse() -> Truth:
        asked.append(None)
        raise DatasetError("labels.json", found="x", expected="y", fix="z")

    def broken() -> Volume:
        raise DatasetError("scan.nii", found="x", expected="y", fix="z")

    cases = [
        Case("a", "a", Path("a.nii.gz"), "plain", volume, refuse),
        case_of("b", broken, labelled(50)), case_of("c", truth=labelled(50)),
    ]  # fmt: skip
    models = {tmp_path / name: Fixed() for name in ("one", "two")}
    for each in batch.compare_all(models, cases).values():
        first, second = each.failures
        assert ("labels.json" in first, "scan.nii" in second) == (True, True)
        assert [row["case"] for row in each.rows] == ["c"]
    assert len(asked) == 1


def test_a_broken_label_file_is_a_line(tmp_path):
    def refuse() -> Truth:
        raise DatasetError("labels.json", found="x", expected="y", fix="z")

    case = Case("a", "a", Path("a.nii.gz"), "plain", volume, refuse)
    found = batch.evaluate_all(Fixed(), [case], out=tmp_path)
    assert found.rows == []
    assert "labels.json" in found.failures[0]


def test_evaluate_walks_the_serving_path(tmp_path):
    rows, _ = batch.locate_all(Fixed(), [case_of("a")], out=tmp_path / "x")
    found = batch.evaluate_all(Fixed(), [case_of("a", truth=labelled(1))], out=tmp_path / "y")
    assert found.predictions[0].rows() == rows
    assert (tmp_path / "x/slices.csv").read_bytes() == (tmp_path / "y/slices.csv").read_bytes()


def test_nothing_to_do_writes_empty_results(tmp_path):
    assert batch.locate_all(Fixed(), [], out=tmp_path) == ([], [])
    assert ids_in(tmp_path) == []
