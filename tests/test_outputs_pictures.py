"""The slice of a level: the file's own, front up, the patient's right at the left."""

import io

import numpy as np
import pytest
from matplotlib.image import imread

from tests.answers import ORIENTATIONS, answer, grid, height
from tests.layouts import turn
from vertebra_ml import plots
from vertebra_ml.outputs import pictures
from vertebra_ml.outputs.answer import Answer
from vertebra_ml.outputs.axial import cut
from vertebra_ml.prepare import project
from vertebra_ml.volume import Volume

RIGHT_FRONT_MM, LEFT_BACK_MM = (10.75, 10.0, 4.25), (-9.25, -13.0, 4.25)


def marked(orientation: str, turned_deg=(0, 0, 0)) -> Volume:
    """Return a body with 900 HU at the right front and 600 HU at the left back, one voxel each."""
    volume = grid(orientation, turned_deg)
    array = volume.array.copy()
    for point, hu in ((RIGHT_FRONT_MM, 900), (LEFT_BACK_MM, 600)):
        array[tuple(np.round(volume.world_to_voxel(np.array(point))).astype(int))] = hu
    return Volume(array, volume.affine)


def place_of(image: np.ndarray, hu: int) -> tuple[float, float]:
    """Return how far down and across a value lies, as shares of the picture."""
    ((row, column),) = np.argwhere(image == hu)
    return (row + 0.5) / image.shape[0], (column + 0.5) / image.shape[1]


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_the_right_is_at_the_left_and_the_front_is_up(orientation):
    volume = marked(orientation)
    place = volume.origin.slice_at(np.array(RIGHT_FRONT_MM))
    image = cut(volume, place.index, np.array(RIGHT_FRONT_MM))
    down, across = place_of(image.image, 900)
    assert down < 0.4
    assert across < 0.4
    down, across = place_of(image.image, 600)
    assert down > 0.6
    assert across > 0.6
    assert image.spacing_mm == pytest.approx((2.5, 2.0))
    assert image.image.shape == (17, 21)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_it_is_the_very_slice_of_that_index(orientation):
    volume = grid(orientation)
    axis = volume.origin.slice_axis
    shape = [volume.shape[a] if a == axis else 1 for a in range(3)]
    ramp = np.arange(volume.shape[axis], dtype=np.int16).reshape(shape)
    numbered = Volume(np.broadcast_to(ramp, volume.shape).copy(), volume.affine)
    assert (cut(numbered, 5, np.zeros(3)).image == 5).all()
    assert (cut(numbered.reorient("ASL"), 5, np.zeros(3)).image == 5).all()  # turned since


def test_a_stack_along_another_axis_says_so():
    assert cut(grid("RAS"), 5, np.zeros(3)).remark == ""
    assert "second axis" in cut(grid("RSA"), 5, np.zeros(3)).remark


def test_slightly_tilted_slices_stay_the_files_own():
    volume = marked("LPS", (14, 0, 0))
    image = cut(volume, 9, np.zeros(3))
    assert image.image.shape == (17, 21)
    assert "tilted by 14°" in image.remark


def test_slices_that_are_not_axial_are_cut_level_at_the_point():
    volume = Volume(np.zeros((30, 40, 50), np.int16), _turned(volume_mm=2.0, degrees=40))
    world = volume.voxel_to_world(np.moveaxis(np.indices(volume.shape, dtype=float), 0, -1))
    heights = Volume(world[..., 2].astype(np.float32), volume.affine)
    middle = world[15, 20, 25]
    image = cut(heights, 25, middle)
    assert "cut level" in image.remark
    assert "40°" in image.remark
    assert image.spacing_mm == (1.0, 1.0)
    inside = image.image > -1000
    assert inside.any()
    near = np.abs(image.image[inside] - middle[2]) < 1e-2
    assert near.mean() > 0.9  # at the border the air outside is mixed in


def _turned(volume_mm: float, degrees: float) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = turn((degrees, 0, 0)) * volume_mm
    return affine


def test_a_point_without_a_slice_is_cut_level_too():
    assert "cut level" in cut(grid(), None, np.array([0, 0, 2.0])).remark


def test_the_picture_shows_the_marks_where_they_are():
    content = pictures.slices(answer(marked("LPI"), {"L3": RIGHT_FRONT_MM}))["case-1-L3.png"]
    image = imread(io.BytesIO(content))[..., :3].mean(axis=-1)
    assert content.startswith(b"\x89PNG")
    rows, columns = np.nonzero(image[60:-60] > 0.97)  # white: bone and letters; not the words
    rows = rows + 60
    low = image.shape[1] * 0.15, image.shape[1] * 0.35
    at_right_front = (columns > low[0]) & (columns < low[1]) & (rows < image.shape[0] * 0.45)
    mirrored = (columns > image.shape[1] - low[1]) & (columns < image.shape[1] - low[0])
    assert at_right_front.sum() > 400  # a voxel of 2 x 2.5 mm
    assert not (mirrored & (rows < image.shape[0] * 0.45)).any()


def test_pixels_are_square_millimetres():
    figure = plots.axial_slice(np.zeros((50, 100)), (2.0, 0.5), ("L3", "case"), ["words"])
    ((left, right, bottom, top),) = [image.get_extent() for image in figure.axes[0].images]
    assert (right - left) / 50 == pytest.approx((bottom - top) / 100)


def test_words_below_are_never_cut_off():
    words = "an uncommonly long remark " * 12
    short = plots.axial_slice(np.zeros((50, 50)), (1, 1), ("L3", "case"), ["words"])
    long = plots.axial_slice(np.zeros((50, 50)), (1, 1), ("L3", "case"), [words])
    assert long.get_size_inches()[1] > short.get_size_inches()[1] + 0.5


def test_nothing_for_a_level_not_found_and_the_picture_of_before_goes():
    made = pictures.slices(answer(grid(), {"L3": height(3.0)}, ("T12",)))
    assert made["case-1-T12.png"] is None
    assert made["case-1-L3.png"].startswith(b"\x89PNG")
    assert len(made) == 2


def test_mips_have_no_slices_and_say_so(caplog):
    volume = grid()
    said = answer(volume, {"L3": height(3.0)}).prediction
    pair = project(volume, spacing_mm=1.0, body_threshold_hu=-300, slab_mm=60.0)
    alone = Answer(said, (pair, volume.origin))
    assert pictures.slices(alone) == {}
    assert "no axial slices" in caplog.text
    assert pictures.overlay(alone)["case-1.png"].startswith(b"\x89PNG")


def test_the_words_of_a_slice():
    said = answer(grid(), {"L3": (0, 0, -9.0)})
    assert said.slice_words(0) == "slice 7 of 19 · z −9.0 mm · score 0.90 · 90 % within ±3.0 mm"


def test_the_slice_of_a_level_bears_the_warnings_about_it(monkeypatch):
    said: list = []

    def drawn(image, spacing_mm, title, lines):
        said.append((title[0], list(lines)[1:]))
        return plots.Figure(figsize=(1, 1))

    monkeypatch.setattr(plots, "axial_slice", drawn)
    lines = ("T12: two does not find it in this scan", "a gap")
    pictures.slices(answer(grid(), {"T12": (1, 2, 12), "L3": (1, 2, 3)}, warnings=lines))
    assert said == [("T12", ["warning: two does not find it in this scan"]), ("L3", [])]
