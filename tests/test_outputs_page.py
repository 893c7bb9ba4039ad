"""The page of a case: alone, escaped, and it says what was found, doubted and by whom."""

import base64
import re
from dataclasses import replace
from html.parser import HTMLParser

from tests.answers import answer, grid, height
from vertebra_ml.anatomy import LEVELS, USUAL
from vertebra_ml.outputs import page
from vertebra_ml.outputs.answer import Answer
from vertebra_ml.prepare import project


class Reader(HTMLParser):
    """Collects tags, what they refer to, and words."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append(tag)
        refer = ("src", "href", "action", "data", "srcset", "poster", "xlink:href")
        self.links += [value for name, value in attrs if name in refer]

    def handle_data(self, data) -> None:
        self.words.append(data)


def read(made: Answer) -> tuple[Reader, str]:
    ((name, content),) = page.files(made).items()
    assert name == f"{made.case}.html"
    text = content.decode()
    reader = Reader()
    reader.feed(text)
    return reader, text


FOUND = {"T12": (1, 2, 12.0), "L3": height(-3.0)}


def test_it_needs_nothing_but_itself():
    reader, text = read(answer(grid(), FOUND))
    assert len(reader.links) == 3  # both views, two slices
    for link in reader.links:
        assert link.startswith("data:image/png;base64,")
        assert base64.b64decode(link.partition(",")[2]).startswith(b"\x89PNG")
    without = re.sub(r"data:image/png;base64,[^\"]*", "", text)
    assert "://" not in without
    assert "//" not in without.replace("</", "")
    assert not {"script", "link", "iframe", "object", "embed"} & set(reader.tags)
    assert "url(" not in without
    assert "@import" not in without


def test_it_says_what_was_found_and_what_is_not_in_the_scan():
    reader, _ = read(answer(grid(), FOUND, ("L5",)))
    words = " ".join(reader.words)
    assert "T12 and L3 found; L5 not in this scan." in words
    assert "−3.0" in words
    for said in ("two_stage", "run1", "0f1e2d", "0.50", "21 × 17 × 19", "research use"):
        assert said in words
    assert words.count("Axial slice") == 1


def test_warnings_are_read_before_the_numbers():
    _, text = read(answer(grid(), FOUND, warnings=("gantry tilt of 12 degrees",)))
    assert text.index("Please note") < text.index("<table")
    assert "<li>gantry tilt of 12 degrees</li>" in text
    assert "Please note" not in read(answer(grid(), FOUND))[1]


def test_everything_is_escaped():
    evil = '<script>alert("x")</script>&amp;'
    reader, text = read(answer(grid(), FOUND, warnings=(evil,)))
    assert "script" not in reader.tags
    assert evil not in text
    assert evil in reader.words


def test_columns_that_say_nothing_are_left_out():
    plain = read(answer(grid(), {"L3": height(-3.0)}))[0].words
    assert "image number" not in plain
    assert "x" not in plain
    assert "x" in read(answer(grid(), FOUND))[0].words


def test_a_case_without_any_level():
    reader, _ = read(answer(grid(), {}, ("T12", "L3")))
    assert "T12 and L3 not in this scan." in reader.words
    assert len(reader.links) == 1


def test_a_whole_column_is_told_in_spans():
    spine = {level: (0.0, 0.0, 20.0 - place) for place, level in enumerate(USUAL) if level != "T5"}
    reader, text = read(answer(grid(), spine, ("T5", "T13", "L6")))
    assert "C1–C7, T1–T4, T6–T12 and L1–L5 found; T5, T13 and L6 not in this scan." in reader.words
    assert text.count("<tr") == 1 + 26
    assert len(reader.links) == 1 + 23


def test_of_many_levels_that_are_not_in_the_scan_the_table_has_one_line():
    lumbar = {"L4": (0, 0, 5), "L5": (0, 0, -5)}
    missing = tuple(level for level in LEVELS if level not in lumbar)
    reader, text = read(answer(grid(), lumbar, missing))
    assert "L4 and L5 found; C1–C7, T1–T13, L1–L3 and L6 not in this scan." in reader.words
    assert text.count("<tr") == 1 + 2 + 1
    assert "24 others" in reader.words


def test_mips_alone_have_views_but_no_slices():
    volume = grid()
    pair = project(volume, spacing_mm=1.0, body_threshold_hu=-300, slab_mm=60.0)
    made = Answer(answer(volume, FOUND).prediction, (pair, volume.origin))
    reader, _ = read(made)
    assert len(reader.links) == 1
    assert any("no axial slices" in words for words in reader.words)


def test_no_uid_leaves_by_the_page():
    volume, uid = grid(), "1.2.840.99"
    numbers, uids = tuple(range(101, 120)), tuple(f"{uid}.{n}" for n in range(19))
    source = type(volume.origin)(volume.affine, volume.shape, numbers, uids)
    known = type(volume)(volume.array, volume.affine, source)
    reader, text = read(answer(known, {"L3": (0, 0, -9.0)}))
    assert uid not in text
    assert "image number" in reader.words
    assert "107" in reader.words


def test_what_is_not_told_is_said():
    made = answer(grid(), FOUND)
    held = replace(made, prediction=replace(made.prediction, untold={"L5": 0.25}))
    words = " ".join(read(held)[0].words)
    assert "T12 and L3 found; L5 not told." in words
    assert "perhaps; where would be a guess" in words
    assert "0.25" in words
