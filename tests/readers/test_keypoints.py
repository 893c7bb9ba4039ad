"""Keypoints of other networks: the frame, what may lack, and everything that is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vertebra_ml.chain.keypoints import KEYPOINTS_MAX
from vertebra_ml.errors import DatasetError, LimitError
from vertebra_ml.readers.keypoints import read_keypoints


def entry(point: Any = (1.0, 2.0, 3.0), kind: Any = "body", **more: Any) -> dict[str, Any]:
    """Return one keypoint of a file."""
    place = {"world_space": list(point) if isinstance(point, tuple) else point}
    return {"coordinates": place, "type": {"keypoint_type": kind, **more}}


def write(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_lps_becomes_ras_and_pedicles_find_their_place(tmp_path: Path) -> None:
    content = [
        entry((1, 2, 3), spine_segment_probabilities=[0.0, 0.1, 0.9]),
        entry((20, 30, 5), "left", spine_segment_probabilities=[0, 0, 0]),
        entry((-20, 30, 5), "right"),
        entry((1, 2, -30), spine_segment_probabilities=[0, 0.2, 0.8]),
    ]
    spine = read_keypoints(write(tmp_path / "a.json", content))
    np.testing.assert_allclose(spine.candidates.points_mm, [[-1, -2, 3], [-1, -2, -30]])
    np.testing.assert_allclose(spine.candidates.left_mm, [[-20, -30, 5]])
    np.testing.assert_allclose(spine.candidates.right_mm, [[20, -30, 5]])
    assert spine.candidates.segments is not None
    assert spine.candidates.segments[1].tolist() == [0, 0.2, 0.8]
    assert spine.levels == ("", "")


def test_an_empty_list_is_a_spine_without_candidates(tmp_path: Path) -> None:
    spine = read_keypoints(write(tmp_path / "a.json", []))
    assert (len(spine.candidates), spine.candidates.segments) == (0, None)


def test_names_are_read_where_a_file_has_them(tmp_path: Path) -> None:
    spine = read_keypoints(write(tmp_path / "a.json", [entry(spine_level="L3"), entry()]))
    assert spine.levels == ("L3", "")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("no json", "no readable JSON"),
        ({"a": 1}, "a JSON dict"),
        ([3], "entry 0 without type and coordinates"),
        ([{"type": {}, "coordinates": {}}], "entry 0 without"),
        ([entry(kind="rib")], "a keypoint 'rib' in entry 0"),
        ([entry(kind=["body"])], "a keypoint ['body']"),
        ([entry((1, 2))], "a point [1, 2] in entry 0"),
        ([entry("abc")], "a point 'abc'"),
        ([entry((1, 2, True))], "a point"),
        ([entry((1, 2, 10**400))], "a point"),
        ([entry((1e9, 0, 0))], "a point"),
        ('[{"coordinates": {"world_space": [NaN, 0, 0]}, "type": {"keypoint_type": "body"}}]',
         "a point [nan, 0, 0]"),
        ([entry(spine_segment_probabilities=[0, 1.5, 0])], "segment probabilities"),
        ([entry(spine_segment_probabilities=[0, 1])], "segment probabilities"),
        ([entry(spine_segment_probabilities=[0, 1, 0]), entry()], "1 bodies without"),
        ([entry(spine_level="L9")], "the level 'L9'"),
        ([entry(spine_level=3)], "the level 3"),
    ],
)  # fmt: skip
def test_what_is_no_spine_is_refused_in_one_line(tmp_path: Path, content: Any, found: str) -> None:
    with pytest.raises(DatasetError) as error:
        read_keypoints(write(tmp_path / "bad.json", content))
    assert found in str(error.value)
    assert "bad.json" in str(error.value)
    assert "\n" not in str(error.value)


def test_too_many_keypoints_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LimitError, match="1,001 keypoints"):
        read_keypoints(write(tmp_path / "a.json", [entry()] * (KEYPOINTS_MAX + 1)))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no readable JSON"):
        read_keypoints(tmp_path / "absent.json")
